//! The public keys that are trusted, and what they say of a signature.

use crate::allowed::AllowedSigner;
use crate::error::{KeysError, SignatureError};
use crate::form::Parsed;
use crate::minisign::{MinisignKey, MinisignSignature};
use crate::ssh::{SshSignature, fingerprint};

/// Public keys that somebody trusts: a file of OpenSSH's public keys or allowed signers, or a public key of minisign.
#[derive(Clone, Debug)]
pub struct Keys(Kind);

#[derive(Clone, Debug)]
enum Kind {
    Ssh(Vec<AllowedSigner>),
    Minisign(MinisignKey),
}

/// Who signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signer {
    /// The key: its fingerprint as OpenSSH shows it, or minisign's id.
    pub key: String,
    /// Whose the key is, where the trusted file says so.
    pub principals: Option<String>,
}

impl std::fmt::Display for Signer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.principals {
            Some(principals) => write!(f, "{principals} ({})", self.key),
            None => f.write_str(&self.key),
        }
    }
}

impl Keys {
    /// Reads a file of public keys.
    ///
    /// # Errors
    /// When it holds none, or something that is not understood.
    pub fn parse(bytes: &[u8]) -> Result<Self, KeysError> {
        let text = std::str::from_utf8(bytes).map_err(|_| KeysError::Unknown)?;
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        if text.contains("PRIVATE KEY-----") || text.contains("secret key\n") {
            return Err(KeysError::Private);
        }
        let first = text.lines().map(str::trim).find(|line| !line.is_empty());
        let first = first.ok_or(KeysError::Empty)?;
        if first.starts_with("-----BEGIN") || first.starts_with("---- BEGIN") {
            return Err(KeysError::Unknown);
        }
        let alone = !first.contains([' ', '\t']) && first.starts_with("RW");
        if alone || first.starts_with("untrusted comment:") {
            return MinisignKey::parse(text).map(|key| Self(Kind::Minisign(key)));
        }
        let lines = text.lines().enumerate().map(|(at, line)| (at + 1, line.trim()));
        let lines = lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
        let signers: Result<Vec<_>, _> = lines
            .map(|(line, text)| {
                AllowedSigner::parse(line, text).map_err(|reason| KeysError::Line { line, reason })
            })
            .collect();
        match signers? {
            signers if signers.is_empty() => Err(KeysError::Empty),
            signers => Ok(Self(Kind::Ssh(signers))),
        }
    }

    /// Checks that a file of a signature was made over `bytes`, for `namespace` where its kind knows namespaces, with one of
    /// these keys, which must count at the time `now`, in seconds since 1970.
    ///
    /// # Errors
    /// When it was not.
    pub fn verify(
        &self,
        signature: &[u8],
        namespace: &str,
        bytes: &[u8],
        now: i64,
    ) -> Result<Signer, SignatureError> {
        match (Parsed::of(signature)?, &self.0) {
            (Parsed::Ssh(signature), Kind::Ssh(signers)) => ssh(signers, &signature, (namespace, now), bytes),
            (Parsed::Minisign(signature), Kind::Minisign(key)) => minisign(key, &signature, bytes),
            (Parsed::Ssh(signature), Kind::Minisign(_)) => {
                Err(SignatureError::OtherKey { key: signature.key() })
            }
            (Parsed::Minisign(signature), Kind::Ssh(_)) => {
                Err(SignatureError::OtherKey { key: signature.key() })
            }
        }
    }
}

fn minisign(
    key: &MinisignKey,
    signature: &MinisignSignature,
    bytes: &[u8],
) -> Result<Signer, SignatureError> {
    if !signature.names(key) {
        return Err(SignatureError::OtherKey { key: signature.key() });
    }
    signature.verify(key, bytes)?;
    Ok(Signer {
        key: key.id(),
        principals: None,
    })
}

fn ssh(
    signers: &[AllowedSigner],
    signature: &SshSignature,
    (namespace, now): (&str, i64),
    bytes: &[u8],
) -> Result<Signer, SignatureError> {
    if matches!(signature.public(), ssh_key::public::KeyData::Certificate(_)) {
        return Err(SignatureError::Certificate);
    }
    let key = signature.key();
    let named: Vec<&AllowedSigner> = signers
        .iter()
        .filter(|signer| signer.key.key_data() == signature.public())
        .collect();
    if named.is_empty() {
        return Err(SignatureError::OtherKey { key });
    }
    // The bytes before the file's limits: what was altered is said to be so, whatever else speaks against it.
    signature.verify(namespace, bytes)?;
    let mut objection = None;
    for signer in named {
        match signer.objection(namespace, now) {
            None => {
                return Ok(Signer {
                    key: fingerprint(signer.key.key_data()),
                    principals: signer.principals.clone(),
                });
            }
            Some(reason) => {
                objection.get_or_insert(SignatureError::NotAllowed {
                    key: key.clone(),
                    line: signer.line,
                    reason,
                });
            }
        }
    }
    Err(objection.unwrap_or(SignatureError::OtherKey { key }))
}
