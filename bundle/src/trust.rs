//! Whom a bundle must come from, judged over the bytes of its index before anybody reads them.
//!
//! No [`Index`](crate::Index) exists in memory that did not go through here: only [`Trust::judge`] makes the bytes that
//! `prologue.rs` takes apart.

use std::path::Path;
use std::sync::Arc;

use signatures::{Keys, SignatureError, SignatureForm, Signer};

use crate::digest::Digest;
use crate::error::ReadError;
use crate::order::SIGNATURE;

/// What SSH signatures over `bundle.json` are made for (PROTOCOL.sshsig, namespace): one for anything else is none here.
pub const NAMESPACE: &str = "bundle";

/// What a bundle must be, to be opened.
#[derive(Clone, Debug)]
pub struct Trust {
    /// One of these; any where absent.
    expected: Option<Vec<Digest>>,
    signers: Option<Signers>,
}

#[derive(Clone, Debug)]
struct Signers {
    keys: Arc<Keys>,
    now: i64,
}

impl Trust {
    /// Takes every bundle.
    pub const fn any() -> Self {
        Self {
            expected: None,
            signers: None,
        }
    }

    /// Takes only the bundle of this identity, or one of these.
    #[must_use]
    pub fn expect(mut self, identities: impl IntoIterator<Item = Digest>) -> Self {
        self.expected = Some(identities.into_iter().collect());
        self
    }

    /// Takes only what was signed with one of these keys, which must count at the time `now`, in seconds since 1970.
    #[must_use]
    pub fn signed_by(mut self, keys: Keys, now: i64) -> Self {
        let keys = Arc::new(keys);
        self.signers = Some(Signers { keys, now });
        self
    }

    /// Returns the first of some signatures that counts over the bytes of an index; where nobody verifies, the first that is one.
    pub(crate) fn counted(&self, index: &[u8], signatures: Vec<Found>) -> Option<Vec<u8>> {
        let counts = |signature: &Vec<u8>| match &self.signers {
            Some(Signers { keys, now }) => keys.verify(signature, NAMESPACE, index, *now).is_ok(),
            None => SignatureForm::of(signature).is_ok(),
        };
        let bytes = signatures.into_iter().filter_map(|found| found.bytes.ok());
        bytes.into_iter().find(counts)
    }

    /// Judges the bytes of an index.
    pub(crate) fn judge(&self, bytes: Vec<u8>, signatures: Vec<Found>) -> Result<Judged, ReadError> {
        let id = Digest::of(&bytes);
        if let Some(expected) = self.expected.as_ref().filter(|expected| !expected.contains(&id)) {
            let expected = expected.clone();
            return Err(ReadError::Unexpected { found: id, expected });
        }
        let signed = match &self.signers {
            Some(signers) => Signed::By(signers.signer(&bytes, signatures)?),
            None => Signed::of(&signatures),
        };
        Ok(Judged {
            bytes,
            id,
            origin: Origin {
                signed,
                pinned: self.expected.is_some(),
            },
        })
    }
}

impl Signers {
    /// Returns who signed the bytes: any signature will do, whatever the others are.
    fn signer(&self, bytes: &[u8], signatures: Vec<Found>) -> Result<Signer, ReadError> {
        let mut wrong = Vec::new();
        for found in signatures {
            let verified = match found.bytes {
                Ok(signature) => self.keys.verify(&signature, NAMESPACE, bytes, self.now),
                Err(reason) => Err(SignatureError::Form { reason }),
            };
            match verified {
                Ok(signer) => return Ok(signer),
                Err(error) => wrong.push((found.place, error)),
            }
        }
        Err(if wrong.is_empty() {
            ReadError::Unsigned
        } else {
            ReadError::Signatures { wrong }
        })
    }
}

/// A signature that was found, in the bundle or beside it.
#[derive(Debug)]
pub(crate) struct Found {
    /// Where.
    pub(crate) place: String,
    /// Its bytes, or why they are not known.
    pub(crate) bytes: Result<Vec<u8>, String>,
}

impl Found {
    /// Returns the one that is a member.
    pub(crate) fn member(bytes: Vec<u8>) -> Self {
        Self {
            place: SIGNATURE.to_owned(),
            bytes: Ok(bytes),
        }
    }

    /// Returns the one beside a bundle.
    pub(crate) fn beside(path: &Path, bytes: Result<Vec<u8>, String>) -> Self {
        Self {
            place: path.display().to_string(),
            bytes,
        }
    }
}

/// The bytes of an index that may be read.
pub(crate) struct Judged {
    bytes: Vec<u8>,
    id: Digest,
    origin: Origin,
}

impl Judged {
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(crate) fn id(&self) -> Digest {
        self.id
    }

    pub(crate) fn into_origin(self) -> Origin {
        self.origin
    }
}

/// What is known of who made a bundle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// What its signatures are.
    pub signed: Signed,
    /// Whether it is one whose identity was expected.
    pub pinned: bool,
}

impl Origin {
    /// Returns whether somebody vouches for it: by a signature that was verified, or by an identity that was expected.
    pub const fn is_proven(&self) -> bool {
        self.pinned || matches!(self.signed, Signed::By(_))
    }
}

/// What the signatures of a bundle are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Signed {
    /// There is none.
    Not,
    /// There is something in the place of one that is none.
    Unknown {
        /// Where, and what is wrong with it.
        reason: String,
    },
    /// There is one that nobody verified: it proves nothing.
    Unverified {
        /// The key that it says it was made with.
        key: String,
    },
    /// It was verified: this is who signed.
    By(Signer),
}

impl Signed {
    /// Says what was found, of signatures that nobody verifies.
    fn of(signatures: &[Found]) -> Self {
        let mut reason = None;
        for found in signatures {
            let form = match &found.bytes {
                Ok(bytes) => SignatureForm::of(bytes).map_err(|error| match error {
                    SignatureError::Form { reason } => reason,
                    error => error.to_string(),
                }),
                Err(reason) => Err(reason.clone()),
            };
            match form {
                Ok(form) => {
                    let key = form.key().to_owned();
                    return Self::Unverified { key };
                }
                // A name in front of a colon would make the rest look like a secret, which is masked.
                Err(error) => drop(reason.get_or_insert(format!("{} holds none: {error}", found.place))),
            }
        }
        reason.map_or(Self::Not, |reason| Self::Unknown { reason })
    }
}
