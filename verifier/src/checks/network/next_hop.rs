//! What the kernel of a host does with packets to another node's pods, and why that leads nowhere. Pure.

use std::collections::BTreeMap;
use std::net::IpAddr;

use ipnet::IpNet;

use crate::findings::{Cause, cause};
use crate::protocol::{Hop, RouteAsk, RouteLookup, RouteRefusal, RouteTaken};
use crate::site::Host;

/// The table that `ip route` shows (`include/uapi/linux/rtnetlink.h`).
const MAIN: u32 = 254;
/// The highest of rtnetlink(7)'s protocols that are the kernel's own or somebody's by hand; all above are daemons'.
const BY_HAND: u8 = 4;
/// The kinds of interfaces behind which packets go on inside of others.
const OVERLAYS: [&str; 14] = [
    "vxlan",
    "geneve",
    "ipip",
    "ip6tnl",
    "sit",
    "gre",
    "gretap",
    "ip6gre",
    "ip6gretap",
    "wireguard",
    "tun",
    "openvswitch",
    "xfrm",
    "bareudp",
];
/// How the interfaces of overlays begin that are of another kind: Cilium's are a pair of veths.
const OVERLAY_NAMES: [&str; 5] = ["cilium_", "lxc", "ovn", "antrea-", "tunl"];

/// How a node's pods are reached from a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::checks) enum NextHop<'a> {
    /// Through one of the node's own addresses.
    Node,
    /// Nowhere in particular: there is no route, or only the default one.
    None,
    /// Not at all: something refuses it.
    Refused(RouteRefusal),
    /// To another next hop than the node, by a route that the kernel or somebody by hand has set.
    Other(IpAddr),
    /// On the link, over a tunnel, or as a routing daemon wants it: another way than static routes.
    Another(&'a [Hop]),
}

/// Returns how a packet goes to a node, of which `hops` are the addresses.
pub(in crate::checks) fn next_hop<'a>(lookup: &'a RouteLookup, hops: &[IpAddr]) -> NextHop<'a> {
    match &lookup.taken {
        RouteTaken::Refused {
            how: RouteRefusal::NoRoute,
            ..
        } => NextHop::None,
        RouteTaken::Refused { how, .. } => NextHop::Refused(*how),
        RouteTaken::Local => NextHop::Another(&[]),
        // A default route leads somewhere, and not to that node.
        RouteTaken::Sent { .. } if lookup.network.is_some_and(|network| network.prefix_len() == 0) => {
            NextHop::None
        }
        RouteTaken::Sent { hops: sent, protocol } => {
            let right = |hop: &Hop| hop.via.is_some_and(|via| hops.contains(&via));
            match sent.iter().find(|hop| !right(hop)) {
                None => NextHop::Node,
                Some(hop) => match hop.via {
                    Some(via) if !is_overlay(&hop.device, &hop.kind) && *protocol <= BY_HAND => {
                        NextHop::Other(via)
                    }
                    _ => NextHop::Another(sent),
                },
            }
        }
    }
}

/// Returns whether packets go on inside of others behind an interface.
pub(in crate::checks) fn is_overlay(name: &str, kind: &str) -> bool {
    OVERLAYS.contains(&kind) || OVERLAY_NAMES.iter().any(|begin| name.starts_with(begin))
}

/// Returns why packets for a node end on the link: nobody answers for the next hop, or another card than the node's gets them.
/// `cards` are those of the node's interfaces, by their addresses, as far as they are known.
pub(in crate::checks) fn wrong_neighbour(
    lookup: &RouteLookup,
    (here, node): (&Host, &Host),
    cards: &BTreeMap<IpAddr, &str>,
) -> Option<Cause> {
    let RouteTaken::Sent { hops, .. } = &lookup.taken else {
        return None;
    };
    let of_hop = |hop: &Hop| {
        let (via, neighbour) = (hop.via.unwrap_or(lookup.ask.to), hop.neighbour.as_ref()?);
        let to_node = !is_overlay(&hop.device, &hop.kind) && node.ips().contains(&via);
        let (host, node, device) = (&here.name, &node.node(), &hop.device);
        if !to_node {
            return None;
        }
        if neighbour.silent {
            return Some(
                cause::NeighbourSilent {
                    node,
                    via: &via,
                    device,
                    host,
                }
                .into(),
            );
        }
        let (found, right) = (neighbour.card.as_ref()?, cards.get(&via)?);
        (found != right).then(|| {
            cause::NeighbourWrong {
                node,
                via: &via,
                found,
                right,
                device,
                host,
            }
            .into()
        })
    };
    hops.iter().find_map(of_hop)
}

/// Returns the cause of a way that leads to no node; nothing where another way may lead there.
pub(in crate::checks) fn cause(
    lookup: &RouteLookup,
    (here, node): (&Host, &Host),
    network: &IpNet,
) -> Option<Cause> {
    let hops = node.ips();
    let (via, node, host) = (&hops.first().copied()?, &node.node(), &here.name);
    let to = &lookup.ask.to;
    let (rule, table) = (&number(lookup.rule), &number(lookup.table));
    let is_main = lookup.table.is_none_or(|table| table == MAIN);
    #[rustfmt::skip]
    let cause = match next_hop(lookup, &hops) {
        NextHop::Refused(how) => cause::RouteRefused { network, node, to, how: &how.as_str(), rule, table, host }.into(),
        NextHop::None | NextHop::Other(_) if !is_main => {
            cause::RouteDiverted { network, node, to, found: &line(lookup), via, rule, table, host }.into()
        }
        NextHop::None => cause::RouteMissing { network, node, via, host }.into(),
        NextHop::Other(found) => cause::RouteWrong { network, node, found: &found, via, host }.into(),
        NextHop::Node | NextHop::Another(_) => return None,
    };
    Some(cause)
}

fn number(number: Option<u32>) -> String {
    match number {
        Some(MAIN) => "main".to_owned(),
        Some(number) => number.to_string(),
        None => "-".to_owned(),
    }
}

/// Returns what the kernel does with a packet, much as `ip route get` prints it.
pub(in crate::checks) fn line(lookup: &RouteLookup) -> String {
    let RouteAsk { to, from } = lookup.ask;
    let from = from.map(|from| format!(" from {from}")).unwrap_or_default();
    let taken = match &lookup.taken {
        RouteTaken::Local => " local".to_owned(),
        RouteTaken::Refused { how, error } => format!(" {} ({error})", how.as_str()),
        RouteTaken::Sent { hops, .. } => hops.iter().map(hop).collect::<Vec<_>>().join(","),
    };
    let by = match lookup.table {
        Some(table) if table != MAIN => {
            format!(
                " table {table} rule {}",
                lookup
                    .rule
                    .map_or_else(|| "-".to_owned(), |rule| rule.to_string())
            )
        }
        _ => String::new(),
    };
    let network = lookup
        .network
        .map(|network| format!(" ({network})"))
        .unwrap_or_default();
    let mtu = lookup.mtu.map(|mtu| format!(" mtu {mtu}")).unwrap_or_default();
    format!("{to}{from}{taken}{by}{network}{mtu}")
}

fn hop(hop: &Hop) -> String {
    let via = hop.via.map(|via| format!(" via {via}")).unwrap_or_default();
    let kind = if hop.kind.is_empty() {
        String::new()
    } else {
        format!(" ({})", hop.kind)
    };
    let neighbour = hop.neighbour.as_ref().map(|neighbour| {
        let card = neighbour.card.as_deref().unwrap_or("-");
        let state = match (neighbour.silent, neighbour.by_hand) {
            (true, _) => " FAILED",
            (false, true) => " PERMANENT",
            (false, false) => "",
        };
        format!(" lladdr {card}{state}")
    });
    format!("{via} dev {}{kind}{}", hop.device, neighbour.unwrap_or_default())
}

#[cfg(test)]
pub(in crate::checks) mod tests {
    use super::*;
    use crate::checks::testing::site;
    use crate::findings::CauseId;
    use crate::protocol::Neighbour;

    /// Returns a lookup whose packets leave by eth1, through `via`, for the network of the route.
    pub(in crate::checks) fn lookup(to: &str, network: &str, via: Option<&str>) -> RouteLookup {
        RouteLookup {
            ask: RouteAsk {
                to: to.parse().unwrap(),
                from: None,
            },
            taken: RouteTaken::Sent {
                hops: vec![Hop {
                    via: via.map(|via| via.parse().unwrap()),
                    device: "eth1".to_owned(),
                    kind: "veth".to_owned(),
                    port: None,
                    neighbour: None,
                }],
                protocol: 3,
            },
            table: Some(MAIN),
            rule: Some(32766),
            network: Some(network.parse().unwrap()),
            mtu: None,
        }
    }

    /// Returns a lookup that ends in a refusal.
    pub(in crate::checks) fn refused(to: &str, how: RouteRefusal, table: Option<u32>) -> RouteLookup {
        RouteLookup {
            taken: RouteTaken::Refused {
                how,
                error: "Invalid argument".to_owned(),
            },
            table,
            rule: table.map(|_| 100),
            network: None,
            ..lookup(to, "0.0.0.0/0", None)
        }
    }

    /// Returns a lookup whose packets leave by an interface of a kind.
    pub(in crate::checks) fn over(to: &str, device: &str, kind: &str, via: &str) -> RouteLookup {
        let mut found = lookup(to, "10.200.1.0/24", Some(via));
        if let RouteTaken::Sent { hops, .. } = &mut found.taken {
            device.clone_into(&mut hops[0].device);
            kind.clone_into(&mut hops[0].kind);
        }
        found
    }

    #[test]
    fn a_next_hop_that_nobody_or_another_card_answers_for_is_told() {
        let site = site();
        let ends = (site.host("server").unwrap(), site.host("node-1").unwrap());
        let judged = |silent: bool, card: Option<&str>, via: &str| {
            let mut found = lookup("10.200.1.2", "10.200.1.0/24", Some(via));
            if let RouteTaken::Sent { hops, .. } = &mut found.taken {
                hops[0].neighbour = Some(Neighbour {
                    silent,
                    by_hand: false,
                    card: card.map(str::to_owned),
                });
            }
            let cards = BTreeMap::from([("192.168.10.102".parse().unwrap(), "02:00:00:00:00:02")]);
            wrong_neighbour(&found, ends, &cards).map(|cause| cause.id())
        };
        let via = "192.168.10.102";
        assert_eq!(judged(true, None, via), Some(CauseId::NeighbourSilent));
        assert_eq!(
            judged(false, Some("02:00:00:00:00:66"), via),
            Some(CauseId::NeighbourWrong)
        );
        assert_eq!(judged(false, Some("02:00:00:00:00:02"), via), None);
        assert_eq!(judged(false, None, via), None);
        // Where another host stands between, its card is right.
        assert_eq!(judged(false, Some("02:00:00:00:00:66"), "192.168.10.1"), None);
    }

    fn id(lookup: &RouteLookup) -> Option<CauseId> {
        let site = site();
        let (here, node) = (site.host("server").unwrap(), site.host("node-1").unwrap());
        cause(lookup, (here, node), &"10.200.1.0/24".parse().unwrap()).map(|cause| cause.id())
    }

    #[test]
    fn a_route_to_the_node_is_right_and_none_or_a_default_one_is_missing() {
        let right = lookup("10.200.1.2", "10.200.1.0/24", Some("192.168.10.102"));
        assert_eq!(id(&right), None);
        let default = lookup("10.200.1.2", "0.0.0.0/0", Some("10.0.2.2"));
        assert_eq!(id(&default), Some(CauseId::RouteMissing));
        let none = refused("10.200.1.2", RouteRefusal::NoRoute, None);
        assert_eq!(id(&none), Some(CauseId::RouteMissing));
    }

    #[test]
    fn another_next_hop_is_wrong_and_of_several_one_is_enough() {
        let mut wrong = lookup("10.200.1.2", "10.200.1.0/24", Some("192.168.10.101"));
        assert_eq!(id(&wrong), Some(CauseId::RouteWrong));
        let RouteTaken::Sent { hops, .. } = &mut wrong.taken else {
            panic!("not sent");
        };
        let right = Hop {
            via: Some("192.168.10.102".parse().unwrap()),
            ..hops[0].clone()
        };
        hops.insert(0, right);
        assert_eq!(id(&wrong), Some(CauseId::RouteWrong));
    }

    #[test]
    fn a_rule_that_refuses_or_diverts_is_named_with_its_table() {
        let refused = refused("10.200.1.2", RouteRefusal::Blackhole, Some(77));
        let site = site();
        let (here, node) = (site.host("server").unwrap(), site.host("node-1").unwrap());
        let found = cause(&refused, (here, node), &"10.200.1.0/24".parse().unwrap()).unwrap();
        assert_eq!(found.id(), CauseId::RouteRefused);
        assert_eq!(
            (
                &*found.args()["rule"],
                &*found.args()["table"],
                &*found.args()["how"]
            ),
            ("100", "77", "blackhole")
        );
        let diverted = RouteLookup {
            table: Some(77),
            ..lookup("10.200.1.2", "0.0.0.0/0", Some("192.168.10.10"))
        };
        assert_eq!(id(&diverted), Some(CauseId::RouteDiverted));
    }

    #[test]
    fn overlays_and_routing_daemons_have_ways_of_their_own() {
        for (device, kind, via) in [
            ("flannel.1", "vxlan", "10.200.1.0"),
            ("cilium_host", "veth", "10.0.1.7"),
            ("tunl0", "ipip", "192.168.99.2"),
            ("wg0", "wireguard", "10.99.0.2"),
            ("ovn-k8s-mp0", "openvswitch", "10.244.0.1"),
        ] {
            assert_eq!(id(&over("10.200.1.2", device, kind, via)), None, "{device}");
        }
        let mut bird = lookup("10.200.1.2", "10.200.1.0/26", Some("192.168.10.1"));
        if let RouteTaken::Sent { protocol, .. } = &mut bird.taken {
            *protocol = 12;
        }
        assert_eq!(id(&bird), None);
    }
}
