//! A private key of a file, as russh's signer at a login.

use russh::keys::agent::AgentIdentity;
use russh::keys::ssh_encoding::Encode as _;
use russh::keys::{HashAlg, PrivateKey, PublicKey};

/// A private key that signs. RSA keys sign through ring (decision 0030).
pub(super) struct FileKey(signatures::FileKey);

/// Why a key does not sign.
#[derive(Debug, thiserror::Error)]
pub(super) enum SignError {
    #[error(transparent)]
    Gone(#[from] russh::SendError),
    #[error(transparent)]
    Key(#[from] signatures::SignError),
    #[error("the signature cannot be written")]
    Encode(#[from] russh::keys::ssh_encoding::Error),
}

impl FileKey {
    /// Takes a key.
    pub(super) fn new(key: PrivateKey) -> Result<Self, signatures::SignError> {
        signatures::FileKey::new(key).map(Self)
    }

    /// Returns its public half.
    pub(super) fn public(&self) -> &PublicKey {
        self.0.public()
    }
}

impl russh::Signer for FileKey {
    type Error = SignError;

    async fn auth_sign(
        &mut self,
        _: &AgentIdentity,
        hash: Option<HashAlg>,
        mut data: Vec<u8>,
    ) -> Result<Vec<u8>, SignError> {
        let signature = self.0.sign(hash, &data)?;
        // The request comes back with its signature behind it, as from an SSH agent.
        signature.encode_prefixed(&mut data)?;
        Ok(data)
    }
}
