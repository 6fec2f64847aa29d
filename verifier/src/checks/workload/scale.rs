//! `workload.scale`: scaled to the workers that take pods, one pod runs on each.

use super::deployment::{evidence, wrong_image};
use crate::cluster::PodFacts;
use crate::findings::{Cause, CauseId, Finding, Trouble, Verdict};
use crate::site::Host;
use crate::suite::fixtures::why::why;
use crate::suite::fixtures::{Fixture, Spread};
use crate::suite::{About, Check, Ctx, Expect, Member, Probe, Scope};

pub(super) const CHECK: Check = Check::of::<Scale>(About {
    id: "workload.scale",
    scope: Scope::Worker,
    needs: &[Fixture::Pods],
    permissions: &[],
    summary: "scaled over the workers, a pod runs on this one",
    explain: "Scales the Deployment to the number of workers that take pods; topologySpreadConstraints place one on \
each. Proves, worker by worker, that its kubelet starts the pod from the images on the node, and that it becomes \
ready.\n\nUsual causes of failure, in order: the image or the sandbox image is not on this node; its kubelet is dead; \
its CNI is not configured; the node is cordoned or tainted.\n\nWhere to look: `kubectl describe pod`; the journal of \
the kubelet and of containerd on the node. A node that is closed on purpose (schedulable: false) is skipped.",
    by_hand: "kubectl scale deployment nginx --replicas=2; kubectl get pods -o wide",
});

struct Scale;

impl Probe for Scale {
    type Facts = Spread;

    async fn gather(ctx: &Ctx, _: &Member) -> Result<Spread, Trouble> {
        ctx.fixtures().spread(ctx).await
    }

    fn judge(facts: &Spread, expect: &Expect<'_>) -> Verdict {
        let node = expect.host.map(Host::node).unwrap_or_default();
        if let Some((_, reason)) = facts.left_out.iter().find(|(name, _)| name == node) {
            let cause = Cause::new(CauseId::NotSchedulable)
                .with("node", node)
                .with("reason", reason);
            return Trouble::skip(cause).into();
        }
        let here: Vec<&PodFacts> = facts
            .pods
            .iter()
            .filter(|pod| pod.node.as_deref() == Some(node))
            .collect();
        let up: Vec<&PodFacts> = here.iter().filter(|pod| pod.is_up()).copied().collect();
        if !up.is_empty() {
            let wrong = up
                .iter()
                .filter_map(|pod| wrong_image(pod, &facts.image, expect.index))
                .collect();
            return Verdict::of(wrong).with(evidence(&facts.pods, &[]));
        }
        let stuck = here.iter().find_map(|pod| why(pod, &facts.events, &facts.silent));
        let unplaced = facts.pods.iter().find(|pod| pod.node.is_none());
        let cause = stuck
            .or_else(|| unplaced.and_then(|pod| why(pod, &facts.events, &facts.silent)))
            .unwrap_or_else(|| Cause::new(CauseId::PodMissing).with("node", node));
        Verdict::of(vec![Finding::fail(cause)]).with(evidence(&facts.pods, &facts.events))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::testing::{expect, seen, site};
    use crate::cluster::DeploymentFacts;
    use crate::findings::Outcome;
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
        let judge = |host| seen(&Scale::judge(&facts, &expect(&site, host)));
        assert_eq!(judge("node-0"), (Outcome::Pass, None));
        assert_eq!(judge("node-1"), (Outcome::Fail, Some(CauseId::ImageNeverPull)));
    }

    #[test]
    fn a_worker_without_a_pod_fails_and_one_that_takes_none_is_skipped() {
        let site = site();
        let mut facts = facts(vec![pod("a", "node-0", "10.200.0.2")]);
        let judge = |facts: &Spread| seen(&Scale::judge(facts, &expect(&site, "node-1")));
        assert_eq!(judge(&facts), (Outcome::Fail, Some(CauseId::PodMissing)));
        let mut unplaced = waiting("b", "", "");
        unplaced.node = None;
        facts.pods.push(unplaced);
        assert_eq!(judge(&facts), (Outcome::Fail, Some(CauseId::SchedulerSilent)));
        facts
            .left_out
            .push(("node-1".to_owned(), "it is cordoned".to_owned()));
        assert_eq!(judge(&facts), (Outcome::Skip, Some(CauseId::NotSchedulable)));
    }
}
