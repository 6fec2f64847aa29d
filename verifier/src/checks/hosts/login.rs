//! From a login that failed to its cause. Pure.

use cli::chain;

use crate::carrier::ssh::ConnectError;
use crate::findings::{Cause, CauseId, Outcome};

/// Returns how bad it is that a host could not be reached, and why. Where our own side lacks what it needs (a key, a
/// password, a known host key) nothing is known about the host: that is an error, not a failure.
pub(crate) fn login(address: &str, error: &ConnectError) -> (Outcome, Cause) {
    use ConnectError as E;
    let of = |id| {
        Cause::new(id)
            .with("address", address)
            .with("reason", chain(error))
            .with("next", error.hint())
    };
    match error {
        E::NameUnknown { .. } | E::NoRoute { .. } | E::Refused { .. } | E::Timeout { .. } => {
            (Outcome::Fail, of(CauseId::SshUnreachable))
        }
        E::HostKeyUnknown {
            fingerprint,
            algorithm,
            ..
        } => {
            let fingerprint = format!("{algorithm} {fingerprint}");
            (
                Outcome::Error,
                of(CauseId::SshHostKeyUnknown).with("fingerprint", fingerprint),
            )
        }
        E::HostKeyChanged { fingerprint, .. } | E::HostKeyRevoked { fingerprint, .. } => (
            Outcome::Fail,
            of(CauseId::SshHostKeyChanged).with("fingerprint", fingerprint),
        ),
        E::AuthFailed { user, .. } => (Outcome::Fail, of(CauseId::SshLoginRefused).with("user", user)),
        E::KnownHosts { .. }
        | E::KnownHostsLine { .. }
        | E::Identity { .. }
        | E::PassphraseNeeded { .. }
        | E::KeyAgent { .. }
        | E::ProxyCommand { .. } => (Outcome::Error, of(CauseId::SshOwnSide)),
        E::SudoPasswordNeeded { .. } => (Outcome::Error, of(CauseId::SudoRefused)),
        E::SudoPasswordWrong { .. }
        | E::SudoRefused { .. }
        | E::SudoTerminal { .. }
        | E::SudoMissing { .. } => (Outcome::Fail, of(CauseId::SudoRefused)),
        E::PlatformUnknown { .. } | E::NoProgram { .. } | E::Program { .. } => {
            (Outcome::Error, of(CauseId::AgentMissing))
        }
        E::NoExecDir { .. } | E::NotStarted { .. } | E::Agent { .. } => {
            (Outcome::Fail, of(CauseId::AgentNotStarted))
        }
        E::VersionMismatch { theirs, ours, .. } => {
            let cause = Cause::new(CauseId::AgentVersion).with("host", address);
            (Outcome::Fail, cause.with("found", theirs).with("expected", ours))
        }
        E::Ssh { .. } | E::Sessions { .. } | E::Bastion { .. } => (Outcome::Fail, of(CauseId::SshFailed)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::findings::catalogue;

    #[test]
    fn an_unknown_host_key_is_an_error_that_shows_the_fingerprint() {
        let error = ConnectError::HostKeyUnknown {
            host: "node-0 (192.168.10.101)".to_owned(),
            algorithm: "ssh-ed25519".to_owned(),
            fingerprint: "SHA256:abc".to_owned(),
        };
        let (outcome, cause) = login("192.168.10.101", &error);
        assert_eq!((outcome, cause.id), (Outcome::Error, CauseId::SshHostKeyUnknown));
        assert!(catalogue::text(&cause).contains("SHA256:abc"));
        assert!(catalogue::hint(&cause).contains("hostkeys"));
    }

    #[test]
    fn an_sshd_that_is_down_is_a_failure() {
        let source = std::io::Error::from(std::io::ErrorKind::ConnectionRefused);
        let error = ConnectError::Refused {
            host: "node-0".to_owned(),
            source,
        };
        let (outcome, cause) = login("192.168.10.101", &error);
        assert_eq!((outcome, cause.id), (Outcome::Fail, CauseId::SshUnreachable));
        assert!(!catalogue::text(&cause).contains('{'));
    }
}
