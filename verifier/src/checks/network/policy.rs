//! `network.policy`: a policy that lets nobody in to a pod does so, where the CNI enforces policies.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::cni_bridge;
use super::pods::{self, Asked};
use crate::cluster::{Cluster, Permission, PodFacts, RunNamespace};
use crate::findings::{Evidence, Finding, Judged, Unjudged, cause, phrase};
use crate::protocol::Place;
use crate::site::Host;
use crate::suite::fixtures::{Fixture, GUARDED};
use crate::suite::{Check, Ctx, Expect, Member, Probe, Scope};

pub(super) const CHECK: Check = Check::of::<Policy>("network.policy", Scope::Cluster)
    .needs(&[Fixture::Guarded, Fixture::Deployment])
    .permissions(&[
        Permission::across("list", "networking.k8s.io", "networkpolicies"),
        Permission::within("create", "networking.k8s.io", "networkpolicies"),
        Permission::within("delete", "networking.k8s.io", "networkpolicies"),
    ]);

/// How long one request may take.
const PATIENCE: Duration = Duration::from_secs(2);
/// How often it is asked.
const POLL: Duration = Duration::from_millis(250);
/// How long a policy may take to have its effect, or to lose it.
const EFFECT: Duration = Duration::from_secs(10);
/// How long where nobody is known to enforce it, and nobody has one.
const UNLIKELY: Duration = Duration::from_secs(2);
/// So many requests in a row that get no answer are no accident.
const DENIED: usize = 2;

struct Policy;

/// What became of a pod that a policy shuts off.
#[derive(Serialize, Deserialize)]
struct Facts {
    /// The CNI of the pod's node.
    cni: String,
    /// The host that asked from a pod of its own.
    from: String,
    /// The policies of others, as `namespace/name`.
    others: Vec<String>,
    /// The answer before there was the policy.
    before: Asked,
    /// The last one with it.
    with: Option<Asked>,
    /// How long it took until nothing came any more; absent: it still does.
    denied_millis: Option<u64>,
    /// How long was waited.
    waited_millis: u64,
    /// The last answer after the policy was taken away again; absent where it had no effect.
    after: Option<Asked>,
}

/// A pod that is asked, and from where.
struct Way<'a> {
    ctx: &'a Ctx,
    host: &'a str,
    sandbox: String,
    to: (&'a PodFacts, IpAddr),
}

impl Way<'_> {
    async fn ask(&self) -> Result<Asked, Unjudged> {
        let from = Place::Sandbox(self.sandbox.clone());
        pods::ask_for(self.ctx, self.host, from, self.to, PATIENCE).await
    }

    /// Asks until `enough` answers in a row are as wanted, or for so long. Returns the last answer, and since when they
    /// are.
    async fn until(
        &self,
        most: Duration,
        enough: usize,
        wanted: impl Fn(&Asked) -> bool,
    ) -> Result<(Asked, Option<Duration>), Unjudged> {
        let began = Instant::now();
        let mut row = 0;
        let mut since = began.elapsed();
        loop {
            let asking = began.elapsed();
            let asked = self.ask().await?;
            if wanted(&asked) {
                since = if row == 0 { asking } else { since };
                row += 1;
            } else {
                row = 0;
            }
            if row >= enough {
                return Ok((asked, Some(since)));
            }
            if row == 0 && began.elapsed() >= most {
                return Ok((asked, None));
            }
            tokio::time::sleep(POLL).await;
        }
    }
}

impl Probe for Policy {
    type Facts = Facts;

    async fn gather(ctx: &Ctx, _: &Member) -> Result<Facts, Unjudged> {
        let needs = || {
            Unjudged::skip(cause::Needs {
                what: &Fixture::Deployment.owner(),
            })
        };
        let pod = &ctx.fixtures().guarded(ctx).await?;
        let to = pods::up(std::slice::from_ref(pod)).next().ok_or_else(needs)?;
        // The first pod of the suite is up before the others are.
        let first = ctx.fixtures().deployed(ctx).await?;
        let (host, sandbox) = if let Some(from) = source(ctx, pod, &first.pods).await {
            from
        } else {
            let spread = ctx.fixtures().spread(ctx).await?;
            source(ctx, pod, &spread.pods).await.ok_or_else(needs)?
        };
        let host_of_pod = ctx.site.host_of_node(pod.node.as_deref().unwrap_or_default());
        let cni = match host_of_pod {
            Some(home) => cni_bridge::cni(ctx, home).await,
            None => Err(needs()),
        };
        let cni = match cni {
            Ok(cni) => cni,
            Err(_) => cni_bridge::cni(ctx, host).await?,
        };
        let named = ctx.site.expect.cni.clone();
        let host = &host.name;
        let way = Way {
            ctx,
            host,
            sandbox,
            to,
        };
        look(&way, named.unwrap_or(cni.plugin)).await
    }

    fn judge(facts: &Facts, _: &Expect<'_>) -> Judged {
        if !facts.before.is_right() {
            // Whether pods reach each other at all another check says.
            return Err(Unjudged::skip(cause::Needs {
                what: &"network.pod-to-pod",
            }));
        }
        let Facts { cni, others, .. } = facts;
        let Asked {
            pod, address, node, ..
        } = &facts.before;
        let seconds = &facts.waited_millis.div_ceil(1000);
        if facts.denied_millis.is_none() {
            if enforces(cni) {
                #[rustfmt::skip]
                let cause = cause::PolicyWithoutEffect { cni, pod, address, node, seconds };
                return Ok(vec![Finding::fail(cause).of(pod)]);
            }
            if others.is_empty() {
                return Err(Unjudged::skip(cause::PolicyNotEnforced { cni }));
            }
            let policies = &others.iter().take(5).cloned().collect::<Vec<_>>().join(", ");
            let count = &others.len();
            #[rustfmt::skip]
            let cause = cause::PoliciesWithoutEffect { cni, policies, count };
            return Ok(vec![Finding::warn(cause)]);
        }
        let back = facts.after.as_ref().is_some_and(Asked::is_right);
        #[rustfmt::skip]
        let cause = cause::PolicyStays { cni, pod, address, node, seconds: &EFFECT.as_secs() };
        Ok(if back {
            Vec::new()
        } else {
            vec![Finding::fail(cause).of(pod)]
        })
    }

    fn evidence(facts: &Facts, _: &Expect<'_>) -> Vec<Evidence> {
        let asked = [Some(&facts.before), facts.with.as_ref(), facts.after.as_ref()];
        let asked = asked.into_iter().flatten();
        Evidence::lines(phrase::Answers, asked.map(Asked::line))
            .into_iter()
            .collect()
    }
}

/// Returns a pod to ask from, by its host and its sandbox: on another node than `pod` if it can be. Any will do whose host
/// lets us in; which do not, others say.
async fn source<'a>(ctx: &'a Ctx, pod: &PodFacts, pods: &[PodFacts]) -> Option<(&'a Host, String)> {
    let mut up: Vec<&PodFacts> = pods::up(pods).map(|(other, _)| other).collect();
    up.sort_by_key(|other| other.node == pod.node);
    for from in up {
        let node = from.node.as_deref().unwrap_or_default();
        let Some(host) = ctx.site.host_of_node(node) else {
            continue;
        };
        if let Ok(sandbox) = ctx.sandbox_of(host, from).await {
            return Some((host, sandbox));
        }
    }
    None
}

/// Asks before, with and after the policy.
async fn look(way: &Way<'_>, cni: String) -> Result<Facts, Unjudged> {
    let api = way.ctx.api()?;
    let namespace = way.ctx.fixtures().namespace(way.ctx).await?;
    let (others, before) = futures::join!(api.policies(), way.ask());
    let mut facts = Facts {
        others: others?,
        before: before?,
        from: way.host.to_owned(),
        with: None,
        denied_millis: None,
        waited_millis: 0,
        after: None,
        cni,
    };
    if facts.before.is_right() {
        with(way, api, &namespace, &mut facts).await?;
    }
    Ok(facts)
}

/// Makes the policy, asks, takes it away and asks again.
async fn with(
    way: &Way<'_>,
    api: &Cluster,
    namespace: &RunNamespace,
    facts: &mut Facts,
) -> Result<(), Unjudged> {
    let millis = |span: Duration| u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
    let likely = enforces(&facts.cni) || !facts.others.is_empty();
    let most = if likely { EFFECT } else { UNLIKELY }.min(way.ctx.limits.timeout);
    api.deny(namespace, &way.ctx.run, GUARDED).await?;
    let (with, since) = way.until(most, DENIED, |asked| !asked.is_answered()).await?;
    facts.with = Some(with);
    facts.denied_millis = since.map(millis);
    facts.waited_millis = millis(most);
    api.deny_no_more(namespace).await?;
    if since.is_some() {
        facts.after = Some(way.until(EFFECT, 1, Asked::is_right).await?.0);
    }
    Ok(())
}

/// Returns whether a CNI of that name enforces policies, by itself and always. Others may, or have it beside them.
fn enforces(cni: &str) -> bool {
    [
        "calico",
        "cilium-cni",
        "cilium",
        "antrea",
        "weave-net",
        "ovn-k8s-cni-overlay",
    ]
    .contains(&cni)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::network::pods::TITLE;
    use crate::checks::network::pods::tests::{answer, asked};
    use crate::checks::testing::{expect, judged, site};
    use crate::findings::{CauseId, Outcome};
    use crate::protocol::HttpReply;

    fn silent() -> Asked {
        asked(HttpReply::Silent { connected: false })
    }

    fn judge(cni: &str, change: impl FnOnce(&mut Facts)) -> (Outcome, Option<CauseId>) {
        let mut facts = Facts {
            cni: cni.to_owned(),
            from: "node-0".to_owned(),
            others: Vec::new(),
            before: asked(answer(200, TITLE)),
            with: Some(silent()),
            denied_millis: Some(300),
            waited_millis: 10_000,
            after: Some(asked(answer(200, TITLE))),
        };
        change(&mut facts);
        judged::<Policy>(&facts, &expect(&site(), "node-0"))
    }

    #[test]
    fn what_denies_and_lets_in_again_passes_whatever_the_cni() {
        assert_eq!(judge("calico", |_| {}), (Outcome::Pass, None));
        assert_eq!(judge("bridge", |_| {}), (Outcome::Pass, None));
    }

    #[test]
    fn a_silence_that_the_policy_does_not_explain_is_no_pass() {
        let stays = judge("calico", |facts| facts.after = Some(silent()));
        assert_eq!(stays, (Outcome::Fail, Some(CauseId::PolicyStays)));
        let before = judge("calico", |facts| facts.before = silent());
        assert_eq!(before, (Outcome::Skip, Some(CauseId::Needs)));
    }

    #[test]
    fn a_policy_without_effect_fails_where_the_cni_enforces_and_warns_where_somebody_counts_on_it() {
        let none = |facts: &mut Facts| {
            facts.denied_millis = None;
            facts.after = None;
        };
        assert_eq!(
            judge("cilium-cni", none),
            (Outcome::Fail, Some(CauseId::PolicyWithoutEffect))
        );
        assert_eq!(
            judge("bridge", none),
            (Outcome::Skip, Some(CauseId::PolicyNotEnforced))
        );
        let relied = judge("flannel", |facts| {
            none(facts);
            facts.others = vec!["shop/deny-all".to_owned()];
        });
        assert_eq!(relied, (Outcome::Warn, Some(CauseId::PoliciesWithoutEffect)));
    }
}
