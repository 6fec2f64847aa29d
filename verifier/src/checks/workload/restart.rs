//! `workload.restart`: a container that ends is started again, and a deleted pod is replaced, on this node.

use std::collections::BTreeSet;

use crate::cluster::{ContainerFacts, EventFacts, Permission};
use crate::findings::{Evidence, Finding, Judged, Unjudged, cause, phrase};
use crate::suite::fixtures::why::why;
use crate::suite::fixtures::{Fixture, Restarted};
use crate::suite::{Check, Ctx, Expect, Member, Motion, Probe, Scope};

pub(super) const CHECK: Check = Check::of::<Restart>("workload.restart", Scope::Worker)
    .needs(&[Fixture::Pods])
    .permissions(&[
        Permission::within("create", "", "pods/exec"),
        Permission::within("get", "", "pods/exec"),
    ])
    .motion(Motion::Moves);

struct Restart;

impl Probe for Restart {
    type Facts = Restarted;

    async fn gather(ctx: &Ctx, member: &Member) -> Result<Restarted, Unjudged> {
        let node = ctx.host(member)?.node();
        ctx.fixtures().spread(ctx).await?.takes(node)?;
        let restarts = ctx.fixtures().restarts(ctx).await?;
        let needs = || {
            let what = format!("{} ({node})", Fixture::Pods.owner());
            Unjudged::skip(cause::Needs { what: &what })
        };
        restarts.by.get(node).cloned().ok_or_else(needs)
    }

    fn judge(facts: &Restarted, expect: &Expect<'_>) -> Judged {
        let node = &expect.host()?.node();
        let mut findings: Vec<Finding> = facts.unreplaced(node).into_iter().collect();
        match facts.unrestarted(node) {
            Ok(finding) => findings.extend(finding),
            // What could not be taken away proves nothing.
            Err(unjudged) if findings.is_empty() => return Err(unjudged),
            Err(_) => {}
        }
        Ok(findings)
    }

    fn evidence(facts: &Restarted, _: &Expect<'_>) -> Vec<Evidence> {
        let millis =
            |millis: Option<u64>| millis.map_or_else(|| "-".to_owned(), |millis| format!("{millis} ms"));
        let successor = facts.successor.as_ref().map_or("-", |pod| &pod.name);
        let lines = [
            format!(
                "nginx -s stop {}: {}",
                facts.ended.name,
                millis(facts.restarted_millis)
            ),
            format!("delete pod, {successor}: {}", millis(facts.replaced_millis)),
        ];
        let events = facts.events.iter().map(EventFacts::line);
        let evidence = [
            Evidence::lines(phrase::Restarts, lines),
            Evidence::lines(phrase::Events, events),
        ];
        evidence.into_iter().flatten().collect()
    }
}

impl Restarted {
    /// Returns what is wrong with the container that was ended.
    fn unrestarted(&self, node: &str) -> Result<Option<Finding>, Unjudged> {
        if self.restarted_millis.is_some() {
            return Ok(None);
        }
        let container = self.ended.containers.first();
        let ended = container.is_some_and(|one| !one.running || one.restarts > self.before);
        if !ended {
            // It runs as it did: it was not ended at all. Why not, the check of such commands says.
            return Err(Unjudged::skip(cause::Needs {
                what: &"kubectl.exec",
            }));
        }
        let state = container.map(state).unwrap_or_default();
        let cause = cause::ContainerNotRestarted {
            pod: &self.ended.name,
            node: &node,
            seconds: &self.seconds(),
            state: &state,
        };
        Ok(Some(Finding::fail(cause).of(&self.ended.name)))
    }

    /// Returns what is wrong with what came in the place of the pod that was deleted.
    fn unreplaced(&self, node: &str) -> Option<Finding> {
        if let Some(reason) = &self.undeleted {
            return Some(Finding::error(reason.clone()));
        }
        let seconds = &self.seconds();
        if self.replaced_millis.is_none() {
            let reason = self.successor.as_ref();
            let reason = reason.and_then(|pod| why(pod, &self.events, &BTreeSet::new()));
            return Some(Finding::fail(
                reason.unwrap_or_else(|| cause::PodNotReplaced { node: &node, seconds }.into()),
            ));
        }
        (!self.gone).then(|| Finding::fail(cause::PodStaysTerminating { node: &node, seconds }))
    }

    const fn seconds(&self) -> u64 {
        self.waited_millis / 1000
    }
}

/// Returns a container's state in the kubelet's words.
fn state(container: &ContainerFacts) -> String {
    let words = [container.reason.as_str(), container.message.as_str()];
    let words: Vec<&str> = words.into_iter().filter(|word| !word.is_empty()).collect();
    if words.is_empty() {
        return "-".to_owned();
    }
    words.join(": ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::testing::{expect, judged, site};
    use crate::findings::{CauseId, Outcome};
    use crate::suite::fixtures::why::tests::{pod, waiting};

    fn back() -> Restarted {
        let mut ended = pod("restart-a", "node-1", "10.200.1.3");
        ended.containers[0].restarts = 1;
        Restarted {
            ended,
            before: 0,
            unended: None,
            restarted_millis: Some(1200),
            deleted: "b".to_owned(),
            undeleted: None,
            successor: Some(pod("restart-c", "node-1", "10.200.1.5")),
            replaced_millis: Some(2100),
            gone: true,
            waited_millis: 30_000,
            events: Vec::new(),
        }
    }

    fn judge(change: impl FnOnce(&mut Restarted)) -> (Outcome, Option<CauseId>) {
        let mut facts = back();
        change(&mut facts);
        judged::<Restart>(&facts, &expect(&site(), "node-1"))
    }

    #[test]
    fn what_comes_back_passes() {
        assert_eq!(judge(|_| {}), (Outcome::Pass, None));
    }

    #[test]
    fn a_container_that_stays_away_fails_and_one_that_could_not_be_ended_proves_nothing() {
        let stays = judge(|facts| {
            facts.restarted_millis = None;
            facts.ended = waiting("restart-a", "node-1", "RunContainerError");
        });
        assert_eq!(stays, (Outcome::Fail, Some(CauseId::ContainerNotRestarted)));
        let untouched = judge(|facts| {
            facts.restarted_millis = None;
            facts.ended = pod("restart-a", "node-1", "10.200.1.3");
        });
        assert_eq!(untouched, (Outcome::Skip, Some(CauseId::Needs)));
    }

    #[test]
    fn a_pod_that_is_not_replaced_or_does_not_go_fails_with_what_keeps_it() {
        let none = judge(|facts| {
            facts.replaced_millis = None;
            facts.successor = None;
        });
        assert_eq!(none, (Outcome::Fail, Some(CauseId::PodNotReplaced)));
        let broken = judge(|facts| {
            facts.replaced_millis = None;
            facts.successor = Some(waiting("restart-c", "node-1", "ErrImageNeverPull"));
        });
        assert_eq!(broken, (Outcome::Fail, Some(CauseId::ImageNeverPull)));
        let stays = judge(|facts| facts.gone = false);
        assert_eq!(stays, (Outcome::Fail, Some(CauseId::PodStaysTerminating)));
    }
}
