//! Whether one key signed another's certificate.

use ring::signature::{
    self, ECDSA_P256_SHA256_ASN1, ECDSA_P256_SHA384_ASN1, ECDSA_P384_SHA256_ASN1, ECDSA_P384_SHA384_ASN1,
    RSA_PKCS1_1024_8192_SHA1_FOR_LEGACY_USE_ONLY, RSA_PKCS1_1024_8192_SHA256_FOR_LEGACY_USE_ONLY,
    RSA_PKCS1_1024_8192_SHA512_FOR_LEGACY_USE_ONLY, RSA_PKCS1_2048_8192_SHA384, UnparsedPublicKey,
    VerificationAlgorithm,
};

use super::{Certificate, KeyKind};

/// Whether one key signed another's certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signed {
    /// It did.
    Yes,
    /// It did not.
    No,
    /// That cannot be checked here: RSA-PSS, P-521, short keys. Names and key ids speak for it.
    Unchecked,
}

impl Certificate {
    /// Returns whether the key of `issuer` signed this certificate.
    pub fn signed_by(&self, issuer: &Self) -> Signed {
        if !self.names_as_issuer(issuer) {
            return Signed::No;
        }
        let Some(algorithm) = algorithm(&self.algorithm, issuer) else {
            let other =
                matches!((&self.issuer_key_id, &issuer.key_id), (Some(one), Some(other)) if one != other);
            return if other { Signed::No } else { Signed::Unchecked };
        };
        let key = UnparsedPublicKey::new(algorithm, &issuer.raw.key);
        match key.verify(&self.raw.signed, &self.raw.signature) {
            Ok(()) => Signed::Yes,
            Err(_) => Signed::No,
        }
    }
}

fn algorithm(name: &str, issuer: &Certificate) -> Option<&'static dyn VerificationAlgorithm> {
    let rsa = issuer.key == KeyKind::Rsa && (1024..=8192).contains(&issuer.bits);
    let curve = if issuer.key == KeyKind::Ec { issuer.bits } else { 0 };
    Some(match (name, curve) {
        ("sha1WithRSAEncryption", _) if rsa => &RSA_PKCS1_1024_8192_SHA1_FOR_LEGACY_USE_ONLY,
        ("sha256WithRSAEncryption", _) if rsa => &RSA_PKCS1_1024_8192_SHA256_FOR_LEGACY_USE_ONLY,
        ("sha384WithRSAEncryption", _) if rsa && issuer.bits >= 2048 => &RSA_PKCS1_2048_8192_SHA384,
        ("sha512WithRSAEncryption", _) if rsa => &RSA_PKCS1_1024_8192_SHA512_FOR_LEGACY_USE_ONLY,
        ("ecdsa-with-SHA256", 256) => &ECDSA_P256_SHA256_ASN1,
        ("ecdsa-with-SHA384", 256) => &ECDSA_P256_SHA384_ASN1,
        ("ecdsa-with-SHA256", 384) => &ECDSA_P384_SHA256_ASN1,
        ("ecdsa-with-SHA384", 384) => &ECDSA_P384_SHA384_ASN1,
        ("Ed25519", _) if issuer.key == KeyKind::Ed25519 => &signature::ED25519,
        _ => return None,
    })
}
