//! `certs.secrets`: the TLS Secrets of the API hold certificates that their keys belong to, in order, and that have not ended.

use serde::{Deserialize, Serialize};

use crate::certs::{Age, Certificate, Days, Listed, Standing, date, read};
use crate::cluster::{Permission, SecretKey, TlsSecretFacts};
use crate::findings::{Cause, Evidence, Finding, Judged, Severity, Unjudged, cause, phrase};
use crate::protocol::KeyProof;
use crate::suite::{Check, Ctx, Expect, Lists, Member, Probe, Scope};

pub(super) const CHECK: Check = Check::of::<TlsSecrets>("certs.secrets", Scope::Cluster)
    .permissions(&[Permission::across("list", "", "secrets")])
    .listed::<TlsSecrets>()
    .on_demand();

struct TlsSecrets;

#[derive(Serialize, Deserialize)]
struct Facts {
    now: i64,
    days: Days,
    secrets: Vec<TlsSecretFacts>,
}

impl Probe for TlsSecrets {
    type Facts = Facts;

    async fn gather(ctx: &Ctx, _: &Member) -> Result<Facts, Unjudged> {
        Ok(Facts {
            now: ctx.now().as_second(),
            days: ctx.days,
            secrets: ctx.api()?.tls_secrets().await?,
        })
    }

    fn judge(facts: &Facts, _: &Expect<'_>) -> Judged {
        if facts.secrets.is_empty() {
            return Err(Unjudged::skip(cause::TlsSecretsNone));
        }
        Ok(facts
            .secrets
            .iter()
            .filter_map(|secret| facts.of(secret))
            .collect())
    }

    fn evidence(facts: &Facts, _: &Expect<'_>) -> Vec<Evidence> {
        let line = |secret: &TlsSecretFacts| {
            let leaf = secret.certificates.first().and_then(read);
            let leaf = leaf.map(|leaf| format!("{}  {}", date(leaf.not_after), leaf.subject));
            let leaf = leaf.unwrap_or_else(|| "-".to_owned());
            format!("{}/{}: {leaf}", secret.namespace, secret.name)
        };
        Evidence::lines(phrase::TlsSecrets, facts.secrets.iter().map(line))
            .into_iter()
            .collect()
    }
}

impl Lists for TlsSecrets {
    fn list(facts: &Facts, _: &Expect<'_>) -> Vec<Listed> {
        let of = |secret: &TlsSecretFacts| {
            let place = format!("Secret {}/{}", secret.namespace, secret.name);
            let standing = match facts.of(secret).map(|finding| finding.severity) {
                None => Standing::Good,
                Some(Severity::Fail) => Standing::Fail,
                Some(_) => Standing::Warn,
            };
            let all: Vec<Certificate> = secret.certificates.iter().filter_map(read).collect();
            let listed = all.into_iter().enumerate().map(|(at, certificate)| {
                let mut listed = Listed::of(&certificate, &place, facts.now);
                // What is wrong is the leaf's, or the Secret's whose leaf it is.
                listed.standing = if at == 0 { standing } else { Standing::Good };
                listed
            });
            listed.collect::<Vec<_>>()
        };
        facts.secrets.iter().flat_map(of).collect()
    }
}

impl Facts {
    /// Returns the worst that is wrong with a Secret.
    fn of(&self, secret: &TlsSecretFacts) -> Option<Finding> {
        let name = &format!("{}/{}", secret.namespace, secret.name);
        let all: Vec<Certificate> = secret.certificates.iter().filter_map(read).collect();
        let Some(leaf) = all.first() else {
            // Some that ask for certificates make the Secret before they have one.
            let empty = secret.certificates.is_empty() && secret.key == SecretKey::Absent;
            let cause = cause::TlsSecretWithout { name };
            let finding = if empty {
                Finding::warn(cause)
            } else {
                Finding::fail(cause)
            };
            return Some(finding.of(name));
        };
        let (subject, until) = (&leaf.subject, &date(leaf.not_after));
        let ends = || cause::TlsSecretEnds { name, subject, until };
        let finding = wrong_key(secret, &all).map(Finding::fail).or_else(|| {
            match self.days.age(leaf, self.now, false) {
                Age::Over | Age::Early | Age::Close => Some(Finding::fail(ends())),
                Age::Near => Some(Finding::warn(ends())),
                Age::Good => None,
            }
        });
        finding.map(|finding| finding.of(name))
    }
}

/// Returns what is wrong with the key of a Secret. What cannot be proven here is not blamed.
fn wrong_key(secret: &TlsSecretFacts, all: &[Certificate]) -> Option<Cause> {
    let name = &format!("{}/{}", secret.namespace, secret.name);
    let key = match &secret.key {
        SecretKey::Absent | SecretKey::Broken => return Some(cause::TlsSecretWithoutKey { name }.into()),
        SecretKey::Found(key) => key,
    };
    let subject = &all.first()?.subject;
    if matches!(key.proof, KeyProof::Bad | KeyProof::Encrypted) {
        return Some(cause::TlsSecretKeyUnusable { name }.into());
    }
    let public = key.public.as_ref()?;
    match all.iter().position(|certificate| certificate.public == *public) {
        Some(0) => None,
        // Servers show the first one.
        Some(_) => Some(cause::TlsSecretOrder { name, subject }.into()),
        None => Some(cause::TlsSecretKeyOfAnother { name, subject }.into()),
    }
}
