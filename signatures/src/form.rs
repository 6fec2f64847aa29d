//! What a file of a signature is, before anybody asks whether it is good.

use crate::error::SignatureError;
use crate::minisign::MinisignSignature;
use crate::ssh::SshSignature;

/// A signature that was read, and of which nothing is proven yet.
#[derive(Clone, Debug)]
pub enum SignatureForm {
    /// OpenSSH's (PROTOCOL.sshsig).
    #[non_exhaustive]
    Ssh {
        /// The fingerprint of the key that it says it was made with.
        key: String,
    },
    /// minisign's.
    #[non_exhaustive]
    Minisign {
        /// The id of the key that it says it was made with.
        key: String,
    },
}

/// A signature that was taken apart.
pub(crate) enum Parsed {
    Ssh(SshSignature),
    Minisign(MinisignSignature),
}

impl Parsed {
    /// Reads a signature, which must be in the one form in which its program writes it: no two files are the same signature.
    pub(crate) fn of(bytes: &[u8]) -> Result<Self, SignatureError> {
        let text = std::str::from_utf8(bytes).map_err(|_| SignatureError::Form {
            reason: "it is not text".to_owned(),
        })?;
        if text.contains('\r') {
            return Err(SignatureError::Form {
                reason: "its lines end as those of another system (CR LF): copy it byte for byte".to_owned(),
            });
        }
        if text.starts_with("-----BEGIN SSH SIGNATURE-----") {
            SshSignature::parse(text).map(Self::Ssh)
        } else if text.starts_with("untrusted comment: ") {
            MinisignSignature::parse(text).map(Self::Minisign)
        } else {
            Err(SignatureError::Form {
                reason: "it begins neither as OpenSSH's nor as minisign's".to_owned(),
            })
        }
    }
}

impl SignatureForm {
    /// Reads a signature.
    ///
    /// # Errors
    /// When it is none.
    pub fn of(bytes: &[u8]) -> Result<Self, SignatureError> {
        Ok(match Parsed::of(bytes)? {
            Parsed::Ssh(signature) => Self::Ssh { key: signature.key() },
            Parsed::Minisign(signature) => Self::Minisign { key: signature.key() },
        })
    }

    /// Returns the key that it says it was made with.
    pub fn key(&self) -> &str {
        match self {
            Self::Ssh { key } | Self::Minisign { key } => key,
        }
    }
}
