//! Why a pod that runs does not answer from somewhere: what the kernel does with the packets at this end and with the
//! answers at the other; forwarding, the bridge and the packet filter at both. Looked at only once something did not answer.

mod ends;

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use super::next_hop::{self, NextHop, next_hop};
use super::packet_filter::{self, Hook, Packet, chain_drops};
use super::pods::Asked;
use crate::findings::{Cause, Evidence, cause, phrase};
use crate::protocol::{ChainsReply, Hop, Interface, Route, RouteLookup};
use crate::site::Host;
use crate::suite::Expect;

/// Where the tunnels of overlays end that do not say it themselves: VXLAN as Linux and as IANA have it, Geneve, WireGuard.
const TUNNELS: [u16; 4] = [8472, 4789, 6081, 51820];
/// The length of a packet in a tunnel, as good as any.
const TUNNELLED: u32 = 110;

/// What the hosts at both ends say of themselves.
#[derive(Default, Serialize, Deserialize)]
pub(in crate::checks) struct PathTrace {
    /// By host. What could not be asked is absent.
    ends: BTreeMap<String, End>,
}

#[derive(Default, Serialize, Deserialize)]
struct End {
    /// What the kernel does with the packets, or with the answers to them.
    lookups: Option<Vec<RouteLookup>>,
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
            packet: Packet::tcp(SocketAddr::new(asked.address, asked.port)),
        }
    }
}

impl PathTrace {
    /// Returns why a pod here does not reach a port of a host; nothing where both ends look as they should.
    pub(in crate::checks) fn cause_from_pod(
        &self,
        here: &Host,
        there: Option<&Host>,
        to: SocketAddr,
    ) -> Option<Cause> {
        let packet = Packet::tcp(to);
        let way = Way { node: "", packet };
        let refused = || {
            wrong(
                self.lookup(here, to.ip())?,
                (here, there.unwrap_or(here)),
                to.ip(),
            )
        };
        let drops = |at: &Host, hook: Hook| self.drops(at, packet, hook);
        // A host that forwards nothing refuses every packet of a pod: that is the cause.
        self.forwarding_off(here, way)
            .or_else(refused)
            .or_else(|| drops(here, Hook::Through))
            .or_else(|| drops(there?, Hook::Into))
            .or_else(|| self.wrong_way_back((here, there?), way))
    }

    /// Returns why a pod does not answer; nothing where both ends look as they should.
    pub(in crate::checks) fn cause(&self, way: Way<'_>, from: Origin, expect: &Expect<'_>) -> Option<Cause> {
        let here = expect.host?;
        let there = expect.site.host_of_node(way.node);
        let mut forwarders: Vec<&Host> = there.into_iter().collect();
        if from == Origin::Pod && !forwarders.iter().any(|host| host.name == here.name) {
            forwarders.push(here);
        }
        // Within one node the pods' bridge carries it; the host forwards nothing.
        let within = from == Origin::Pod && there.is_some_and(|there| there.name == here.name);
        let bridge = || there.and_then(|there| self.bridge_down(there, way));
        if within {
            return bridge();
        }
        let ends = there.map(|there| (here, there));
        let route = || ends.and_then(|ends| self.wrong_route(ends, way));
        let forwards = || forwarders.iter().find_map(|host| self.forwarding_off(host, way));
        let drops = || {
            forwarders
                .iter()
                .find_map(|host| self.drops(host, way.packet, Hook::Through))
        };
        let back = || ends.and_then(|ends| self.wrong_way_back(ends, way));
        let tunnel = || ends.and_then(|ends| self.tunnel(ends, way));
        let neighbour = || ends.and_then(|ends| self.wrong_neighbour(ends, way));
        route()
            .or_else(neighbour)
            .or_else(forwards)
            .or_else(bridge)
            .or_else(drops)
            .or_else(back)
            .or_else(tunnel)
    }

    /// Returns why one host does not reach a port of another; nothing where both ends look as they should.
    pub(in crate::checks) fn between(&self, (here, there): (&Host, &Host), to: SocketAddr) -> Option<Cause> {
        let packet = Packet::tcp(to);
        let way = Way {
            node: there.node(),
            packet,
        };
        let drops = |at: &Host, hook: Hook| self.drops(at, packet, hook);
        let route = || self.wrong_route((here, there), way);
        let neighbour = || self.wrong_neighbour((here, there), way);
        let back = || self.wrong_way_back((here, there), way);
        route()
            .or_else(neighbour)
            .or_else(|| drops(here, Hook::OutOf))
            .or_else(|| drops(there, Hook::Into))
            .or_else(back)
    }

    /// Returns what the kernel of a host does with packets to an address.
    fn lookup(&self, host: &Host, to: IpAddr) -> Option<&RouteLookup> {
        let mut lookups = self.ends.get(&host.name)?.lookups.iter().flatten();
        lookups.find(|lookup| lookup.ask.to == to)
    }

    /// Returns why packets do not leave this host for the pod's node.
    fn wrong_route(&self, (here, there): (&Host, &Host), way: Way<'_>) -> Option<Cause> {
        let to = way.packet.to();
        let lookup = self.lookup(here, to).filter(|_| here.name != there.name)?;
        wrong(lookup, (here, there), to)
    }

    /// Returns why packets, or the answers to them, end on the link between the two hosts.
    fn wrong_neighbour(&self, (here, there): (&Host, &Host), way: Way<'_>) -> Option<Cause> {
        let there_way = self.lookup(here, way.packet.to())?;
        let mut lookups = self.ends.get(&there.name)?.lookups.iter().flatten();
        let back = lookups.find(|lookup| lookup.ask.from == Some(way.packet.to()));
        next_hop::wrong_neighbour(there_way, (here, there), &self.cards(there))
            .or_else(|| next_hop::wrong_neighbour(back?, (there, here), &self.cards(here)))
    }

    /// Returns the Ethernet addresses of a host's interfaces, by their addresses.
    fn cards(&self, host: &Host) -> BTreeMap<IpAddr, &str> {
        let interfaces = self.ends.get(&host.name).and_then(|end| end.interfaces.as_ref());
        let of = |interface: &'_ Interface| -> Vec<IpAddr> {
            interface.addresses.iter().map(IpNet::addr).collect()
        };
        let known = interfaces.into_iter().flatten();
        let cards = known.filter_map(|interface| Some((of(interface), interface.card.as_deref()?)));
        cards
            .flat_map(|(addresses, card)| addresses.into_iter().map(move |address| (address, card)))
            .collect()
    }

    /// Returns why the answers do not leave the pod's node for here.
    fn wrong_way_back(&self, (here, there): (&Host, &Host), way: Way<'_>) -> Option<Cause> {
        let mut lookups = self.ends.get(&there.name)?.lookups.iter().flatten();
        let back = lookups.find(|lookup| lookup.ask.from == Some(way.packet.to()))?;
        wrong(back, (there, here), back.ask.to)
    }

    /// Returns what keeps packets from passing between the ends of a tunnel, and where nothing is seen to do so, that they
    /// go by it; nothing where there is none.
    fn tunnel(&self, (here, there): (&Host, &Host), way: Way<'_>) -> Option<Cause> {
        let lookup = self.lookup(here, way.packet.to())?;
        let NextHop::Another(hops) = next_hop(lookup, &there.ips()) else {
            return None;
        };
        let is_overlay = |hop: &&Hop| next_hop::is_overlay(&hop.device, &hop.kind);
        let hop = hops.iter().find(is_overlay)?;
        let ports = hop.port.map_or_else(|| TUNNELS.to_vec(), |port| vec![port]);
        let drops = |at: &Host, to: &Host, hook: Hook| {
            let packets = to.ips().into_iter().flat_map(|ip| {
                let packet = move |port| Packet::udp(SocketAddr::new(ip, port), TUNNELLED);
                ports.iter().map(move |port| packet(*port))
            });
            packets
                .into_iter()
                .find_map(|packet| self.drops(at, packet, hook))
        };
        let unreachable = || {
            let network = network(there, way.packet.to());
            let cause = cause::PodNetworkUnreachable {
                node: &there.node(),
                network: &network,
                route: &next_hop::line(lookup),
                host: &here.name,
            };
            cause.into()
        };
        let found = drops(there, there, Hook::Into)
            .or_else(|| drops(here, here, Hook::Into))
            .or_else(|| drops(here, there, Hook::OutOf))
            .or_else(|| drops(there, here, Hook::OutOf));
        Some(found.unwrap_or_else(unreachable))
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

    /// Returns what a host's packet filter has against a packet.
    fn drops(&self, host: &Host, packet: Packet, hook: Hook) -> Option<Cause> {
        let chains = self.ends.get(&host.name)?.chains.as_ref()?;
        chain_drops(chains, &host.name, packet, hook)
    }

    /// Returns what drops a packet of a pod on a host, for an address of a Service, before it is led to a pod.
    pub(in crate::checks) fn drops_before(&self, host: &Host, packet: Packet) -> Option<Cause> {
        self.drops(host, packet, Hook::Translated)
    }

    /// Returns what was seen at both ends.
    pub(in crate::checks) fn evidence(&self) -> Vec<Evidence> {
        let mut evidence = Vec::new();
        for (host, end) in &self.ends {
            let lookups = end.lookups.iter().flatten().map(next_hop::line);
            evidence.extend(Evidence::lines(phrase::WaysOf { host }, lookups));
            let routes = end.routes.iter().flatten().map(line);
            evidence.extend(Evidence::lines(phrase::RoutesOf { host }, routes));
            let chains = end.chains.as_ref();
            evidence.extend(chains.and_then(|chains| packet_filter::evidence(chains, host)));
        }
        evidence
    }
}

/// Returns the pod network that an address is of, or the address alone.
fn network(node: &Host, address: IpAddr) -> IpNet {
    let mut known = node.pod_cidrs.iter();
    let known = known.find(|network| network.contains(&address));
    known.copied().unwrap_or_else(|| IpNet::from(address))
}

/// Returns why packets do not go from one host to a pod of another, or to it. Where they should go is known of pod networks
/// alone; that they are refused is wrong anyhow.
fn wrong(lookup: &RouteLookup, (from, to): (&Host, &Host), address: IpAddr) -> Option<Cause> {
    let network = network(to, address);
    let is_known = to.pod_cidrs.contains(&network);
    let is_refused = matches!(next_hop(lookup, &[]), NextHop::Refused(_));
    (is_known || is_refused)
        .then(|| next_hop::cause(lookup, (from, to), &network))
        .flatten()
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
    use crate::checks::network::next_hop::tests::{lookup, over, refused};
    use crate::checks::network::pods::tests::asked;
    use crate::checks::testing::{expect, site};
    use crate::findings::CauseId;
    use crate::protocol::{Chain, Filter, HttpReply, RouteAsk, RouteRefusal};

    /// Returns what a host's kernel does with packets to the pod of node-1.
    pub(in crate::checks) fn way(host: &str, lookup: RouteLookup) -> PathTrace {
        let end = End {
            lookups: Some(vec![lookup]),
            ..End::default()
        };
        PathTrace {
            ends: [(host.to_owned(), end)].into(),
        }
    }

    fn right() -> RouteLookup {
        lookup("10.200.1.2", "10.200.1.0/24", Some("192.168.10.102"))
    }

    fn cause(way: &PathTrace, from: Origin, host: &str) -> Option<Cause> {
        let site = site();
        let silent = asked(HttpReply::Silent { connected: false });
        way.cause((&silent).into(), from, &expect(&site, host))
    }

    #[test]
    fn a_missing_route_is_named_with_its_next_hop() {
        let missing = lookup("10.200.1.2", "0.0.0.0/0", Some("10.0.2.2"));
        let cause = cause(&way("server", missing), Origin::Host, "server").unwrap();
        assert_eq!(cause.id(), CauseId::RouteMissing);
        assert_eq!(
            (&*cause.args()["network"], &*cause.args()["via"]),
            ("10.200.1.0/24", "192.168.10.102")
        );
    }

    #[test]
    fn the_way_back_is_named_where_the_way_there_is_right() {
        let mut trace = way("node-0", right());
        let back = RouteLookup {
            ask: RouteAsk {
                to: "10.200.0.7".parse().unwrap(),
                from: Some("10.200.1.2".parse().unwrap()),
            },
            ..refused("10.200.0.7", RouteRefusal::Blackhole, Some(77))
        };
        let there = End {
            lookups: Some(vec![back]),
            ..End::default()
        };
        trace.ends.insert("node-1".to_owned(), there);
        let cause = cause(&trace, Origin::Pod, "node-0").unwrap();
        assert_eq!(
            (cause.id(), &*cause.args()["host"]),
            (CauseId::RouteRefused, "node-1")
        );
    }

    #[test]
    fn a_silent_tunnel_is_named_and_what_drops_its_packets_before_it() {
        let over = over("10.200.1.2", "flannel.1", "vxlan", "10.200.1.0");
        let mut trace = way("server", over);
        let id = |trace: &PathTrace| cause(trace, Origin::Host, "server").map(|cause| cause.id());
        assert_eq!(id(&trace), Some(CauseId::PodNetworkUnreachable));
        let input = Chain {
            of: Filter::Iptables,
            v6: false,
            table: "filter".to_owned(),
            name: "INPUT".to_owned(),
            hook: Some("INPUT".to_owned()),
            policy: Some("ACCEPT".to_owned()),
            rules: vec!["-p udp -m udp --dport 8472 -j DROP".to_owned()],
        };
        let there = End {
            chains: Some(ChainsReply {
                readable: true,
                chains: vec![input],
            }),
            ..End::default()
        };
        trace.ends.insert("node-1".to_owned(), there);
        assert_eq!(id(&trace), Some(CauseId::ChainDrops));
    }

    #[test]
    fn forwarding_the_bridge_and_chains_of_the_node_are_named() {
        let with = |end: End| {
            let mut way = way("node-0", right());
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
            of: Filter::Iptables,
            v6: false,
            table: "filter".to_owned(),
            name: "FORWARD".to_owned(),
            hook: Some("FORWARD".to_owned()),
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
            card: None,
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
