//! The list of checks, in the order in which a person would make them. One file a check.

mod api_permissions;
mod api_ready;
mod hosts_reach;
mod images_present;
mod network_pod_reachable;
mod nodes_ready;
mod runtime_sandbox_image;
mod secrets_encrypted_at_rest;
mod workload_deployment;
mod workload_scale;

use crate::check::Check;

/// Every check.
pub const ALL: &[Check] = &[
    hosts_reach::CHECK,
    api_ready::CHECK,
    api_permissions::CHECK,
    nodes_ready::CHECK,
    images_present::CHECK,
    runtime_sandbox_image::CHECK,
    secrets_encrypted_at_rest::CHECK,
    workload_deployment::CHECK,
    workload_scale::CHECK,
    network_pod_reachable::CHECK,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_check_says_what_it_is() {
        for check in ALL {
            assert!(
                check
                    .id
                    .split_once('.')
                    .is_some_and(|(group, name)| !group.is_empty() && !name.is_empty())
            );
            assert!(
                !check.summary.is_empty() && !check.summary.ends_with('.'),
                "{}",
                check.id
            );
            assert!(check.explain.len() > 200, "{}", check.id);
            assert!(!check.by_hand.is_empty(), "{}", check.id);
        }
    }

    #[test]
    fn ids_are_unique_and_owners_of_fixtures_are_checks() {
        for (at, check) in ALL.iter().enumerate() {
            assert!(ALL[..at].iter().all(|other| other.id != check.id), "{}", check.id);
            for fixture in check.needs {
                assert!(
                    ALL.iter().any(|other| other.id == fixture.owner()),
                    "{}",
                    fixture.owner()
                );
            }
        }
    }
}

#[cfg(test)]
pub(crate) mod testing {
    //! What the judges' tests share: a site, and a look at a verdict's words.

    use crate::check::{CauseId, Expect, Outcome, Verdict, catalogue};
    use crate::site::Site;

    /// Returns the page's site.
    pub(crate) fn site() -> Site {
        let text = "apiVersion: site/v1\nkubeconfig: k\nhosts:\n\
            - {name: server, address: 192.168.10.100, roles: [control-plane, etcd]}\n\
            - {name: node-0, address: 192.168.10.101, roles: [worker], podCIDRs: [10.200.0.0/24]}\n\
            - {name: node-1, address: 192.168.10.102, roles: [worker], podCIDRs: [10.200.1.0/24]}\n\
            expect: {encryption: {provider: aescbc, key: key1}}\n";
        crate::site::parse("site.yaml", text, std::path::Path::new("")).unwrap()
    }

    /// Returns what a judge of that host measures against.
    pub(crate) fn expect<'a>(site: &'a Site, host: &str) -> Expect<'a> {
        Expect {
            site,
            index: None,
            host: site.host(host),
        }
    }

    /// Returns outcome and cause of a verdict, after a look at whether its words are complete.
    #[track_caller]
    pub(crate) fn seen(verdict: &Verdict) -> (Outcome, Option<CauseId>) {
        for cause in verdict.cause.iter().chain(&verdict.also) {
            assert_eq!(catalogue::unfilled(cause), Vec::<&str>::new(), "{}", cause.id);
        }
        assert_eq!(verdict.cause.is_none(), verdict.outcome == Outcome::Pass);
        (verdict.outcome, verdict.cause.as_ref().map(|cause| cause.id))
    }
}
