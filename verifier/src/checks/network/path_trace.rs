//! Why a pod that runs does not answer from somewhere: the route at this end; forwarding, the bridge and the packet filter
//! at both. Looked at only once something did not answer.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use super::packet_filter::{self, Hook, Packet, chain_drops};
use super::pods::{Asked, PORT};
use crate::findings::{Cause, Evidence, cause, phrase};
use crate::protocol::{Chains, ChainsReply, Interface, Interfaces, Route, Routes, Sysctls};
use crate::site::{Host, Site};
use crate::suite::{Ctx, Expect};

/// What the hosts at both ends say of themselves.
#[derive(Default, Serialize, Deserialize)]
pub(in crate::checks) struct PathTrace {
    /// By host. What could not be asked is absent.
    ends: BTreeMap<String, End>,
}

#[derive(Default, Serialize, Deserialize)]
struct End {
    routes: Option<Vec<Route>>,
    interfaces: Option<Vec<Interface>>,
    forwarding: Option<BTreeMap<String, Option<String>>>,
    chains: Option<ChainsReply>,
}

/// The switch of forwarding for an address.
pub(in crate::checks) const fn forwarding(address: IpAddr) -> &'static str {
    if address.is_ipv6() {
        "net.ipv6.conf.all.forwarding"
    } else {
        "net.ipv4.ip_forward"
    }
}

/// Where the question came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::checks) enum Origin {
    /// From the host itself.
    Host,
    /// From a pod on the host.
    Pod,
}

/// A way that a packet should take: to a pod of a node.
#[derive(Clone, Copy, Debug)]
pub(in crate::checks) struct Way<'a> {
    /// The node.
    pub(in crate::checks) node: &'a str,
    /// The packet.
    pub(in crate::checks) packet: Packet,
}

impl<'a> From<&'a Asked> for Way<'a> {
    fn from(asked: &'a Asked) -> Self {
        Self {
            node: &asked.node,
            packet: Packet::tcp(SocketAddr::new(asked.address, PORT)),
        }
    }
}

impl PathTrace {
    /// Asks this host, and the hosts of these nodes, whose pods did not answer it.
    pub(in crate::checks) async fn of<'a>(
        ctx: &'a Ctx,
        host: &'a Host,
        silent: impl Iterator<Item = &'a str>,
    ) -> Self {
        let others = silent.filter_map(|node| ctx.site.host_of_node(node));
        let mut hosts: Vec<&str> = others.chain([host]).map(|host| host.name.as_str()).collect();
        hosts.sort_unstable();
        hosts.dedup();
        let ends = hosts
            .into_iter()
            .map(|host| async { (host.to_owned(), end(ctx, host).await) });
        Self {
            ends: futures::future::join_all(ends).await.into_iter().collect(),
        }
    }

    /// Returns why a pod does not answer; nothing where both ends look as they should.
    pub(in crate::checks) fn cause(&self, way: Way<'_>, from: Origin, expect: &Expect<'_>) -> Option<Cause> {
        let here = expect.host?;
        let there = expect.site.host_of_node(way.node);
        let route = || {
            let routes = self.ends.get(&here.name)?.routes.as_deref()?;
            wrong_route(routes, here, way, expect.site)
        };
        let mut forwarders: Vec<&Host> = there.into_iter().collect();
        if from == Origin::Pod && !forwarders.iter().any(|host| host.name == here.name) {
            forwarders.push(here);
        }
        // Within one node the pods' bridge carries it; the host forwards nothing.
        let within = from == Origin::Pod && there.is_some_and(|there| there.name == here.name);
        let forwards = || forwarders.iter().find_map(|host| self.forwarding_off(host, way));
        let bridge = || there.and_then(|there| self.bridge_down(there, way));
        let drops = || forwarders.iter().find_map(|host| self.drops(host, way));
        if within {
            return bridge();
        }
        route().or_else(forwards).or_else(bridge).or_else(drops)
    }

    fn forwarding_off(&self, host: &Host, way: Way<'_>) -> Option<Cause> {
        let key = forwarding(way.packet.to());
        let values = self.ends.get(&host.name)?.forwarding.as_ref()?;
        let off = values.get(key)?.as_deref() == Some("0");
        let host = &host.name;
        off.then(|| cause::ForwardingOff { host, key: &key }.into())
    }

    fn bridge_down(&self, host: &Host, way: Way<'_>) -> Option<Cause> {
        let interfaces = self.ends.get(&host.name)?.interfaces.as_ref()?;
        let holds = |interface: &&Interface| {
            interface.kind == "bridge"
                && interface
                    .addresses
                    .iter()
                    .any(|network| network.contains(&way.packet.to()))
        };
        let bridge = interfaces.iter().find(holds).filter(|bridge| !bridge.up)?;
        let cause = cause::BridgeDown {
            bridge: &bridge.name,
            host: &host.name,
        };
        Some(cause.into())
    }

    fn drops(&self, host: &Host, way: Way<'_>) -> Option<Cause> {
        let chains = self.ends.get(&host.name)?.chains.as_ref()?;
        chain_drops(chains, &host.name, way.packet, Hook::Through)
    }

    /// Returns what was seen at both ends.
    pub(in crate::checks) fn evidence(&self) -> Vec<Evidence> {
        let mut evidence = Vec::new();
        for (host, end) in &self.ends {
            let routes = end.routes.iter().flatten().map(line);
            evidence.extend(Evidence::lines(phrase::RoutesOf { host }, routes));
            let chains = end.chains.as_ref();
            evidence.extend(chains.and_then(|chains| packet_filter::evidence(chains, host)));
        }
        evidence
    }
}

async fn end(ctx: &Ctx, host: &str) -> End {
    let keys = ["net.ipv4.ip_forward", "net.ipv6.conf.all.forwarding"].map(str::to_owned);
    let (routes, interfaces, forwarding, chains) = futures::join!(
        ctx.ask(host, Routes {}),
        ctx.ask(host, Interfaces {}),
        ctx.ask(host, Sysctls { keys: keys.to_vec() }),
        ctx.ask(
            host,
            Chains {
                containing: Vec::new()
            }
        )
    );
    End {
        routes: routes.ok(),
        interfaces: interfaces.ok(),
        forwarding: forwarding.ok(),
        chains: chains.ok(),
    }
}

/// How a network is reached from a host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::checks) enum NextHop<'a> {
    /// Through one of the node's own addresses.
    Node,
    /// Nowhere in particular: there is no route, or only the default one.
    None,
    /// To another next hop than the node.
    Other(IpAddr),
    /// On the link or over a tunnel's device: another way than static routes.
    Route(&'a Route),
}

/// Returns where the kernel would send what goes to `address`, of which `hops` are the right next hops.
pub(in crate::checks) fn next_hop<'a>(routes: &'a [Route], address: IpAddr, hops: &[IpAddr]) -> NextHop<'a> {
    match best(routes, address) {
        // A default route leads somewhere, and not to that node.
        None => NextHop::None,
        Some(route) if route.destination.prefix_len() == 0 => NextHop::None,
        Some(Route { via: Some(via), .. }) if hops.contains(via) => NextHop::Node,
        Some(Route { via: Some(via), .. }) => NextHop::Other(*via),
        Some(route) => NextHop::Route(route),
    }
}

/// Returns the route that this host lacks for a pod, by the site file; nothing where there is one.
fn wrong_route(routes: &[Route], here: &Host, way: Way<'_>, site: &Site) -> Option<Cause> {
    let node = site.host_of_node(way.node)?;
    let network = node
        .pod_cidrs
        .iter()
        .find(|network| network.contains(&way.packet.to()))?;
    if node.name == here.name {
        return None;
    }
    let hops = node.ips();
    route_cause(&next_hop(routes, way.packet.to(), &hops), (here, node), network)
}

/// Returns the cause of a route that leads to no node; nothing where another way may lead there.
pub(in crate::checks) fn route_cause(
    hop: &NextHop<'_>,
    (here, node): (&Host, &Host),
    network: &IpNet,
) -> Option<Cause> {
    let (via, node, host) = (&node.ips().first().copied()?, &node.node(), &here.name);
    #[rustfmt::skip]
    let cause = match hop {
        NextHop::None => cause::RouteMissing { network, node, via, host }.into(),
        NextHop::Other(found) => cause::RouteWrong { network, node, found, via, host }.into(),
        NextHop::Node | NextHop::Route(_) => return None,
    };
    Some(cause)
}

/// Returns the route that the kernel would take: the longest prefix.
pub(super) fn best(routes: &[Route], address: IpAddr) -> Option<&Route> {
    let fits = |network: &IpNet| network.contains(&address);
    routes
        .iter()
        .filter(|route| fits(&route.destination))
        .max_by_key(|route| route.destination.prefix_len())
}

/// Returns a route as `ip route` prints it.
pub(in crate::checks) fn line(route: &Route) -> String {
    let via = route.via.map(|via| format!(" via {via}")).unwrap_or_default();
    let device = route
        .device
        .as_ref()
        .map(|device| format!(" dev {device}"))
        .unwrap_or_default();
    format!("{}{via}{device}", route.destination)
}

#[cfg(test)]
pub(in crate::checks) mod tests {
    use super::*;
    use crate::checks::network::pods::tests::asked;
    use crate::checks::testing::{expect, site};
    use crate::findings::CauseId;
    use crate::protocol::{Chain, HttpReply};

    /// Returns a route over eth1.
    pub(in crate::checks) fn route(destination: &str, via: Option<&str>) -> Route {
        Route {
            destination: destination.parse().unwrap(),
            via: via.map(|via| via.parse().unwrap()),
            device: Some("eth1".to_owned()),
        }
    }

    /// Returns what a host says of itself.
    pub(in crate::checks) fn way(host: &str, routes: &[Route]) -> PathTrace {
        let end = End {
            routes: Some(routes.to_vec()),
            ..End::default()
        };
        PathTrace {
            ends: [(host.to_owned(), end)].into(),
        }
    }

    fn cause(way: &PathTrace, from: Origin, host: &str) -> Option<Cause> {
        let site = site();
        let silent = asked(HttpReply::Silent { connected: false });
        way.cause((&silent).into(), from, &expect(&site, host))
    }

    #[test]
    fn a_missing_route_is_named_with_its_next_hop() {
        let link = route("192.168.10.0/24", None);
        for routes in [
            vec![link.clone(), route("10.200.0.0/24", Some("192.168.10.101"))],
            vec![link, route("0.0.0.0/0", Some("10.0.2.2"))],
        ] {
            let cause = cause(&way("server", &routes), Origin::Host, "server").unwrap();
            assert_eq!(cause.id(), CauseId::RouteMissing);
            assert_eq!(
                (&*cause.args()["network"], &*cause.args()["via"]),
                ("10.200.1.0/24", "192.168.10.102")
            );
        }
    }

    #[test]
    fn a_wrong_next_hop_is_named_and_a_right_one_or_a_tunnel_is_not_the_cause() {
        let one =
            |route: Route| cause(&way("server", &[route]), Origin::Host, "server").map(|cause| cause.id());
        assert_eq!(
            one(route("10.200.1.0/24", Some("192.168.10.101"))),
            Some(CauseId::RouteWrong)
        );
        assert_eq!(one(route("10.200.1.0/24", Some("192.168.10.102"))), None);
        let tunnel = Route {
            device: Some("flannel.1".to_owned()),
            ..route("10.200.0.0/16", None)
        };
        assert_eq!(one(tunnel), None);
    }

    #[test]
    fn forwarding_the_bridge_and_chains_of_the_node_are_named() {
        let right = [route("10.200.1.0/24", Some("192.168.10.102"))];
        let with = |end: End| {
            let mut way = way("node-0", &right);
            way.ends.insert("node-1".to_owned(), end);
            cause(&way, Origin::Pod, "node-0").map(|cause| cause.id())
        };
        assert_eq!(with(End::default()), None);
        let off = BTreeMap::from([("net.ipv4.ip_forward".to_owned(), Some("0".to_owned()))]);
        assert_eq!(
            with(End {
                forwarding: Some(off),
                ..End::default()
            }),
            Some(CauseId::ForwardingOff)
        );
        let chain = Chain {
            v6: false,
            table: "filter".to_owned(),
            name: "FORWARD".to_owned(),
            policy: Some("DROP".to_owned()),
            rules: Vec::new(),
        };
        let chains = ChainsReply {
            readable: true,
            chains: vec![chain],
        };
        assert_eq!(
            with(End {
                chains: Some(chains),
                ..End::default()
            }),
            Some(CauseId::ChainDrops)
        );
        let bridge = Interface {
            index: 4,
            name: "cni0".to_owned(),
            kind: "bridge".to_owned(),
            up: false,
            master: None,
            peer: None,
            addresses: vec!["10.200.1.1/24".parse().unwrap()],
            mtu: 1500,
        };
        assert_eq!(
            with(End {
                interfaces: Some(vec![bridge]),
                ..End::default()
            }),
            Some(CauseId::BridgeDown)
        );
    }
}
