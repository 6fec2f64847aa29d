//! Whether each worker that is meant to take part was looked at. A skip is right where something is missing that another row
//! tells of; a worker of which nothing but skips came out was not tested, and a run that says nothing else is no pass.

use std::collections::BTreeSet;

use crate::findings::{Finding, Outcome, cause};
use crate::site::{Role, Site};
use crate::suite::fixtures::Fixture;
use crate::suite::{Check, Row};

/// Returns an error for each worker whose rows with the run's pods are all skips, where no other row says that something is
/// wrong. A worker on which no pod may run is not meant to take part.
pub(super) fn judge(site: &Site, checks: &[Check], rows: &[Row]) -> Vec<(String, Finding)> {
    let tells = |row: &Row| matches!(row.verdict.outcome(), Outcome::Fail | Outcome::Error);
    if rows.iter().any(tells) {
        return Vec::new();
    }
    let with_pods: BTreeSet<&str> = checks
        .iter()
        .filter(|check| uses_pods(check))
        .map(|check| check.id)
        .collect();
    let workers = site.with_role(Role::Worker).filter(|host| host.schedulable);
    let unseen = workers.filter_map(|host| {
        let own = |row: &&Row| row.host.as_deref() == Some(&*host.name) && with_pods.contains(row.id);
        let skipped = rows.iter().filter(own).count();
        let seen = rows
            .iter()
            .filter(own)
            .any(|row| row.verdict.outcome() != Outcome::Skip);
        let cause = cause::WorkerUnseen {
            host: &host.name,
            rows: &skipped,
        };
        (skipped > 0 && !seen).then(|| (host.name.clone(), Finding::error(cause)))
    });
    unseen.collect()
}

fn uses_pods(check: &Check) -> bool {
    let of_pods = |fixture: &Fixture| matches!(fixture, Fixture::Pods | Fixture::Service);
    check.needs.iter().any(of_pods)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::checks;
    use crate::checks::testing::site;
    use crate::distribution::Distribution;
    use crate::findings::{Unjudged, Verdict};
    use crate::images::HostImages;

    fn row(id: &'static str, host: &str, judged: Result<Vec<Finding>, Unjudged>) -> Row {
        Row {
            id,
            host: Some(host.to_owned()),
            took: Duration::ZERO,
            verdict: Verdict::of(judged, Vec::new()),
            seen: None,
            distribution: Distribution::default(),
            by_hand: None,
            certificates: Vec::new(),
            images: HostImages::default(),
        }
    }

    fn skip() -> Result<Vec<Finding>, Unjudged> {
        Err(Unjudged::skip(cause::OneNode))
    }

    fn unseen(rows: &[Row]) -> Vec<String> {
        let all: Vec<Check> = checks::all().copied().collect();
        let found = judge(&site(), &all, rows);
        found.into_iter().map(|(host, _)| host).collect()
    }

    #[test]
    fn a_worker_of_skips_alone_is_told_though_what_needs_no_pod_passes() {
        let rows = [
            row("network.pod-to-pod", "node-0", Ok(Vec::new())),
            row("network.pod-to-pod", "node-1", skip()),
            row("kubectl.exec", "node-1", skip()),
            row("network.routes", "node-1", Ok(Vec::new())),
        ];
        assert_eq!(unseen(&rows), ["node-1"]);
        let one = row("kubectl.logs", "node-1", Ok(Vec::new()));
        let seen: Vec<Row> = rows.into_iter().chain([one]).collect();
        assert!(unseen(&seen).is_empty());
    }

    #[test]
    fn where_another_row_tells_what_is_wrong_nothing_is_added() {
        let reason = Finding::fail(cause::ServiceProxyUnknown { host: &"node-1" });
        let rows = [
            row("kubectl.exec", "node-1", skip()),
            row("components.workers", "node-1", Ok(vec![reason])),
        ];
        assert!(unseen(&rows).is_empty());
        // Checks that were not chosen have no rows.
        assert!(unseen(&[row("network.routes", "node-1", Ok(Vec::new()))]).is_empty());
    }
}
