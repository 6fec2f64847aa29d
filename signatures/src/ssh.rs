//! OpenSSH's signatures over files (PROTOCOL.sshsig), and its keys.

use ssh_key::public::KeyData;
use ssh_key::{Algorithm, HashAlg, LineEnding, PublicKey, SshSig};

use crate::error::SignatureError;

/// Keys of fewer bits sign nothing here (NIST SP 800-131A).
const RSA_BITS: u32 = 2048;

/// A signature.
pub(crate) struct SshSignature(SshSig);

impl SshSignature {
    /// Reads one in the very form in which ssh-keygen writes it: the version, the armour and whatever else no signature covers
    /// has one form, so that nothing altered is taken.
    pub(crate) fn parse(text: &str) -> Result<Self, SignatureError> {
        let form = |reason: &str| SignatureError::Form {
            reason: reason.to_owned(),
        };
        let signature = SshSig::from_pem(text).map_err(|error| {
            form(&format!(
                "it is damaged, or not as ssh-keygen writes it ({error})"
            ))
        })?;
        if signature.version() != SshSig::VERSION || !signature.reserved().is_empty() {
            return Err(form("its version is another than 1"));
        }
        match signature.to_pem(LineEnding::LF) {
            Ok(written) if written == text => Ok(Self(signature)),
            _ => Err(form("it is not as ssh-keygen writes it")),
        }
    }

    /// Returns the fingerprint of the key that it says it was made with.
    pub(crate) fn key(&self) -> String {
        fingerprint(self.0.public_key())
    }

    /// Returns that key.
    pub(crate) fn public(&self) -> &KeyData {
        self.0.public_key()
    }

    /// Returns what it says it was made for.
    pub(crate) fn namespace(&self) -> &str {
        self.0.namespace()
    }

    /// Checks that it was made by its key over `bytes` for `namespace`.
    pub(crate) fn verify(&self, namespace: &str, bytes: &[u8]) -> Result<(), SignatureError> {
        if self.namespace() != namespace {
            return Err(SignatureError::Namespace {
                found: self.namespace().to_owned(),
                expected: namespace.to_owned(),
            });
        }
        if let KeyData::Rsa(key) = self.public() {
            let modern = matches!(self.0.algorithm(), Algorithm::Rsa { hash: Some(_) });
            let length = usize::try_from(key.key_size().div_ceil(8)).unwrap_or_default();
            if !modern || self.0.signature_bytes().len() != length {
                return Err(SignatureError::Wrong);
            }
        }
        PublicKey::new(self.public().clone(), "")
            .verify(namespace, bytes, &self.0)
            .map_err(|_| SignatureError::Wrong)
    }
}

/// Returns the fingerprint of a key as OpenSSH shows it.
pub(crate) fn fingerprint(key: &KeyData) -> String {
    key.fingerprint(HashAlg::Sha256).to_string()
}

/// Reads a public key: its type, its bytes, and perhaps a comment.
pub(crate) fn public_key(text: &str) -> Result<PublicKey, String> {
    if text
        .split('@')
        .next()
        .is_some_and(|kind| kind.ends_with("-cert-v01"))
    {
        return Err("certificates are not taken: name the key itself".to_owned());
    }
    let key = PublicKey::from_openssh(text).map_err(|error| error.to_string())?;
    match key.key_data() {
        KeyData::Rsa(rsa) if rsa.key_size() < RSA_BITS => Err(format!(
            "an RSA key of {} bits is too weak: {RSA_BITS} at least",
            rsa.key_size()
        )),
        KeyData::Ecdsa(_)
        | KeyData::Ed25519(_)
        | KeyData::Rsa(_)
        | KeyData::SkEcdsaSha2NistP256(_)
        | KeyData::SkEd25519(_) => Ok(key),
        _ => Err(format!("keys of the kind {} are not taken", key.algorithm())),
    }
}

/// Returns whether a word is the type of a key.
pub(crate) fn is_type(word: &str) -> bool {
    ["ssh-", "ecdsa-sha2-", "sk-ssh-", "sk-ecdsa-"]
        .iter()
        .any(|kind| word.starts_with(kind))
}
