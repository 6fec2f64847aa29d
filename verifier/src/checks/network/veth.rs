//! `network.veth`: each pod's veth is there, up, a port of the bridge, and its other end inside the pod.

use super::cni_bridge::{Facts, View};
use crate::findings::{Cause, CauseId, Finding, Trouble, Verdict};
use crate::protocol::{CniReply, SandboxNetwork};
use crate::suite::fixtures::Fixture;
use crate::suite::{About, Check, Ctx, Expect, Member, Probe, Scope};

pub(super) const CHECK: Check = Check::of::<Veth>(About {
    id: "network.veth",
    scope: Scope::Worker,
    needs: &[Fixture::Pods],
    permissions: &[],
    summary: "each pod's veth is up, a port of the bridge, its other end in the pod",
    explain: "Enters the network namespace of every pod of this node that has one of its own, finds the pod's interface \
and follows it to its other end on the host: both ends must name each other, the host's end must be up and have the \
CNI's bridge as its master. A difference counts only if a second reading 3 s later shows it too, by the pod's UID.\n\n\
Usual causes of failure, in order: a network manager on the host took the veth for its own; somebody removed it from \
the bridge; the bridge was made anew while pods ran, so that their veths belong to none.\n\nWhere to look: `ip link \
show master cni0` and `ip -d link` on the node; deleting the pod makes a new veth. Where another CNI is in use the check \
is skipped and names it.",
    by_hand: "ssh {host} 'ip addr; ip link show master cni0'",
});

struct Veth;

impl Probe for Veth {
    type Facts = Facts;

    async fn gather(ctx: &Ctx, member: &Member) -> Result<Facts, Trouble> {
        Facts::gather(ctx, member, findings).await
    }

    fn judge(facts: &Facts, expect: &Expect<'_>) -> Verdict {
        facts.judge(expect, findings, |view, _| view.networks().next().is_none())
    }
}

fn findings(view: &View, _: &CniReply, bridge: &str, host: &str) -> Vec<Finding> {
    view.networks()
        .filter_map(|network| wrong(view, network, bridge, host))
        .map(Finding::fail)
        .collect()
}

/// Returns what is wrong with a pod's veth.
fn wrong(view: &View, network: &SandboxNetwork, bridge: &str, host: &str) -> Option<Cause> {
    let sandbox = &network.sandbox;
    let of = |id| {
        let pod = format!("{}/{}", sandbox.namespace, sandbox.name);
        Cause::new(id).with("pod", pod).with("host", host)
    };
    let inside = network
        .interfaces
        .iter()
        .flatten()
        .find(|interface| interface.kind == "veth");
    let Some(inside) = inside else {
        return Some(of(CauseId::PodInterfaceMissing));
    };
    let meets = |other: &&crate::protocol::Interface| {
        other.kind == "veth" && Some(other.index) == inside.peer && other.peer == Some(inside.index)
    };
    let Some(veth) = view.interfaces.iter().find(meets) else {
        return Some(of(CauseId::VethMissing).with("interface", &inside.name));
    };
    let with = |id| of(id).with("veth", &veth.name).with("bridge", bridge);
    if veth.master.as_deref() != Some(bridge) {
        Some(with(CauseId::VethUnplugged))
    } else if !veth.up || !inside.up {
        Some(with(CauseId::VethDown))
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::network::cni_bridge::tests::{page, view};
    use crate::checks::testing::{expect, seen, site};
    use crate::checks::twice::Twice;
    use crate::findings::Outcome;

    fn judge(change: fn(&mut View)) -> (Outcome, Option<CauseId>) {
        let mut changed = view();
        change(&mut changed);
        let facts = Facts {
            cni: page(),
            views: Some(Twice::of(changed, None)),
        };
        let site = site();
        seen(&Veth::judge(&facts, &expect(&site, "node-1")))
    }

    #[test]
    fn the_page_s_veth_passes() {
        assert_eq!(judge(|_| ()), (Outcome::Pass, None));
    }

    #[test]
    fn each_thing_wrong_with_a_veth_has_its_cause() {
        let fails = |change: fn(&mut View)| {
            let (outcome, cause) = judge(change);
            assert_eq!(outcome, Outcome::Fail);
            cause.unwrap()
        };
        assert_eq!(
            fails(|view| view.interfaces[2].master = None),
            CauseId::VethUnplugged
        );
        assert_eq!(fails(|view| view.interfaces[2].up = false), CauseId::VethDown);
        assert_eq!(
            fails(|view| view.interfaces[2].peer = Some(7)),
            CauseId::VethMissing
        );
        assert_eq!(
            fails(|view| view.runtime.sandboxes[0].interfaces = None),
            CauseId::PodInterfaceMissing
        );
    }

    #[test]
    fn a_node_without_pods_is_no_pass() {
        assert_eq!(
            judge(|view| view.runtime.sandboxes.clear()),
            (Outcome::Skip, Some(CauseId::Needs))
        );
    }
}
