//! Two readings of what moves while one looks: only what both show counts.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::findings::{Finding, Trouble};

/// How long after the first reading the second is taken.
const LATER: Duration = Duration::from_secs(3);

/// What was read, and read again where the first reading showed something wrong.
#[derive(Serialize, Deserialize)]
pub(super) struct Twice<T> {
    first: T,
    second: Option<T>,
}

impl<T> Twice<T> {
    /// Reads; and 3 s later once more where `wrong` says so.
    pub(super) async fn read<F>(read: impl Fn() -> F, wrong: impl Fn(&T) -> bool) -> Result<Self, Trouble>
    where
        F: Future<Output = Result<T, Trouble>>,
    {
        let first = read().await?;
        let second = if wrong(&first) {
            tokio::time::sleep(LATER).await;
            Some(read().await?)
        } else {
            None
        };
        Ok(Self { first, second })
    }

    /// Returns what every reading shows.
    pub(super) fn findings(&self, of: impl Fn(&T) -> Vec<Finding>) -> Vec<Finding> {
        let mut findings = of(&self.first);
        if let Some(second) = &self.second {
            let again = of(second);
            findings.retain(|finding| again.contains(finding));
        }
        findings
    }

    /// Returns the last reading.
    pub(super) fn last(&self) -> &T {
        self.second.as_ref().unwrap_or(&self.first)
    }

    /// Returns a reading that showed nothing wrong, or was repeated.
    #[cfg(test)]
    pub(super) fn of(first: T, second: Option<T>) -> Self {
        Self { first, second }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::findings::{Cause, CauseId};

    fn found(names: &[&str]) -> Vec<Finding> {
        let cause = |name: &&str| Cause::new(CauseId::PodMissing).with("node", name);
        names.iter().map(|name| Finding::fail(cause(name))).collect()
    }

    #[test]
    fn only_what_both_readings_show_counts() {
        let twice = Twice::of(vec!["a", "b"], Some(vec!["b", "c"]));
        assert_eq!(twice.findings(|names| found(names)), found(&["b"]));
        assert_eq!(
            Twice::of(vec!["a"], None).findings(|names| found(names)),
            found(&["a"])
        );
    }

    #[tokio::test]
    async fn a_reading_without_anything_wrong_is_not_repeated() {
        let once = Twice::read(|| async { Ok(1) }, |value| *value > 1).await.unwrap();
        assert!(once.second.is_none());
    }
}
