//! Keys that sign: a private key of OpenSSH or of minisign, or a public key whose other half an SSH agent holds.

use std::path::{Path, PathBuf};

use secrets::Secret;
use ssh_key::{Algorithm, HashAlg, LineEnding, PrivateKey, PublicKey, Signature, SshSig};

use crate::agent;
use crate::error::SigningError;
use crate::file_key::FileKey;
use crate::form::Parsed;
use crate::minisign_secret::{self, MinisignSecret};
use crate::short_key::short_key;
use crate::ssh::{fingerprint, public_key};

/// What goes over the text before it is signed.
const HASH: HashAlg = HashAlg::Sha512;

/// A key that signs files.
pub struct SigningKey(Kind);

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("SigningKey").field(&self.fingerprint()).finish()
    }
}

enum Kind {
    File(FileKey),
    Agent { socket: PathBuf, key: PublicKey },
    Minisign(MinisignSecret),
}

impl SigningKey {
    /// Opens a key: the text of its file, the passphrase of one that is encrypted, and where an agent listens, for a file that
    /// holds the public half alone.
    ///
    /// # Errors
    /// When it is no key, or cannot be opened.
    pub fn open(text: &str, passphrase: Option<&Secret>, agent: Option<&Path>) -> Result<Self, SigningError> {
        if minisign_secret::is_one(text) {
            return MinisignSecret::open(text, passphrase).map(|key| Self(Kind::Minisign(key)));
        }
        if !text.contains("PRIVATE KEY-----") {
            let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
            let line = lines.next().unwrap_or_default();
            let key = public_key(line).map_err(SigningError::unusable)?;
            let socket = agent.ok_or(SigningError::NoAgent)?.to_owned();
            // Now, and not when all that is to be signed was made.
            agent::look(&socket, key.key_data()).map_err(|source| SigningError::Agent { source })?;
            return Ok(Self(Kind::Agent { socket, key }));
        }
        if !text.contains("BEGIN OPENSSH PRIVATE KEY-----") {
            return Err(SigningError::unusable(
                "it is in an older form; `ssh-keygen -p -f KEY` writes it in OpenSSH's own",
            ));
        }
        let key = match PrivateKey::from_openssh(text) {
            Ok(key) => key,
            Err(error) => short_key(text, None).ok_or_else(|| SigningError::unusable(error))?,
        };
        let key = match (key.is_encrypted(), passphrase) {
            (false, _) => key,
            (true, None) => return Err(SigningError::Encrypted),
            (true, Some(passphrase)) => match key.decrypt(passphrase.reveal()) {
                Ok(key) => key,
                Err(_) => short_key(text, Some(passphrase)).ok_or(SigningError::Passphrase)?,
            },
        };
        Self::of(key)
    }

    /// Takes a private key of OpenSSH that is open.
    ///
    /// # Errors
    /// When it does not sign.
    pub fn of(key: PrivateKey) -> Result<Self, SigningError> {
        match key.algorithm() {
            Algorithm::Ed25519 | Algorithm::Ecdsa { .. } | Algorithm::Rsa { .. } => {}
            Algorithm::SkEd25519 | Algorithm::SkEcdsaSha2NistP256 => {
                return Err(SigningError::unusable(
                    "its private half lies in a security key: add it to an SSH agent, and name its public half",
                ));
            }
            other => {
                return Err(SigningError::unusable(format!(
                    "keys of the kind {other} are not taken"
                )));
            }
        }
        let key = FileKey::new(key).map_err(SigningError::unusable)?;
        Ok(Self(Kind::File(key)))
    }

    /// Returns the fingerprint of its public half, or minisign's id.
    pub fn fingerprint(&self) -> String {
        match &self.0 {
            Kind::File(key) => fingerprint(key.public().key_data()),
            Kind::Agent { key, .. } => fingerprint(key.key_data()),
            Kind::Minisign(key) => key.public().id(),
        }
    }

    /// Signs bytes and returns the file of the signature: for a namespace with a key of OpenSSH, with a comment that is
    /// signed too with one of minisign. What was made is verified.
    ///
    /// # Errors
    /// When the key or the agent does not sign.
    pub fn sign(&self, namespace: &str, comment: &str, bytes: &[u8]) -> Result<String, SigningError> {
        let text = match &self.0 {
            Kind::File(key) => {
                let sign = |data: &[u8]| {
                    let rsa = matches!(key.public().algorithm(), Algorithm::Rsa { .. });
                    key.sign(rsa.then_some(HASH), data)
                        .map_err(SigningError::unusable)
                };
                ssh(key.public(), namespace, bytes, &sign)?
            }
            Kind::Agent { socket, key } => {
                let sign = |data: &[u8]| {
                    agent::sign(socket, key.key_data(), data).map_err(|source| SigningError::Agent { source })
                };
                ssh(key, namespace, bytes, &sign)?
            }
            Kind::Minisign(key) => key.sign(comment, bytes),
        };
        let good = match (Parsed::of(text.as_bytes()), &self.0) {
            (Ok(Parsed::Ssh(made)), _) => made.verify(namespace, bytes).is_ok(),
            (Ok(Parsed::Minisign(made)), Kind::Minisign(key)) => made.verify(&key.public(), bytes).is_ok(),
            _ => false,
        };
        if good {
            Ok(text)
        } else {
            Err(SigningError::Useless)
        }
    }
}

/// Puts a signature of OpenSSH together.
fn ssh(
    key: &PublicKey,
    namespace: &str,
    bytes: &[u8],
    sign: &dyn Fn(&[u8]) -> Result<Signature, SigningError>,
) -> Result<String, SigningError> {
    let data = SshSig::signed_data(namespace, HASH, bytes).map_err(SigningError::unusable)?;
    let signature = sign(&data)?;
    let made = SshSig::new(key.key_data().clone(), namespace, HASH, signature);
    made.and_then(|made| made.to_pem(LineEnding::LF))
        .map_err(SigningError::unusable)
}
