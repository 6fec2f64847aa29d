//! The doors of `fuzz/` into texts that a host holds.

use secrets::mask;

use super::{chains, cni};
use crate::protocol::Filter;

/// What `iptables-save` or `nft` prints.
pub(crate) fn rules(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let chains = chains::parse(&text, (Filter::Iptables, false), &["nginx".to_owned()]);
    let rules: usize = chains.iter().map(|chain| chain.rules.len()).sum();
    assert!(rules <= text.lines().count(), "more rules than lines");
    let chains = chains::nft::parse(&text);
    // A table of both families gives each rule twice.
    let rules: usize = chains.iter().map(|chain| chain.rules.len()).sum();
    assert!(rules <= 2 * text.lines().count(), "more rules than lines");
}

/// A file of the CNI's directory.
pub(crate) fn cni_file(bytes: &[u8]) {
    let directory = tempfile::tempdir().expect("room for a file");
    std::fs::write(directory.path().join("10-bridge.conf"), bytes).expect("room for a file");
    let reply = cni::cni(directory.path());
    assert!(
        reply.problem.is_none() || reply.file.is_some(),
        "a problem of no file"
    );
}

/// The files that say what names mean, and a kubeconfig.
pub(crate) fn names(bytes: &[u8]) {
    super::names::read(&String::from_utf8_lossy(bytes));
}

/// What a time service answers.
pub(crate) fn time(bytes: &[u8]) {
    super::time_source::read(bytes);
}

/// What no text around it may bring out.
const SECRET: &str = "hunter2Zq9";

/// Lines of a journal or a container's log, with a secret between any others.
pub(crate) fn lines(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let half = (0..=text.len() / 2).rev().find(|at| text.is_char_boundary(*at));
    let (before, after) = text.split_at(half.unwrap_or(0));
    if text.contains(SECRET) {
        return;
    }
    for line in [format!("--password={SECRET}"), format!("token: {SECRET}")] {
        let masked = mask::text(&format!("{before}\n{line}\n{after}")).into_owned();
        assert!(!masked.contains(SECRET), "it came through: {masked:?}");
    }
    let arguments = [before, "--token", SECRET, after].map(str::to_owned);
    let masked = mask::arguments(&arguments);
    assert_eq!(masked.len(), 4, "arguments were lost");
}
