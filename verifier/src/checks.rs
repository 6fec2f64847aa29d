//! The list of checks, in the order in which a person would make them. One file a check.

mod api_permissions;
mod api_ready;
mod bridge;
mod components_control_plane;
mod components_workers;
mod drops;
mod etcd_health;
mod hosts_clock;
mod hosts_reach;
mod images_present;
mod ko;
mod kubectl_exec;
mod kubectl_logs;
mod kubectl_port_forward;
mod network_bridge;
mod network_interfaces;
mod network_pod_reachable;
mod network_pod_to_pod;
mod network_routes;
mod network_veth;
mod nodes_ready;
mod pods;
mod runtime_containers;
mod runtime_crictl_config;
mod runtime_process_tree;
mod runtime_sandbox_image;
mod secrets_encrypted_at_rest;
mod secrets_roundtrip;
mod service_clusterip;
mod service_endpoints;
mod service_nodeport;
mod service_way;
mod through_kubelet;
mod twice;
mod way;
mod workload_deployment;
mod workload_pod_cidr;
mod workload_scale;

use std::fmt::Write as _;

use crate::check::{Cause, CauseId, Check, Lang, Scope, catalogue};

/// Every check.
pub const ALL: &[Check] = &[
    hosts_reach::CHECK,
    hosts_clock::CHECK,
    api_ready::CHECK,
    api_permissions::CHECK,
    nodes_ready::CHECK,
    components_control_plane::CHECK,
    components_workers::CHECK,
    images_present::CHECK,
    runtime_sandbox_image::CHECK,
    secrets_roundtrip::CHECK,
    secrets_encrypted_at_rest::CHECK,
    workload_deployment::CHECK,
    workload_scale::CHECK,
    workload_pod_cidr::CHECK,
    runtime_containers::CHECK,
    runtime_crictl_config::CHECK,
    runtime_process_tree::CHECK,
    network_bridge::CHECK,
    network_veth::CHECK,
    network_interfaces::CHECK,
    network_routes::CHECK,
    network_pod_reachable::CHECK,
    network_pod_to_pod::CHECK,
    kubectl_port_forward::CHECK,
    kubectl_logs::CHECK,
    kubectl_exec::CHECK,
    service_endpoints::CHECK,
    service_clusterip::CHECK,
    service_nodeport::CHECK,
    etcd_health::CHECK,
];

/// Returns what a check proves in one line, and its long text.
pub fn words(check: &Check, lang: Lang) -> (&'static str, &'static str) {
    let korean = ko::TEXTS.iter().find(|(id, _, _)| *id == check.id);
    match korean.filter(|_| lang == Lang::Ko) {
        Some((_, summary, explain)) => (summary, explain),
        None => (check.summary, check.explain),
    }
}

/// Returns docs/checks.md: every check and every cause.
pub fn document() -> String {
    let mut text = String::from(
        "# Checks\n\nGenerated from the list in `verifier/src/checks.rs`; `verifier explain ID` prints the same offline.\n\n\
         | id | scope | proves |\n|---|---|---|\n",
    );
    // Writing to a String cannot fail.
    for check in ALL {
        let _ = writeln!(
            text,
            "| `{}` | {} | {} |",
            check.id,
            scope(check.scope),
            check.summary
        );
    }
    for check in ALL {
        let _ = write!(
            text,
            "\n## {}\n\n{}\n\nBy hand: `{}`\n",
            check.id, check.explain, check.by_hand
        );
        let owners: Vec<String> = check
            .needs
            .iter()
            .map(|fixture| format!("`{}`", fixture.owner()))
            .collect();
        if check.needs.iter().any(|fixture| fixture.owner() != check.id) {
            let _ = writeln!(text, "\nSkipped where {} did not work.", owners.join(", "));
        }
    }
    text.push_str("\n## Causes\n\n| id | sentence | next step |\n|---|---|---|\n");
    for id in CauseId::ALL {
        let cause = Cause::new(*id);
        let cell = |words: String| words.replace('|', "\\|");
        let (words, hint) = (cell(catalogue::text(&cause)), cell(catalogue::hint(&cause)));
        let _ = writeln!(text, "| `{id}` | {words} | {hint} |");
    }
    text
}

const fn scope(scope: Scope) -> &'static str {
    match scope {
        Scope::Cluster => "cluster",
        Scope::ControlPlane => "each control-plane host",
        Scope::Worker => "each worker",
        Scope::Host => "every host",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stored_document_is_that_of_the_list() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/checks.md");
        let now = document();
        if std::env::var_os("UPDATE_SCHEMAS").is_some() {
            std::fs::write(path, &now).unwrap();
        }
        let stored = std::fs::read_to_string(path).unwrap_or_default();
        assert_eq!(
            stored, now,
            "run the tests with UPDATE_SCHEMAS=1 and look at the difference"
        );
    }

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
    fn every_check_is_explained_in_korean_too() {
        let ids: Vec<&str> = ko::TEXTS.iter().map(|(id, _, _)| *id).collect();
        assert_eq!(ids, ALL.iter().map(|check| check.id).collect::<Vec<_>>());
        for (id, summary, explain) in ko::TEXTS {
            assert!(!summary.is_empty() && !summary.ends_with('.'), "{id}");
            assert!(explain.chars().count() > 100, "{id}");
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
