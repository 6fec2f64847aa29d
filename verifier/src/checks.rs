//! The list of checks, in the order in which a person would make them. A folder a group, a file a check.

mod api;
mod components;
mod etcd;
mod hosts;
mod images;
mod ko;
mod kubectl;
mod network;
mod nodes;
mod runtime;
mod secrets;
mod service;
mod twice;
mod workload;

use std::fmt::Write as _;

use crate::findings::{Cause, CauseId, Lang, catalogue};
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
    runtime::CHECKS,
    network::CHECKS,
    kubectl::CHECKS,
    service::CHECKS,
    etcd::CHECKS,
];

/// Returns every check.
pub fn all() -> impl Iterator<Item = &'static Check> {
    GROUPS.iter().copied().flatten()
}

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
    for check in all() {
        let _ = writeln!(
            text,
            "| `{}` | {} | {} |",
            check.id,
            scope(check.scope),
            check.summary
        );
    }
    for check in all() {
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
        // Without the texts: they are pages.
        assert!(
            stored == now,
            "run the tests with UPDATE_SCHEMAS=1 and look at the difference of docs/checks.md"
        );
    }

    #[test]
    fn every_check_says_what_it_is() {
        for check in all() {
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
        let ids: std::collections::BTreeSet<&str> = ko::TEXTS.iter().map(|(id, _, _)| *id).collect();
        assert_eq!(ids, all().map(|check| check.id).collect());
        for (id, summary, explain) in ko::TEXTS {
            assert!(!summary.is_empty() && !summary.ends_with('.'), "{id}");
            assert!(explain.chars().count() > 100, "{id}");
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
    //! What the judges' tests share: a site, and a look at a verdict's words.

    use crate::findings::{CauseId, Outcome, Verdict, catalogue};
    use crate::site::Site;
    use crate::suite::Expect;

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
