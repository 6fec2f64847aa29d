//! Every way in which a host cannot be reached, and what that means to whoever wanted it.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use russh::AlgorithmKind;

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
    #[error("{host}: the host key is not known and the certificate on it proves nothing by {}", known_hosts.display())]
    HostCertificate {
        host: String,
        known_hosts: PathBuf,
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
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
    #[error("cannot use the certificate {}", path.display())]
    Certificate {
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
    #[error("{host}: the connection was closed before the login, {times} times in a row")]
    Dropped {
        host: String,
        times: usize,
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    #[error("{host} and this program know no common {what}: it takes {}; this takes {}", theirs.join(", "), ours.join(", "))]
    NothingInCommon {
        host: String,
        what: &'static str,
        theirs: Vec<String>,
        ours: Vec<String>,
    },
    #[error("no connection to {host} can be opened here: too many open files")]
    Descriptors {
        host: String,
        #[source]
        source: io::Error,
    },
    #[error("{host}: sshd opens no further session on this connection")]
    Sessions {
        host: String,
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    #[error("the bastion {bastion} before {host} is not reached")]
    BastionUnreached {
        bastion: String,
        host: String,
        #[source]
        source: Side,
    },
    #[error("the connection to the bastion {bastion} broke {times} times")]
    BastionBreaks { bastion: String, times: usize },
    #[error("the bastion {bastion} gets no connection to {host}")]
    BastionConnects { bastion: String, host: String },
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
    #[error("the proxy command for {host} ended ({status})")]
    ProxyEnded { host: String, status: String },
    #[error("{host}: cannot tell its platform from {uname:?}")]
    PlatformUnknown { host: String, uname: String },
    #[error("{host} is {platform}, and there is no verifier for that")]
    NoProgram { host: String, platform: String },
    #[error("the system gives no random numbers")]
    NoChance,
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
    #[error("{host}: the password or the account of {user} has expired")]
    SudoExpired { host: String, user: String },
    #[error("{host}: the account of {user} is locked")]
    SudoLocked { host: String, user: String },
    #[error("{host}: sudo asks {user} for more than the password, namely {question}")]
    SudoAsksMore {
        host: String,
        user: String,
        question: String,
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

/// The error of a bastion, which all hosts behind it share.
#[derive(Clone, Debug)]
pub struct Side(pub(super) Arc<ConnectError>);

impl Side {
    /// Returns what it was.
    pub fn error(&self) -> &ConnectError {
        &self.0
    }
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for Side {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source()
    }
}

fn list(items: &[String]) -> String {
    if items.is_empty() {
        "nothing".to_owned()
    } else {
        items.join("; ")
    }
}

/// The names of algorithms are what the host says: a few of them, none of them long, and without those that are no
/// algorithms but say what else the other side can do.
fn names(names: Vec<String>) -> Vec<String> {
    let real = names
        .into_iter()
        .filter(|name| !name.starts_with("ext-info-") && !name.starts_with("kex-strict-"));
    real.take(40)
        .map(|name| name.chars().filter(char::is_ascii_graphic).take(64).collect())
        .collect()
}

fn said(text: &str) -> String {
    if text.is_empty() {
        String::new()
    } else {
        format!(": {text}")
    }
}

/// Returns whether this machine has no file descriptors left, wherever that was noticed: it says nothing of the host.
fn descriptors(error: &ConnectError) -> bool {
    let mut next = Some(error as &(dyn std::error::Error + 'static));
    while let Some(error) = next {
        let code = error
            .downcast_ref::<io::Error>()
            .and_then(io::Error::raw_os_error);
        // EMFILE and ENFILE.
        if matches!(code, Some(24 | 23)) {
            return true;
        }
        next = error.source();
    }
    false
}

impl ConnectError {
    /// Returns what a connection came to that broke.
    pub(super) fn broken(
        target: &Target,
        error: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        let host = target.to_string();
        let source = error.into();
        match source.downcast::<russh::Error>() {
            Ok(error) => match *error {
                russh::Error::NoCommonAlgo { kind, ours, theirs } => Self::NothingInCommon {
                    host,
                    what: match kind {
                        AlgorithmKind::Kex => "key exchange (KexAlgorithms)",
                        AlgorithmKind::Key => "type of host key (HostKeyAlgorithms)",
                        AlgorithmKind::Cipher => "cipher (Ciphers)",
                        AlgorithmKind::Compression => "compression (Compression)",
                        AlgorithmKind::Mac => "integrity check (MACs)",
                    },
                    theirs: names(theirs),
                    ours: names(ours),
                },
                error => Self::Ssh {
                    host,
                    source: error.into(),
                },
            },
            Err(source) => Self::Ssh { host, source },
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
        if descriptors(self) {
            return ReachKind::Descriptors;
        }
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
            Self::Dropped { .. } => ReachKind::Dropped,
            Self::NothingInCommon { .. } => ReachKind::NothingInCommon,
            Self::HostCertificate { .. } => ReachKind::HostCertificate,
            Self::Certificate { .. } => ReachKind::Certificate,
            Self::Descriptors { .. } => ReachKind::Descriptors,
            Self::BastionUnreached { bastion, .. } | Self::BastionBreaks { bastion, .. } => {
                ReachKind::BastionUnreached {
                    bastion: bastion.clone(),
                }
            }
            Self::BastionConnects { bastion, .. } => ReachKind::BastionConnects {
                bastion: bastion.clone(),
            },
            Self::Sessions { .. } => ReachKind::SessionsTooFew,
            Self::Bastion { .. } => ReachKind::BastionRefused,
            Self::ProxyCommand { .. } | Self::ProxyEnded { .. } => ReachKind::ProxyCommand,
            Self::PlatformUnknown { .. } => ReachKind::PlatformUnknown,
            Self::NoProgram { .. } => ReachKind::ProgramMissing,
            Self::Program { .. } | Self::NoChance => ReachKind::ProgramUnreadable,
            Self::NoExecDir { sha256, .. } => ReachKind::NoExecDirectory {
                sha256: sha256.clone(),
            },
            Self::SudoPasswordNeeded { user, .. } => ReachKind::SudoPasswordNeeded { user: user.clone() },
            Self::SudoPasswordWrong { user, .. } => ReachKind::SudoPasswordWrong { user: user.clone() },
            Self::SudoRefused { .. } => ReachKind::SudoRefused,
            Self::SudoExpired { user, .. } => ReachKind::SudoExpired { user: user.clone() },
            Self::SudoLocked { user, .. } => ReachKind::SudoLocked { user: user.clone() },
            Self::SudoAsksMore { user, question, .. } => ReachKind::SudoAsksMore {
                user: user.clone(),
                question: question.clone(),
            },
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
