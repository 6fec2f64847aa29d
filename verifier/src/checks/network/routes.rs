//! `network.routes`: every other node's pod network is routed to it, and workers forward.

use std::collections::BTreeMap;
use std::net::IpAddr;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use super::next_hop::{self, NextHop, next_hop};
use super::path_trace::{self, forwarding};
use super::pods::{self, Asked};
use crate::cluster::PodFacts;
use crate::findings::{Cause, Evidence, Finding, Judged, Unjudged, cause, phrase};
use crate::protocol::{Place, Route, RouteAsk, RouteLookup, RouteLookups, RouteTaken, Routes, Sysctls};
use crate::site::{Host, Role, Site};
use crate::suite::fixtures::Fixture;
use crate::suite::{Check, Ctx, Expect, Member, Probe, Scope};

pub(super) const CHECK: Check = Check::of::<PodRoutes>("network.routes", Scope::Host).wants(&[Fixture::Pods]);

struct PodRoutes;

#[derive(Serialize, Deserialize)]
struct Facts {
    /// What the kernel does with packets to the pods of the other nodes: to an address of each of their networks, to each
    /// part of one that has a route of its own, and to each pod.
    lookups: Vec<RouteLookup>,
    /// The main table, as `ip route` shows it.
    routes: Vec<Route>,
    /// The values of the switches of forwarding.
    forwarding: BTreeMap<String, Option<String>>,
    /// The pods of the nodes that packets do not go straight to, as they answered.
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
        let theirs: Vec<IpNet> = others(&ctx.site, host).map(|(_, network)| network).collect();
        let ask = RouteLookups {
            asks: theirs.iter().map(|network| sent_here(first(*network))).collect(),
            within: theirs,
        };
        let (lookups, routes, values) = futures::join!(
            ctx.ask(&host.name, ask),
            ctx.ask(&host.name, Routes {}),
            ctx.ask(&host.name, Sysctls { keys })
        );
        let mut facts = Facts {
            lookups: lookups?,
            routes: routes?,
            forwarding: values?,
            asked: Vec::new(),
        };
        // Whether another way leads there only a pod can tell; the rest needs none.
        let odd = facts.odd(host, &ctx.site);
        let odd: Vec<&str> = odd.iter().map(|odd| odd.node.node()).collect();
        if odd.is_empty() {
            return Ok(facts);
        }
        let spread = ctx.fixtures().spread(ctx).await;
        let pods = spread.map(|spread| spread.pods).unwrap_or_default();
        let theirs = |pod: &PodFacts| pod.node.as_deref().is_some_and(|node| odd.contains(&node));
        let pods: Vec<_> = pods::up(&pods).filter(|(pod, _)| theirs(pod)).collect();
        let ask = RouteLookups {
            asks: pods.iter().map(|(_, address)| sent_here(*address)).collect(),
            within: Vec::new(),
        };
        let asks = pods
            .into_iter()
            .map(|pod| pods::ask(ctx, &host.name, Place::Host, pod));
        let (lookups, asked) = futures::join!(ctx.ask(&host.name, ask), futures::future::try_join_all(asks));
        facts.lookups.extend(lookups?);
        facts.asked = asked?;
        Ok(facts)
    }

    fn judge(facts: &Facts, expect: &Expect<'_>) -> Judged {
        let host = expect.host()?;
        let mut findings = facts.forwarding(host);
        let mut unknown = Vec::new();
        for odd in facts.odd(host, expect.site) {
            match facts.works(&odd) {
                Some(true) => {}
                Some(false) => {
                    let finding = Finding::fail(odd.cause(host)).of(odd.node.node());
                    // One way is looked up for several addresses.
                    if !findings.contains(&finding) {
                        findings.push(finding);
                    }
                }
                None => unknown.push(odd.node.node().to_owned()),
            }
        }
        unknown.dedup();
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
            .map(|host| facts.odd(host, expect.site))
            .unwrap_or_default();
        let others = odd
            .iter()
            .filter(|odd| facts.works(odd) == Some(true))
            .map(|odd| {
                format!(
                    "{} {}: {}",
                    odd.node.name,
                    odd.network,
                    next_hop::line(odd.lookup)
                )
            });
        let evidence = [
            Evidence::lines(phrase::Ways, facts.lookups.iter().map(next_hop::line)),
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

/// Returns the pod networks of the workers that are another host than this one.
fn others<'a>(site: &'a Site, host: &'a Host) -> impl Iterator<Item = (&'a Host, IpNet)> {
    networks(site).filter(|(node, _)| node.name != host.name)
}

/// A packet to a pod network of another node that does not go straight to that node.
struct Odd<'a> {
    node: &'a Host,
    network: IpNet,
    lookup: &'a RouteLookup,
}

/// Returns the first address of a network that a pod may have.
fn first(network: IpNet) -> IpAddr {
    network.hosts().nth(1).unwrap_or_else(|| network.addr())
}

const fn sent_here(to: IpAddr) -> RouteAsk {
    RouteAsk { to, from: None }
}

impl Odd<'_> {
    /// Returns why its pods do not answer from a host.
    fn cause(&self, host: &Host) -> Cause {
        let (node, network, host_name) = (&self.node.node(), &self.network, &host.name);
        let unreachable = || match &self.lookup.taken {
            RouteTaken::Sent { .. } => cause::PodNetworkUnreachable {
                node,
                network,
                route: &next_hop::line(self.lookup),
                host: host_name,
            }
            .into(),
            RouteTaken::Local | RouteTaken::Refused { .. } => cause::PodNetworkUnrouted {
                node,
                network,
                host: host_name,
            }
            .into(),
        };
        next_hop::cause(self.lookup, (host, self.node), network).unwrap_or_else(unreachable)
    }

    /// Returns whether a pod's packets go the same way.
    fn leads_to(&self, asked: &Asked) -> bool {
        asked.node == self.node.node()
            && match self.lookup.network {
                Some(network) if self.network.contains(&network) => network.contains(&asked.address),
                _ => true,
            }
    }
}

impl Facts {
    /// Returns the packets to the other nodes' pods that do not go straight to these.
    fn odd<'a>(&'a self, host: &'a Host, site: &'a Site) -> Vec<Odd<'a>> {
        let of = |lookup: &'a RouteLookup| {
            let mut all = others(site, host);
            let (node, network) = all.find(|(_, network)| network.contains(&lookup.ask.to))?;
            let is_right = next_hop(lookup, &node.ips()) == NextHop::Node;
            (!is_right).then_some(Odd {
                node,
                network,
                lookup,
            })
        };
        self.lookups.iter().filter_map(of).collect()
    }

    /// Returns whether the pods that are reached by a way answered; none where none was asked. What the kernel refuses works
    /// for nobody, and a part of a network without a pod is passed over where the rest works.
    fn works(&self, odd: &Odd<'_>) -> Option<bool> {
        if matches!(next_hop(odd.lookup, &odd.node.ips()), NextHop::Refused(_)) {
            return Some(false);
        }
        let theirs = |asked: &&Asked| asked.node == odd.node.node();
        let by_it: Vec<&Asked> = self
            .asked
            .iter()
            .filter(theirs)
            .filter(|asked| odd.leads_to(asked))
            .collect();
        let asked = if by_it.is_empty() {
            self.asked.iter().filter(theirs).collect()
        } else {
            by_it
        };
        (!asked.is_empty()).then(|| asked.into_iter().all(Asked::is_right))
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
    use crate::checks::network::next_hop::tests::{lookup, over, refused};
    use crate::checks::network::pods::TITLE;
    use crate::checks::network::pods::tests::{answer, asked};
    use crate::checks::testing::{expect, judged, site};
    use crate::findings::{CauseId, Outcome};
    use crate::protocol::{HttpReply, RouteRefusal};

    fn judge(host: &str, lookups: Vec<RouteLookup>, asked: Vec<Asked>) -> (Outcome, Option<CauseId>) {
        let facts = Facts {
            lookups,
            routes: Vec::new(),
            forwarding: [("net.ipv4.ip_forward".to_owned(), Some("1".to_owned()))].into(),
            asked,
        };
        judged::<PodRoutes>(&facts, &expect(&site(), host))
    }

    fn node_0() -> RouteLookup {
        lookup("10.200.0.2", "10.200.0.0/24", Some("192.168.10.101"))
    }

    fn node_1(via: &str) -> RouteLookup {
        lookup("10.200.1.2", "10.200.1.0/24", Some(via))
    }

    fn silent() -> HttpReply {
        HttpReply::Silent { connected: false }
    }

    #[test]
    fn the_page_s_routes_pass_on_every_host() {
        let page = vec![node_0(), node_1("192.168.10.102")];
        assert_eq!(judge("server", page, Vec::new()), (Outcome::Pass, None));
        assert_eq!(judge("node-1", vec![node_0()], Vec::new()), (Outcome::Pass, None));
    }

    #[test]
    fn a_route_that_is_missing_or_wrong_fails_where_the_pod_does_not_answer() {
        let missing = vec![node_0(), refused("10.200.1.2", RouteRefusal::NoRoute, None)];
        assert_eq!(
            judge("server", missing, vec![asked(silent())]),
            (Outcome::Fail, Some(CauseId::RouteMissing))
        );
        let wrong = vec![node_0(), node_1("192.168.10.101")];
        assert_eq!(
            judge("server", wrong, vec![asked(silent())]),
            (Outcome::Fail, Some(CauseId::RouteWrong))
        );
    }

    #[test]
    fn an_overlay_whose_pod_does_not_answer_fails() {
        let tunnel = over("10.200.1.2", "flannel.1", "vxlan", "10.200.1.0");
        assert_eq!(
            judge("server", vec![tunnel], vec![asked(silent())]),
            (Outcome::Fail, Some(CauseId::PodNetworkUnreachable))
        );
    }

    #[test]
    fn what_the_kernel_refuses_fails_though_pods_elsewhere_in_the_network_answer() {
        let half = RouteLookup {
            network: Some("10.200.1.128/25".parse().unwrap()),
            ..refused("10.200.1.129", RouteRefusal::Blackhole, Some(254))
        };
        assert_eq!(
            judge(
                "server",
                vec![node_1("192.168.10.102"), half],
                vec![asked(answer(200, TITLE))]
            ),
            (Outcome::Fail, Some(CauseId::RouteRefused))
        );
    }

    #[test]
    fn another_way_that_works_passes_and_one_that_nobody_tried_is_no_pass() {
        let missing = || vec![refused("10.200.1.2", RouteRefusal::NoRoute, None)];
        assert_eq!(
            judge("server", missing(), vec![asked(answer(200, TITLE))]),
            (Outcome::Pass, None)
        );
        assert_eq!(
            judge("server", missing(), Vec::new()),
            (Outcome::Skip, Some(CauseId::Needs))
        );
    }

    #[test]
    fn a_worker_that_does_not_forward_fails_and_a_control_plane_host_need_not() {
        let facts = Facts {
            lookups: vec![node_0(), node_1("192.168.10.102")],
            routes: Vec::new(),
            forwarding: [("net.ipv4.ip_forward".to_owned(), Some("0".to_owned()))].into(),
            asked: Vec::new(),
        };
        let site = site();
        let judge = |host| judged::<PodRoutes>(&facts, &expect(&site, host));
        assert_eq!(judge("node-1"), (Outcome::Fail, Some(CauseId::ForwardingOff)));
        assert_eq!(judge("server"), (Outcome::Pass, None));
    }
}
