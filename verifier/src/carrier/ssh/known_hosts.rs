//! Whether a host key is known: revoked keys, hashed names, patterns and ports as OpenSSH reads them. Pure.
//!
//! A line `@cert-authority` neither proves nor disproves a key: what it says of certificates `certificate.rs` judges.

use hmac::{Hmac, KeyInit as _, Mac as _};
use russh::keys::ssh_key::known_hosts::{Entry, HostPatterns, Marker};
use russh::keys::ssh_key::public::KeyData;
use russh::keys::{Algorithm, PublicKey};
use sha1::Sha1;

/// The entries of a known_hosts file with their line numbers.
#[derive(Debug, Default)]
pub(super) struct KnownHosts {
    entries: Vec<(usize, Entry)>,
}

/// A line that revokes something and cannot be read: nothing may be trusted then.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct UnreadableRevocation(pub(super) usize);

/// What the file says of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It belongs to the host.
    Known,
    /// The host is not in the file.
    Unknown,
    /// The host has another key, on this line.
    Changed(usize),
    /// The key is revoked, on this line.
    Revoked(usize),
}

/// The names under which a host's key may stand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Names {
    /// With the port where it is not 22.
    exact: Vec<String>,
    /// Without it: as OpenSSH, a key found so counts when there is none under the exact ones.
    without_port: Vec<String>,
    /// As certificates name hosts.
    plain: Vec<String>,
}

impl Names {
    pub(super) fn new(hosts: &[&str], port: u16) -> Self {
        let mut plain: Vec<String> = hosts.iter().map(|host| host.to_ascii_lowercase()).collect();
        plain.dedup();
        if port == 22 {
            return Self {
                exact: plain.clone(),
                without_port: Vec::new(),
                plain,
            };
        }
        let exact = plain.iter().map(|host| format!("[{host}]:{port}")).collect();
        Self {
            exact,
            without_port: plain.clone(),
            plain,
        }
    }

    /// Returns whether `text` is one of them, with or without the port.
    pub(super) fn has(&self, text: &str) -> bool {
        let mut all = self.exact.iter().chain(&self.plain);
        all.any(|name| name.eq_ignore_ascii_case(text))
    }

    /// Returns them as certificates name hosts: without port.
    pub(super) fn plain(&self) -> &[String] {
        &self.plain
    }

    /// The names that a new entry gets.
    pub(super) fn entry(&self) -> String {
        self.exact.join(",")
    }
}

impl KnownHosts {
    /// Reads a file. Lines that cannot be read are left out, as OpenSSH does, unless they revoke.
    pub(super) fn parse(text: &str) -> Result<Self, UnreadableRevocation> {
        let mut entries = Vec::new();
        for (index, line) in text.lines().enumerate() {
            let line = line.split_whitespace().collect::<Vec<_>>().join(" ");
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            match line.parse() {
                Ok(entry) => entries.push((index + 1, entry)),
                Err(_) if line.starts_with("@revoked") => return Err(UnreadableRevocation(index + 1)),
                Err(_) => {}
            }
        }
        Ok(Self { entries })
    }

    /// Judges the key that a host shows.
    pub(super) fn judge(&self, names: &Names, key: &PublicKey) -> Verdict {
        match self.judge_under(&names.exact, key) {
            Verdict::Unknown => match self.judge_under(&names.without_port, key) {
                Verdict::Changed(_) => Verdict::Unknown,
                verdict => verdict,
            },
            verdict => verdict,
        }
    }

    fn judge_under(&self, names: &[String], key: &PublicKey) -> Verdict {
        let mut verdict = Verdict::Unknown;
        if let Some(line) = self.revokes(key.key_data()) {
            return Verdict::Revoked(line);
        }
        for (line, entry) in &self.entries {
            let same = entry.public_key().key_data() == key.key_data();
            if entry.marker().is_some() || !names.iter().any(|name| matches(entry.host_patterns(), name)) {
                continue;
            }
            if same {
                verdict = Verdict::Known;
            } else if verdict == Verdict::Unknown {
                verdict = Verdict::Changed(*line);
            }
        }
        verdict
    }

    /// Returns the line that revokes a key. It is bad under every name: it was stolen, not misfiled.
    pub(super) fn revokes(&self, key: &KeyData) -> Option<usize> {
        let revokes =
            |entry: &Entry| entry.marker() == Some(&Marker::Revoked) && entry.public_key().key_data() == key;
        self.entries
            .iter()
            .find(|(_, entry)| revokes(entry))
            .map(|(line, _)| *line)
    }

    /// Returns the authorities whose certificates may prove a host.
    pub(super) fn authorities(&self, names: &Names) -> impl Iterator<Item = &PublicKey> {
        let of_host = |entry: &Entry| {
            let mut all = names.exact.iter().chain(&names.without_port);
            entry.marker() == Some(&Marker::CertAuthority)
                && all.any(|name| matches(entry.host_patterns(), name))
        };
        self.entries
            .iter()
            .filter(move |(_, entry)| of_host(entry))
            .map(|(_, entry)| entry.public_key())
    }

    /// Returns the algorithms of the keys that are known for a host: those must be asked for first, else a host with
    /// several keys shows one that is not known.
    pub(super) fn algorithms(&self, names: &Names) -> Vec<Algorithm> {
        let all = || names.exact.iter().chain(&names.without_port);
        let of_host = |entry: &Entry| {
            entry.marker().is_none() && all().any(|name| matches(entry.host_patterns(), name))
        };
        let known = self.entries.iter().filter(|(_, entry)| of_host(entry));
        known.map(|(_, entry)| entry.public_key().algorithm()).collect()
    }
}

fn matches(patterns: &HostPatterns, name: &str) -> bool {
    match patterns {
        HostPatterns::HashedName { salt, hash } => Hmac::<Sha1>::new_from_slice(salt)
            .is_ok_and(|hmac| hmac.chain_update(name).verify_slice(hash).is_ok()),
        HostPatterns::Patterns(patterns) => {
            let mut found = false;
            for pattern in patterns {
                let pattern = pattern.to_ascii_lowercase();
                match pattern.strip_prefix('!') {
                    Some(negated) if glob(negated.as_bytes(), name.as_bytes()) => return false,
                    Some(_) => {}
                    None => found |= glob(pattern.as_bytes(), name.as_bytes()),
                }
            }
            found
        }
    }
}

/// `*` is any text, `?` one character.
fn glob(pattern: &[u8], text: &[u8]) -> bool {
    match (pattern.split_first(), text.split_first()) {
        (None, None) => true,
        (Some((b'*', rest)), _) => {
            glob(rest, text) || text.split_first().is_some_and(|(_, text)| glob(pattern, text))
        }
        (Some((b'?', pattern)), Some((_, text))) => glob(pattern, text),
        (Some((wanted, pattern)), Some((found, text))) => wanted == found && glob(pattern, text),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIB9dG4kjRhQTtWTVzd2t27+t0DEHBPW7iOD23TUiYLio";
    const TWO: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJdD7y3aLq454yWBdwLWbieU1ebz9/cu7/QEXn9OIeZJ";
    // ssh-keygen -H of 192.168.10.101.
    fn key(text: &str) -> PublicKey {
        PublicKey::from_openssh(text).unwrap()
    }

    fn judge(file: &str, hosts: &[&str], port: u16) -> Verdict {
        KnownHosts::parse(file)
            .unwrap()
            .judge(&Names::new(hosts, port), &key(ONE))
    }

    #[test]
    fn a_key_is_known_by_name_or_by_address() {
        let file = format!("# ours\n\nnode-0,10.0.0.1 {ONE} comment\n");
        assert_eq!(judge(&file, &["10.0.0.1"], 22), Verdict::Known);
        assert_eq!(judge(&file, &["10.0.0.9", "NODE-0"], 22), Verdict::Known);
        assert_eq!(judge(&file, &["node-1"], 22), Verdict::Unknown);
    }

    #[test]
    fn another_key_of_the_host_is_a_change_with_its_line() {
        let file = format!("\nnode-0 {TWO}\n");
        assert_eq!(judge(&file, &["node-0"], 22), Verdict::Changed(2));
        // A host may have two keys.
        assert_eq!(
            judge(&format!("{file}node-0 {ONE}\n"), &["node-0"], 22),
            Verdict::Known
        );
    }

    #[test]
    fn a_revoked_key_is_refused_wherever_it_stands_and_whatever_else_is_known() {
        let file = format!("node-0 {ONE}\n@revoked * {ONE}\n");
        assert_eq!(judge(&file, &["node-0"], 22), Verdict::Revoked(2));
        let file = format!("node-0 {ONE}\n@revoked other {ONE}\n");
        assert_eq!(judge(&file, &["node-0"], 22), Verdict::Revoked(2));
    }

    #[test]
    fn an_unreadable_revocation_is_an_error_and_other_rubbish_is_left_out() {
        assert_eq!(
            KnownHosts::parse("x\n@revoked * nonsense\n").unwrap_err(),
            UnreadableRevocation(2)
        );
        assert_eq!(
            judge(&format!("rubbish\nnode-0\t {ONE}"), &["node-0"], 22),
            Verdict::Known
        );
    }

    #[test]
    fn ports_count_and_a_key_without_port_is_taken_when_there_is_none_with_it() {
        let file = format!("[node-0]:2222 {TWO}\nnode-0 {ONE}\n");
        assert_eq!(judge(&file, &["node-0"], 2222), Verdict::Changed(1));
        assert_eq!(judge(&file, &["node-0"], 2200), Verdict::Known);
        assert_eq!(
            judge(&format!("node-0 {TWO}\n"), &["node-0"], 2200),
            Verdict::Unknown
        );
        assert_eq!(
            judge(&format!("[node-0]:2222 {ONE}\n"), &["node-0"], 22),
            Verdict::Unknown
        );
    }

    #[test]
    fn patterns_and_negations_are_read() {
        let file = format!("*.example.org,!bad.example.org,10.0.0.? {ONE}\n");
        assert_eq!(judge(&file, &["node.example.org"], 22), Verdict::Known);
        assert_eq!(judge(&file, &["bad.example.org"], 22), Verdict::Unknown);
        assert_eq!(judge(&file, &["10.0.0.7"], 22), Verdict::Known);
        assert_eq!(judge(&file, &["10.0.0.77"], 22), Verdict::Unknown);
    }

    #[test]
    fn authorities_prove_nothing() {
        assert_eq!(
            judge(&format!("@cert-authority * {ONE}\n"), &["node-0"], 22),
            Verdict::Unknown
        );
    }

    #[test]
    fn the_algorithms_of_a_host_are_those_of_its_lines() {
        let known = KnownHosts::parse(&format!("node-0 {ONE}\nnode-1 {TWO}\n")).unwrap();
        assert_eq!(
            known.algorithms(&Names::new(&["node-0"], 22)),
            [Algorithm::Ed25519]
        );
        assert!(known.algorithms(&Names::new(&["node-2"], 22)).is_empty());
    }
}
