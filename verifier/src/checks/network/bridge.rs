//! `network.bridge`: the CNI's bridge is up, holds the gateway address, and has one port a pod.

use super::cni_bridge::{Facts, View};
use super::pods;
use crate::findings::{Evidence, Finding, Judged, Unjudged, cause};
use crate::protocol::{CniReply, Interface, SandboxNetwork};
use crate::suite::fixtures::Fixture;
use crate::suite::{Check, Ctx, Expect, Member, Motion, Probe, Scope};

pub(super) const CHECK: Check = Check::of::<Bridge>("network.bridge", Scope::Worker)
    .wants(&[Fixture::Pods])
    .confirmed()
    .motion(Motion::Still);

struct Bridge;

impl Probe for Bridge {
    type Facts = Facts;

    async fn gather(ctx: &Ctx, member: &Member) -> Result<Facts, Unjudged> {
        Facts::gather(ctx, member).await
    }

    fn judge(facts: &Facts, expect: &Expect<'_>) -> Judged {
        let (view, name) = facts.bridge(expect)?;
        let host = &expect.host()?.name;
        // The bridge comes with the first pod.
        if view.interface(name).is_none() && view.networks().next().is_none() {
            return Err(pods::needs(std::slice::from_ref(host)));
        }
        Ok(findings(view, &facts.cni, name, host))
    }

    fn evidence(facts: &Facts, _: &Expect<'_>) -> Vec<Evidence> {
        facts.evidence()
    }
}

fn findings(view: &View, cni: &CniReply, name: &str, host: &str) -> Vec<Finding> {
    let (bridge, host) = (&name, &host);
    let found = view
        .interface(name)
        .filter(|interface| interface.kind == "bridge");
    let Some(found) = found else {
        return vec![Finding::fail(cause::BridgeMissing { bridge, host })];
    };
    let mut findings = Vec::new();
    if !found.up {
        findings.push(Finding::fail(cause::BridgeDown { bridge, host }));
    }
    let inside = |subnet: &ipnet::IpNet| found.addresses.iter().any(|own| subnet.contains(&own.addr()));
    if let Some(subnet) = cni.subnets.iter().find(|subnet| cni.gateway && !inside(subnet)) {
        findings.push(Finding::fail(cause::BridgeAddressMissing {
            bridge,
            host,
            network: subnet,
        }));
    }
    findings.extend(uneven(view, name, host));
    findings
}

/// Returns what is wrong where a bridge has more or fewer ports than there are pods, by port and by pod: where pods come and go
/// two counts differ all the time, and no port stays without its pod.
fn uneven(view: &View, bridge: &str, host: &str) -> Vec<Finding> {
    let (ports, pods) = (view.ports(bridge).count(), view.networks().count());
    let cause = || cause::BridgePorts {
        bridge: &bridge,
        host: &host,
        ports: &ports,
        pods: &pods,
    };
    if ports == pods {
        return Vec::new();
    }
    let leads = |network: &SandboxNetwork, port: &Interface| {
        let mut inside = network.interfaces.iter().flatten();
        inside.any(|inside| inside.peer == Some(port.index))
    };
    let stray = view
        .ports(bridge)
        .filter(|port| !view.networks().any(|network| leads(network, port)))
        .map(|port| Finding::fail(cause()).of(&port.name));
    let unplugged = view
        .networks()
        .filter(|network| !view.ports(bridge).any(|port| leads(network, port)))
        .map(|network| {
            let sandbox = &network.sandbox;
            Finding::fail(cause()).of(format_args!("{}/{}", sandbox.namespace, sandbox.name))
        });
    let mut found: Vec<Finding> = stray.chain(unplugged).collect();
    if found.is_empty() {
        found.push(Finding::fail(cause()));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::network::cni_bridge::tests::{page, view};
    use crate::checks::testing::{expect, judged, site};
    use crate::findings::{CauseId, Outcome};
    use crate::suite::Seen;

    fn facts(change: impl Fn(&mut View)) -> Facts {
        let mut changed = view();
        change(&mut changed);
        Facts {
            cni: page(),
            view: Some(changed),
        }
    }

    fn judge(change: impl Fn(&mut View)) -> (Outcome, Option<CauseId>) {
        judged::<Bridge>(&facts(change), &expect(&site(), "node-1"))
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
            CauseId::BridgeAddressMissing
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
    fn a_node_without_pods_has_no_bridge_yet() {
        let bare = |view: &mut View| {
            view.interfaces.truncate(1);
            view.runtime.sandboxes.clear();
        };
        assert_eq!(judge(bare), (Outcome::Skip, Some(CauseId::Needs)));
    }

    #[test]
    fn what_only_one_reading_shows_does_not_count() {
        let moving = |view: &mut View| view.interfaces[2].master = None;
        let judge = |again| {
            let seen = Seen {
                facts: serde_json::to_value(facts(moving)).unwrap().into(),
                again: Some(serde_json::to_value(again).unwrap().into()),
                depth: None,
            };
            CHECK.judge(&seen, &expect(&site(), "node-1")).outcome()
        };
        assert_eq!(judge(facts(|_| ())), Outcome::Pass);
        assert_eq!(judge(facts(moving)), Outcome::Fail);
        // Another port without a pod each time: pods come and go.
        let another = |view: &mut View| {
            let port = Interface {
                index: 99,
                name: "veth99".to_owned(),
                peer: Some(2),
                ..view.interfaces[2].clone()
            };
            view.interfaces.push(port);
        };
        assert_eq!(judge(facts(another)), Outcome::Pass);
    }
}
