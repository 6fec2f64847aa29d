//! `secrets.encrypted-at-rest`: what etcd holds of a Secret that was just written through the API server of this host.

use serde::{Deserialize, Serialize};

use crate::findings::{Evidence, Finding, Judged, Unjudged, cause, phrase};
use crate::protocol::{EtcdGet, EtcdGetReply, EtcdValue};
use crate::site::{Encryption, Host, Role, Site};
use crate::suite::fixtures::Fixture;
use crate::suite::{Check, Ctx, Expect, Member, Probe, Scope, etcd_tls};

pub(super) const CHECK: Check =
    Check::of::<EncryptedAtRest>("secrets.encrypted-at-rest", Scope::ControlPlane).needs(&[Fixture::Canary]);

struct EncryptedAtRest;

/// How reading the Secret's key from etcd ended.
#[derive(Serialize, Deserialize)]
enum Facts {
    /// Etcd answered.
    Read {
        key: String,
        /// The length of the canary's plaintext.
        plain: u64,
        reply: EtcdGetReply,
    },
    /// The agent of that host came to no answer of etcd, in its own words.
    Unreadable { host: String, message: String },
}

impl Probe for EncryptedAtRest {
    type Facts = Facts;

    async fn gather(ctx: &Ctx, member: &Member) -> Result<Facts, Unjudged> {
        let host = ctx.host(member)?;
        let canaries = ctx.fixtures().canaries(ctx).await?;
        let missing = || Unjudged::internal(&format!("{} has no canary", host.name));
        let own = canaries.get(&host.name).ok_or_else(missing)?;
        let canary = &own.as_ref().map_err(Clone::clone)?.canary;
        let readers = readers(&ctx.site, host)?;
        let etcd = &ctx.site.etcd;
        let key = format!("{}/secrets/{}/{}", etcd.prefix, canary.namespace, canary.name);
        let ask = EtcdGet {
            endpoints: etcd.endpoints.clone(),
            tls: etcd_tls(etcd),
            key: key.clone(),
            needles: vec![canary.value.clone(), base64(canary.value.as_bytes())],
        };
        let mut first = None;
        for host in readers {
            match ctx.ask(&host.name, ask.clone()).await {
                Ok(reply) => {
                    return Ok(Facts::Read {
                        key,
                        plain: canary.value.len() as u64,
                        reply,
                    });
                }
                Err(failure) => first = first.or(Some((host, failure))),
            }
        }
        let (host, failure) = first.ok_or_else(|| Unjudged::error(cause::NoEtcdHost))?;
        match failure.message() {
            Some(message) => Ok(Facts::Unreadable {
                host: host.name.clone(),
                message: message.to_owned(),
            }),
            // Without an agent nothing is known about etcd.
            None => Err(failure.into()),
        }
    }

    fn judge(facts: &Facts, expect: &Expect<'_>) -> Judged {
        match facts {
            Facts::Unreadable { host, message } => {
                Err(Unjudged::error(cause::EtcdUnreachable { host, message }))
            }
            Facts::Read { key, plain, reply } => Ok(match &reply.value {
                Some(value) => findings(value, *plain, expect.site),
                None => vec![Finding::fail(cause::SecretNotStored { key })],
            }),
        }
    }

    fn evidence(facts: &Facts, _: &Expect<'_>) -> Vec<Evidence> {
        let Facts::Read { key, reply, .. } = facts else {
            return Vec::new();
        };
        let title = phrase::StoredValue {
            key,
            endpoint: &reply.endpoint,
        };
        let hexdump = reply.value.as_ref().map(|value| &value.hexdump);
        hexdump
            .and_then(|text| Evidence::text(title, text))
            .into_iter()
            .collect()
    }
}

/// Returns the hosts from which etcd is read, in turn until one of them can: the host itself first where it runs etcd. All
/// members hold the same; whether each is well is etcd.health's.
fn readers<'a>(site: &'a Site, host: &'a Host) -> Result<Vec<&'a Host>, Unjudged> {
    let own = Some(host).filter(|host| host.roles.contains(&Role::Etcd));
    let others = site.with_role(Role::Etcd).filter(|other| other.name != host.name);
    let readers: Vec<&Host> = own.into_iter().chain(others).collect();
    if readers.is_empty() {
        return Err(Unjudged::error(cause::NoEtcdHost));
    }
    Ok(readers)
}

fn base64(bytes: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

/// The parts of `k8s:enc:PROVIDER:VERSION:KEY:`.
struct Prefix<'a> {
    provider: &'a str,
    version: &'a str,
    key: &'a str,
}

fn prefix(text: &str) -> Option<Prefix<'_>> {
    let mut parts = text.strip_prefix("k8s:enc:")?.strip_suffix(':')?.splitn(3, ':');
    Some(Prefix {
        provider: parts.next()?,
        version: parts.next()?,
        key: parts.next()?,
    })
}

fn findings(value: &EtcdValue, plain: u64, site: &Site) -> Vec<Finding> {
    let expected = site.expect.encryption.as_ref();
    let wants_plain = expected.is_some_and(|expected| expected.provider == "none");
    let Some(prefix) = prefix(&value.prefix) else {
        return vec![if wants_plain {
            Finding::warn(cause::PlaintextExpected)
        } else {
            Finding::fail(cause::SecretPlaintext)
        }];
    };
    if wants_plain {
        return vec![Finding::fail(cause::EncryptedUnexpectedly {
            found: &prefix.provider,
        })];
    }
    let mut findings = Vec::new();
    if !value.found.is_empty() {
        findings.push(Finding::fail(cause::SecretPlaintext));
    }
    findings.extend(expected.and_then(|expected| other_writer(&prefix, expected)));
    let length = value.length.saturating_sub(value.prefix.len() as u64);
    if !fits(&prefix, length, plain) {
        findings.push(Finding::fail(cause::SecretLength {
            length: &length,
            provider: &prefix.provider,
        }));
    }
    findings
}

/// Returns what is wrong where another provider or key wrote than is expected.
fn other_writer(prefix: &Prefix<'_>, expected: &Encryption) -> Option<Finding> {
    if expected.provider != prefix.provider {
        return Some(Finding::fail(cause::WrongProvider {
            found: &prefix.provider,
            expected: &expected.provider,
        }));
    }
    let key = expected.key.as_ref().filter(|key| *key != prefix.key)?;
    Some(Finding::fail(cause::WrongKey {
        found: &prefix.key,
        expected: key,
    }))
}

/// Returns whether a provider can have made so many bytes of an object that holds at least `plain` bytes. The lengths
/// are of k8s.io/apiserver/pkg/storage/value/encrypt: aescbc 16 bytes of IV and padded blocks of 16; aesgcm 12 of
/// nonce and 16 of tag; secretbox 24 and 16; kms an envelope around them.
fn fits(prefix: &Prefix<'_>, rest: u64, plain: u64) -> bool {
    match (prefix.provider, prefix.version) {
        ("aescbc", "v1") => rest > 16 + plain && rest.is_multiple_of(16),
        ("aesgcm", "v1") => rest >= 12 + plain + 16,
        ("secretbox", "v1") => rest >= 24 + plain + 16,
        ("kms", "v1" | "v2") => rest > plain + 16,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::testing::{expect, judged, site};
    use crate::findings::{CauseId, Outcome};

    fn judge(site: &Site, prefix: &str, rest: u64, found: &[usize]) -> (Outcome, Option<CauseId>) {
        let value = EtcdValue {
            prefix: prefix.to_owned(),
            length: prefix.len() as u64 + rest,
            found: found.to_vec(),
            hexdump: "00000000".to_owned(),
            revision: 7,
        };
        let reply = EtcdGetReply {
            endpoint: "http://127.0.0.1:2379".to_owned(),
            value: Some(value),
        };
        let facts = Facts::Read {
            key: "/registry/secrets/verifier-x/canary".to_owned(),
            plain: 40,
            reply,
        };
        judged::<EncryptedAtRest>(&facts, &expect(site, "server"))
    }

    #[test]
    fn the_expected_provider_and_key_pass_and_others_fail() {
        let site = site();
        assert_eq!(
            judge(&site, "k8s:enc:aescbc:v1:key1:", 16 + 320, &[]),
            (Outcome::Pass, None)
        );
        assert_eq!(
            judge(&site, "k8s:enc:aescbc:v1:key2:", 336, &[]),
            (Outcome::Fail, Some(CauseId::WrongKey))
        );
        assert_eq!(
            judge(&site, "k8s:enc:secretbox:v1:key1:", 360, &[]),
            (Outcome::Fail, Some(CauseId::WrongProvider))
        );
    }

    #[test]
    fn any_provider_passes_where_the_site_names_none() {
        let mut site = site();
        site.expect.encryption = None;
        assert_eq!(
            judge(&site, "k8s:enc:aesgcm:v1:k:", 351, &[]),
            (Outcome::Pass, None)
        );
        assert_eq!(
            judge(&site, "k8s:enc:secretbox:v1:k:", 361, &[]),
            (Outcome::Pass, None)
        );
        assert_eq!(
            judge(&site, "k8s:enc:kms:v2:name:", 500, &[]),
            (Outcome::Pass, None)
        );
        assert_eq!(
            judge(&site, "", 300, &[0]),
            (Outcome::Fail, Some(CauseId::SecretPlaintext))
        );
    }

    #[test]
    fn plaintext_fails_whatever_stands_before_it() {
        let site = site();
        assert_eq!(
            judge(&site, "", 300, &[0]),
            (Outcome::Fail, Some(CauseId::SecretPlaintext))
        );
        assert_eq!(
            judge(&site, "", 300, &[]),
            (Outcome::Fail, Some(CauseId::SecretPlaintext))
        );
        assert_eq!(
            judge(&site, "k8s:enc:aescbc:v1:key1:", 336, &[1]),
            (Outcome::Fail, Some(CauseId::SecretPlaintext))
        );
    }

    #[test]
    fn a_length_that_the_provider_cannot_give_fails() {
        let site = site();
        for rest in [0, 16, 48, 337] {
            let judged = judge(&site, "k8s:enc:aescbc:v1:key1:", rest, &[]);
            assert_eq!(judged, (Outcome::Fail, Some(CauseId::SecretLength)), "{rest}");
        }
    }

    #[test]
    fn plaintext_that_is_expected_warns_and_then_encryption_fails() {
        let mut site = site();
        site.expect.encryption = Some(Encryption {
            provider: "none".to_owned(),
            key: None,
        });
        assert_eq!(
            judge(&site, "", 300, &[0]),
            (Outcome::Warn, Some(CauseId::PlaintextExpected))
        );
        let judged = judge(&site, "k8s:enc:aescbc:v1:key1:", 336, &[]);
        assert_eq!(judged, (Outcome::Fail, Some(CauseId::EncryptedUnexpectedly)));
    }

    #[test]
    fn a_value_that_is_not_there_fails_and_an_etcd_that_is_silent_is_an_error() {
        let site = site();
        let reply = EtcdGetReply {
            endpoint: "http://127.0.0.1:2379".to_owned(),
            value: None,
        };
        let facts = Facts::Read {
            key: "/k".to_owned(),
            plain: 40,
            reply,
        };
        let judge = |facts| judged::<EncryptedAtRest>(&facts, &expect(&site, "server"));
        assert_eq!(judge(facts), (Outcome::Fail, Some(CauseId::SecretNotStored)));
        let facts = Facts::Unreadable {
            host: "server".to_owned(),
            message: "connection refused".to_owned(),
        };
        assert_eq!(judge(facts), (Outcome::Error, Some(CauseId::EtcdUnreachable)));
    }
}
