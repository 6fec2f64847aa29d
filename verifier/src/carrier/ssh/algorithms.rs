//! What is offered to an sshd: the safe half of what russh can do, in order of preference. Pure.

use std::borrow::Cow;

use russh::keys::Algorithm;
use russh::{Preferred, cipher, kex, mac};

/// The curves of NIST come behind those of Bernstein: a FIPS host takes nothing else, and others do not notice.
const EXCHANGES: &[kex::Name] = &[
    kex::MLKEM768X25519_SHA256,
    kex::CURVE25519,
    kex::CURVE25519_PRE_RFC_8731,
    kex::ECDH_SHA2_NISTP256,
    kex::ECDH_SHA2_NISTP384,
    kex::ECDH_SHA2_NISTP521,
    kex::DH_GEX_SHA256,
    kex::DH_G18_SHA512,
    kex::DH_G17_SHA512,
    kex::DH_G16_SHA512,
    kex::DH_G15_SHA512,
    kex::DH_G14_SHA256,
    kex::EXTENSION_SUPPORT_AS_CLIENT,
    kex::EXTENSION_OPENSSH_STRICT_KEX_AS_CLIENT,
];

const CIPHERS: &[cipher::Name] = &[
    cipher::AES_256_GCM,
    cipher::AES_128_GCM,
    cipher::CHACHA20_POLY1305,
    cipher::AES_256_CTR,
    cipher::AES_192_CTR,
    cipher::AES_128_CTR,
];

/// HMAC over SHA-1 comes last, as OpenSSH offers it too: what breaks SHA-1 does not break this.
const MACS: &[mac::Name] = &[
    mac::HMAC_SHA512_ETM,
    mac::HMAC_SHA256_ETM,
    mac::HMAC_SHA512,
    mac::HMAC_SHA256,
    mac::HMAC_SHA1_ETM,
    mac::HMAC_SHA1,
];

/// Returns what is offered to a host whose known keys have these algorithms: those come first, else a host with several
/// keys shows one that is not known. Certificates are asked for only where an authority vouches for the host.
pub(super) fn offer(known: &[Algorithm], certified: bool) -> Preferred {
    let mut keys: Vec<Algorithm> = Preferred::DEFAULT.key.to_vec();
    let rsa = |key: &Algorithm| matches!(key, Algorithm::Rsa { .. });
    let is_known = |key: &Algorithm| known.iter().any(|known| known == key || (rsa(known) && rsa(key)));
    // Stable: among the known ones, and among the others, the usual order stays.
    keys.sort_by_key(|key| !is_known(key));
    let sha1 = Algorithm::Rsa { hash: None };
    let certificates = if certified {
        Preferred::DEFAULT
            .key
            .iter()
            .filter(|key| **key != sha1)
            .cloned()
            .collect()
    } else {
        Vec::new()
    };
    Preferred {
        kex: Cow::Borrowed(EXCHANGES),
        key: Cow::Owned(keys),
        host_key_certificates: Cow::Owned(certificates),
        cipher: Cow::Borrowed(CIPHERS),
        mac: Cow::Borrowed(MACS),
        ..Preferred::DEFAULT
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_that_is_known_is_asked_for_first() {
        let rsa = Algorithm::Rsa { hash: None };
        assert_eq!(offer(&[], false).key[0], Algorithm::Ed25519);
        assert!(matches!(offer(&[rsa], false).key[0], Algorithm::Rsa { .. }));
    }

    #[test]
    fn certificates_are_asked_for_only_where_an_authority_is_known_and_never_with_sha_1() {
        assert!(offer(&[], false).host_key_certificates.is_empty());
        let certificates = offer(&[], true).host_key_certificates;
        assert!(certificates.contains(&Algorithm::Ed25519));
        assert!(!certificates.contains(&Algorithm::Rsa { hash: None }));
    }
}
