//! `network.bridge`: the CNI's bridge is up, holds the gateway address, and has one port a pod.

use super::cni_bridge::{Facts, View};
use crate::findings::{Cause, CauseId, Finding, Trouble, Verdict};
use crate::protocol::CniReply;
use crate::suite::fixtures::Fixture;
use crate::suite::{About, Check, Ctx, Expect, Member, Probe, Scope};

pub(super) const CHECK: Check = Check::of::<Bridge>(About {
    id: "network.bridge",
    scope: Scope::Worker,
    needs: &[Fixture::Pods],
    permissions: &[],
    summary: "the pods' bridge is up, has the gateway address and a port for each pod",
    explain: "Reads the CNI's configuration of the node, and where it says bridge, the bridge itself: it must exist, be \
up, hold an address of the network that the CNI gives its pods addresses of, and have as many ports as the container \
runtime has pods with a network of their own. A difference counts only if a second reading 3 s later shows it too.\n\n\
Usual causes of failure, in order: somebody set the bridge down, or a network manager did because it takes every \
interface for its own; the CNI's configuration was changed while the bridge still has the old address; leftovers of \
pods whose sandboxes were not taken down.\n\nWhere to look: `ip addr show cni0` and `bridge link` on the node, \
/etc/cni/net.d, `journalctl -u containerd`. Where another CNI is in use the check is skipped and names it.",
    by_hand: "ssh {host} 'ip addr show cni0; ip link show master cni0' (or brctl show)",
});

struct Bridge;

impl Probe for Bridge {
    type Facts = Facts;

    async fn gather(ctx: &Ctx, member: &Member) -> Result<Facts, Trouble> {
        Facts::gather(ctx, member, findings).await
    }

    fn judge(facts: &Facts, expect: &Expect<'_>) -> Verdict {
        facts.judge(expect, findings, |view, name| {
            view.interface(name).is_none() && view.networks().next().is_none()
        })
    }
}

fn findings(view: &View, cni: &CniReply, name: &str, host: &str) -> Vec<Finding> {
    let of = |id| Cause::new(id).with("bridge", name).with("host", host);
    let found = view
        .interface(name)
        .filter(|interface| interface.kind == "bridge");
    let Some(found) = found else {
        return vec![Finding::fail(of(CauseId::BridgeMissing))];
    };
    let mut findings = Vec::new();
    if !found.up {
        findings.push(Finding::fail(of(CauseId::BridgeDown)));
    }
    let inside = |subnet: &ipnet::IpNet| found.addresses.iter().any(|own| subnet.contains(&own.addr()));
    if let Some(subnet) = cni.subnets.iter().find(|subnet| cni.gateway && !inside(subnet)) {
        findings.push(Finding::fail(of(CauseId::BridgeAddress).with("network", subnet)));
    }
    let (ports, pods) = (view.ports(name).count(), view.networks().count());
    if ports != pods {
        findings.push(Finding::fail(
            of(CauseId::BridgePorts).with("ports", ports).with("pods", pods),
        ));
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::network::cni_bridge::tests::{page, view};
    use crate::checks::testing::{expect, seen, site};
    use crate::checks::twice::Twice;
    use crate::findings::Outcome;

    fn judge(change: impl Fn(&mut View)) -> (Outcome, Option<CauseId>) {
        let mut changed = view();
        change(&mut changed);
        let mut again = view();
        change(&mut again);
        let facts = Facts {
            cni: page(),
            views: Some(Twice::of(changed, Some(again))),
        };
        let site = site();
        seen(&Bridge::judge(&facts, &expect(&site, "node-1")))
    }

    #[test]
    fn the_page_s_bridge_passes_and_the_host_s_own_pods_need_no_port() {
        assert_eq!(judge(|_| ()), (Outcome::Pass, None));
    }

    #[test]
    fn each_thing_wrong_with_the_bridge_has_its_cause() {
        let fails = |change: fn(&mut View)| {
            let (outcome, cause) = judge(change);
            assert_eq!(outcome, Outcome::Fail);
            cause.unwrap()
        };
        assert_eq!(fails(|view| view.interfaces[1].up = false), CauseId::BridgeDown);
        assert_eq!(
            fails(|view| view.interfaces[1].addresses.clear()),
            CauseId::BridgeAddress
        );
        assert_eq!(
            fails(|view| view.interfaces[2].master = None),
            CauseId::BridgePorts
        );
        assert_eq!(
            fails(|view| view.interfaces[1].kind.clear()),
            CauseId::BridgeMissing
        );
    }

    #[test]
    fn what_only_one_reading_shows_does_not_count() {
        let mut moving = view();
        moving.interfaces[2].master = None;
        let facts = Facts {
            cni: page(),
            views: Some(Twice::of(moving, Some(view()))),
        };
        let site = site();
        assert_eq!(
            seen(&Bridge::judge(&facts, &expect(&site, "node-1"))),
            (Outcome::Pass, None)
        );
    }
}
