//! Whether each host was started again since an earlier report: a pass after that proves what `hosts.reboot` can only read in
//! files.

use cli::Shown;

use super::identity::Identified;
use crate::findings::{Finding, cause};
use crate::report::{HostEntry, Report};
use crate::site::Site;

/// Returns what is found for each host, and for the whole (no host) where the report is about another cluster. No finding:
/// the host lives another life than then.
pub(super) fn judge(before: &Report, now: &Identified, site: &Site) -> Vec<(Option<String>, Vec<Finding>)> {
    let uid = |entry: Option<&crate::report::ClusterEntry>| entry.and_then(|cluster| cluster.uid.clone());
    let (then, here) = (uid(before.cluster.as_ref()), uid(now.entry.as_ref()));
    if let (Some(then), Some(here)) = (&then, &here)
        && then != here
    {
        let other = Finding::error(cause::ReportOfAnotherCluster { then, now: here });
        return vec![(None, vec![other])];
    }
    let since = before.started.to_string();
    let hosts = now.hosts(site).into_iter().map(|host| {
        let then = before.hosts.iter().find(|other| other.name == host.name);
        let finding = one(then, &host, &since);
        (Some(host.name.to_string()), finding.into_iter().collect())
    });
    hosts.collect()
}

fn one(then: Option<&HostEntry>, now: &HostEntry, since: &str) -> Option<Finding> {
    let boot = |entry: &HostEntry| -> Option<Shown> { entry.boot.clone() };
    match (then.and_then(boot), boot(now)) {
        (Some(then), Some(now)) if then != now => None,
        (Some(_), Some(_)) => Some(Finding::fail(cause::HostNotRestarted {
            host: &now.name,
            since: &since,
        })),
        _ => Some(Finding::error(cause::RestartUnknown {
            host: &now.name,
            since: &since,
        })),
    }
}
