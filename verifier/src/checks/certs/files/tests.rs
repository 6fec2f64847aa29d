//! Faults planted in a whole control plane's files, read as the agent reads them: each must be found by its cause at its place,
//! and nothing may be found where nothing is wrong.

mod believers;
mod faults;
mod layouts;
mod named;
mod pki;
mod refused;

use super::*;
use crate::certs::Elsewhere;
use crate::checks::testing::site;
use crate::findings::{CauseId, Severity};
use pki::{NOW, Tree};

/// Returns what is kept of a host, at the time of the tests.
fn facts(own: CertificatesReply) -> Facts {
    Facts {
        now: NOW,
        days: Days::default(),
        own,
        elsewhere: Elsewhere::default(),
    }
}

/// What was found: how bad, by which cause, about what.
fn found(tree: &Tree) -> Vec<(Severity, CauseId, String)> {
    let mut reply = tree.collect();
    reply.unix_seconds = tree.clock;
    if let Some(edit) = tree.edit {
        edit(&mut reply);
    }
    let (site, facts) = (site(), facts(reply));
    let view = facts.view("server", site.host("server"));
    let of = |finding: Finding| {
        (
            finding.severity,
            finding.cause.id(),
            finding.subject.unwrap_or_default().to_string(),
        )
    };
    findings(&view).into_iter().map(of).collect()
}

#[test]
fn nothing_is_found_where_nothing_is_wrong() {
    assert_eq!(found(&Tree::healthy()), []);
}

#[test]
fn facts_are_kept_whole_with_their_certificates_and_without_a_key() {
    let tree = Tree::healthy();
    let facts = facts(tree.collect());
    let text = serde_json::to_string(&facts).unwrap();
    let mut kept: serde_json::Value = serde_json::from_str(&text).unwrap();
    secrets::mask::json(&mut kept);
    let kept: Facts = serde_json::from_value(kept).unwrap();
    assert_eq!(kept.own, facts.own);
    assert!(
        !text.contains("PRIVATE KEY") && !text.contains(&tree.secret()),
        "a key is in the facts"
    );
}

#[test]
fn every_planted_fault_is_found_at_its_place() {
    let mut missed = Vec::new();
    let faults = || faults::all().chain(refused::REFUSED);
    for fault in faults() {
        let mut tree = Tree::healthy();
        (fault.plant)(&mut tree);
        let found = found(&tree);
        let is = |(severity, cause, subject): &(Severity, CauseId, String)| {
            (*severity, *cause) == (fault.severity, fault.cause) && subject.ends_with(fault.at)
        };
        if !found.iter().any(is) {
            missed.push(format!("{}: {found:?}", fault.name));
        }
    }
    assert!(
        missed.is_empty(),
        "{} of {} missed:\n{}",
        missed.len(),
        faults().count(),
        missed.join("\n")
    );
    assert!(faults().count() >= 40, "{}", faults().count());
}

#[test]
fn what_nobody_uses_is_listed_and_never_fails() {
    let tree = Tree::healthy();
    let old = tree.ca.issue("old", |params| {
        params.not_after = rcgen::date_time_ymd(2026, 2, 1);
    });
    std::fs::create_dir(tree.path("expired")).unwrap();
    tree.pair("expired/old", &old);
    assert_eq!(found(&tree), []);
    let (site, facts) = (site(), facts(tree.collect()));
    let view = facts.view("server", site.host("server"));
    let listed = listed(&view);
    let old = listed
        .iter()
        .find(|listed| listed.place.ends_with("expired/old.crt"))
        .unwrap();
    assert_eq!((old.standing, old.used_by.len()), (Standing::Note, 0));
}
