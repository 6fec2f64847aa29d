//! `secrets.all-encrypted`: what is stored of every resource that the API servers are told to encrypt, each object by what
//! its value begins with. New writes are `secrets.encrypted-at-rest`'s; this one finds what was written before.

mod judge;
mod resources;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::distribution::CONTROL_PLANE_INSIDE;
use crate::findings::{Cause, Evidence, Judged, Unjudged, cause, phrase};
use crate::protocol::{
    EncryptionEntry, EncryptionRules, EncryptionRulesReply, EtcdObjects, EtcdObjectsReply, KMS_V2, Process,
    Processes,
};
use crate::site::{Host, Role};
use crate::suite::{AskFailure, Check, Ctx, Expect, Member, Probe, Scope, etcd_tls};
use resources::Resource;

pub(super) const CHECK: Check =
    Check::of::<AllEncrypted>("secrets.all-encrypted", Scope::Cluster).confirmed();

/// How long a host may take to say what its API server was given.
const RULES: Duration = Duration::from_secs(10);
/// How much of the longest wait is left for the way of the answer.
const WAY: Duration = Duration::from_secs(5);
const API_SERVER: &str = "kube-apiserver";

struct AllEncrypted;

#[derive(Serialize, Deserialize)]
struct Facts {
    /// What each control-plane host's API server encrypts.
    hosts: BTreeMap<String, Rules>,
    stored: Stored,
}

/// What the API server of a host encrypts with what.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Rules {
    /// None runs there.
    Stopped,
    /// The host could not be asked.
    Unasked(Cause),
    /// What it was given.
    Given(EncryptionRulesReply),
}

/// What etcd stores of what is to be encrypted.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Stored {
    /// Nothing is to be encrypted.
    Unasked,
    /// It was read.
    Read(EtcdObjectsReply),
    /// No host could read it; the first one's words.
    Unreadable { host: String, message: String },
}

impl Probe for AllEncrypted {
    type Facts = Facts;

    async fn gather(ctx: &Ctx, _: &Member) -> Result<Facts, Unjudged> {
        let asked = ctx.site.with_role(Role::ControlPlane);
        let asked = asked.map(|host| async move { (host.name.clone(), rules(ctx, host).await) });
        let hosts: BTreeMap<String, Rules> = futures::future::join_all(asked).await.into_iter().collect();
        let entries = || hosts.values().flat_map(Rules::entries);
        let stored = match paths(entries()) {
            paths if paths.is_empty() => Stored::Unasked,
            paths => {
                // What was written last says which key a KMS uses now: what the run writes is to be among it.
                let is_kms = |writer: &String| writer.starts_with(KMS_V2);
                if entries().any(|entry| entry.writers.iter().any(is_kms)) {
                    ctx.fixtures().written(ctx).await;
                }
                stored(ctx, paths, usual(entries())).await?
            }
        };
        Ok(Facts { hosts, stored })
    }

    fn judge(facts: &Facts, expect: &Expect<'_>) -> Judged {
        judge::judge(facts, expect.site)
    }

    fn evidence(facts: &Facts, _: &Expect<'_>) -> Vec<Evidence> {
        Evidence::lines(phrase::StoredObjects, judge::lines(facts))
            .into_iter()
            .collect()
    }
}

impl Rules {
    /// Returns what its API server was told.
    fn entries(&self) -> &[EncryptionEntry] {
        match self {
            Self::Given(EncryptionRulesReply::Rules { entries }) => entries,
            _ => &[],
        }
    }
}

async fn rules(ctx: &Ctx, host: &Host) -> Rules {
    let unasked = |failure: AskFailure| Rules::Unasked(Unjudged::from(failure).into_cause());
    let names = [API_SERVER].iter().chain(CONTROL_PLANE_INSIDE);
    let names = Processes {
        names: names.map(|name| (*name).to_owned()).collect(),
    };
    let processes = match ctx.ask_within(&host.name, names, RULES).await {
        Ok(processes) => processes,
        Err(failure) => return unasked(failure),
    };
    let alive = |process: &&Process| process.state != 'Z';
    let own = |process: &&Process| process.name == API_SERVER;
    let alive: Vec<&Process> = processes.iter().filter(alive).collect();
    let Some(process) = alive.iter().copied().find(own).or(alive.first().copied()) else {
        return Rules::Stopped;
    };
    let ask = EncryptionRules { pid: process.pid };
    ctx.ask_within(&host.name, ask, RULES)
        .await
        .map_or_else(unasked, Rules::Given)
}

/// Returns where to look: an empty path, which is all, where a wildcard is told.
fn paths<'a>(entries: impl Iterator<Item = &'a EncryptionEntry>) -> Vec<String> {
    let encrypts = |entry: &&EncryptionEntry| entry.writers.iter().any(|writer| !writer.is_empty());
    let names = entries.filter(encrypts).flat_map(|entry| &entry.resources);
    let mut paths = BTreeSet::new();
    for name in names {
        match Resource::named(name).paths() {
            Some(own) => paths.extend(own),
            None => return vec![String::new()],
        }
    }
    paths.into_iter().collect()
}

/// Returns what the first keys write.
fn usual<'a>(entries: impl Iterator<Item = &'a EncryptionEntry>) -> Vec<String> {
    let first = entries.filter_map(|entry| entry.writers.first().cloned());
    let all: BTreeSet<String> = first.filter(|writer| !writer.is_empty()).collect();
    all.into_iter().collect()
}

/// Reads from the first host of etcd that can. All members hold the same.
async fn stored(ctx: &Ctx, paths: Vec<String>, usual: Vec<String>) -> Result<Stored, Unjudged> {
    let etcd = &ctx.site.etcd;
    let wait = ctx.limits.timeout;
    let ask = EtcdObjects {
        endpoints: etcd.endpoints.clone(),
        tls: etcd_tls(etcd),
        prefix: etcd.prefix.clone(),
        paths,
        usual,
        millis: u64::try_from(wait.saturating_sub(WAY).max(wait / 2).as_millis()).unwrap_or(u64::MAX),
    };
    let mut first = None;
    for host in ctx.site.with_role(Role::Etcd) {
        match ctx.ask(&host.name, ask.clone()).await {
            Ok(reply) => return Ok(Stored::Read(reply)),
            Err(failure) => first = first.or(Some((host, failure))),
        }
    }
    // Where etcd is none of the site's hosts, nobody here may read it.
    let (host, failure) = first.ok_or_else(|| Unjudged::skip(cause::NoEtcdHost))?;
    match failure.message() {
        Some(message) => Ok(Stored::Unreadable {
            host: host.name.clone(),
            message: message.to_owned(),
        }),
        None => Err(failure.into()),
    }
}
