//! Controllers that kube-controller-manager was told to leave out (`--controllers`). Most of them are missed only when
//! something happens: a node dies, an owner is deleted, a namespace is made.

use crate::findings::{Finding, cause};
use crate::protocol::Process;

/// What every cluster lives by, each as it is called and as it was called before 1.28. Others are left out with good reason:
/// those of clouds, of Node networks, of bootstrap tokens.
const NEEDED: [(&str, &str); 14] = [
    ("cronjob-controller", "cronjob"),
    ("daemonset-controller", "daemonset"),
    ("deployment-controller", "deployment"),
    ("endpointslice-controller", "endpointslice"),
    ("garbage-collector-controller", "garbagecollector"),
    ("job-controller", "job"),
    ("namespace-controller", "namespace"),
    ("node-lifecycle-controller", "nodelifecycle"),
    ("pod-garbage-collector-controller", "podgc"),
    ("replicaset-controller", "replicaset"),
    (
        "root-ca-certificate-publisher-controller",
        "root-ca-cert-publisher",
    ),
    ("serviceaccount-controller", "serviceaccount"),
    ("statefulset-controller", "statefulset"),
    ("taint-eviction-controller", "taint-eviction-controller"),
];

/// Returns that needed ones were left out.
pub(super) fn finding(processes: &[Process], host: &str) -> Option<Finding> {
    let told = processes.iter().find_map(|process| process.flag("controllers"))?;
    let off = left_out(told);
    let controllers = &off.join(", ");
    (!off.is_empty()).then(|| {
        Finding::warn(cause::ControllersOff {
            controllers,
            host: &host,
        })
    })
}

/// Returns the needed controllers that a list leaves out: `*` are all that are on by themselves, `name` one more, `-name`
/// one less.
fn left_out(list: &str) -> Vec<&'static str> {
    let told: Vec<&str> = list.split(',').map(str::trim).collect();
    let is = |name: &str, prefix: &str| told.iter().any(|item| item.strip_prefix(prefix) == Some(name));
    let all = told.contains(&"*");
    let missing = |(new, old): &(&'static str, &'static str)| {
        let off = is(new, "-") || is(old, "-");
        let on = told.contains(new) || told.contains(old) || all;
        off || !on
    };
    let missing = NEEDED.iter().filter(|names| missing(names));
    missing.map(|(new, _)| *new).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_healthy_clusters_leave_nothing_out() {
        for list in [
            "*",
            "*,bootstrapsigner,tokencleaner",
            "*,-cloud-node-lifecycle,-service,-route",
            "*,-nodeipam,-ttl",
        ] {
            assert!(left_out(list).is_empty(), "{list}");
        }
    }

    #[test]
    fn what_is_left_out_is_named_by_its_name_of_today() {
        assert_eq!(left_out("*,-garbagecollector"), ["garbage-collector-controller"]);
        assert_eq!(
            left_out("*, -garbage-collector-controller"),
            ["garbage-collector-controller"]
        );
        assert_eq!(left_out("deployment,replicaset").len(), NEEDED.len() - 2);
    }
}
