//! Every way in which a host cannot be reached, and what that means to whoever wanted it.

use std::io;
use std::path::PathBuf;

use super::Target;
use crate::carrier::connection::OpenError;
use crate::carrier::reach::{ReachError, ReachKind};

/// Why there is no agent on a host.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the fields are what the sentences name")]
pub enum ConnectError {
    #[error("the name {address} is not known here")]
    NameUnknown {
        address: String,
        #[source]
        source: io::Error,
    },
    #[error("no route to {host}")]
    NoRoute {
        host: String,
        #[source]
        source: io::Error,
    },
    #[error("{host} refuses connections: no sshd listens there")]
    Refused {
        host: String,
        #[source]
        source: io::Error,
    },
    #[error("{host}: no time left waiting for {what}")]
    Timeout { host: String, what: &'static str },
    #[error("{host}: the host key is not known: {algorithm} {fingerprint}")]
    HostKeyUnknown {
        host: String,
        algorithm: String,
        fingerprint: String,
    },
    #[error("{host}: the host key has changed: now {algorithm} {fingerprint}, line {line} of {} has another", known_hosts.display())]
    HostKeyChanged {
        host: String,
        algorithm: String,
        fingerprint: String,
        known_hosts: PathBuf,
        line: usize,
    },
    #[error("{host}: the host key is revoked by line {line} of {}: {fingerprint}", known_hosts.display())]
    HostKeyRevoked {
        host: String,
        fingerprint: String,
        known_hosts: PathBuf,
        line: usize,
    },
    #[error("cannot read the known hosts in {}", path.display())]
    KnownHosts {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("line {line} of {} revokes a key but cannot be read", path.display())]
    KnownHostsLine { path: PathBuf, line: usize },
    #[error("cannot use the private key {}", path.display())]
    Identity {
        path: PathBuf,
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    #[error("the private key {} is encrypted and no passphrase was given", path.display())]
    PassphraseNeeded { path: PathBuf },
    #[error("the SSH agent at {} cannot be asked", path.display())]
    KeyAgent {
        path: PathBuf,
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    #[error("{host} does not let {user} in; tried {}; it takes {methods}", list(.tried))]
    AuthFailed {
        host: String,
        user: String,
        tried: Vec<String>,
        methods: String,
    },
    #[error("{host}: the SSH connection broke")]
    Ssh {
        host: String,
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    #[error("{host}: sshd opens no further session on this connection")]
    Sessions {
        host: String,
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    #[error("the bastion {bastion} does not connect to {host}")]
    Bastion {
        bastion: String,
        host: String,
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    #[error("the proxy command for {host} cannot be started")]
    ProxyCommand {
        host: String,
        #[source]
        source: io::Error,
    },
    #[error("{host}: cannot tell its platform from {uname:?}")]
    PlatformUnknown { host: String, uname: String },
    #[error("{host} is {platform}, and there is no verifier for that")]
    NoProgram { host: String, platform: String },
    #[error("cannot read the verifier {}", path.display())]
    Program {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("{host}: no directory lets the verifier run; {}; its SHA-256 is {sha256}", list(.tried))]
    NoExecDir {
        host: String,
        tried: Vec<String>,
        sha256: String,
    },
    #[error("{host}: sudo asks {user} for a password")]
    SudoPasswordNeeded { host: String, user: String },
    #[error("{host}: sudo does not take the password of {user}")]
    SudoPasswordWrong { host: String, user: String },
    #[error("{host}: sudo does not let {user} run the verifier: {text}")]
    SudoRefused {
        host: String,
        user: String,
        text: String,
    },
    #[error("{host}: sudo insists on a terminal (requiretty)")]
    SudoTerminal { host: String },
    #[error("{host}: there is no sudo")]
    SudoMissing { host: String },
    #[error("{host}: the agent did not start ({end}){}", said(.text))]
    NotStarted { host: String, end: String, text: String },
    #[error("{host}: the agent is {theirs}, this is {ours}")]
    VersionMismatch {
        host: String,
        theirs: String,
        ours: String,
    },
    #[error("{host}: the agent does not answer")]
    Agent {
        host: String,
        #[source]
        source: OpenError,
    },
}

fn list(items: &[String]) -> String {
    if items.is_empty() {
        "nothing".to_owned()
    } else {
        items.join("; ")
    }
}

fn said(text: &str) -> String {
    if text.is_empty() {
        String::new()
    } else {
        format!(": {text}")
    }
}

impl ConnectError {
    /// Returns what a connection came to that broke.
    pub(super) fn broken(target: &Target, error: russh::Error) -> Self {
        Self::Ssh {
            host: target.to_string(),
            source: error.into(),
        }
    }

    /// Returns what it means to whoever wanted the host, by any carrier. `user` is the one who logs in.
    pub(crate) fn reach(self, host: &str, user: &str) -> ReachError {
        ReachError {
            kind: self.kind(user),
            host: host.to_owned(),
            source: Box::new(self),
        }
    }

    fn kind(&self, user: &str) -> ReachKind {
        let user = user.to_owned();
        match self {
            Self::NameUnknown { address, .. } => ReachKind::NameUnknown {
                address: address.clone(),
            },
            Self::NoRoute { .. } | Self::Timeout { .. } => ReachKind::Unreachable,
            Self::Refused { .. } => ReachKind::Refused,
            Self::HostKeyUnknown {
                algorithm,
                fingerprint,
                ..
            } => ReachKind::HostKeyUnknown {
                fingerprint: format!("{algorithm} {fingerprint}"),
            },
            Self::HostKeyChanged {
                fingerprint,
                known_hosts,
                line,
                ..
            } => ReachKind::HostKeyChanged {
                fingerprint: fingerprint.clone(),
                file: known_hosts.display().to_string(),
                line: *line,
            },
            Self::HostKeyRevoked { fingerprint, .. } => ReachKind::HostKeyRevoked {
                fingerprint: fingerprint.clone(),
            },
            Self::KnownHosts { .. } | Self::KnownHostsLine { .. } => ReachKind::KnownHosts,
            Self::Identity { .. } => ReachKind::Key,
            Self::PassphraseNeeded { .. } => ReachKind::PassphraseNeeded,
            Self::KeyAgent { .. } => ReachKind::KeyAgent,
            Self::AuthFailed { user, .. } => ReachKind::LoginRefused { user: user.clone() },
            Self::Ssh { .. } => ReachKind::Broken,
            Self::Sessions { .. } => ReachKind::SessionsTooFew,
            Self::Bastion { .. } => ReachKind::BastionRefused,
            Self::ProxyCommand { .. } => ReachKind::ProxyCommand,
            Self::PlatformUnknown { .. } => ReachKind::PlatformUnknown,
            Self::NoProgram { .. } => ReachKind::ProgramMissing,
            Self::Program { .. } => ReachKind::ProgramUnreadable,
            Self::NoExecDir { sha256, .. } => ReachKind::NoExecDirectory {
                sha256: sha256.clone(),
            },
            Self::SudoPasswordNeeded { user, .. } => ReachKind::SudoPasswordNeeded { user: user.clone() },
            Self::SudoPasswordWrong { user, .. } => ReachKind::SudoPasswordWrong { user: user.clone() },
            Self::SudoRefused { .. } => ReachKind::SudoRefused,
            Self::SudoTerminal { .. } => ReachKind::SudoNeedsTerminal { user },
            Self::SudoMissing { .. } => ReachKind::SudoMissing,
            Self::NotStarted { .. } | Self::Agent { .. } => ReachKind::NotStarted,
            Self::VersionMismatch { theirs, ours, .. } => ReachKind::Version {
                found: theirs.clone(),
                expected: ours.clone(),
            },
        }
    }
}
