//! A private key of a file, as a signer. RSA keys sign through ring, whose arithmetic takes the same time for all values:
//! the crate `rsa` does not (RUSTSEC-2023-0071), and every host that is logged into could time it.

use ring::rand::SystemRandom;
use ring::signature::{RSA_PKCS1_SHA256, RSA_PKCS1_SHA512, RsaEncoding};
use rsa::pkcs1::EncodeRsaPrivateKey as _;
use ssh_key::private::{KeypairData, RsaKeypair};
use ssh_key::{Algorithm, HashAlg, PrivateKey, PublicKey, Signature};

/// A private key that signs.
pub struct FileKey {
    public: PublicKey,
    secret: Secret,
}

enum Secret {
    Rsa(Box<ring::rsa::KeyPair>),
    Other(Box<PrivateKey>),
}

/// Why a key does not sign.
#[derive(Debug, thiserror::Error)]
pub enum SignError {
    /// It is too short, or too long.
    #[error("this RSA key cannot be used: it needs 2048 to 8192 bits ({0})")]
    Rsa(String),
    /// A hash that is no longer used.
    #[error("RSA keys sign with SHA-256 or SHA-512 only")]
    Sha1,
    /// It cannot.
    #[error("the key does not sign")]
    Sign,
}

impl FileKey {
    /// Takes a key.
    pub fn new(key: PrivateKey) -> Result<Self, SignError> {
        let public = key.public_key().clone();
        let secret = match key.key_data() {
            KeypairData::Rsa(pair) => Secret::Rsa(Box::new(of_ring(pair)?)),
            _ => Secret::Other(Box::new(key)),
        };
        Ok(Self { public, secret })
    }

    /// Returns its public half.
    pub fn public(&self) -> &PublicKey {
        &self.public
    }

    /// Signs bytes; RSA with that hash.
    pub fn sign(&self, hash: Option<HashAlg>, data: &[u8]) -> Result<Signature, SignError> {
        match &self.secret {
            Secret::Rsa(pair) => {
                let how: &'static dyn RsaEncoding = match hash {
                    Some(HashAlg::Sha512) => &RSA_PKCS1_SHA512,
                    Some(HashAlg::Sha256) => &RSA_PKCS1_SHA256,
                    _ => return Err(SignError::Sha1),
                };
                let mut text = vec![0; pair.public().modulus_len()];
                pair.sign(how, &SystemRandom::new(), data, &mut text)
                    .map_err(|_| SignError::Sign)?;
                Signature::new(Algorithm::Rsa { hash }, text).map_err(|_| SignError::Sign)
            }
            Secret::Other(key) => rsa::signature::Signer::try_sign(&**key, data).map_err(|_| SignError::Sign),
        }
    }
}

fn of_ring(pair: &RsaKeypair) -> Result<ring::rsa::KeyPair, SignError> {
    let fail = |why: String| SignError::Rsa(why);
    let key = rsa::RsaPrivateKey::try_from(pair).map_err(|error| fail(error.to_string()))?;
    let der = key.to_pkcs1_der().map_err(|error| fail(error.to_string()))?;
    ring::rsa::KeyPair::from_der(der.as_bytes()).map_err(|error| fail(error.to_string()))
}
