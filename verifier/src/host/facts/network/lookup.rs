//! Which way the kernel sends packets: asked of itself, packet by packet, and never derived from its tables. These only
//! say afterwards which rule it was.

use std::collections::BTreeMap;
use std::net::IpAddr;

use futures::TryStreamExt as _;
use ipnet::IpNet;
use rtnetlink::IpVersion;
use rtnetlink::packet_route::AddressFamily;
use rtnetlink::packet_route::link::{InfoData, InfoGeneve, InfoVxlan, LinkAttribute, LinkInfo, LinkMessage};
use rtnetlink::packet_route::route::{
    RouteAddress, RouteAttribute, RouteFlags, RouteMessage, RouteMetric, RouteNextHop, RouteType,
};
use rtnetlink::packet_route::rule::{RuleAction, RuleAttribute, RuleMessage};
use rustix::io::Errno;

use super::blame::{self, Entry, Outcome, Rule, Selector, Tables};
use super::neighbours::Neighbours;
use super::{
    FactError, Netlink, destination, kind_name, links, name, netlink_error, out, route_messages, several,
    table, via,
};
use crate::protocol::{Hop, RouteAsk, RouteLookup, RouteLookups, RouteRefusal, RouteTaken};

/// The table of the host's own addresses (`include/uapi/linux/rtnetlink.h`).
const LOCAL: u32 = 255;

/// Returns what the kernel does with each packet, then with one to each part of the networks that are asked for.
pub(crate) async fn lookups(question: &RouteLookups) -> Result<Vec<RouteLookup>, FactError> {
    let kernel = Kernel::open().await?;
    let tables = kernel.tables().await?;
    let parts = question.within.iter().flat_map(|network| tables.parts(*network));
    let parts = parts
        .take(RouteLookups::PARTS)
        .map(|to| RouteAsk { to, from: None });
    let mut asks = question.asks.clone();
    asks.extend(parts);
    let mut found = Vec::with_capacity(asks.len());
    for ask in asks {
        found.push(kernel.look_up(ask, &tables).await?);
    }
    Ok(found)
}

/// A device as a next hop names it.
struct Device {
    name: String,
    kind: String,
    port: Option<u16>,
}

/// Who sends a packet.
#[derive(Clone, Copy)]
enum Sender {
    /// The host itself, from an address of its own.
    Host(IpAddr),
    /// Somebody behind an interface, whose packets come in there.
    Behind(IpAddr, u32),
}

/// The kernel, and the names of its interfaces.
struct Kernel {
    netlink: Netlink,
    devices: BTreeMap<u32, Device>,
    neighbours: Neighbours,
}

impl Kernel {
    async fn open() -> Result<Self, FactError> {
        let netlink = Netlink::open()?;
        let links = links(&netlink).await?;
        let devices = links.iter().map(|link| (link.header.index, device(link)));
        Ok(Self {
            devices: devices.collect(),
            neighbours: Neighbours::read(&netlink).await,
            netlink,
        })
    }

    /// Returns all rules and the routes of all tables but that of the host's own addresses.
    async fn tables(&self) -> Result<Tables, FactError> {
        let mut tables = Tables::default();
        for version in [IpVersion::V4, IpVersion::V6] {
            let rules = self.netlink.handle.rule().get(version).execute();
            let rules: Vec<RuleMessage> = match rules.try_collect().await {
                Ok(rules) => rules,
                // A kernel without policy routing, or without IPv6, has none.
                Err(rtnetlink::Error::NetlinkError(_)) => Vec::new(),
                Err(source) => return Err(netlink_error("rules", source)),
            };
            tables.rules.extend(rules.iter().map(rule));
        }
        let routes = route_messages(&self.netlink).await?;
        tables.entries = routes.iter().filter_map(entry).collect();
        tables.rules.sort_by_key(|rule| rule.priority);
        Ok(tables)
    }

    /// Returns what the kernel does with a packet, and which rule and table made it do so.
    async fn look_up(&self, ask: RouteAsk, tables: &Tables) -> Result<RouteLookup, FactError> {
        let from = match ask.from {
            Some(from) => self.sender(from).await?,
            None => None,
        };
        let blamed = blame::blame(tables, ask);
        let told = match self.ask(ask.to, from).await? {
            Ok(route) => self.told(ask, &route),
            // Since 6.13 the kernel says so of every packet that it does not take in, as of a wrong reverse path.
            Err(error)
                if matches!(from, Some(Sender::Behind(..)))
                    && !blamed.as_ref().is_some_and(|blamed| blamed.refuses) =>
            {
                RouteLookup {
                    taken: untaken(error),
                    ..nothing(ask)
                }
            }
            Err(error) => RouteLookup {
                taken: refused(error),
                ..nothing(ask)
            },
        };
        let same = |table: Option<u32>| told.table.is_none() || told.table == table;
        Ok(match blamed {
            Some(blamed) if same(blamed.table) => RouteLookup {
                rule: Some(blamed.rule),
                table: blamed.table,
                network: told.network.or(blamed.network),
                ..told
            },
            _ => told,
        })
    }

    /// Returns who sends from an address. Where no interface leads to it its packets cannot come in; then it is asked as if the
    /// host sent them, from whatever address.
    async fn sender(&self, address: IpAddr) -> Result<Option<Sender>, FactError> {
        let Ok(route) = self.ask(address, None).await? else {
            return Ok(None);
        };
        if route.header.kind == RouteType::Local {
            return Ok(Some(Sender::Host(address)));
        }
        Ok(out(&route).map(|device| Sender::Behind(address, device)))
    }

    /// Returns the route that the kernel takes, or its refusal.
    async fn ask(&self, to: IpAddr, from: Option<Sender>) -> Result<Result<RouteMessage, i32>, FactError> {
        let mut message = RouteMessage::default();
        message.header.address_family = if to.is_ipv4() {
            AddressFamily::Inet
        } else {
            AddressFamily::Inet6
        };
        let whole = if to.is_ipv4() { 32 } else { 128 };
        message.header.destination_prefix_length = whole;
        message.header.flags = RouteFlags::FibMatch | RouteFlags::LookupTable;
        message
            .attributes
            .push(RouteAttribute::Destination(route_address(to)));
        let device = match from {
            Some(Sender::Behind(_, device)) => Some(device),
            _ => None,
        };
        if let Some(Sender::Host(from) | Sender::Behind(from, _)) = from {
            message.header.source_prefix_length = whole;
            message
                .attributes
                .push(RouteAttribute::Source(route_address(from)));
        }
        message.attributes.extend(device.map(RouteAttribute::Iif));
        let mut replies = self.netlink.handle.route().get(message).execute();
        match replies.try_next().await {
            Ok(Some(route)) => Ok(Ok(route)),
            Ok(None) => Ok(Err(Errno::NETUNREACH.raw_os_error())),
            Err(rtnetlink::Error::NetlinkError(refusal)) => Ok(Err(-refusal.raw_code())),
            Err(source) => Err(netlink_error("the way of a packet", source)),
        }
    }

    fn told(&self, ask: RouteAsk, route: &RouteMessage) -> RouteLookup {
        let taken = match route.header.kind {
            RouteType::Local | RouteType::Broadcast | RouteType::Anycast | RouteType::Multicast => {
                RouteTaken::Local
            }
            RouteType::BlackHole => refused(Errno::INVAL.raw_os_error()),
            RouteType::Unreachable => refused(Errno::HOSTUNREACH.raw_os_error()),
            RouteType::Prohibit => refused(Errno::ACCESS.raw_os_error()),
            _ => RouteTaken::Sent {
                hops: self.hops(ask.to, route),
                protocol: route.header.protocol.into(),
            },
        };
        RouteLookup {
            taken,
            table: Some(table(route)),
            network: destination(route),
            mtu: mtu(route),
            ..nothing(ask)
        }
    }

    fn hops(&self, to: IpAddr, route: &RouteMessage) -> Vec<Hop> {
        let hop = |via: Option<IpAddr>, index: u32| {
            let device = self.devices.get(&index);
            Hop {
                via,
                device: device.map(|device| device.name.clone()).unwrap_or_default(),
                kind: device.map(|device| device.kind.clone()).unwrap_or_default(),
                port: device.and_then(|device| device.port),
                neighbour: self.neighbours.of(index, via.unwrap_or(to)),
            }
        };
        let of_hop = |next: &RouteNextHop| hop(via(&next.attributes), next.interface_index);
        match several(route) {
            Some(hops) => hops.iter().map(of_hop).collect(),
            None => vec![hop(via(&route.attributes), out(route).unwrap_or_default())],
        }
    }
}

fn nothing(ask: RouteAsk) -> RouteLookup {
    RouteLookup {
        ask,
        taken: RouteTaken::Local,
        table: None,
        rule: None,
        network: None,
        mtu: None,
    }
}

fn mtu(route: &RouteMessage) -> Option<u32> {
    let metrics = route.attributes.iter().find_map(|attribute| match attribute {
        RouteAttribute::Metrics(metrics) => Some(metrics),
        _ => None,
    })?;
    metrics.iter().find_map(|metric| match metric {
        RouteMetric::Mtu(mtu) => Some(*mtu),
        _ => None,
    })
}

/// Returns a refusal by the error of its kind of route (`net/ipv4/fib_semantics.c`, `fib_props`).
fn refused(error: i32) -> RouteTaken {
    let how = match Errno::from_raw_os_error(error) {
        Errno::NETUNREACH => RouteRefusal::NoRoute,
        Errno::INVAL => RouteRefusal::Blackhole,
        Errno::HOSTUNREACH => RouteRefusal::Unreachable,
        Errno::ACCESS => RouteRefusal::Prohibit,
        _ => RouteRefusal::Other,
    };
    let error = std::io::Error::from_raw_os_error(error).to_string();
    RouteTaken::Refused { how, error }
}

/// Returns a refusal of a packet on its way in: no blackhole, whatever the error.
fn untaken(error: i32) -> RouteTaken {
    match refused(error) {
        RouteTaken::Refused {
            how: RouteRefusal::Blackhole,
            error,
        } => RouteTaken::Refused {
            how: RouteRefusal::Other,
            error,
        },
        taken => taken,
    }
}

fn route_address(address: IpAddr) -> RouteAddress {
    match address {
        IpAddr::V4(address) => RouteAddress::Inet(address),
        IpAddr::V6(address) => RouteAddress::Inet6(address),
    }
}

fn entry(route: &RouteMessage) -> Option<Entry> {
    let table = table(route);
    let metric = route.attributes.iter().find_map(|attribute| match attribute {
        RouteAttribute::Priority(metric) => Some(*metric),
        _ => None,
    });
    let entry = Entry {
        table,
        network: destination(route)?,
        metric: metric.unwrap_or_default(),
        is_throw: route.header.kind == RouteType::Throw,
        refuses: route.header.kind == RouteType::BlackHole,
    };
    (table != LOCAL).then_some(entry)
}

fn rule(message: &RuleMessage) -> Rule {
    let mut rule = Rule {
        v6: message.header.family == AddressFamily::Inet6,
        priority: 0,
        outcome: match message.header.action {
            RuleAction::ToTable => Outcome::Table(u32::from(message.header.table)),
            RuleAction::Blackhole | RuleAction::Unreachable | RuleAction::Prohibit => Outcome::Refuses,
            _ => Outcome::Nothing,
        },
        to: None,
        from: None,
        suppressed: None,
        other: Selector::None,
    };
    for attribute in &message.attributes {
        match attribute {
            RuleAttribute::Priority(priority) => rule.priority = *priority,
            RuleAttribute::Table(table) if matches!(rule.outcome, Outcome::Table(_)) => {
                rule.outcome = Outcome::Table(*table);
            }
            RuleAttribute::Destination(address) => {
                rule.to = IpNet::new(*address, message.header.dst_len).ok();
            }
            RuleAttribute::Source(address) => rule.from = IpNet::new(*address, message.header.src_len).ok(),
            RuleAttribute::SuppressPrefixLen(length) => rule.suppressed = Some(*length),
            RuleAttribute::Iifname(_)
            | RuleAttribute::Oifname(_)
            | RuleAttribute::FwMark(_)
            | RuleAttribute::L3MDev(_)
            | RuleAttribute::UidRange(_)
            | RuleAttribute::IpProtocol(_)
            | RuleAttribute::TunId(_)
            | RuleAttribute::SourcePortRange(_)
            | RuleAttribute::DestinationPortRange(_) => rule.other = Selector::Some,
            _ => {}
        }
    }
    rule
}

fn device(link: &LinkMessage) -> Device {
    let infos = link.attributes.iter().filter_map(|attribute| match attribute {
        LinkAttribute::LinkInfo(infos) => Some(infos),
        _ => None,
    });
    let mut device = Device {
        name: name(link),
        kind: String::new(),
        port: None,
    };
    for info in infos.flatten() {
        match info {
            LinkInfo::Kind(kind) => device.kind = kind_name(kind),
            LinkInfo::Data(InfoData::Vxlan(of)) => {
                device.port = of.iter().find_map(|info| match info {
                    InfoVxlan::Port(port) => Some(*port),
                    _ => None,
                });
            }
            LinkInfo::Data(InfoData::Geneve(of)) => {
                device.port = of.iter().find_map(|info| match info {
                    InfoGeneve::Port(port) => Some(*port),
                    _ => None,
                });
            }
            _ => {}
        }
    }
    device
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_kernel_keeps_what_is_for_the_host_itself() {
        let ask = RouteAsk {
            to: "127.0.0.1".parse().unwrap(),
            from: None,
        };
        let question = RouteLookups {
            asks: vec![ask],
            within: Vec::new(),
        };
        let found = lookups(&question).await.unwrap();
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].taken, RouteTaken::Local);
    }

    /// A packet from an address of the host's own comes in by no interface, and is asked for as what it is: sent.
    #[tokio::test]
    async fn what_the_host_sends_from_its_own_address_is_not_forwarded() {
        let kernel = Kernel::open().await.unwrap();
        let own = "127.0.0.1".parse().unwrap();
        assert!(matches!(kernel.sender(own).await.unwrap(), Some(Sender::Host(from)) if from == own));
    }

    #[test]
    fn a_refusal_is_told_by_the_error_of_its_kind() {
        let how = |error: Errno| match refused(error.raw_os_error()) {
            RouteTaken::Refused { how, .. } => how,
            _ => panic!("no refusal"),
        };
        assert_eq!(how(Errno::NETUNREACH), RouteRefusal::NoRoute);
        assert_eq!(how(Errno::INVAL), RouteRefusal::Blackhole);
        assert_eq!(how(Errno::XDEV), RouteRefusal::Other);
        let RouteTaken::Refused { how, .. } = untaken(Errno::INVAL.raw_os_error()) else {
            panic!("no refusal");
        };
        assert_eq!(how, RouteRefusal::Other);
    }
}
