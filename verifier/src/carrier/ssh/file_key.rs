//! A private key of a file, as a signer. RSA keys sign through ring, whose arithmetic takes the same time for all values:
//! the crate `rsa` does not (RUSTSEC-2023-0071), and every host that is logged into could time it.

use ring::rand::SystemRandom;
use ring::signature::{self, RsaEncoding};
use rsa::pkcs1::EncodeRsaPrivateKey as _;
use russh::keys::agent::AgentIdentity;
use russh::keys::ssh_encoding::Encode as _;
use russh::keys::ssh_key::Signature;
use russh::keys::ssh_key::private::{KeypairData, RsaKeypair};
use russh::keys::{Algorithm, HashAlg, PrivateKey, PublicKey};

/// A private key that signs.
pub(super) struct FileKey {
    public: PublicKey,
    secret: Secret,
}

enum Secret {
    Rsa(Box<ring::rsa::KeyPair>),
    Other(Box<PrivateKey>),
}

/// Why a key does not sign.
#[derive(Debug, thiserror::Error)]
pub(super) enum SignError {
    #[error(transparent)]
    Gone(#[from] russh::SendError),
    #[error("this RSA key cannot be used: it needs 2048 to 8192 bits ({0})")]
    Rsa(String),
    #[error("RSA keys sign with SHA-256 or SHA-512 only")]
    Sha1,
    #[error("the key does not sign")]
    Sign,
    #[error("the signature cannot be written")]
    Encode(#[from] russh::keys::ssh_encoding::Error),
}

impl FileKey {
    /// Takes a key.
    pub(super) fn new(key: PrivateKey) -> Result<Self, SignError> {
        let public = key.public_key().clone();
        let secret = match key.key_data() {
            KeypairData::Rsa(pair) => Secret::Rsa(Box::new(of_ring(pair)?)),
            _ => Secret::Other(Box::new(key)),
        };
        Ok(Self { public, secret })
    }

    /// Returns its public half.
    pub(super) fn public(&self) -> &PublicKey {
        &self.public
    }

    /// Signs bytes; RSA with that hash.
    pub(super) fn sign(&self, hash: Option<HashAlg>, data: &[u8]) -> Result<Signature, SignError> {
        match &self.secret {
            Secret::Rsa(pair) => {
                let how: &'static dyn RsaEncoding = match hash {
                    Some(HashAlg::Sha512) => &signature::RSA_PKCS1_SHA512,
                    Some(HashAlg::Sha256) => &signature::RSA_PKCS1_SHA256,
                    _ => return Err(SignError::Sha1),
                };
                let mut text = vec![0; pair.public().modulus_len()];
                pair.sign(how, &SystemRandom::new(), data, &mut text)
                    .map_err(|_| SignError::Sign)?;
                Signature::new(Algorithm::Rsa { hash }, text).map_err(|_| SignError::Sign)
            }
            Secret::Other(key) => {
                russh::keys::signature::Signer::try_sign(&**key, data).map_err(|_| SignError::Sign)
            }
        }
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
        let signature = self.sign(hash, &data)?;
        // The request comes back with its signature behind it, as from an SSH agent.
        signature.encode_prefixed(&mut data)?;
        Ok(data)
    }
}

fn of_ring(pair: &RsaKeypair) -> Result<ring::rsa::KeyPair, SignError> {
    let fail = |why: String| SignError::Rsa(why);
    let key = rsa::RsaPrivateKey::try_from(pair).map_err(|error| fail(error.to_string()))?;
    let der = key.to_pkcs1_der().map_err(|error| fail(error.to_string()))?;
    ring::rsa::KeyPair::from_der(der.as_bytes()).map_err(|error| fail(error.to_string()))
}
