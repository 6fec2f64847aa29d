//! The keys that a person says the hosts have: lines of known_hosts or of ssh-keyscan, fingerprints as `ssh-keygen -l`
//! prints them. Pure.

use std::collections::BTreeMap;

use russh::keys::PublicKey;

use super::hostkey::HostKey;
use super::known_hosts::{KnownHosts, Verdict};

/// What keys are expected.
#[derive(Debug)]
pub struct Expected {
    known: KnownHosts,
    /// Fingerprints with what stands behind them, which may name a host.
    fingerprints: Vec<(String, Vec<String>)>,
    /// Which host has shown a key that names no host.
    shown: BTreeMap<String, String>,
}

/// A line that cannot be read, or that says too little.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ExpectedError {
    /// It is of no known form.
    #[error(
        "line {line} is neither a line of known_hosts or ssh-keyscan nor a fingerprint of `ssh-keygen -l`"
    )]
    Unreadable {
        /// From 1.
        line: usize,
    },
    /// It is an MD5 fingerprint.
    #[error(
        "line {line} is an MD5 fingerprint, which proves nothing: take those of `ssh-keygen -l -E sha256`"
    )]
    Md5 {
        /// From 1.
        line: usize,
    },
    /// There is nothing in it.
    #[error("no key and no fingerprint stands in it")]
    Empty,
}

/// Whether a key is an expected one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Match {
    /// It is.
    Yes,
    /// It is not.
    No,
    /// It is, but another host shows it too, and nothing says which of them has it.
    Shared,
}

impl Expected {
    /// Reads a file. Every line must be understood: a person relies on all of them.
    pub fn parse(text: &str) -> Result<Self, ExpectedError> {
        let mut lines = String::new();
        let mut fingerprints = Vec::new();
        for (at, line) in text.lines().enumerate() {
            let words: Vec<&str> = line.split_whitespace().collect();
            let Some(first) = words.first().filter(|word| !word.starts_with('#')) else {
                continue;
            };
            let at = at + 1;
            if let Some(found) = fingerprint(&words, at)? {
                fingerprints.push(found);
            } else if let Ok(key) = PublicKey::from_openssh(line.trim()) {
                // A public key alone, as in /etc/ssh/*.pub.
                let sum = key.fingerprint(russh::keys::HashAlg::Sha256).to_string();
                fingerprints.push((sum, names(words.get(2).copied().unwrap_or_default())));
            } else if is_known_hosts(&words, first) {
                lines.push_str(line);
                lines.push('\n');
            } else {
                return Err(ExpectedError::Unreadable { line: at });
            }
        }
        if lines.is_empty() && fingerprints.is_empty() {
            return Err(ExpectedError::Empty);
        }
        Ok(Self {
            known: KnownHosts::parse(&lines).map_err(|line| ExpectedError::Unreadable { line: line.0 })?,
            fingerprints,
            shown: BTreeMap::new(),
        })
    }

    /// Judges keys that were shown, in their order. A fingerprint that names no host is one host's only: a host that
    /// was taken over could show another's key.
    pub fn judge(&mut self, keys: &[&HostKey]) -> Vec<Match> {
        let shared = |key: &HostKey| keys.iter().filter(|other| other.key == key.key).count() > 1;
        let shared: Vec<bool> = keys.iter().map(|key| shared(key)).collect();
        keys.iter()
            .zip(shared)
            .map(|(key, shared)| self.judge_one(key, shared))
            .collect()
    }

    fn judge_one(&mut self, key: &HostKey, shared: bool) -> Match {
        match self.known.judge(&key.names, &key.key) {
            Verdict::Known => return Match::Yes,
            Verdict::Changed(_) | Verdict::Revoked(_) => return Match::No,
            Verdict::Unknown => {}
        }
        let of_host = |behind: &[String]| behind.iter().any(|name| key.names.has(name));
        let same: Vec<&(String, Vec<String>)> = self
            .fingerprints
            .iter()
            .filter(|(sum, _)| *sum == key.fingerprint)
            .collect();
        if same.iter().any(|(_, behind)| of_host(behind)) {
            return Match::Yes;
        }
        // What names this host with another key, or this key with another host, cannot be meant.
        if same.is_empty() || self.fingerprints.iter().any(|(_, behind)| of_host(behind)) {
            return Match::No;
        }
        let owner = self
            .shown
            .entry(key.fingerprint.clone())
            .or_insert_with(|| key.host.clone());
        if shared || *owner != key.host {
            Match::Shared
        } else {
            Match::Yes
        }
    }
}

/// Reads `256 SHA256:… comment (ED25519)`, and `SHA256:…` alone.
fn fingerprint(words: &[&str], line: usize) -> Result<Option<(String, Vec<String>)>, ExpectedError> {
    let at = usize::from(words[0].parse::<u32>().is_ok());
    let Some(sum) = words.get(at) else { return Ok(None) };
    let pairs = sum.strip_prefix("MD5:").unwrap_or(sum);
    if pairs.len() == 47 && pairs.split(':').all(|pair| pair.len() == 2) {
        return Err(ExpectedError::Md5 { line });
    }
    let Some(digest) = sum.strip_prefix("SHA256:") else {
        return Ok(None);
    };
    let good = digest.len() == 43
        && digest
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '/'));
    if !good {
        return Err(ExpectedError::Unreadable { line });
    }
    let mut behind = words[at + 1..].to_vec();
    if behind.last().is_some_and(|word| word.starts_with('(')) {
        behind.pop();
    }
    Ok(Some((
        (*sum).to_owned(),
        behind.iter().flat_map(|word| names(word)).collect(),
    )))
}

/// Returns the hosts that a comment may name: `root@node-0`, `node-0,10.0.0.1`.
fn names(comment: &str) -> Vec<String> {
    comment
        .split(',')
        .map(|name| name.rsplit('@').next().unwrap_or(name))
        .filter(|name| !name.is_empty())
        .map(str::to_owned)
        .collect()
}

fn is_known_hosts(words: &[&str], first: &str) -> bool {
    let marked = usize::from(first.starts_with('@'));
    let Some([_, kind, key, ..]) = words.get(marked..) else {
        return false;
    };
    PublicKey::from_openssh(&format!("{kind} {key}")).is_ok()
}

#[cfg(test)]
mod tests {
    use super::super::hostkey::KeyState;
    use super::super::known_hosts::Names;
    use super::*;

    const ONE: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIB9dG4kjRhQTtWTVzd2t27+t0DEHBPW7iOD23TUiYLio";
    const TWO: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJdD7y3aLq454yWBdwLWbieU1ebz9/cu7/QEXn9OIeZJ";

    fn shown(host: &str, key: &str) -> HostKey {
        let key = PublicKey::from_openssh(key).unwrap();
        HostKey {
            host: host.to_owned(),
            algorithm: key.algorithm().to_string(),
            fingerprint: key.fingerprint(russh::keys::HashAlg::Sha256).to_string(),
            state: KeyState::New,
            line: String::new(),
            names: Names::new(&["10.0.0.1", host], 22),
            key,
        }
    }

    fn sum(key: &str) -> String {
        shown("x", key).fingerprint
    }

    fn judged(file: &str, keys: &[(&str, &str)]) -> Vec<Match> {
        let keys: Vec<HostKey> = keys.iter().map(|(host, key)| shown(host, key)).collect();
        Expected::parse(file)
            .unwrap()
            .judge(&keys.iter().collect::<Vec<_>>())
    }

    #[test]
    fn lines_of_known_hosts_and_of_ssh_keyscan_vouch_for_their_hosts_alone() {
        let file = format!("# node-0:22 SSH-2.0-OpenSSH_9.2\nnode-0,10.0.0.9 {ONE}\nnode-1 {TWO}\n");
        assert_eq!(
            judged(&file, &[("node-0", ONE), ("node-1", TWO)]),
            [Match::Yes; 2]
        );
        assert_eq!(judged(&file, &[("node-0", TWO)]), [Match::No]);
        assert_eq!(judged(&file, &[("node-2", ONE)]), [Match::No]);
        let revoked = format!("{file}@revoked * {ONE}\n");
        assert_eq!(judged(&revoked, &[("node-0", ONE)]), [Match::No]);
    }

    #[test]
    fn a_fingerprint_that_names_its_host_is_good_for_no_other() {
        let file = format!("256 {} root@node-0 (ED25519)\n", sum(ONE));
        assert_eq!(judged(&file, &[("node-0", ONE)]), [Match::Yes]);
        assert_eq!(judged(&file, &[("node-0", TWO)]), [Match::No]);
        let both = format!("{file}256 {} node-1 (ED25519)\n", sum(TWO));
        assert_eq!(judged(&both, &[("node-0", TWO), ("node-1", ONE)]), [Match::No; 2]);
    }

    #[test]
    fn a_fingerprint_that_names_nobody_is_good_for_one_host() {
        let file = format!("256 {} no comment (ED25519)\n{}\n", sum(ONE), sum(TWO));
        assert_eq!(
            judged(&file, &[("node-0", ONE), ("node-1", TWO)]),
            [Match::Yes; 2]
        );
        assert_eq!(
            judged(&file, &[("node-0", ONE), ("node-1", ONE)]),
            [Match::Shared; 2]
        );
        let mut expected = Expected::parse(&file).unwrap();
        assert_eq!(expected.judge(&[&shown("bastion", ONE)]), [Match::Yes]);
        assert_eq!(expected.judge(&[&shown("node-0", ONE)]), [Match::Shared]);
    }

    #[test]
    fn a_public_keys_file_is_a_fingerprint() {
        assert_eq!(
            judged(
                &format!("{ONE} root@node-0\n"),
                &[("node-0", ONE), ("node-1", TWO)]
            ),
            [Match::Yes, Match::No]
        );
    }

    #[test]
    fn every_line_must_be_understood() {
        let bad = |text: &str| Expected::parse(text).unwrap_err();
        assert_eq!(
            bad(&format!("node-0 {ONE}\nnode-1 ssh-ed25519 AAAA\n")),
            ExpectedError::Unreadable { line: 2 }
        );
        assert_eq!(
            bad("256 SHA256:short x (ED25519)\n"),
            ExpectedError::Unreadable { line: 1 }
        );
        assert_eq!(
            bad("256 MD5:00:11:22:33:44:55:66:77:88:99:aa:bb:cc:dd:ee:ff x (ED25519)\n"),
            ExpectedError::Md5 { line: 1 }
        );
        assert_eq!(bad("# nothing\n\n"), ExpectedError::Empty);
    }
}
