//! What is wrong, each thing once: findings of the same severity that say the same stand together, with all that shows them.

use std::collections::BTreeMap;

use cli::Shown;

use super::{CauseEntry, Report, ResultEntry};
use crate::findings::{Outcome, Severity};

/// A thing that is wrong.
#[derive(Debug)]
pub(super) struct Wrong<'a> {
    /// How bad it is.
    pub(super) severity: Severity,
    /// What it is.
    pub(super) cause: &'a CauseEntry,
    /// What to do next.
    pub(super) hint: &'a str,
    /// What shows it.
    pub(super) seen: Vec<Seen<'a>>,
}

/// A result that shows it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seen<'a> {
    /// Its place in the report.
    pub(super) at: usize,
    /// The result.
    pub(super) result: &'a ResultEntry,
    /// What it is about there.
    pub(super) subject: Option<&'a Shown>,
}

impl Seen<'_> {
    /// Returns the check, the host and what it is about.
    pub(super) fn name(&self) -> String {
        let parts = [
            Some(self.result.id.as_str()),
            self.result.host.as_deref(),
            self.subject.map(Shown::as_str),
        ];
        parts.into_iter().flatten().collect::<Vec<_>>().join(" ")
    }
}

/// Returns what is wrong, the worst first, then as it was found.
pub(super) fn wrong(report: &Report) -> Vec<Wrong<'_>> {
    let mut all: Vec<Wrong<'_>> = Vec::new();
    let mut known: BTreeMap<(Severity, &str), usize> = BTreeMap::new();
    for (at, result) in report.results.iter().enumerate() {
        for (severity, subject, cause, hint) in found(result) {
            let place = *known.entry((severity, &cause.text)).or_insert(all.len());
            if place == all.len() {
                all.push(Wrong {
                    severity,
                    cause,
                    hint,
                    seen: Vec::new(),
                });
            }
            all[place].seen.push(Seen { at, result, subject });
        }
    }
    all.sort_by_key(|wrong| std::cmp::Reverse(rank(wrong.severity)));
    all
}

/// Failures come before what could not be looked at, and that before warnings.
const fn rank(severity: Severity) -> u8 {
    match severity {
        Severity::Warn => 0,
        Severity::Error => 1,
        Severity::Fail => 2,
    }
}

/// Returns what a result says is wrong.
fn found(result: &ResultEntry) -> Vec<(Severity, Option<&Shown>, &CauseEntry, &str)> {
    let mut all: Vec<_> = result
        .findings
        .iter()
        .filter(|finding| finding.accepted.is_none())
        .map(|finding| {
            (
                finding.severity,
                finding.subject.as_ref(),
                &finding.cause,
                finding.hint.as_str(),
            )
        })
        .collect();
    let severity = match result.outcome {
        Outcome::Warn => Severity::Warn,
        Outcome::Error => Severity::Error,
        Outcome::Fail => Severity::Fail,
        Outcome::Pass | Outcome::Accepted | Outcome::Skip => return all,
    };
    // Its own cause where it has no findings: whoever wrote the report may have left them out.
    if let Some(cause) = result.cause.as_ref().filter(|_| all.is_empty()) {
        all.push((severity, None, cause, result.hint.as_deref().unwrap_or_default()));
    }
    all
}

/// Returns what was not looked at: results by their reason.
pub(super) fn unseen(report: &Report) -> BTreeMap<&str, Vec<&ResultEntry>> {
    let mut all: BTreeMap<&str, Vec<&ResultEntry>> = BTreeMap::new();
    let skipped = report
        .results
        .iter()
        .filter(|result| result.outcome == Outcome::Skip);
    for result in skipped {
        let reason = result.cause.as_ref().map_or("", |cause| &cause.text);
        all.entry(reason).or_default().push(result);
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::tests::{about, row};

    #[test]
    fn each_thing_stands_once_with_all_that_shows_it_and_the_worst_comes_first() {
        let rows = [
            row("network.veth", Some("node-0"), Outcome::Warn),
            row("network.routes", Some("server"), Outcome::Fail),
            row("network.routes", Some("node-0"), Outcome::Fail),
            row("network.udp", Some("node-0"), Outcome::Skip),
        ];
        let report = Report::new(about(), &rows);
        let wrong = wrong(&report);
        let brief = |wrong: &Wrong<'_>| (wrong.severity, wrong.seen.len());
        assert_eq!(
            wrong.iter().map(brief).collect::<Vec<_>>(),
            [(Severity::Fail, 2), (Severity::Warn, 1), (Severity::Warn, 2)]
        );
        assert_eq!(wrong[0].seen[0].name(), "network.routes server 10.200.1.0/24");
        assert_eq!(unseen(&report).len(), 1);
    }
}
