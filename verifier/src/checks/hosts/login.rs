//! From a host that was not reached to the finding. Pure.

use cli::chain;

use crate::carrier::{ReachError, ReachKind};
use crate::findings::{Cause, Finding, cause};

/// Returns how bad it is that a host could not be reached, and why. Where our own side lacks what it needs (a key, a
/// password, a known host key) nothing is known about the host: that is an error, not a failure.
pub(super) fn login(host: &str, error: &ReachError) -> Finding {
    let reason = chain(error);
    let cause = cause_of(host, &error.kind, &reason);
    if is_ours(&error.kind) {
        Finding::error(cause)
    } else {
        Finding::fail(cause)
    }
}

/// Returns whether it is our own side that lacks something.
const fn is_ours(kind: &ReachKind) -> bool {
    matches!(
        kind,
        ReachKind::HostKeyUnknown { .. }
            | ReachKind::Ungathered
            | ReachKind::KnownHosts
            | ReachKind::Key
            | ReachKind::PassphraseNeeded
            | ReachKind::KeyAgent
            | ReachKind::Certificate
            | ReachKind::Descriptors
            | ReachKind::NothingInCommon
            | ReachKind::BastionUnreached { .. }
            | ReachKind::ProxyCommand
            | ReachKind::SudoPasswordNeeded { .. }
            | ReachKind::SudoAsksMore { .. }
            | ReachKind::PlatformUnknown
            | ReachKind::ProgramMissing
            | ReachKind::ProgramUnreadable
    )
}

#[rustfmt::skip]
fn cause_of(host: &str, kind: &ReachKind, reason: &str) -> Cause {
    let (host, reason): (&dyn std::fmt::Display, &dyn std::fmt::Display) = (&host, &reason);
    match kind {
        ReachKind::NameUnknown { address } => cause::SshNameUnknown { host, address }.into(),
        ReachKind::Ungathered => cause::FactsMissing { host }.into(),
        ReachKind::Unreachable => cause::SshUnreachable { host, reason }.into(),
        ReachKind::Refused => cause::SshRefused { host }.into(),
        ReachKind::HostKeyUnknown { fingerprint } => cause::SshHostKeyUnknown { host, fingerprint }.into(),
        ReachKind::HostKeyChanged { fingerprint, file, line } => {
            cause::SshHostKeyChanged { host, fingerprint, file, line }.into()
        }
        ReachKind::HostKeyRevoked { fingerprint } => cause::SshHostKeyRevoked { host, fingerprint }.into(),
        ReachKind::KnownHosts => cause::SshKnownHostsUnreadable { host, reason }.into(),
        ReachKind::Key => cause::SshKeyUnreadable { host, reason }.into(),
        ReachKind::PassphraseNeeded => cause::SshPassphraseNeeded { host, reason }.into(),
        ReachKind::KeyAgent => cause::SshAgentUnreachable { host, reason }.into(),
        ReachKind::LoginRefused { user } => cause::SshLoginRefused { host, user, reason }.into(),
        ReachKind::Broken => cause::SshBroken { host, reason }.into(),
        ReachKind::Dropped => cause::SshDropped { host, reason }.into(),
        ReachKind::NothingInCommon => cause::SshNothingInCommon { host, reason }.into(),
        ReachKind::HostCertificate => cause::SshHostCertificate { host, reason }.into(),
        ReachKind::Certificate => cause::SshCertificateUnreadable { host, reason }.into(),
        ReachKind::Descriptors => cause::SshDescriptors { host, reason }.into(),
        ReachKind::BastionUnreached { bastion } => cause::SshBastionUnreached { host, bastion, reason }.into(),
        ReachKind::BastionConnects { bastion } => cause::SshBastionConnects { host, bastion }.into(),
        ReachKind::SessionsTooFew => cause::SshSessionsTooFew { host, reason }.into(),
        ReachKind::BastionRefused => cause::SshBastionRefused { host, reason }.into(),
        ReachKind::ProxyCommand => cause::SshProxyCommandFailed { host, reason }.into(),
        ReachKind::PlatformUnknown => cause::PlatformUnknown { host, reason }.into(),
        ReachKind::ProgramMissing => cause::AgentMissing { host, reason }.into(),
        ReachKind::ProgramUnreadable => cause::AgentUnreadable { host, reason }.into(),
        ReachKind::NoExecDirectory { sha256 } => cause::NoExecDirectory { host, reason, sha256 }.into(),
        ReachKind::SudoPasswordNeeded { user } => cause::SudoPasswordNeeded { host, user }.into(),
        ReachKind::SudoPasswordWrong { user } => cause::SudoPasswordWrong { host, user }.into(),
        ReachKind::SudoExpired { user } => cause::SudoExpired { host, user }.into(),
        ReachKind::SudoLocked { user } => cause::SudoLocked { host, user }.into(),
        ReachKind::SudoAsksMore { user, question } => cause::SudoAsksMore { host, user, question }.into(),
        ReachKind::SudoRefused => cause::SudoRefused { host, reason }.into(),
        ReachKind::SudoNeedsTerminal { user } => cause::SudoNeedsTerminal { host, user }.into(),
        ReachKind::SudoMissing => cause::SudoMissing { host }.into(),
        ReachKind::NotStarted => cause::AgentNotStarted { host, reason }.into(),
        ReachKind::Version { found, expected } => cause::AgentVersion { host, found, expected }.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::findings::{CauseId, Severity};

    fn finding(kind: ReachKind) -> Finding {
        let error = ReachError {
            kind,
            host: "node-0".to_owned(),
            source: "refused".into(),
        };
        login("node-0", &error)
    }

    #[test]
    fn an_unknown_host_key_is_an_error_that_shows_the_fingerprint() {
        let fingerprint = "ssh-ed25519 SHA256:abc".to_owned();
        let found = finding(ReachKind::HostKeyUnknown { fingerprint });
        assert_eq!(
            (found.severity, found.cause.id()),
            (Severity::Error, CauseId::SshHostKeyUnknown)
        );
        assert_eq!(found.cause.args()["fingerprint"], "ssh-ed25519 SHA256:abc");
    }

    #[test]
    fn an_sshd_that_is_down_is_a_failure() {
        let found = finding(ReachKind::Refused);
        assert_eq!(
            (found.severity, found.cause.id()),
            (Severity::Fail, CauseId::SshRefused)
        );
    }
}
