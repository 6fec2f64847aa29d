//! `network.routes`: every other node's pod network is routed to it, and workers forward.

use std::collections::BTreeMap;
use std::net::IpAddr;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use super::path_trace::{self, NextHop, best, forwarding, next_hop, route_cause};
use super::pods::{self, Asked};
use crate::cluster::PodFacts;
use crate::findings::{Cause, Evidence, Finding, Judged, Unjudged, cause, phrase};
use crate::protocol::{Place, Route, Routes, Sysctls};
use crate::site::{Host, Role, Site};
use crate::suite::fixtures::Fixture;
use crate::suite::{Check, Ctx, Expect, Member, Probe, Scope};

pub(super) const CHECK: Check = Check::of::<PodRoutes>("network.routes", Scope::Host).wants(&[Fixture::Pods]);

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

    async fn gather(ctx: &Ctx, member: &Member) -> Result<Facts, Unjudged> {
        let host = ctx.host(member)?;
        let keys = networks(&ctx.site).map(|(_, network)| forwarding(network.addr()).to_owned());
        let mut keys: Vec<String> = keys.collect();
        keys.sort();
        keys.dedup();
        let (routes, values) = futures::join!(
            ctx.ask(&host.name, Routes {}),
            ctx.ask(&host.name, Sysctls { keys })
        );
        let (routes, forwarding) = (routes?, values?);
        let odd: Vec<&str> = odd(&routes, host, &ctx.site).map(|odd| odd.node.node()).collect();
        let pods = if odd.is_empty() {
            Vec::new()
        } else {
            // Whether another way leads there only a pod can tell; the rest needs none.
            let spread = ctx.fixtures().spread(ctx).await;
            spread.map(|spread| spread.pods).unwrap_or_default()
        };
        let theirs = |pod: &PodFacts| pod.node.as_deref().is_some_and(|node| odd.contains(&node));
        let asks = pods::up(&pods)
            .filter(|(pod, _)| theirs(pod))
            .map(|pod| pods::ask(ctx, &host.name, Place::Host, pod));
        Ok(Facts {
            asked: futures::future::try_join_all(asks).await?,
            routes,
            forwarding,
        })
    }

    fn judge(facts: &Facts, expect: &Expect<'_>) -> Judged {
        let host = expect.host()?;
        let mut findings = facts.forwarding(host);
        let mut unknown = Vec::new();
        for odd in odd(&facts.routes, host, expect.site) {
            match facts.works(odd.node) {
                Some(true) => {}
                Some(false) => findings.push(Finding::fail(odd.cause(host)).of(odd.node.node())),
                None => unknown.push(odd.node.node().to_owned()),
            }
        }
        if !findings.is_empty() {
            Ok(findings)
        } else if !unknown.is_empty() {
            Err(pods::needs(&unknown))
        } else if networks(expect.site).next().is_none() {
            Err(Unjudged::skip(cause::PodNetworksUnknown))
        } else {
            Ok(findings)
        }
    }

    fn evidence(facts: &Facts, expect: &Expect<'_>) -> Vec<Evidence> {
        let odd = expect
            .host
            .into_iter()
            .flat_map(|host| odd(&facts.routes, host, expect.site));
        let others = odd
            .filter(|odd| facts.works(odd.node) == Some(true))
            .map(|odd| format!("{} {}: {}", odd.node.name, odd.network, odd.line()));
        let evidence = [
            Evidence::lines(phrase::Routes, facts.routes.iter().map(path_trace::line)),
            pods::evidence(&facts.asked),
            Evidence::lines(phrase::OtherWays, others),
        ];
        evidence.into_iter().flatten().collect()
    }
}

/// Returns each worker's pod networks, as the site file has them.
fn networks(site: &Site) -> impl Iterator<Item = (&Host, IpNet)> {
    let workers = site.with_role(Role::Worker);
    workers.flat_map(|host| host.pod_cidrs.iter().map(move |network| (host, *network)))
}

/// The pod network of another node that no route leads to through that node.
struct Odd<'a> {
    node: &'a Host,
    network: IpNet,
    hop: NextHop<'a>,
    /// The route that the kernel would take.
    route: Option<&'a Route>,
}

fn odd<'a>(routes: &'a [Route], host: &'a Host, site: &'a Site) -> impl Iterator<Item = Odd<'a>> {
    let others = networks(site).filter(|(node, _)| node.name != host.name);
    let ways = others.map(|(node, network)| Odd {
        node,
        network,
        hop: next_hop(routes, first(network), &node.ips()),
        route: best(routes, first(network)),
    });
    ways.filter(|odd| odd.hop != NextHop::Node)
}

/// Returns the first address of a network that a pod may have.
fn first(network: IpNet) -> IpAddr {
    network.hosts().nth(1).unwrap_or_else(|| network.addr())
}

impl Odd<'_> {
    fn line(&self) -> String {
        self.route.map_or_else(|| "-".to_owned(), path_trace::line)
    }

    /// Returns why its pods do not answer from a host.
    fn cause(&self, host: &Host) -> Cause {
        let (node, network, host_name) = (&self.node.node(), &self.network, &host.name);
        let unreachable = || match self.route {
            Some(route) => cause::PodNetworkUnreachable {
                node,
                network,
                route: &path_trace::line(route),
                host: host_name,
            }
            .into(),
            None => cause::PodNetworkUnrouted {
                node,
                network,
                host: host_name,
            }
            .into(),
        };
        route_cause(&self.hop, (host, self.node), network).unwrap_or_else(unreachable)
    }
}

impl Facts {
    /// Returns whether all pods of a node answered; none where none was asked.
    fn works(&self, node: &Host) -> Option<bool> {
        let theirs = || self.asked.iter().filter(|asked| asked.node == node.node());
        theirs().next()?;
        Some(theirs().all(Asked::is_right))
    }

    /// Returns the switches that are off on a host that forwards for its pods.
    fn forwarding(&self, host: &Host) -> Vec<Finding> {
        if !host.roles.contains(&Role::Worker) {
            return Vec::new();
        }
        let off = self
            .forwarding
            .iter()
            .filter(|(_, value)| value.as_deref() == Some("0"));
        let host = &host.name;
        off.map(|(key, _)| Finding::fail(cause::ForwardingOff { host, key }))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::network::path_trace::tests::route;
    use crate::checks::network::pods::TITLE;
    use crate::checks::network::pods::tests::{answer, asked};
    use crate::checks::testing::{expect, judged, site};
    use crate::findings::{CauseId, Outcome};
    use crate::protocol::HttpReply;

    fn judge(host: &str, routes: &[Route], asked: Vec<Asked>) -> (Outcome, Option<CauseId>) {
        let facts = Facts {
            routes: routes.to_vec(),
            forwarding: [("net.ipv4.ip_forward".to_owned(), Some("1".to_owned()))].into(),
            asked,
        };
        judged::<PodRoutes>(&facts, &expect(&site(), host))
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
            (Outcome::Fail, Some(CauseId::PodNetworkUnreachable))
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
        let judge = |host| judged::<PodRoutes>(&facts, &expect(&site, host));
        assert_eq!(judge("node-1"), (Outcome::Fail, Some(CauseId::ForwardingOff)));
        assert_eq!(judge("server"), (Outcome::Pass, None));
    }
}
