//! `secrets.encrypted-at-rest`: what etcd holds of a Secret that was just written through the API server.

use serde::{Deserialize, Serialize};

use crate::findings::{Cause, CauseId, Evidence, Finding, Trouble, Verdict};
use crate::protocol::{EtcdGet, EtcdGetReply, EtcdTls, EtcdValue};
use crate::site::{Host, Role, Site};
use crate::suite::fixtures::Fixture;
use crate::suite::{About, Check, Ctx, Expect, Member, Probe, Scope};

pub(super) const CHECK: Check = Check::of::<EncryptedAtRest>(About {
    id: "secrets.encrypted-at-rest",
    scope: Scope::ControlPlane,
    needs: &[Fixture::Canary],
    permissions: &[],
    summary: "a new Secret is encrypted in etcd, by the provider and key expected",
    explain: "Writes a Secret through the API server and reads its raw value from etcd, past the API server. The value \
must begin k8s:enc:PROVIDER:v1:KEY: with the provider and key of the site file (any provider where it names none), \
the plaintext and its base64 must be nowhere in it, and the rest must have a length that the provider can give. The \
value stays on the host: only its prefix, its length and a masked hexdump travel.\n\nUsual causes of failure, in \
order: the API server runs without --encryption-provider-config; identity is the first provider, and the first one \
writes; the API server was not restarted after a change; an older key is first.\n\nWhere to look: \
encryption-config.yaml and the command line of kube-apiserver. It proves only new writes: older Secrets stay as they \
were written until they are written again.",
    by_hand: "kubectl create secret generic verifier-by-hand --from-literal=mykey=mydata; \
ssh {host} 'etcdctl get /registry/secrets/default/verifier-by-hand | hexdump -C'",
});

struct EncryptedAtRest;

#[derive(Serialize, Deserialize)]
enum Facts {
    Read {
        key: String,
        /// The length of the canary's plaintext.
        plain: u64,
        reply: EtcdGetReply,
    },
    Unreadable {
        host: String,
        message: String,
    },
}

impl Probe for EncryptedAtRest {
    type Facts = Facts;

    async fn gather(ctx: &Ctx, member: &Member) -> Result<Facts, Trouble> {
        let canary = ctx.fixtures().canary(ctx).await?;
        let host = reader(&ctx.site, ctx.host(member)?)?;
        let etcd = &ctx.site.etcd;
        let key = format!("{}/secrets/{}/{}", etcd.prefix, canary.namespace, canary.name);
        let ask = EtcdGet {
            endpoints: etcd.endpoints.clone(),
            tls: etcd.ca.as_ref().map(|ca| EtcdTls {
                ca: ca.clone(),
                cert: etcd.cert.clone(),
                key: etcd.key.clone(),
            }),
            key: key.clone(),
            needles: vec![canary.value.clone(), base64(canary.value.as_bytes())],
        };
        match ctx.ask(&host.name, ask).await {
            Ok(reply) => Ok(Facts::Read {
                key,
                plain: canary.value.len() as u64,
                reply,
            }),
            Err(trouble) => match trouble.cause.args.get("message") {
                Some(message) => Ok(Facts::Unreadable {
                    host: host.name.clone(),
                    message: message.clone(),
                }),
                None => Err(trouble),
            },
        }
    }

    fn judge(facts: &Facts, expect: &Expect<'_>) -> Verdict {
        let (key, plain, reply) = match facts {
            Facts::Unreadable { host, message } => {
                let cause = Cause::new(CauseId::EtcdUnreachable)
                    .with("host", host)
                    .with("message", message);
                return Trouble::error(cause).into();
            }
            Facts::Read { key, plain, reply } => (key, *plain, reply),
        };
        let Some(value) = &reply.value else {
            let cause = Cause::new(CauseId::SecretNotStored).with("key", key);
            return Verdict::of(vec![Finding::fail(cause)]);
        };
        let evidence = Evidence::new(
            format!("{key} in etcd at {}", reply.endpoint),
            value.hexdump.clone(),
        );
        Verdict::of(findings(value, plain, expect.site)).with([evidence])
    }
}

/// Returns the host from which etcd is read: the member itself where it runs etcd.
fn reader<'a>(site: &'a Site, host: &'a Host) -> Result<&'a Host, Trouble> {
    if host.roles.contains(&Role::Etcd) {
        return Ok(host);
    }
    let missing = || Trouble::error(Cause::new(CauseId::NoEtcdHost));
    site.with_role(Role::Etcd).next().ok_or_else(missing)
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
        let id = if wants_plain {
            CauseId::PlaintextExpected
        } else {
            CauseId::SecretPlaintext
        };
        let finding = if wants_plain { Finding::warn } else { Finding::fail };
        return vec![finding(Cause::new(id))];
    };
    if wants_plain {
        return vec![Finding::fail(
            Cause::new(CauseId::EncryptedUnexpectedly).with("found", prefix.provider),
        )];
    }
    let mut findings = Vec::new();
    if !value.found.is_empty() {
        findings.push(Finding::fail(Cause::new(CauseId::SecretPlaintext)));
    }
    if let Some(expected) = expected {
        if expected.provider != prefix.provider {
            let cause = Cause::new(CauseId::WrongProvider).with("found", prefix.provider);
            findings.push(Finding::fail(cause.with("expected", &expected.provider)));
        } else if let Some(key) = expected.key.as_deref().filter(|key| *key != prefix.key) {
            let cause = Cause::new(CauseId::WrongKey)
                .with("found", prefix.key)
                .with("expected", key);
            findings.push(Finding::fail(cause));
        }
    }
    let rest = value.length.saturating_sub(value.prefix.len() as u64);
    if !fits(&prefix, rest, plain) {
        let cause = Cause::new(CauseId::SecretLength)
            .with("length", rest)
            .with("provider", prefix.provider);
        findings.push(Finding::fail(cause));
    }
    findings
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
    use crate::checks::testing::{seen, site};
    use crate::findings::Outcome;

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
        let expect = Expect {
            site,
            index: None,
            host: site.host("server"),
        };
        seen(&EncryptedAtRest::judge(&facts, &expect))
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
            let seen = judge(&site, "k8s:enc:aescbc:v1:key1:", rest, &[]);
            assert_eq!(seen, (Outcome::Fail, Some(CauseId::SecretLength)), "{rest}");
        }
    }

    #[test]
    fn plaintext_that_is_expected_warns_and_then_encryption_fails() {
        let mut site = site();
        site.expect.encryption = Some(crate::site::Encryption {
            provider: "none".to_owned(),
            key: None,
        });
        assert_eq!(
            judge(&site, "", 300, &[0]),
            (Outcome::Warn, Some(CauseId::PlaintextExpected))
        );
        let seen = judge(&site, "k8s:enc:aescbc:v1:key1:", 336, &[]);
        assert_eq!(seen, (Outcome::Fail, Some(CauseId::EncryptedUnexpectedly)));
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
        let expect = Expect {
            site: &site,
            index: None,
            host: None,
        };
        assert_eq!(
            seen(&EncryptedAtRest::judge(&facts, &expect)),
            (Outcome::Fail, Some(CauseId::SecretNotStored))
        );
        let facts = Facts::Unreadable {
            host: "server".to_owned(),
            message: "connection refused".to_owned(),
        };
        assert_eq!(
            seen(&EncryptedAtRest::judge(&facts, &expect)),
            (Outcome::Error, Some(CauseId::EtcdUnreachable))
        );
    }
}
