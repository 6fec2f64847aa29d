//! `network.pod-to-pod`: HTTP from inside a pod of this node to a pod of every other.

use super::path_trace::Origin;
use super::pod_reachable::Facts;
use super::pods;
use crate::findings::{Cause, CauseId, Trouble, Verdict};
use crate::protocol::Place;
use crate::suite::fixtures::Fixture;
use crate::suite::{About, Check, Ctx, Expect, Member, Probe, Scope};

pub(super) const CHECK: Check = Check::of::<PodToPod>(About {
    id: "network.pod-to-pod",
    scope: Scope::Worker,
    needs: &[Fixture::Pods],
    permissions: &[],
    summary: "pods of every other node answer HTTP from inside a pod of this one",
    explain: "Enters the network namespace of the suite's pod on this node and asks the pods of all nodes for their page, \
by their own addresses: this is what pods do to each other, and no tool in the image is needed for it. Between nodes \
it proves the pod's veth and bridge, forwarding and the packet filter on both nodes, the routes, and the way back.\n\n\
Usual causes of failure, in order: the FORWARD chain of a node drops what no rule accepts (Docker and firewalls set \
its policy to DROP); net.ipv4.ip_forward is off; a route to a pod network is missing; the bridge is down.\n\nWhere to \
look: `iptables -S FORWARD`, `sysctl net.ipv4.ip_forward` and `ip route` on both nodes. Where network.pod-reachable \
passes and this fails, look at what concerns forwarded packets only: the FORWARD chain of the node that the pod is on.",
    by_hand: "kubectl exec POD_ON_{host} -- curl -s http://OTHER_POD_IP | grep title",
});

struct PodToPod;

impl Probe for PodToPod {
    type Facts = Facts;

    async fn gather(ctx: &Ctx, member: &Member) -> Result<Facts, Trouble> {
        let host = ctx.host(member)?;
        let spread = ctx.fixtures().spread(ctx).await?;
        if let Some((_, reason)) = spread.left_out.iter().find(|(node, _)| node == host.node()) {
            let cause = Cause::new(CauseId::NotSchedulable).with("node", host.node());
            return Err(Trouble::skip(cause.with("reason", reason)));
        }
        let here = pods::up(&spread.pods).find(|(pod, _)| pod.node.as_deref() == Some(host.node()));
        let Some((pod, _)) = here else {
            return Err(pods::needs(&[host.node().to_owned()]));
        };
        let runtime = pods::of_runtime(ctx, host).await?;
        let ready = runtime
            .sandboxes
            .iter()
            .map(|network| &network.sandbox)
            .filter(|sandbox| sandbox.ready);
        let Some(sandbox) = ready.into_iter().find(|sandbox| sandbox.uid == pod.uid) else {
            return Err(Trouble::error(
                Cause::new(CauseId::SandboxUnknown).with("pod", &pod.name),
            ));
        };
        let others = pods::up(&spread.pods).filter(|(other, _)| other.uid != pod.uid);
        let asks = others.map(|other| {
            let from = Place::Sandbox(sandbox.id.clone());
            pods::ask(ctx, &host.name, from, other)
        });
        let asked = futures::future::try_join_all(asks).await?;
        Ok(Facts::of(ctx, host, asked, &spread).await)
    }

    fn judge(facts: &Facts, expect: &Expect<'_>) -> Verdict {
        let alone = facts.asked.is_empty() && facts.without.is_empty();
        if alone {
            // A cluster of one worker has no other node to reach.
            return Trouble::skip(Cause::new(CauseId::OneNode)).into();
        }
        facts.judge(Origin::Pod, expect)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::network::pods::tests::{answer, asked};
    use crate::checks::network::pods::{Asked, TITLE};
    use crate::checks::testing::{expect, seen, site};
    use crate::findings::Outcome;
    use crate::protocol::HttpReply;

    fn judge(asked: Vec<Asked>, without: &[&str]) -> (Outcome, Option<CauseId>) {
        let facts = Facts {
            asked,
            without: without.iter().map(|node| (*node).to_owned()).collect(),
            way: None,
        };
        let site = site();
        seen(&PodToPod::judge(&facts, &expect(&site, "node-0")))
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
