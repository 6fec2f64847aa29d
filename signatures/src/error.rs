//! Why keys are not taken, a signature is not good, or none can be made.

use crate::agent::AgentError;

/// Why a file holds no public keys that can be trusted. None of it is guessed at: what is not understood is refused.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeysError {
    /// There is nothing in it.
    #[error("it has no public key")]
    Empty,
    /// It is a private key.
    #[error("it is a private key: name its public half")]
    Private,
    /// It is not text.
    #[error("it is neither a public key of SSH, nor allowed signers, nor a public key of minisign")]
    Unknown,
    /// A line of it cannot be used.
    #[error("line {line}: {reason}")]
    Line {
        /// Its number, from 1.
        line: usize,
        /// What is wrong with it.
        reason: String,
    },
    /// minisign's form is damaged.
    #[error("it is no public key of minisign: {reason}")]
    Minisign {
        /// What is wrong with it.
        reason: &'static str,
    },
}

/// Why a signature is not taken.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SignatureError {
    /// It is neither OpenSSH's nor minisign's.
    #[error("it is no signature: {reason}")]
    Form {
        /// What is wrong with it.
        reason: String,
    },
    /// It was made with a certificate.
    #[error(
        "it was made with a certificate, which is not taken: sign with the key itself, and name that key"
    )]
    Certificate,
    /// It is of another key.
    #[error("it was made with the key {key}, which is none of those that were named")]
    OtherKey {
        /// That key.
        key: String,
    },
    /// It is for another purpose.
    #[error("it was made for the namespace {found:?}, not for {expected:?}")]
    Namespace {
        /// What it was made for.
        found: String,
        /// What it must be for.
        expected: String,
    },
    /// The key is named, but not for this, or not now.
    #[error("the key {key} is named in line {line}, but {reason}")]
    NotAllowed {
        /// The key.
        key: String,
        /// Its line.
        line: usize,
        /// Why it does not count.
        reason: String,
    },
    /// It is of other bytes.
    #[error("it was made over other bytes, or altered")]
    Wrong,
}

/// Why nothing can be signed with a key.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SigningError {
    /// It is encrypted, and no passphrase was given.
    #[error("the key is encrypted")]
    Encrypted,
    /// The passphrase does not open it.
    #[error("the passphrase does not open the key")]
    Passphrase,
    /// It is no key, or one that does not sign.
    #[error("it is no key that signs: {reason}")]
    Unusable {
        /// What is wrong with it.
        reason: String,
    },
    /// It is a public key, and no agent is there to sign with its other half.
    #[error(
        "it is a public key, and there is no SSH agent (SSH_AUTH_SOCK) that could sign with its private half"
    )]
    NoAgent,
    /// The agent does not sign.
    #[error("the SSH agent does not sign")]
    Agent {
        /// Its answer.
        source: AgentError,
    },
    /// What was made does not verify.
    #[error("the signature that was made does not verify")]
    Useless,
}

impl SigningError {
    #[expect(clippy::needless_pass_by_value, reason = "as map_err gives it")]
    pub(crate) fn unusable(reason: impl ToString) -> Self {
        Self::Unusable {
            reason: reason.to_string(),
        }
    }
}
