//! `network.veth`: each pod's veth is there, up, a port of the bridge, and its other end inside the pod.

use super::cni_bridge::{Facts, View};
use super::pods;
use crate::findings::{Cause, Evidence, Finding, Judged, Unjudged, cause};
use crate::protocol::{Interface, SandboxNetwork};
use crate::suite::fixtures::Fixture;
use crate::suite::{Check, Ctx, Expect, Member, Motion, Probe, Scope};

pub(super) const CHECK: Check = Check::of::<Veth>("network.veth", Scope::Worker)
    .wants(&[Fixture::Pods])
    .confirmed()
    .motion(Motion::Still);

struct Veth;

impl Probe for Veth {
    type Facts = Facts;

    async fn gather(ctx: &Ctx, member: &Member) -> Result<Facts, Unjudged> {
        Facts::gather(ctx, member).await
    }

    fn judge(facts: &Facts, expect: &Expect<'_>) -> Judged {
        let (view, bridge) = facts.bridge(expect)?;
        let host = &expect.host()?.name;
        if view.networks().next().is_none() {
            return Err(pods::needs(std::slice::from_ref(host)));
        }
        let wrong = view.networks().filter_map(|network| {
            let cause = wrong(view, network, bridge, host)?;
            Some(Finding::fail(cause).of(pod(network)))
        });
        Ok(wrong.collect())
    }

    fn evidence(facts: &Facts, _: &Expect<'_>) -> Vec<Evidence> {
        facts.evidence()
    }
}

fn pod(network: &SandboxNetwork) -> String {
    format!("{}/{}", network.sandbox.namespace, network.sandbox.name)
}

/// Returns what is wrong with a pod's veth.
fn wrong(view: &View, network: &SandboxNetwork, bridge: &str, host: &str) -> Option<Cause> {
    let (pod, bridge, host) = (&pod(network), &bridge, &host);
    let mut interfaces = network.interfaces.iter().flatten();
    let Some(inside) = interfaces.find(|interface| interface.kind == "veth") else {
        return Some(cause::PodInterfaceMissing { pod, host }.into());
    };
    let meets = |other: &&Interface| {
        other.kind == "veth" && Some(other.index) == inside.peer && other.peer == Some(inside.index)
    };
    let Some(veth) = view.interfaces.iter().find(meets) else {
        let interface = &inside.name;
        return Some(cause::VethMissing { interface, pod, host }.into());
    };
    let (up, master) = (veth.up && inside.up, veth.master.as_deref());
    let veth = &veth.name;
    if master != Some(*bridge) {
        Some(
            cause::VethUnplugged {
                veth,
                pod,
                host,
                bridge,
            }
            .into(),
        )
    } else if !up {
        Some(
            cause::VethDown {
                veth,
                pod,
                host,
                bridge,
            }
            .into(),
        )
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::network::cni_bridge::tests::{page, view};
    use crate::checks::testing::{expect, judged, site};
    use crate::findings::{CauseId, Outcome};

    fn judge(change: fn(&mut View)) -> (Outcome, Option<CauseId>) {
        let mut changed = view();
        change(&mut changed);
        let facts = Facts {
            cni: page(),
            view: Some(changed),
        };
        judged::<Veth>(&facts, &expect(&site(), "node-1"))
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
