//! minisign's public keys and signatures (<https://jedisct1.github.io/minisign/>, "Signature format").

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use blake2::{Blake2b512, Digest as _};
use ring::signature::{ED25519, UnparsedPublicKey};

use crate::error::{KeysError, SignatureError};

/// Ed25519 over the bytes themselves, as old releases sign; and what all public keys say.
pub(crate) const PLAIN: [u8; 2] = *b"Ed";
/// Ed25519 over the BLAKE2b-512 of the bytes.
pub(crate) const HASHED: [u8; 2] = *b"ED";
/// What the first line of a signature says, of minisign and of rsign. Nothing signs that line, so it has no other form here.
pub(crate) const COMMENTS: [&str; 2] = [
    "signature from minisign secret key",
    "signature from rsign secret key",
];
const UNTRUSTED: &str = "untrusted comment: ";
const TRUSTED: &str = "trusted comment: ";

/// A public key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct MinisignKey {
    pub(crate) id: [u8; 8],
    pub(crate) key: [u8; 32],
}

impl MinisignKey {
    /// Reads the file of a public key, or the one line of it that matters.
    pub(crate) fn parse(text: &str) -> Result<Self, KeysError> {
        let bad = |reason| KeysError::Minisign { reason };
        let mut lines = text.lines().filter(|line| !line.starts_with(UNTRUSTED));
        let line = lines.next().ok_or(bad("it has no key"))?.trim();
        if lines.any(|line| !line.trim().is_empty()) {
            return Err(bad("something follows the key"));
        }
        let bytes = STANDARD
            .decode(line)
            .map_err(|_| bad("the key is not in base64"))?;
        if bytes.len() > 42 {
            return Err(KeysError::Private);
        }
        match (bytes.first_chunk(), bytes.get(2..10), bytes.get(10..42)) {
            (Some(&PLAIN), Some(id), Some(key)) => Ok(Self {
                id: id.try_into().unwrap_or_default(),
                key: key.try_into().unwrap_or_default(),
            }),
            _ => Err(bad("it is not of the kind Ed25519")),
        }
    }

    /// Returns its id as minisign shows it.
    pub(crate) fn id(&self) -> String {
        id(self.id)
    }

    fn is_of(&self, signature: &[u8], bytes: &[u8]) -> bool {
        UnparsedPublicKey::new(&ED25519, self.key)
            .verify(bytes, signature)
            .is_ok()
    }
}

/// Returns a key's id as minisign shows it.
pub(crate) fn id(bytes: [u8; 8]) -> String {
    format!("minisign:{:016X}", u64::from_le_bytes(bytes))
}

/// A signature.
#[derive(Clone, Debug)]
pub(crate) struct MinisignSignature {
    algorithm: [u8; 2],
    id: [u8; 8],
    signature: [u8; 64],
    comment: String,
    /// Over the signature and the comment.
    global: [u8; 64],
}

impl MinisignSignature {
    /// Reads one in the very form in which minisign writes it.
    pub(crate) fn parse(text: &str) -> Result<Self, SignatureError> {
        let form = |reason: &str| SignatureError::Form {
            reason: reason.to_owned(),
        };
        let lines: Vec<&str> = text.split('\n').collect();
        let [first, signature, comment, global, ""] = lines[..] else {
            return Err(form("it has not the four lines of minisign"));
        };
        if !COMMENTS
            .iter()
            .any(|comment| first.strip_prefix(UNTRUSTED) == Some(comment))
        {
            return Err(form(
                "its first line is not minisign's own, and nothing signs that line: sign without -c",
            ));
        }
        let comment = comment
            .strip_prefix(TRUSTED)
            .ok_or_else(|| form("it has no trusted comment"))?;
        let decoded = |line: &str| STANDARD.decode(line).map_err(|_| form("it is not in base64"));
        let (head, global) = (decoded(signature)?, decoded(global)?);
        let lengths = || form("its lengths are wrong");
        let (algorithm, rest) = head.split_first_chunk::<2>().ok_or_else(lengths)?;
        let (id, signature) = rest.split_first_chunk::<8>().ok_or_else(lengths)?;
        if !matches!(*algorithm, PLAIN | HASHED) {
            return Err(form("it is not of the kind Ed25519"));
        }
        Ok(Self {
            algorithm: *algorithm,
            id: *id,
            signature: signature.try_into().map_err(|_| lengths())?,
            comment: comment.to_owned(),
            global: global.try_into().map_err(|_| lengths())?,
        })
    }

    /// Returns the id of the key that it says it was made with.
    pub(crate) fn key(&self) -> String {
        id(self.id)
    }

    /// Returns whether it says that it was made with a key.
    pub(crate) fn names(&self, key: &MinisignKey) -> bool {
        self.id == key.id
    }

    /// Checks that it was made with a key over `bytes`, and its comment too.
    pub(crate) fn verify(&self, key: &MinisignKey, bytes: &[u8]) -> Result<(), SignatureError> {
        let hashed;
        let signed = if self.algorithm == HASHED {
            hashed = Blake2b512::digest(bytes);
            hashed.as_slice()
        } else {
            bytes
        };
        let global = [&self.signature, self.comment.as_bytes()].concat();
        if key.is_of(&self.signature, signed) && key.is_of(&self.global, &global) {
            Ok(())
        } else {
            Err(SignatureError::Wrong)
        }
    }

    /// Puts a signature together, in minisign's form; `sign` signs as its key does.
    pub(crate) fn make(id: [u8; 8], comment: &str, bytes: &[u8], sign: impl Fn(&[u8]) -> Vec<u8>) -> String {
        let signature = sign(Blake2b512::digest(bytes).as_slice());
        let head = [&HASHED[..], &id, &signature].concat();
        let global = sign(&[&signature, comment.as_bytes()].concat());
        format!(
            "{UNTRUSTED}{}\n{}\n{TRUSTED}{comment}\n{}\n",
            COMMENTS[0],
            STANDARD.encode(head),
            STANDARD.encode(global)
        )
    }
}
