//! The list of checks, in the order in which a person would make them. A folder a group, a file a check.

mod addons;
mod api;
mod certs;
mod components;
mod etcd;
mod hosts;
mod images;
mod kubectl;
mod network;
mod nodes;
mod requests;
mod runtime;
mod secrets;
mod service;
mod storage;
mod workload;

use std::fmt::Write as _;

use crate::findings::{CauseId, Lang, catalogue};
use crate::suite::{Check, Scope};

/// Every check, group by group.
const GROUPS: &[&[Check]] = &[
    hosts::CHECKS,
    api::CHECKS,
    nodes::CHECKS,
    components::CHECKS,
    images::CHECKS,
    secrets::CHECKS,
    workload::CHECKS,
    storage::CHECKS,
    runtime::CHECKS,
    network::CHECKS,
    kubectl::CHECKS,
    service::CHECKS,
    etcd::CHECKS,
    addons::CHECKS,
    certs::CHECKS,
];

/// Returns the row of certificates that somebody named, as `verifier audit certs --path` has it.
pub use certs::named as named_certificates;

pub use requests::requests;

/// Returns every check.
pub fn all() -> impl Iterator<Item = &'static Check> {
    GROUPS.iter().copied().flatten()
}

/// Returns the checks of a run: every check but those that only an audit runs.
pub fn of_runs() -> impl Iterator<Item = &'static Check> {
    all().filter(|check| !check.on_demand)
}

/// Returns docs/checks.md: every check and every cause.
pub fn document() -> String {
    let mut text = String::from(
        "# Checks\n\nGenerated from the list in `verifier/src/checks.rs`; `verifier explain ID` prints the same offline.\n\n\
         | id | scope | proves |\n|---|---|---|\n",
    );
    // Writing to a String cannot fail.
    for check in all() {
        let _ = writeln!(
            text,
            "| `{}` | {} | {} |",
            check.id,
            scope(check.scope),
            catalogue::summary(check.id, Lang::En)
        );
    }
    for check in all() {
        let _ = write!(
            text,
            "\n## {}\n\n{}\n\nBy hand: `{}`\n",
            check.id,
            catalogue::explain(check.id, Lang::En),
            catalogue::plain(catalogue::by_hand_template(check.id, Lang::En))
        );
        let owners: Vec<String> = check
            .needs
            .iter()
            .map(|fixture| format!("`{}`", fixture.owner()))
            .collect();
        if check.on_demand {
            let _ = writeln!(text, "\nLeft out by `run` and `smoke` unless `--only` names it.");
        }
        if check.needs.iter().any(|fixture| fixture.owner() != check.id) {
            let _ = writeln!(text, "\nSkipped where {} did not work.", owners.join(", "));
        }
    }
    text.push_str("\n## Causes\n\n| id | sentence | next step |\n|---|---|---|\n");
    for id in CauseId::ALL {
        let cell = |words: &str| catalogue::plain(words).replace('|', "\\|");
        let (words, hint) = catalogue::template(*id, Lang::En);
        let (words, hint) = (cell(words), cell(hint));
        let _ = writeln!(text, "| `{id}` | {words} | {hint} |");
    }
    text
}

const fn scope(scope: Scope) -> &'static str {
    match scope {
        Scope::Cluster => "cluster",
        Scope::ControlPlane => "each control-plane host",
        Scope::Worker | Scope::Node => "each worker",
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
        // Without the texts: they are pages.
        assert!(
            stored == now,
            "run the tests with UPDATE_SCHEMAS=1 and look at the difference of docs/checks.md"
        );
    }

    #[test]
    fn every_check_says_what_it_is() {
        for check in all() {
            let group = check.id.split_once('.');
            assert!(group.is_some_and(|(group, name)| !group.is_empty() && !name.is_empty()));
            for lang in [Lang::En, Lang::Ko] {
                let summary = catalogue::summary(check.id, lang);
                assert!(!summary.is_empty() && !summary.ends_with('.'), "{}", check.id);
                assert!(
                    catalogue::explain(check.id, lang).chars().count() > 100,
                    "{}",
                    check.id
                );
                assert!(
                    !catalogue::by_hand_template(check.id, lang).is_empty(),
                    "{}",
                    check.id
                );
            }
        }
    }

    /// Ids are what other people's scripts and reports rest on: one that is gone or renamed fails here. New ones are
    /// appended by `UPDATE_SCHEMAS=1`.
    #[test]
    fn no_id_that_was_ever_given_is_gone() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/ids.txt");
        let stored = std::fs::read_to_string(path).unwrap_or_default();
        let checks = all()
            .map(|check| check.id)
            .chain(crate::run::Step::ALL.map(crate::run::Step::id));
        let checks = checks.map(|id| format!("check {id}"));
        let now: Vec<String> = checks
            .chain(CauseId::ALL.iter().map(|id| format!("cause {id}")))
            .collect();
        let gone: Vec<&str> = stored
            .lines()
            .filter(|id| !now.iter().any(|other| other == id))
            .collect();
        assert!(gone.is_empty(), "docs/ids.txt has ids that are no more: {gone:?}");
        let new: Vec<&String> = now
            .iter()
            .filter(|id| !stored.lines().any(|other| other == *id))
            .collect();
        if std::env::var_os("UPDATE_SCHEMAS").is_some() {
            let lines: Vec<String> = new.iter().map(|id| format!("{id}\n")).collect();
            std::fs::write(path, stored + &lines.concat()).unwrap();
        } else {
            assert!(
                new.is_empty(),
                "run the tests with UPDATE_SCHEMAS=1: docs/ids.txt lacks {new:?}"
            );
        }
    }

    #[test]
    fn words_are_those_of_checks_and_of_the_run_s_own_steps() {
        let ids = all()
            .map(|check| check.id)
            .chain(crate::run::Step::ALL.map(crate::run::Step::id));
        let ids: std::collections::BTreeSet<&str> = ids.collect();
        for lang in [Lang::En, Lang::Ko] {
            assert_eq!(
                catalogue::checks(lang).collect::<std::collections::BTreeSet<_>>(),
                ids
            );
        }
    }

    #[test]
    fn ids_are_unique_and_owners_of_fixtures_are_checks() {
        for (at, check) in all().enumerate() {
            assert!(all().take(at).all(|other| other.id != check.id), "{}", check.id);
            for fixture in check.needs {
                assert!(
                    all().any(|other| other.id == fixture.owner()),
                    "{}",
                    fixture.owner()
                );
            }
        }
    }
}

#[cfg(test)]
pub(crate) mod testing {
    //! What the judges' tests share: a site, and what a judge comes to.

    use crate::cluster::ServiceFacts;
    use crate::findings::{Cause, CauseId, Outcome, Verdict};
    use crate::site::Site;
    use crate::suite::{Expect, Probe};

    /// Returns the page's site.
    pub(crate) fn site() -> Site {
        let text = "apiVersion: site/v1\nkubeconfig: k\nhosts:\n\
            - {name: server, address: 192.168.10.100, roles: [control-plane, etcd]}\n\
            - {name: node-0, address: 192.168.10.101, roles: [worker], podCIDRs: [10.200.0.0/24]}\n\
            - {name: node-1, address: 192.168.10.102, roles: [worker], podCIDRs: [10.200.1.0/24]}\n\
            expect: {encryption: {provider: aescbc, key: key1}}\n";
        crate::site::parse("site.yaml", text, std::path::Path::new("")).unwrap()
    }

    /// Returns the suite's Service.
    pub(crate) fn service() -> ServiceFacts {
        ServiceFacts {
            namespace: "verifier-x".to_owned(),
            name: "nginx".to_owned(),
            cluster_ip: "10.32.0.7".parse().unwrap(),
            port: 80,
            node_port: 30443,
            udp_port: Some(7),
        }
    }

    /// Returns what a judge of that host measures against.
    pub(crate) fn expect<'a>(site: &'a Site, host: &str) -> Expect<'a> {
        Expect {
            site,
            index: None,
            nodes: &bundle::nodes::EVERYWHERE,
            host: site.host(host),
        }
    }

    /// Returns outcome and cause of what a judge says.
    pub(crate) fn judged<P: Probe>(facts: &P::Facts, expect: &Expect<'_>) -> (Outcome, Option<CauseId>) {
        let verdict = Verdict::of(P::judge(facts, expect), P::evidence(facts, expect));
        assert_eq!(verdict.cause().is_none(), verdict.outcome() == Outcome::Pass);
        (verdict.outcome(), verdict.cause().map(Cause::id))
    }
}
