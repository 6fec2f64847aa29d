//! `etcd.snapshot`: a snapshot is taken and read on the host of a member, to its end. Nothing of it travels, and nothing is kept,
//! unless it is asked to be: then it is read here.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::findings::{Evidence, Finding, Judged, Line, Unjudged, cause, phrase};
use crate::protocol::{EtcdProof, EtcdProofReply, EtcdSnapshot, SnapshotFacts, SnapshotHash};
use crate::site::{Host, Role, Site};
use crate::suite::fixtures::Fixture;
use crate::suite::{
    Check, Ctx, Expect, Giver, KeptSnapshot, Member, Probe, Scope, endpoints, etcd_status, etcd_tls, givers,
};

/// A larger database is not read beside the other checks: `verifier snapshot save` does that. At some 300 MB/s this takes
/// about 4 s of the host.
const MOST: u64 = 1 << 30;
/// How long members may take to say how they are.
const ANSWER: Duration = Duration::from_secs(4);

pub(super) const CHECK: Check =
    Check::of::<Snapshot>("etcd.snapshot", Scope::Cluster).wants(&[Fixture::Canary]);

struct Snapshot;

#[derive(Serialize, Deserialize)]
struct Facts {
    giver: GiverFacts,
    reply: EtcdProofReply,
    /// The keys of the run's Secrets that were stored before; none where there are none.
    canaries: Vec<String>,
    /// What became of it where it was to be kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    kept: Option<KeptSnapshot>,
}

#[derive(Serialize, Deserialize)]
struct GiverFacts {
    host: String,
    member: String,
}

impl Probe for Snapshot {
    type Facts = Facts;

    async fn gather(ctx: &Ctx, _: &Member) -> Result<Facts, Unjudged> {
        let hosts: Vec<&Host> = ctx.site.with_role(Role::Etcd).collect();
        if hosts.is_empty() {
            let reason = cause::NoEtcdHost;
            // Who wants it kept must not miss that there is none.
            return Err(if ctx.keeps_snapshot() {
                Unjudged::error(reason)
            } else {
                Unjudged::skip(reason)
            });
        }
        let (canaries, givers) = futures::join!(canaries(ctx), askable(ctx, &hosts));
        let canaries = canaries?;
        let mut first = None;
        for giver in givers? {
            let ask = EtcdProof {
                source: EtcdSnapshot {
                    endpoints: vec![giver.endpoint.clone()],
                    tls: etcd_tls(&ctx.site.etcd),
                },
                prefix: ctx.site.etcd.prefix.clone(),
                keys: canaries.clone(),
                most: MOST,
            };
            match ctx.prove_snapshot(&giver.host, ask).await {
                Ok((reply, kept)) => {
                    let Giver { host, member, .. } = giver;
                    let giver = GiverFacts { host, member };
                    return Ok(Facts {
                        giver,
                        reply,
                        canaries,
                        kept,
                    });
                }
                Err(failure) => first = first.or(Some((giver, failure))),
            }
        }
        let (giver, failure) = first.ok_or_else(|| Unjudged::error(cause::NoEtcdMember))?;
        Err(match failure.message() {
            Some(message) => Unjudged::error(cause::EtcdUnreachable {
                host: &giver.host,
                message: &message,
            }),
            None => failure.into(),
        })
    }

    fn judge(facts: &Facts, expect: &Expect<'_>) -> Judged {
        let begun = &facts.reply.begun;
        let Some(snapshot) = &facts.reply.facts else {
            return Err(Unjudged::skip(cause::SnapshotTooLarge {
                bytes: &begun.bytes,
                most: &MOST,
            }));
        };
        let GiverFacts { host, member } = &facts.giver;
        if snapshot.unread {
            return Err(Unjudged::error(cause::SnapshotUnread { host, member }));
        }
        if !snapshot.is_whole() {
            let problem = &problem(snapshot);
            return Ok(vec![Finding::fail(cause::SnapshotDamaged {
                host,
                member,
                problem,
            })]);
        }
        let canaries = facts.canaries.iter().zip(&snapshot.found);
        let found = canaries.filter_map(|(key, found)| canary(key, found.as_deref(), expect.site));
        Ok(found.chain(facts.kept.as_ref().and_then(unkept)).collect())
    }

    fn evidence(facts: &Facts, _: &Expect<'_>) -> Vec<Evidence> {
        let Some(snapshot) = &facts.reply.facts else {
            return Vec::new();
        };
        let (file, bytes) = (&facts.giver.member, &snapshot.bytes);
        let about = phrase::SnapshotOf {
            member: file,
            host: &facts.giver.host,
        };
        let holds = phrase::SnapshotHolds {
            keys: &snapshot.keys,
            revision: &snapshot.revision,
            revisions: &snapshot.revisions,
            pages: &snapshot.pages,
        };
        let kept = facts.kept.iter().filter(|kept| kept.failed.is_none());
        let kept = kept.map(|kept| Line::said(phrase::SnapshotKept { file: &kept.file }));
        let lines = [Line::from(format!("{bytes} bytes")), Line::said(holds)];
        let lines = lines.into_iter().chain(kept);
        Evidence::lines(about, lines).into_iter().collect()
    }
}

/// Returns what is wrong with a snapshot in a word: its hash, or a page of it.
pub(super) fn problem(snapshot: &SnapshotFacts) -> String {
    match (snapshot.hash, snapshot.problems.first()) {
        (_, Some(first)) if snapshot.page_size > 0 => {
            format!("page {}: {}", first.page, first.problem.word())
        }
        (SnapshotHash::Wrong, _) => "sha256".to_owned(),
        (SnapshotHash::Missing, _) => "empty".to_owned(),
        _ => "meta".to_owned(),
    }
}

fn canary(key: &str, found: Option<&str>, site: &Site) -> Option<Finding> {
    let plain = site.expect.encryption.as_ref();
    let plain = plain.is_some_and(|expected| expected.provider == "none");
    match found {
        None => Some(Finding::fail(cause::SnapshotWithoutCanary { key: &key })),
        Some("") if !plain => Some(Finding::fail(cause::SnapshotCanaryPlaintext { key: &key })),
        Some(_) => None,
    }
}

fn unkept(kept: &KeptSnapshot) -> Option<Finding> {
    let reason = kept.failed.as_ref()?;
    let file = &kept.file;
    Some(Finding::error(cause::SnapshotUnkept { file, reason }))
}

/// Returns the keys of the Secrets that were written through the API servers. Where there is nothing to write them from, or no
/// server to write through, the snapshot is looked at without.
async fn canaries(ctx: &Ctx) -> Result<Vec<String>, Unjudged> {
    if ctx.suite.is_none() {
        return Ok(Vec::new());
    }
    let canaries = match ctx.fixtures().canaries(ctx).await {
        Ok(canaries) => canaries,
        Err(Unjudged::Skip(_)) => return Ok(Vec::new()),
        Err(Unjudged::Error(_)) => {
            let what = &Fixture::Canary.owner();
            return Err(Unjudged::skip(cause::Needs { what }));
        }
    };
    let prefix = &ctx.site.etcd.prefix;
    let written = canaries.values().flatten();
    Ok(written
        .map(|own| format!("{prefix}/secrets/{}/{}", own.canary.namespace, own.canary.name))
        .collect())
}

/// Returns the members that can give a snapshot, the best first.
async fn askable(ctx: &Ctx, hosts: &[&Host]) -> Result<Vec<Giver>, Unjudged> {
    let asked = hosts.iter().map(|host| async move {
        let etcd = &ctx.site.etcd;
        let ask = etcd_status(etcd, endpoints(etcd, host).1, ANSWER);
        let answers = ctx.ask_within(&host.name, ask, ANSWER + ANSWER).await;
        (host.name.clone(), answers)
    });
    let mut failed = None;
    let mut answered = Vec::new();
    for (host, answers) in futures::future::join_all(asked).await {
        match answers {
            Ok(answers) => answered.push((host, answers)),
            Err(failure) => failed = failed.or(Some(failure)),
        }
    }
    match failed {
        Some(failure) if answered.is_empty() => Err(failure.into()),
        _ => Ok(givers(&answered)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::testing::{expect, judged, site};
    use crate::findings::{CauseId, Outcome};
    use crate::protocol::{PageProblem, SnapshotBegun, SnapshotProblem};
    use crate::site::Encryption;

    const KEY: &str = "/registry/secrets/verifier-x/canary-0";

    fn facts(change: impl FnOnce(&mut Facts)) -> Facts {
        let whole = SnapshotFacts {
            bytes: 4_000_032,
            hash: SnapshotHash::Right,
            page_size: 4096,
            keys: 300,
            found: vec![Some("k8s:enc:aescbc:v1:key1:".to_owned())],
            ..SnapshotFacts::default()
        };
        let mut facts = Facts {
            giver: GiverFacts {
                host: "server".to_owned(),
                member: "controller".to_owned(),
            },
            reply: EtcdProofReply {
                begun: SnapshotBegun {
                    endpoint: "http://127.0.0.1:2379".to_owned(),
                    member: "8e9e05c52164694d".to_owned(),
                    bytes: 4_000_032,
                },
                facts: Some(whole),
            },
            canaries: vec![KEY.to_owned()],
            kept: None,
        };
        change(&mut facts);
        facts
    }

    fn outcome(change: impl FnOnce(&mut SnapshotFacts)) -> (Outcome, Option<CauseId>) {
        let facts = facts(|facts| change(facts.reply.facts.as_mut().unwrap()));
        judged::<Snapshot>(&facts, &expect(&site(), "server"))
    }

    #[test]
    fn a_whole_one_with_the_canary_encrypted_passes() {
        assert_eq!(outcome(|_| {}), (Outcome::Pass, None));
        let without = facts(|facts| facts.canaries.clear());
        assert_eq!(
            judged::<Snapshot>(&without, &expect(&site(), "server")).0,
            Outcome::Pass
        );
        let fail = |cause| (Outcome::Fail, Some(cause));
        assert_eq!(
            outcome(|snapshot| snapshot.found = vec![None]),
            fail(CauseId::SnapshotWithoutCanary)
        );
        let plain = |snapshot: &mut SnapshotFacts| snapshot.found = vec![Some(String::new())];
        assert_eq!(outcome(plain), fail(CauseId::SnapshotCanaryPlaintext));
        let mut none = site();
        none.expect.encryption = Some(Encryption {
            provider: "none".to_owned(),
            key: None,
        });
        let facts = facts(|facts| plain(facts.reply.facts.as_mut().unwrap()));
        assert_eq!(
            judged::<Snapshot>(&facts, &expect(&none, "server")),
            (Outcome::Pass, None)
        );
    }

    #[test]
    fn one_that_was_kept_is_named_and_one_that_could_not_be_is_an_error() {
        let kept = |failed: Option<&str>| {
            facts(|facts| {
                facts.kept = Some(KeptSnapshot {
                    file: "etcd.db".to_owned(),
                    failed: failed.map(str::to_owned),
                });
            })
        };
        let outcome = |facts| judged::<Snapshot>(facts, &expect(&site(), "server"));
        let there = kept(None);
        assert_eq!(outcome(&there), (Outcome::Pass, None));
        let lines = |facts: &Facts| {
            serde_json::to_string(&Snapshot::evidence(facts, &expect(&site(), "server"))).unwrap()
        };
        assert!(lines(&there).contains("etcd.db"));
        let not = kept(Some("no space left on device"));
        assert_eq!(outcome(&not), (Outcome::Error, Some(CauseId::SnapshotUnkept)));
        assert!(!lines(&not).contains("etcd.db"));
    }

    #[test]
    fn one_that_is_damaged_fails_and_one_that_was_not_read_never_passes() {
        let damaged = (Outcome::Fail, Some(CauseId::SnapshotDamaged));
        assert_eq!(outcome(|snapshot| snapshot.hash = SnapshotHash::Wrong), damaged);
        assert_eq!(outcome(|snapshot| snapshot.keys = 0), damaged);
        let page = |snapshot: &mut SnapshotFacts| {
            snapshot.problem_count = 1;
            let problem = PageProblem::Order;
            snapshot.problems = vec![SnapshotProblem { problem, page: 7 }];
        };
        assert_eq!(outcome(page), damaged);
        assert_eq!(
            outcome(|snapshot| snapshot.unread = true),
            (Outcome::Error, Some(CauseId::SnapshotUnread))
        );
        let large = facts(|facts| facts.reply.facts = None);
        assert_eq!(
            judged::<Snapshot>(&large, &expect(&site(), "server")),
            (Outcome::Skip, Some(CauseId::SnapshotTooLarge))
        );
    }
}
