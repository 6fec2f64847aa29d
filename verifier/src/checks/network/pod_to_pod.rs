//! `network.pod-to-pod`: HTTP from inside a pod of this node to a pod of every other.

use super::path_trace::{Origin, PathTrace};
use super::pod_reachable::Facts;
use super::pods;
use crate::findings::{Evidence, Finding, Judged, Unjudged, cause};
use crate::protocol::Place;
use crate::suite::fixtures::Fixture;
use crate::suite::{Check, Ctx, Expect, Member, Probe, Scope, Trace};

pub(super) const CHECK: Check = Check::of::<PodToPod>("network.pod-to-pod", Scope::Worker)
    .needs(&[Fixture::Pods])
    .traced::<PodToPod>();

struct PodToPod;

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
        let asked = futures::future::try_join_all(asks).await?;
        Ok(Facts::of(asked, &spread))
    }

    fn judge(facts: &Facts, expect: &Expect<'_>) -> Judged {
        if facts.asked.is_empty() && facts.without.is_empty() {
            // A cluster of one worker has no other node to reach.
            return Err(Unjudged::skip(cause::OneNode));
        }
        facts.judge(expect)
    }

    fn evidence(facts: &Facts, _: &Expect<'_>) -> Vec<Evidence> {
        pods::evidence(&facts.asked).into_iter().collect()
    }
}

impl Trace for PodToPod {
    type Depth = PathTrace;

    async fn trace(ctx: &Ctx, member: &Member, facts: &Facts, _: &[Finding]) -> PathTrace {
        facts.trace(ctx, member, Origin::Pod).await
    }

    fn explain(
        findings: Vec<Finding>,
        facts: &Facts,
        depth: &PathTrace,
        expect: &Expect<'_>,
    ) -> Vec<Finding> {
        facts.explain(findings, depth, Origin::Pod, expect)
    }

    fn deeper(depth: &PathTrace, _: &Expect<'_>) -> Vec<Evidence> {
        depth.evidence()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::network::pods::tests::{answer, asked};
    use crate::checks::network::pods::{Asked, TITLE};
    use crate::checks::testing::{expect, judged, site};
    use crate::findings::{CauseId, Outcome};
    use crate::protocol::HttpReply;

    fn judge(asked: Vec<Asked>, without: &[&str]) -> (Outcome, Option<CauseId>) {
        let facts = Facts {
            asked,
            without: without.iter().map(|node| (*node).to_owned()).collect(),
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
    fn a_single_node_and_a_pod_that_is_not_there_are_no_pass() {
        assert_eq!(judge(Vec::new(), &[]), (Outcome::Skip, Some(CauseId::OneNode)));
        assert_eq!(
            judge(Vec::new(), &["node-1"]),
            (Outcome::Skip, Some(CauseId::Needs))
        );
    }
}
