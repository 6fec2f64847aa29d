//! Private keys, of which only the public half's digest is told: PKCS#1, PKCS#8 (RFC 5958), SEC 1 (RFC 5915), and those of
//! old OpenSSL that are encrypted.

use std::fmt::Write as _;

use ring::error::KeyRejected;
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P384_SHA384_ASN1_SIGNING, EcdsaKeyPair, Ed25519KeyPair,
    KeyPair as _, RsaKeyPair,
};
use sha2::{Digest as _, Sha256};

use super::der::{BITS, INTEGER, NULL, OCTETS, OID, SEQUENCE, Values, value};
use super::pem::Block;
use crate::protocol::{KeyFacts, KeyProof};

/// rsaEncryption, RFC 8017.
const RSA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01];
/// id-ecPublicKey, RFC 5480.
const EC: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01];
/// secp256r1 and secp384r1, RFC 5480.
const P256: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];
const P384: &[u8] = &[0x2b, 0x81, 0x04, 0x00, 0x22];
/// id-Ed25519, RFC 8410.
const ED25519: &[u8] = &[0x2b, 0x65, 0x70];

/// What a key turns out to be.
type Halves = (Option<Vec<u8>>, KeyProof);

/// Returns what may be told of a block that is a private key; none where it is none, an error where it is a broken one.
pub(crate) fn facts(block: &Block) -> Option<Result<KeyFacts, ()>> {
    let form = match block.label.as_str() {
        "RSA PRIVATE KEY" => "PKCS#1",
        "EC PRIVATE KEY" => "SEC 1",
        "PRIVATE KEY" | "ENCRYPTED PRIVATE KEY" => "PKCS#8",
        _ => return None,
    };
    let told = |(public, proof): Halves| KeyFacts {
        form: form.to_owned(),
        public: public.map(|public| digest(&public)),
        proof,
    };
    let Some(bytes) = &block.bytes else {
        return Some(Err(()));
    };
    if block.encrypted || block.label == "ENCRYPTED PRIVATE KEY" {
        return Some(Ok(told((None, KeyProof::Encrypted))));
    }
    let halves = match form {
        "PKCS#1" => rsa(bytes),
        "SEC 1" => ec(bytes, None),
        _ => pkcs8(bytes),
    };
    Some(halves.map(told).ok_or(()))
}

/// Returns the digest of a public key in PEM, whichever way it is written.
pub(crate) fn public(block: &Block) -> Option<String> {
    let bytes = block.bytes.as_ref()?;
    match block.label.as_str() {
        "PUBLIC KEY" => Some(digest(bytes)),
        "RSA PUBLIC KEY" => Some(digest(&spki_of_rsa(bytes))),
        _ => None,
    }
}

/// Returns SHA-256 of a SubjectPublicKeyInfo, as hexadecimal digits.
fn digest(spki: &[u8]) -> String {
    let digest = Sha256::digest(spki);
    // Writing to a String cannot fail.
    digest.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn spki(algorithm: &[u8], parameters: &[u8], key: &[u8]) -> Vec<u8> {
    let algorithm = value(SEQUENCE, &[&value(OID, &[algorithm]), parameters]);
    value(SEQUENCE, &[&algorithm, &value(BITS, &[&[0], key])])
}

fn spki_of_rsa(key: &[u8]) -> Vec<u8> {
    spki(RSA, &value(NULL, &[]), key)
}

fn rsa(bytes: &[u8]) -> Option<Halves> {
    let mut values = Values::of_sequence(bytes)?;
    values.take(INTEGER)?;
    let (modulus, exponent) = (values.take(INTEGER)?, values.take(INTEGER)?);
    // Without the private parts it is no key at all.
    values.take(INTEGER)?;
    let public = value(
        SEQUENCE,
        &[&value(INTEGER, &[modulus]), &value(INTEGER, &[exponent])],
    );
    Some((Some(spki_of_rsa(&public)), proof(&RsaKeyPair::from_der(bytes))))
}

/// Reads a key of SEC 1. Where PKCS#8 is around it, that names the curve.
fn ec(bytes: &[u8], curve: Option<&[u8]>) -> Option<Halves> {
    let mut values = Values::of_sequence(bytes)?;
    values.take(INTEGER)?;
    let private = values.take(OCTETS)?;
    let own = values
        .take(0xa0)
        .and_then(|named| Values::inside(named).take(OID));
    let curve = own.or(curve)?;
    let bits = values
        .take(0xa1)
        .and_then(|named| Values::inside(named).take(BITS));
    // It may leave its public half out, and ring computes none.
    let Some(point) = bits.and_then(|bits| bits.strip_prefix(&[0])) else {
        return Some((None, KeyProof::Unproven));
    };
    let algorithm = match curve {
        P256 => Some(&ECDSA_P256_SHA256_ASN1_SIGNING),
        P384 => Some(&ECDSA_P384_SHA384_ASN1_SIGNING),
        _ => None,
    };
    let proof = algorithm.map_or(KeyProof::Unproven, |algorithm| {
        let random = SystemRandom::new();
        proof(&EcdsaKeyPair::from_private_key_and_public_key(
            algorithm, private, point, &random,
        ))
    });
    Some((Some(spki(EC, &value(OID, &[curve]), point)), proof))
}

fn pkcs8(bytes: &[u8]) -> Option<Halves> {
    let mut values = Values::of_sequence(bytes)?;
    values.take(INTEGER)?;
    let mut algorithm = Values::inside(values.take(SEQUENCE)?);
    let oid = algorithm.take(OID)?;
    let inner = values.take(OCTETS)?;
    match oid {
        RSA => rsa(inner),
        EC => ec(inner, algorithm.take(OID)),
        ED25519 => Some(match Ed25519KeyPair::from_pkcs8_maybe_unchecked(bytes) {
            Ok(pair) => {
                let public = spki(ED25519, &[], pair.public_key().as_ref());
                (Some(public), KeyProof::Good)
            }
            Err(_) => (None, KeyProof::Bad),
        }),
        _ => Some((None, KeyProof::Unproven)),
    }
}

/// ring computes the public half of the private one and compares; it refuses short RSA keys before it does.
fn proof<T>(pair: &Result<T, KeyRejected>) -> KeyProof {
    match pair {
        Ok(_) => KeyProof::Good,
        Err(error)
            if ["InconsistentComponents", "InvalidComponent"].contains(&error.to_string().as_str()) =>
        {
            KeyProof::Bad
        }
        Err(_) => KeyProof::Unproven,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::certs::pem;
    use std::io::Write as _;
    use std::process::{Command, Stdio};

    fn openssl(arguments: &str, input: &[u8]) -> Vec<u8> {
        let mut child = Command::new("openssl")
            .args(arguments.split(' '))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(input).unwrap();
        child.wait_with_output().unwrap().stdout
    }

    /// Returns the digest of the public half, as openssl computes it.
    fn public_of(key: &[u8]) -> String {
        digest(&openssl("pkey -pubout -outform DER", key))
    }

    fn told(key: &[u8]) -> KeyFacts {
        let blocks = pem::blocks(key);
        blocks.iter().find_map(facts).unwrap().unwrap()
    }

    #[test]
    fn keys_of_every_kind_that_openssl_makes_tell_their_public_half_and_are_proven() {
        for (make, form, proof) in [
            ("genrsa 2048", "PKCS#8", KeyProof::Good),
            ("genrsa -traditional 2048", "PKCS#1", KeyProof::Good),
            ("genrsa -traditional 1024", "PKCS#1", KeyProof::Unproven),
            ("ecparam -genkey -name prime256v1", "SEC 1", KeyProof::Good),
            ("ecparam -genkey -noout -name secp384r1", "SEC 1", KeyProof::Good),
            ("ecparam -genkey -name secp521r1", "SEC 1", KeyProof::Unproven),
            ("genpkey -algorithm ed25519", "PKCS#8", KeyProof::Good),
            (
                "genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256",
                "PKCS#8",
                KeyProof::Good,
            ),
        ] {
            let key = openssl(make, b"");
            let facts = told(&key);
            assert_eq!((facts.form.as_str(), facts.proof), (form, proof), "{make}");
            assert_eq!(facts.public, Some(public_of(&key)), "{make}");
        }
    }

    #[test]
    fn an_encrypted_key_is_named_as_such_and_nothing_of_it_is_told() {
        let key = openssl("genrsa -aes128 -passout pass:x 2048", b"");
        let old = openssl("rsa -traditional -aes128 -passin pass:x -passout pass:x", &key);
        for key in [key, old] {
            let facts = told(&key);
            assert_eq!((facts.public, facts.proof), (None, KeyProof::Encrypted));
        }
    }

    #[test]
    fn a_private_half_that_belongs_to_another_public_half_is_bad() {
        let pair = |_| {
            let text = openssl("ecparam -genkey -noout -name prime256v1", b"");
            pem::blocks(&text)[0].bytes.clone().unwrap()
        };
        let [mut one, other] = [0, 1].map(pair);
        // SEQUENCE, INTEGER 1, OCTET STRING of 32 bytes.
        one[7..39].copy_from_slice(&other[7..39]);
        assert_eq!(ec(&one, None).unwrap().1, KeyProof::Bad);
    }

    #[test]
    fn public_keys_in_both_forms_have_the_digest_of_their_private_ones() {
        let key = openssl("genrsa 2048", b"");
        let new = openssl("rsa -pubout", &key);
        let old = openssl("rsa -RSAPublicKey_out", &key);
        for text in [new, old] {
            assert_eq!(public(&pem::blocks(&text)[0]), told(&key).public);
        }
    }
}
