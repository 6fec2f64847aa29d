//! Why a host was not reached, whatever was to carry the bytes. Values only: each carrier turns its own errors into these.

use std::error::Error;
use std::fmt;

/// Why there is no agent on a host.
#[derive(Debug)]
pub struct ReachError {
    /// What sort of failure it is.
    pub kind: ReachKind,
    /// The host, as people call it.
    pub host: String,
    /// The carrier's own error, with its causes.
    pub source: Box<dyn Error + Send + Sync>,
}

/// What sort of failure it is, with what a person needs to mend it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields are what the sentences name")]
pub enum ReachKind {
    /// Its name is not known here.
    NameUnknown { address: String },
    /// It is not to be reached: there is no file of its facts.
    Ungathered,
    /// Nothing comes back from it.
    Unreachable,
    /// Nobody listens there.
    Refused,
    /// It shows a key that nobody has vouched for.
    HostKeyUnknown { fingerprint: String },
    /// It shows another key than the known one.
    HostKeyChanged {
        fingerprint: String,
        file: String,
        line: usize,
    },
    /// It shows a key that was declared stolen.
    HostKeyRevoked { fingerprint: String },
    /// Our own file of known keys cannot be used.
    KnownHosts,
    /// Our own private key cannot be used.
    Key,
    /// Our own private key is encrypted.
    PassphraseNeeded,
    /// Our own key agent does not answer.
    KeyAgent,
    /// It does not let the user in.
    LoginRefused { user: String },
    /// The connection broke.
    Broken,
    /// It, or something on the way, closes each connection before the login.
    Dropped,
    /// It speaks no algorithm of ours.
    NothingInCommon,
    /// Its certificate proves nothing.
    HostCertificate,
    /// Our own certificate cannot be used.
    Certificate,
    /// We may open no further file.
    Descriptors,
    /// The bastion before it is not reached, or does not let us in.
    BastionUnreached { bastion: String },
    /// The bastion gets no connection to it.
    BastionConnects { bastion: String },
    /// It opens no further session.
    SessionsTooFew,
    /// The bastion does not lead there.
    BastionRefused,
    /// Our own proxy command failed.
    ProxyCommand,
    /// Its platform cannot be told.
    PlatformUnknown,
    /// We have no program for its platform.
    ProgramMissing,
    /// Our program cannot be read.
    ProgramUnreadable,
    /// None of its directories lets programs run.
    NoExecDirectory { sha256: String },
    /// sudo asks for a password that we have not.
    SudoPasswordNeeded { user: String },
    /// sudo does not take the password.
    SudoPasswordWrong { user: String },
    /// sudo does not let the user run us.
    SudoRefused,
    /// The user's password or account has expired there.
    SudoExpired { user: String },
    /// The user's account is locked there.
    SudoLocked { user: String },
    /// sudo asks for more than the password.
    SudoAsksMore { user: String, question: String },
    /// sudo insists on a terminal.
    SudoNeedsTerminal { user: String },
    /// There is no sudo.
    SudoMissing,
    /// The agent did not start, or does not answer.
    NotStarted,
    /// The agent is of another version.
    Version { found: String, expected: String },
}

impl fmt::Display for ReachError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.source)
    }
}

impl Error for ReachError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.source()
    }
}
