//! `network.routes`: every other node's pod network is routed to it, and workers forward.

use std::collections::BTreeMap;
use std::net::IpAddr;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use super::path_trace::{self, NextHop, forwarding, next_hop, route_cause};
use super::pods::{self, Asked};
use crate::findings::{Cause, CauseId, Evidence, Finding, Trouble, Verdict};
use crate::protocol::{Place, Route, Routes, Sysctls};
use crate::site::{Host, Role, Site};
use crate::suite::fixtures::Fixture;
use crate::suite::{About, Check, Ctx, Expect, Member, Probe, Scope};

pub(super) const CHECK: Check = Check::of::<PodRoutes>(About {
    id: "network.routes",
    scope: Scope::Host,
    needs: &[Fixture::Pods],
    permissions: &[],
    summary: "every other node's pod network is routed to it; workers forward",
    explain: "Reads the host's routes and proves that the pod network of every other node, as the site file has it, is \
routed to that node's address, and that a worker forwards packets (net.ipv4.ip_forward, for IPv6 \
net.ipv6.conf.all.forwarding). Where pods are reached in another way (an overlay, BGP, a gateway) the way is stated as \
evidence and passes; it fails only where that node's pod does not answer from here.\n\nUsual causes of failure, in \
order: the routes were set by hand and did not survive a restart; a node was added and the others were not told; the \
next hop is of another node; a hardening guide switched forwarding off.\n\nWhere to look: `ip route` on the host, and \
where its routes are configured (/etc/network/interfaces, netplan, systemd-networkd); `sysctl net.ipv4.ip_forward`.",
    by_hand: "ssh {host} 'ip route; sysctl net.ipv4.ip_forward'",
});

struct PodRoutes;

#[derive(Serialize, Deserialize)]
struct Facts {
    routes: Vec<Route>,
    /// The values of the switches of forwarding.
    forwarding: BTreeMap<String, Option<String>>,
    /// The pods of the networks that have no route to their node, as they answered.
    asked: Vec<Asked>,
}

impl Probe for PodRoutes {
    type Facts = Facts;

    async fn gather(ctx: &Ctx, member: &Member) -> Result<Facts, Trouble> {
        let host = ctx.host(member)?;
        let keys = networks(&ctx.site).map(|(_, network)| forwarding(network.addr()).to_owned());
        let mut keys: Vec<String> = keys.collect();
        keys.sort();
        keys.dedup();
        let (routes, values) = futures::join!(
            ctx.ask(&host.name, Routes {}),
            ctx.ask(&host.name, Sysctls { keys })
        );
        let routes = routes?;
        let odd: Vec<&Host> = odd(&routes, host, &ctx.site).map(|(node, _, _)| node).collect();
        let asked = if odd.is_empty() {
            Vec::new()
        } else {
            let spread = ctx.fixtures().spread(ctx).await?;
            let theirs = pods::up(&spread.pods)
                .filter(|(pod, _)| odd.iter().any(|node| pod.node.as_deref() == Some(node.node())));
            let asks = theirs.map(|pod| pods::ask(ctx, &host.name, Place::Host, pod));
            futures::future::try_join_all(asks).await?
        };
        Ok(Facts {
            routes,
            forwarding: values?,
            asked,
        })
    }

    fn judge(facts: &Facts, expect: &Expect<'_>) -> Verdict {
        let Some(host) = expect.host else {
            return Trouble::internal(&"no host to judge").into();
        };
        let lines: Vec<String> = facts.routes.iter().map(path_trace::line).collect();
        let evidence = Evidence::lines("routes", &lines)
            .into_iter()
            .chain(pods::evidence(&facts.asked));
        let mut findings = facts.forwarding(host);
        let mut unknown = Vec::new();
        let mut others = Vec::new();
        for (node, network, hop) in odd(&facts.routes, host, expect.site) {
            let answers: Vec<&Asked> = facts
                .asked
                .iter()
                .filter(|asked| asked.node == node.node())
                .collect();
            let cause = route_cause(&hop, (host, node), &network);
            match cause {
                _ if !answers.is_empty() && answers.iter().all(|asked| asked.is_right()) => {
                    others.push(format!(
                        "{network} of {} answers by another way: {}",
                        node.name,
                        stated(&hop)
                    ));
                }
                Some(cause) if !answers.is_empty() => findings.push(Finding::fail(cause)),
                None if !answers.is_empty() => {
                    let cause = Cause::new(CauseId::WaySilent).with("host", &host.name);
                    let cause = cause.with("node", node.node()).with("network", network);
                    findings.push(Finding::fail(cause.with("way", stated(&hop))));
                }
                _ => unknown.push(node.node().to_owned()),
            }
        }
        let evidence: Vec<Evidence> = evidence.chain(Evidence::lines("other ways", &others)).collect();
        if findings.is_empty() && !unknown.is_empty() {
            return Verdict::from(pods::needs(&unknown)).with(evidence);
        }
        if findings.is_empty() && networks(expect.site).next().is_none() {
            return Verdict::from(Trouble::skip(Cause::new(CauseId::PodNetworksUnknown))).with(evidence);
        }
        Verdict::of(findings).with(evidence)
    }
}

/// Returns each worker's pod networks, as the site file has them.
fn networks(site: &Site) -> impl Iterator<Item = (&Host, IpNet)> {
    let workers = site.with_role(Role::Worker);
    workers.flat_map(|host| host.pod_cidrs.iter().map(move |network| (host, *network)))
}

/// Returns the pod networks of other nodes that no route leads to through the node.
fn odd<'a>(
    routes: &'a [Route],
    host: &'a Host,
    site: &'a Site,
) -> impl Iterator<Item = (&'a Host, IpNet, NextHop<'a>)> {
    let others = networks(site).filter(|(node, _)| node.name != host.name);
    let ways = others.map(|(node, network)| (node, network, next_hop(routes, first(network), &node.ips())));
    ways.filter(|(_, _, hop)| *hop != NextHop::Node)
}

/// Returns the first address of a network that a pod may have.
fn first(network: IpNet) -> IpAddr {
    network.hosts().nth(1).unwrap_or_else(|| network.addr())
}

fn stated(hop: &NextHop<'_>) -> String {
    match hop {
        NextHop::Node => "through the node".to_owned(),
        NextHop::None => "by the default route, or by a way that is not in the main table".to_owned(),
        NextHop::Other(via) => format!("via {via}"),
        NextHop::Route(route) => path_trace::line(route),
    }
}

impl Facts {
    /// Returns the switches that are off on a host that forwards for its pods.
    fn forwarding(&self, host: &Host) -> Vec<Finding> {
        let off = self
            .forwarding
            .iter()
            .filter(|(_, value)| value.as_deref() == Some("0"));
        let worker = host.roles.contains(&Role::Worker);
        let cause = |key: &String| {
            Cause::new(CauseId::ForwardingOff)
                .with("host", &host.name)
                .with("key", key)
        };
        off.filter(|_| worker)
            .map(|(key, _)| Finding::fail(cause(key)))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::network::path_trace::tests::route;
    use crate::checks::network::pods::TITLE;
    use crate::checks::network::pods::tests::{answer, asked};
    use crate::checks::testing::{expect, seen, site};
    use crate::findings::Outcome;
    use crate::protocol::HttpReply;

    fn judge(host: &str, routes: &[Route], asked: Vec<Asked>) -> (Outcome, Option<CauseId>) {
        let facts = Facts {
            routes: routes.to_vec(),
            forwarding: [("net.ipv4.ip_forward".to_owned(), Some("1".to_owned()))].into(),
            asked,
        };
        let site = site();
        seen(&PodRoutes::judge(&facts, &expect(&site, host)))
    }

    fn page() -> Vec<Route> {
        vec![
            route("192.168.10.0/24", None),
            route("10.200.0.0/24", Some("192.168.10.101")),
            route("10.200.1.0/24", Some("192.168.10.102")),
        ]
    }

    fn silent() -> HttpReply {
        HttpReply::Silent { connected: false }
    }

    #[test]
    fn the_page_s_routes_pass_on_every_host() {
        assert_eq!(judge("server", &page(), Vec::new()), (Outcome::Pass, None));
        assert_eq!(judge("node-1", &page()[..2], Vec::new()), (Outcome::Pass, None));
    }

    #[test]
    fn a_route_that_is_missing_or_wrong_fails_where_the_pod_does_not_answer() {
        let missing = &page()[..2];
        assert_eq!(
            judge("server", missing, vec![asked(silent())]),
            (Outcome::Fail, Some(CauseId::RouteMissing))
        );
        let wrong = [route("10.200.0.0/16", Some("192.168.10.101"))];
        assert_eq!(
            judge("server", &wrong, vec![asked(silent())]),
            (Outcome::Fail, Some(CauseId::RouteWrong))
        );
    }

    #[test]
    fn an_overlay_whose_pod_does_not_answer_fails() {
        let tunnel = Route {
            device: Some("flannel.1".to_owned()),
            ..route("10.200.0.0/16", None)
        };
        assert_eq!(
            judge("server", &[tunnel], vec![asked(silent())]),
            (Outcome::Fail, Some(CauseId::WaySilent))
        );
    }

    #[test]
    fn another_way_that_works_passes_and_one_that_nobody_tried_is_no_pass() {
        let missing = &page()[..2];
        assert_eq!(
            judge("server", missing, vec![asked(answer(200, TITLE))]),
            (Outcome::Pass, None)
        );
        assert_eq!(
            judge("server", missing, Vec::new()),
            (Outcome::Skip, Some(CauseId::Needs))
        );
    }

    #[test]
    fn a_worker_that_does_not_forward_fails_and_a_control_plane_host_need_not() {
        let facts = Facts {
            routes: page(),
            forwarding: [("net.ipv4.ip_forward".to_owned(), Some("0".to_owned()))].into(),
            asked: Vec::new(),
        };
        let site = site();
        let judge = |host| seen(&PodRoutes::judge(&facts, &expect(&site, host)));
        assert_eq!(judge("node-1"), (Outcome::Fail, Some(CauseId::ForwardingOff)));
        assert_eq!(judge("server"), (Outcome::Pass, None));
    }
}
