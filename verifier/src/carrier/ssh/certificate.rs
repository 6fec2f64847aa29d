//! OpenSSH certificates: whether one that a host shows may be trusted, as OpenSSH judges it, and why one of a user may
//! be refused. Pure.

use jiff::Timestamp;
use russh::keys::ssh_key::certificate::CertType;
use russh::keys::{Algorithm, Certificate, HashAlg};

use super::known_hosts::{KnownHosts, Names};

/// Why a certificate proves nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Flaw {
    #[error("no @cert-authority line for this host has the authority that signed it, {0}")]
    Authority(String),
    #[error("the authority or the key in it is revoked by line {0} of the known hosts")]
    Revoked(usize),
    #[error("the signature on it is not its authority's")]
    Signature,
    #[error("its authority signed it with SHA-1")]
    Sha1,
    #[error("it is one for users, not for hosts")]
    ForUsers,
    #[error("it is one for hosts, not for users")]
    ForHosts,
    #[error("it holds from {from} on, and here it is {now}")]
    NotYet { from: String, now: String },
    #[error("it ended at {end}, and here it is {now}")]
    Ended { end: String, now: String },
    #[error("it names nobody that it is for")]
    Nameless,
    #[error("it is for {names}, not for {wanted}")]
    Names { names: String, wanted: String },
    #[error("it demands {0}, which is not known here")]
    Demands(String),
}

/// Judges the certificate that a host shows. That the host has the key in it the key exchange proves.
pub(super) fn judge(
    known: &KnownHosts,
    names: &Names,
    certificate: &Certificate,
    now: u64,
) -> Result<(), Flaw> {
    let authority = certificate.signature_key();
    for key in [authority, certificate.public_key()] {
        if let Some(line) = known.revokes(key) {
            return Err(Flaw::Revoked(line));
        }
    }
    let fingerprint = authority.fingerprint(HashAlg::Sha256);
    if !known
        .authorities(names)
        .any(|known| known.key_data() == authority)
    {
        let name = format!("{} {fingerprint}", authority.algorithm());
        return Err(Flaw::Authority(name));
    }
    if certificate.cert_type() != CertType::Host {
        return Err(Flaw::ForUsers);
    }
    if matches!(certificate.signature().algorithm(), Algorithm::Rsa { hash: None }) {
        return Err(Flaw::Sha1);
    }
    if let Some(flaw) = out_of_time(certificate, now) {
        return Err(flaw);
    }
    // The time is judged above, in words; this proves the signature over all of it.
    certificate
        .validate_at(now, [&fingerprint])
        .map_err(|_| Flaw::Signature)?;
    if let Some((option, _)) = certificate.critical_options().iter().next() {
        return Err(Flaw::Demands(format!("{option:?}")));
    }
    let principals = certificate.valid_principals();
    if principals.is_empty() {
        return Err(Flaw::Nameless);
    }
    if names.plain().iter().any(|name| {
        principals
            .iter()
            .any(|principal| principal.eq_ignore_ascii_case(name))
    }) {
        return Ok(());
    }
    Err(Flaw::Names {
        names: quoted(principals),
        wanted: quoted(names.plain()),
    })
}

/// Returns what is to be seen from here why a host may refuse a user's certificate.
pub(super) fn doubt(certificate: &Certificate, user: &str, now: u64) -> Option<Flaw> {
    if certificate.cert_type() != CertType::User {
        return Some(Flaw::ForHosts);
    }
    let principals = certificate.valid_principals();
    let other = !principals.is_empty() && !principals.iter().any(|principal| principal == user);
    // A host may map principals to users (AuthorizedPrincipalsFile): so this is no more than a doubt.
    let named = other.then(|| Flaw::Names {
        names: quoted(principals),
        wanted: format!("{user:?}"),
    });
    out_of_time(certificate, now).or(named)
}

fn out_of_time(certificate: &Certificate, now: u64) -> Option<Flaw> {
    if now < certificate.valid_after() {
        return Some(Flaw::NotYet {
            from: time(certificate.valid_after()),
            now: time(now),
        });
    }
    (now >= certificate.valid_before()).then(|| Flaw::Ended {
        end: time(certificate.valid_before()),
        now: time(now),
    })
}

fn time(seconds: u64) -> String {
    let time = i64::try_from(seconds)
        .ok()
        .and_then(|seconds| Timestamp::from_second(seconds).ok());
    time.map_or_else(|| format!("second {seconds}"), |time| time.to_string())
}

/// Names come from outside: each in quotes, a few of them, and not for ever.
fn quoted(names: &[String]) -> String {
    const SHOWN: usize = 8;
    let mut shown: Vec<String> = names
        .iter()
        .take(SHOWN)
        .map(|name| format!("{:?}", name.chars().take(64).collect::<String>()))
        .collect();
    if names.len() > SHOWN {
        shown.push(format!("{} more", names.len() - SHOWN));
    }
    shown.join(", ")
}

#[cfg(test)]
mod tests {
    use russh::keys::PrivateKey;
    use russh::keys::ssh_key::certificate::Builder;

    use super::*;

    const NOW: u64 = 1_700_000_000;

    fn key(seed: u8) -> PrivateKey {
        let pair = russh::keys::ssh_key::private::Ed25519Keypair::from_seed(&[seed; 32]);
        PrivateKey::from(pair)
    }

    fn made(change: impl FnOnce(&mut Builder)) -> Certificate {
        of(CertType::Host, change)
    }

    fn of(kind: CertType, change: impl FnOnce(&mut Builder)) -> Certificate {
        let host = key(2);
        let mut builder = Builder::new(vec![7; 16], host.public_key(), NOW - 60, NOW + 60).unwrap();
        builder.cert_type(kind).unwrap();
        change(&mut builder);
        builder.sign(&key(1)).unwrap()
    }

    fn file(lines: &str) -> KnownHosts {
        KnownHosts::parse(lines).unwrap()
    }

    fn authority() -> String {
        format!(
            "@cert-authority *.lab,node-? {}\n",
            key(1).public_key().to_openssh().unwrap()
        )
    }

    fn verdict(known: &KnownHosts, certificate: &Certificate, now: u64) -> Result<(), Flaw> {
        judge(known, &Names::new(&["node-0"], 2222), certificate, now)
    }

    #[test]
    fn a_certificate_of_a_known_authority_for_this_host_is_good() {
        let certificate = made(|builder| {
            builder.valid_principal("NODE-0").unwrap();
        });
        assert_eq!(verdict(&file(&authority()), &certificate, NOW), Ok(()));
    }

    #[test]
    fn what_is_wrong_with_a_certificate_is_told_and_none_of_it_is_trusted() {
        let good = made(|builder| {
            builder.valid_principal("node-0").unwrap();
        });
        let known = file(&authority());
        assert!(matches!(verdict(&file(""), &good, NOW), Err(Flaw::Authority(_))));
        let elsewhere = file(&authority().replace("node-?", "!node-0,node-?"));
        assert!(matches!(verdict(&elsewhere, &good, NOW), Err(Flaw::Authority(_))));
        assert!(matches!(
            verdict(&known, &good, NOW + 60),
            Err(Flaw::Ended { .. })
        ));
        assert!(matches!(
            verdict(&known, &good, NOW - 61),
            Err(Flaw::NotYet { .. })
        ));
        let nameless = made(|builder| {
            builder.all_principals_valid().unwrap();
        });
        assert_eq!(verdict(&known, &nameless, NOW), Err(Flaw::Nameless));
        let other = made(|builder| {
            builder.valid_principal("node-1").unwrap();
        });
        assert!(matches!(verdict(&known, &other, NOW), Err(Flaw::Names { .. })));
        // As OpenSSH's client: names in certificates are no patterns.
        let pattern = made(|builder| {
            builder.valid_principal("node-*").unwrap();
        });
        assert!(matches!(verdict(&known, &pattern, NOW), Err(Flaw::Names { .. })));
        let user = of(CertType::User, |builder| {
            builder.valid_principal("node-0").unwrap();
        });
        assert_eq!(verdict(&known, &user, NOW), Err(Flaw::ForUsers));
        let demanding = made(|builder| {
            builder.valid_principal("node-0").unwrap();
            builder.critical_option("source-address", "10.0.0.0/8").unwrap();
        });
        assert!(matches!(verdict(&known, &demanding, NOW), Err(Flaw::Demands(_))));
    }

    #[test]
    fn a_revoked_authority_or_key_ends_the_trust() {
        let good = made(|builder| {
            builder.valid_principal("node-0").unwrap();
        });
        for seed in [1, 2] {
            let revoked = format!(
                "{}@revoked * {}\n",
                authority(),
                key(seed).public_key().to_openssh().unwrap()
            );
            assert_eq!(verdict(&file(&revoked), &good, NOW), Err(Flaw::Revoked(2)));
        }
    }

    #[test]
    fn a_certificate_that_was_altered_is_not_its_authoritys() {
        let good = made(|builder| {
            builder.valid_principal("node-9").unwrap();
        });
        let bytes = good.to_bytes().unwrap();
        let at = bytes.windows(6).position(|window| window == b"node-9").unwrap();
        let mut altered = bytes.clone();
        altered[at + 5] = b'0';
        let altered = Certificate::from_bytes(&altered).unwrap();
        assert_eq!(verdict(&file(&authority()), &altered, NOW), Err(Flaw::Signature));
    }

    #[test]
    fn why_a_host_may_refuse_a_users_certificate_is_seen_from_here() {
        let certificate = of(CertType::User, |builder| {
            builder.valid_principal("alice").unwrap();
        });
        assert_eq!(doubt(&certificate, "alice", NOW), None);
        assert!(matches!(
            doubt(&certificate, "root", NOW),
            Some(Flaw::Names { .. })
        ));
        assert!(matches!(
            doubt(&certificate, "alice", NOW + 99),
            Some(Flaw::Ended { .. })
        ));
        let host = made(|builder| {
            builder.valid_principal("alice").unwrap();
        });
        assert_eq!(doubt(&host, "alice", NOW), Some(Flaw::ForHosts));
    }
}
