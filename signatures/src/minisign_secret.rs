//! minisign's private keys ("Secret key format"): seed and id, encrypted by what scrypt makes of a password, or plain.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use blake2::digest::consts::U32;
use blake2::{Blake2b, Digest as _};
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use secrets::{Secret, Wiped};

use crate::error::SigningError;
use crate::minisign::{MinisignKey, MinisignSignature};

/// The kind, how it is encrypted, how it is summed; the salt; how hard the password is to try, in work and in memory.
const HEAD: usize = 6 + 32 + 8 + 8;
/// The id, the key, and the sum over the kind, the id and the key.
const BODY: usize = 8 + 64 + 32;
const SCRYPT: [u8; 2] = *b"Sc";
const NO_KDF: [u8; 2] = [0, 0];
/// minisign asks for 1 GiB; a key that asks for more is not opened.
const MEMORY: u64 = 2 << 30;

/// A private key.
pub(crate) struct MinisignSecret {
    id: [u8; 8],
    pair: Ed25519KeyPair,
}

/// Returns whether a file is a private key of minisign, encrypted or not.
pub(crate) fn is_one(text: &str) -> bool {
    let line = text.lines().find(|line| !line.starts_with("untrusted comment:"));
    let bytes = line
        .and_then(|line| STANDARD.decode(line.trim()).ok())
        .map(Wiped::new);
    bytes.is_some_and(|bytes| bytes.len() == HEAD + BODY && bytes.starts_with(b"Ed"))
}

impl MinisignSecret {
    /// Opens the file of a private key.
    pub(crate) fn open(text: &str, password: Option<&Secret>) -> Result<Self, SigningError> {
        let line = text.lines().find(|line| !line.starts_with("untrusted comment:"));
        let bytes = line
            .and_then(|line| STANDARD.decode(line.trim()).ok())
            .map(Wiped::new);
        let bytes = bytes.filter(|bytes| bytes.len() == HEAD + BODY);
        let bytes = bytes.ok_or_else(|| SigningError::unusable("its length is wrong"))?;
        let (head, body) = bytes.split_at(HEAD);
        let mut body = Wiped::new(<[u8; BODY]>::try_from(body).unwrap_or([0; BODY]));
        let encrypted = head[2..4] == SCRYPT;
        if encrypted {
            let password = password.ok_or(SigningError::Encrypted)?;
            decrypt(head, password, &mut body)?;
        } else if head[2..4] != NO_KDF {
            return Err(SigningError::unusable(
                "it is encrypted in a way that is not known",
            ));
        }
        let sum = Blake2b::<U32>::new()
            .chain_update(&head[..2])
            .chain_update(&body[..72])
            .finalize();
        // Of a key without a password minisign writes no sum.
        let summed = encrypted || body[72..].iter().any(|byte| *byte != 0);
        if summed && sum.as_slice() != &body[72..] {
            return Err(if encrypted {
                SigningError::Passphrase
            } else {
                SigningError::unusable("it is damaged")
            });
        }
        let pair = Ed25519KeyPair::from_seed_and_public_key(&body[8..40], &body[40..72]);
        Ok(Self {
            id: body[..8].try_into().unwrap_or_default(),
            pair: pair.map_err(SigningError::unusable)?,
        })
    }

    /// Returns its public half.
    pub(crate) fn public(&self) -> MinisignKey {
        MinisignKey {
            id: self.id,
            key: self.pair.public_key().as_ref().try_into().unwrap_or_default(),
        }
    }

    /// Signs bytes; the comment is signed too. Returns the file of the signature.
    pub(crate) fn sign(&self, comment: &str, bytes: &[u8]) -> String {
        MinisignSignature::make(self.id, comment, bytes, |bytes| {
            self.pair.sign(bytes).as_ref().to_vec()
        })
    }
}

fn decrypt(head: &[u8], password: &Secret, body: &mut [u8; BODY]) -> Result<(), SigningError> {
    let number = |at: usize| {
        head.get(at..at + 8)
            .and_then(|bytes| bytes.try_into().ok())
            .map_or(0, u64::from_le_bytes)
    };
    let params = params(number(38), number(46))?;
    let mut stream = Wiped::new([0; BODY]);
    scrypt::scrypt(
        password.reveal().as_bytes(),
        &head[6..38],
        &params,
        &mut stream[..],
    )
    .map_err(SigningError::unusable)?;
    body.iter_mut()
        .zip(stream.iter())
        .for_each(|(byte, key)| *byte ^= key);
    Ok(())
}

/// Makes of libsodium's two limits what scrypt takes (crypto_pwhash_scryptsalsa208sha256, pickparams).
fn params(work: u64, memory: u64) -> Result<scrypt::Params, SigningError> {
    if memory > MEMORY {
        return Err(SigningError::unusable("it asks for more than 2 GiB of memory"));
    }
    let work = work.max(32768);
    let most = if work < memory / 32 {
        work / 32
    } else {
        memory / 1024
    };
    let log = (1..63).find(|log| 1_u64 << log > most / 2).unwrap_or(1);
    let parallel = if work < memory / 32 {
        1
    } else {
        ((work / 4) >> log).min(0x3fff_ffff) / 8
    };
    let log = u8::try_from(log).unwrap_or(1);
    scrypt::Params::new(log, 8, u32::try_from(parallel).unwrap_or(1)).map_err(SigningError::unusable)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_asks_for_what_libsodium_makes_of_its_limits() {
        for (work, memory, log, parallel) in [
            (33_554_432, 1_073_741_824, 20, 1),
            (524_288, 16_777_216, 14, 1),
            (0, 1 << 20, 10, 1),
        ] {
            let params = params(work, memory).unwrap();
            assert_eq!(
                (params.log_n(), params.r(), params.p()),
                (log, 8, parallel),
                "{work}"
            );
        }
        assert!(params(1, 3 << 30).is_err());
    }
}
