//! Looking at host keys without a login, and pinning them.

use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::time::Duration;

use russh::keys::{HashAlg, PublicKey};

use super::known_hosts::{Names, Verdict};
use super::{Bastions, ConnectError, KNOWN_HOSTS, Limit, Target, session};

/// A host's key as it is shown on the wire now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostKey {
    /// The host, as messages name it.
    pub host: String,
    /// For example `ssh-ed25519`.
    pub algorithm: String,
    /// For example `SHA256:…`, as `ssh-keygen -l` prints it.
    pub fingerprint: String,
    /// What known_hosts says of it.
    pub state: KeyState,
    /// The line for known_hosts.
    pub line: String,
    /// The names under which it stands there.
    pub(super) names: Names,
    pub(super) key: PublicKey,
}

/// What known_hosts says of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyState {
    /// It is pinned.
    Known,
    /// The host is not in the file.
    New,
    /// The host has another key, on this line.
    Changed(usize),
    /// The key is revoked, on this line.
    Revoked(usize),
}

/// Fetches the key that a host shows, without logging in there; the bastions before it are logged into.
///
/// # Errors
/// When the host cannot be reached or speaks no SSH.
pub async fn host_key(
    target: &Target,
    deadline: Duration,
    bastions: &Bastions,
) -> Result<HostKey, ConnectError> {
    let limit = Limit::new(target, deadline);
    let (mut key, verdict, names) = session::look(target, &limit, bastions).await?;
    key.set_comment("");
    let text = key.to_openssh();
    let text = text.map_err(|error| ConnectError::Ssh {
        host: target.to_string(),
        source: error.into(),
    })?;
    Ok(HostKey {
        host: target.to_string(),
        algorithm: key.algorithm().to_string(),
        fingerprint: key.fingerprint(HashAlg::Sha256).to_string(),
        state: match verdict {
            Verdict::Known => KeyState::Known,
            Verdict::Unknown => KeyState::New,
            Verdict::Changed(line) => KeyState::Changed(line),
            Verdict::Revoked(line) => KeyState::Revoked(line),
        },
        line: format!("{} {}", names.entry(), text.trim()),
        names,
        key,
    })
}

/// Adds the new ones among `keys` to a known_hosts file, which is made if need be, and returns how many they were.
/// Changed and revoked keys are left to a person.
///
/// # Errors
/// When the file cannot be written.
pub fn accept(known_hosts: &Path, keys: &[HostKey]) -> io::Result<usize> {
    let new: Vec<&HostKey> = keys.iter().filter(|key| key.state == KeyState::New).collect();
    if new.is_empty() {
        return Ok(0);
    }
    let ends_well = match KNOWN_HOSTS.read(known_hosts) {
        Ok(text) => text.is_empty() || text.ends_with(b"\n"),
        Err(error) if error.kind() == io::ErrorKind::NotFound => true,
        Err(error) => return Err(error),
    };
    // One write: an interruption leaves no half line that two runs would have to share.
    let mut text = if ends_well { String::new() } else { "\n".to_owned() };
    for key in &new {
        text.push_str(&key.line);
        text.push('\n');
    }
    let mut file = OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o600)
        .open(known_hosts)?;
    let before = file.metadata()?.len();
    if let Err(error) = file.write_all(text.as_bytes()) {
        // Half a line would be there where the disk was full.
        let _ = file.set_len(before);
        return Err(error);
    }
    file.sync_all()?;
    Ok(new.len())
}
