//! `network.pod-to-pod`: HTTP from inside a pod of this node to a pod of every other, which sees whose pod it is.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::echo::{Echoed, Sender};
use super::path_trace::{Origin, PathTrace};
use super::pod_reachable;
use super::pods;
use crate::findings::{Evidence, Finding, Judged, Unjudged, cause, phrase};
use crate::protocol::{Cni, EchoReply, Place, Transport};
use crate::suite::fixtures::Fixture;
use crate::suite::{Check, Ctx, Expect, Member, Probe, Scope, Trace};

pub(super) const CHECK: Check = Check::of::<PodToPod>("network.pod-to-pod", Scope::Worker)
    .needs(&[Fixture::Pods])
    .traced::<PodToPod>();

struct PodToPod;

#[derive(Serialize, Deserialize)]
struct Facts {
    #[serde(flatten)]
    reached: pod_reachable::Facts,
    /// What the servers in the other pods saw of a connection.
    #[serde(default)]
    seen: Vec<Echoed>,
    /// Whether the CNI of this node is told to hide its pods; asked where a pod is seen under another address.
    #[serde(default)]
    masquerades: bool,
}

impl Probe for PodToPod {
    type Facts = Facts;

    async fn gather(ctx: &Ctx, member: &Member) -> Result<Facts, Unjudged> {
        let host = ctx.host(member)?;
        let spread = ctx.fixtures().spread(ctx).await?;
        spread.takes(host.node())?;
        let here = pods::up(&spread.pods).find(|(pod, _)| pod.node.as_deref() == Some(host.node()));
        let Some((pod, _)) = here else {
            return Err(pods::needs(&[host.node().to_owned()]));
        };
        let sandbox = ctx.sandbox_of(host, pod).await?;
        let others = pods::up(&spread.pods).filter(|(other, _)| other.uid != pod.uid);
        let asks = others.map(|other| {
            let from = Place::Sandbox(sandbox.clone());
            pods::ask(ctx, &host.name, from, other)
        });
        let (asked, seen) = futures::join!(futures::future::try_join_all(asks), seen(ctx, member));
        let masquerades = if seen.iter().any(|echoed| seen_as(echoed).is_some()) {
            let socket = host.runtime.clone();
            ctx.ask(&host.name, Cni { socket }).await?.masquerades
        } else {
            false
        };
        Ok(Facts {
            reached: pod_reachable::Facts::of(asked?, &spread),
            seen,
            masquerades,
        })
    }

    fn judge(facts: &Facts, expect: &Expect<'_>) -> Judged {
        let Facts {
            reached,
            seen,
            masquerades,
        } = facts;
        if reached.asked.is_empty() && reached.without.is_empty() {
            // A cluster of one worker has no other node to reach.
            return Err(Unjudged::skip(cause::OneNode));
        }
        let mut findings = reached.judge(expect)?;
        let host = &expect.host()?.name;
        // Where the site has chosen that, as the page's configuration does, it is no finding.
        if !masquerades {
            findings.extend(seen.iter().filter_map(|echoed| hidden(echoed, host)));
        }
        Ok(findings)
    }

    fn evidence(facts: &Facts, _: &Expect<'_>) -> Vec<Evidence> {
        let seen = Evidence::lines(phrase::Answers, facts.seen.iter().map(Echoed::line));
        let asked = pods::evidence(&facts.reached.asked);
        asked.into_iter().chain(seen).collect()
    }
}

/// Connects to the servers in the other pods. Where there are none, the checks say so that live by them.
async fn seen(ctx: &Ctx, member: &Member) -> Vec<Echoed> {
    let Ok(sender) = Sender::of(ctx, member).await else {
        return Vec::new();
    };
    let sent = sender
        .others
        .iter()
        .map(|server| sender.send(server, Transport::Tcp(0)));
    let sent = futures::future::join_all(sent).await;
    sent.into_iter().flatten().collect()
}

/// Returns that a pod sees this node's pod under an address that is not its own.
fn hidden(echoed: &Echoed, host: &str) -> Option<Finding> {
    let seen = &seen_as(echoed)?;
    let (pod, node) = (&echoed.pod, &echoed.node);
    let cause = cause::PodAddressHidden {
        pod,
        node,
        host: &host,
        seen,
    };
    Some(Finding::warn(cause).of(pod))
}

/// Returns the address that a pod sees, where it is not the sender's own.
const fn seen_as(echoed: &Echoed) -> Option<IpAddr> {
    match echoed.reply {
        EchoReply::Back { seen_as, .. } => seen_as,
        EchoReply::Broken { .. } | EchoReply::Silent { .. } => None,
    }
}

impl Trace for PodToPod {
    type Depth = PathTrace;

    async fn trace(ctx: &Ctx, member: &Member, facts: &Facts, _: &[Finding]) -> PathTrace {
        facts.reached.trace(ctx, member, Origin::Pod).await
    }

    fn explain(
        findings: Vec<Finding>,
        facts: &Facts,
        depth: &PathTrace,
        expect: &Expect<'_>,
    ) -> Vec<Finding> {
        facts.reached.explain(findings, depth, Origin::Pod, expect)
    }

    fn deeper(depth: &PathTrace, _: &Expect<'_>) -> Vec<Evidence> {
        depth.evidence()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::network::echo::tests::echoed;
    use crate::checks::network::pods::tests::{answer, asked};
    use crate::checks::network::pods::{Asked, TITLE};
    use crate::checks::testing::{expect, judged, site};
    use crate::findings::{CauseId, Outcome};
    use crate::protocol::HttpReply;

    fn judge(asked: Vec<Asked>, without: &[&str]) -> (Outcome, Option<CauseId>) {
        let facts = Facts {
            reached: pod_reachable::Facts {
                asked,
                without: without.iter().map(|node| (*node).to_owned()).collect(),
            },
            seen: Vec::new(),
            masquerades: false,
        };
        judged::<PodToPod>(&facts, &expect(&site(), "node-0"))
    }

    #[test]
    fn pods_that_answer_pass_and_a_silent_one_fails() {
        assert_eq!(judge(vec![asked(answer(200, TITLE))], &[]), (Outcome::Pass, None));
        let silent = HttpReply::Silent { connected: false };
        assert_eq!(
            judge(vec![asked(silent)], &[]),
            (Outcome::Fail, Some(CauseId::PodSilent))
        );
    }

    #[test]
    fn a_pod_that_is_seen_under_another_address_warns() {
        let seen_as = |seen_as: Option<&str>, masquerades: bool| {
            let reply = EchoReply::Back {
                bytes: 8,
                millis: 1,
                seen_as: seen_as.map(|address| address.parse().unwrap()),
            };
            let facts = Facts {
                reached: pod_reachable::Facts {
                    asked: vec![asked(answer(200, TITLE))],
                    without: Vec::new(),
                },
                seen: vec![echoed(Transport::Tcp(0), reply)],
                masquerades,
            };
            judged::<PodToPod>(&facts, &expect(&site(), "node-0"))
        };
        let other = Some("192.168.10.101");
        assert_eq!(seen_as(None, false), (Outcome::Pass, None));
        assert_eq!(
            seen_as(other, false),
            (Outcome::Warn, Some(CauseId::PodAddressHidden))
        );
        assert_eq!(seen_as(other, true), (Outcome::Pass, None), "the CNI is told to");
    }

    #[test]
    fn a_single_node_and_a_pod_that_is_not_there_are_no_pass() {
        assert_eq!(judge(Vec::new(), &[]), (Outcome::Skip, Some(CauseId::OneNode)));
        assert_eq!(
            judge(Vec::new(), &["node-1"]),
            (Outcome::Skip, Some(CauseId::Needs))
        );
    }
}
