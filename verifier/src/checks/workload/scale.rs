//! `workload.scale`: scaled to the workers that take pods, one pod runs on each.

use super::crash::Crashes;
use super::deployment::{evidence, wrong_image};
use crate::cluster::PodFacts;
use crate::findings::{Evidence, Finding, Judged, Unjudged, cause};
use crate::site::Host;
use crate::suite::fixtures::why::why;
use crate::suite::fixtures::{Fixture, Spread};
use crate::suite::{Check, Ctx, Expect, Member, Probe, Scope, Trace};

pub(super) const CHECK: Check = Check::of::<Scale>("workload.scale", Scope::Worker)
    .needs(&[Fixture::Pods])
    .traced::<Scale>();

struct Scale;

impl Probe for Scale {
    type Facts = Spread;

    async fn gather(ctx: &Ctx, _: &Member) -> Result<Spread, Unjudged> {
        ctx.fixtures().spread(ctx).await
    }

    fn judge(facts: &Spread, expect: &Expect<'_>) -> Judged {
        let host = expect.host()?;
        let node = host.node();
        if let Err(reason) = facts.takes(node) {
            // Whoever is to take pods and takes none is not tested at all.
            return match reason {
                Unjudged::Skip(reason) if host.schedulable => Ok(vec![Finding::fail(reason)]),
                reason => Err(reason),
            };
        }
        if up(facts, node).next().is_some() {
            return Ok(up(facts, node)
                .filter_map(|pod| wrong_image(pod, &facts.image, expect.index))
                .collect());
        }
        let reason = |pod| why(pod, &facts.events, &facts.silent);
        let unplaced = || facts.pods.iter().find(|pod| pod.node.is_none());
        let cause = here(facts, node)
            .find_map(reason)
            .or_else(|| unplaced().and_then(reason))
            .unwrap_or_else(|| cause::PodMissing { node: &node }.into());
        Ok(vec![Finding::fail(cause)])
    }

    fn evidence(facts: &Spread, expect: &Expect<'_>) -> Vec<Evidence> {
        let node = expect.host.map(Host::node).unwrap_or_default();
        if facts.left_out.iter().any(|(name, _)| name == node) {
            return Vec::new();
        }
        // What happened on the way matters only where it led to nothing.
        let events = match up(facts, node).next() {
            Some(_) => &[],
            None => facts.events.as_slice(),
        };
        evidence(&facts.pods, events)
    }
}

impl Trace for Scale {
    type Depth = Crashes;

    async fn trace(ctx: &Ctx, _: &Member, facts: &Spread, found: &[Finding]) -> Crashes {
        Crashes::look(ctx, &facts.pods, &facts.image, found).await
    }

    fn explain(findings: Vec<Finding>, _: &Spread, depth: &Crashes, _: &Expect<'_>) -> Vec<Finding> {
        depth.explain(findings)
    }

    fn deeper(depth: &Crashes, _: &Expect<'_>) -> Vec<Evidence> {
        depth.evidence()
    }
}

/// Returns the pods that were placed on a Node.
fn here<'a>(facts: &'a Spread, node: &'a str) -> impl Iterator<Item = &'a PodFacts> {
    facts
        .pods
        .iter()
        .filter(move |pod| pod.node.as_deref() == Some(node))
}

/// Returns those of them that are up.
fn up<'a>(facts: &'a Spread, node: &'a str) -> impl Iterator<Item = &'a PodFacts> {
    here(facts, node).filter(|pod| pod.is_up())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::testing::{expect, judged, site};
    use crate::cluster::DeploymentFacts;
    use crate::findings::{CauseId, Outcome};
    use crate::suite::fixtures::why::tests::{pod, waiting};

    fn facts(pods: Vec<PodFacts>) -> Spread {
        Spread {
            image: "docker.io/library/nginx:1.29".to_owned(),
            wanted: vec!["node-0".to_owned(), "node-1".to_owned()],
            left_out: Vec::new(),
            deployment: DeploymentFacts::default(),
            pods,
            events: Vec::new(),
            silent: std::collections::BTreeSet::new(),
            waited_millis: 900,
        }
    }

    #[test]
    fn each_worker_is_judged_by_its_own_pod() {
        let site = site();
        let facts = facts(vec![
            pod("a", "node-0", "10.200.0.2"),
            waiting("b", "node-1", "ErrImageNeverPull"),
        ]);
        let judge = |host| judged::<Scale>(&facts, &expect(&site, host));
        assert_eq!(judge("node-0"), (Outcome::Pass, None));
        assert_eq!(judge("node-1"), (Outcome::Fail, Some(CauseId::ImageNeverPull)));
    }

    #[test]
    fn a_worker_without_a_pod_fails_whatever_the_reason_and_one_that_is_to_take_none_is_skipped() {
        let site = site();
        let mut facts = facts(vec![pod("a", "node-0", "10.200.0.2")]);
        let judge = |facts: &Spread| judged::<Scale>(facts, &expect(&site, "node-1"));
        assert_eq!(judge(&facts), (Outcome::Fail, Some(CauseId::PodMissing)));
        let mut unplaced = waiting("b", "", "");
        unplaced.node = None;
        facts.pods.push(unplaced);
        assert_eq!(judge(&facts), (Outcome::Fail, Some(CauseId::SchedulerSilent)));
        let cordoned = cause::NodeCordoned { node: &"node-1" };
        facts.left_out.push(("node-1".to_owned(), cordoned.into()));
        assert_eq!(judge(&facts), (Outcome::Fail, Some(CauseId::NodeCordoned)));
        let mut closed = site.clone();
        closed.hosts.iter_mut().for_each(|host| host.schedulable = false);
        facts.left_out = vec![(
            "node-1".to_owned(),
            cause::NotSchedulable { node: &"node-1" }.into(),
        )];
        assert_eq!(
            judged::<Scale>(&facts, &expect(&closed, "node-1")),
            (Outcome::Skip, Some(CauseId::NotSchedulable))
        );
    }
}
