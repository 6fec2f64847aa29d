//! Routes and interfaces, by rtnetlink.

mod blame;
mod lookup;
mod neighbours;

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use futures::TryStreamExt as _;
use ipnet::IpNet;
use rtnetlink::packet_route::AddressFamily;
use rtnetlink::packet_route::address::AddressAttribute;
use rtnetlink::packet_route::link::{InfoKind, LinkAttribute, LinkFlags, LinkInfo, LinkMessage};
use rtnetlink::packet_route::route::{
    RouteAddress, RouteAttribute, RouteHeader, RouteMessage, RouteNextHop, RouteProtocol, RouteType, RouteVia,
};
use rtnetlink::{Handle, RouteMessageBuilder};

use super::FactError;
use crate::protocol::{Interface, Route};

pub(crate) use lookup::lookups;

/// A netlink connection that ends with this value.
struct Netlink {
    handle: Handle,
    task: tokio::task::JoinHandle<()>,
}

impl Netlink {
    fn open() -> Result<Self, FactError> {
        let (connection, handle, _) = rtnetlink::new_connection().map_err(FactError::Socket)?;
        Ok(Self {
            handle,
            task: tokio::spawn(connection),
        })
    }
}

impl Drop for Netlink {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Returns the unicast routes of the main table, IPv4 first, as the kernel orders them; one for each next hop.
pub(crate) async fn routes() -> Result<Vec<Route>, FactError> {
    let messages = messages().await?;
    Ok(messages.into_iter().flat_map(|(_, routes)| routes).collect())
}

/// Returns the networks of the main table whose routes a routing daemon, DHCP or a router's advertisement set, with the
/// number of that protocol: these come back by themselves. Routes set by hand or from a file have others (rtnetlink(7)).
pub(crate) async fn routes_of_daemons() -> Result<BTreeMap<IpNet, String>, FactError> {
    let of_files = [
        RouteProtocol::Unspec,
        RouteProtocol::Kernel,
        RouteProtocol::Boot,
        RouteProtocol::Static,
    ];
    let messages = messages().await?;
    let set = messages
        .into_iter()
        .filter(|(protocol, _)| !of_files.contains(protocol));
    let named = set.flat_map(|(protocol, routes)| {
        let by = format!("proto {}", u8::from(protocol));
        routes
            .into_iter()
            .map(move |route| (route.destination, by.clone()))
    });
    Ok(named.collect())
}

/// Returns what the kernel says of its routes, each with who set it.
async fn messages() -> Result<Vec<(RouteProtocol, Vec<Route>)>, FactError> {
    let netlink = Netlink::open()?;
    let names: BTreeMap<u32, String> = links(&netlink)
        .await?
        .iter()
        .map(|link| (link.header.index, name(link)))
        .collect();
    let messages = route_messages(&netlink).await?;
    let told = messages
        .iter()
        .map(|message| (message.header.protocol, route(message, &names)));
    Ok(told.collect())
}

/// Returns the routes of all tables as the kernel sends them, IPv4 first.
async fn route_messages(netlink: &Netlink) -> Result<Vec<RouteMessage>, FactError> {
    let v4 = RouteMessageBuilder::<Ipv4Addr>::new().build();
    let v6 = RouteMessageBuilder::<Ipv6Addr>::new().build();
    let mut found = Vec::new();
    for query in [v4, v6] {
        let routes = netlink.handle.route().get(query).execute();
        let routes: Vec<RouteMessage> = routes
            .try_collect()
            .await
            .map_err(|source| netlink_error("routes", source))?;
        found.extend(routes);
    }
    Ok(found)
}

fn netlink_error(what: &'static str, source: rtnetlink::Error) -> FactError {
    FactError::Netlink { what, source }
}

fn route(message: &RouteMessage, names: &BTreeMap<u32, String>) -> Vec<Route> {
    let main = u32::from(RouteHeader::RT_TABLE_MAIN);
    if table(message) != main || message.header.kind != RouteType::Unicast {
        return Vec::new();
    }
    let Some(destination) = destination(message) else {
        return Vec::new();
    };
    let device = |index: u32| names.get(&index).cloned();
    if let Some(hops) = several(message) {
        let of_hop = |hop: &RouteNextHop| Route {
            destination,
            via: via(&hop.attributes),
            device: device(hop.interface_index),
        };
        return hops.iter().map(of_hop).collect();
    }
    vec![Route {
        destination,
        via: via(&message.attributes),
        device: out(message).and_then(device),
    }]
}

fn out(route: &RouteMessage) -> Option<u32> {
    route.attributes.iter().find_map(|attribute| match attribute {
        RouteAttribute::Oif(index) => Some(*index),
        _ => None,
    })
}

fn table(route: &RouteMessage) -> u32 {
    let long = route.attributes.iter().find_map(|attribute| match attribute {
        RouteAttribute::Table(table) => Some(*table),
        _ => None,
    });
    long.unwrap_or(u32::from(route.header.table))
}

/// Returns the network of a route; the whole of its family where it names none.
fn destination(route: &RouteMessage) -> Option<IpNet> {
    let named = route.attributes.iter().find_map(|attribute| match attribute {
        RouteAttribute::Destination(RouteAddress::Inet(address)) => Some(IpAddr::from(*address)),
        RouteAttribute::Destination(RouteAddress::Inet6(address)) => Some(IpAddr::from(*address)),
        _ => None,
    });
    let address = match (named, route.header.address_family) {
        (Some(address), _) => address,
        (None, AddressFamily::Inet) => Ipv4Addr::UNSPECIFIED.into(),
        (None, AddressFamily::Inet6) => Ipv6Addr::UNSPECIFIED.into(),
        (None, _) => return None,
    };
    IpNet::new(address, route.header.destination_prefix_length).ok()
}

/// Returns the next hops of a route that has several.
fn several(route: &RouteMessage) -> Option<&[RouteNextHop]> {
    route.attributes.iter().find_map(|attribute| match attribute {
        RouteAttribute::MultiPath(hops) => Some(hops.as_slice()),
        _ => None,
    })
}

fn via(attributes: &[RouteAttribute]) -> Option<IpAddr> {
    attributes.iter().find_map(|attribute| match attribute {
        RouteAttribute::Gateway(RouteAddress::Inet(address))
        | RouteAttribute::Via(RouteVia::Inet(address)) => Some(IpAddr::from(*address)),
        RouteAttribute::Gateway(RouteAddress::Inet6(address))
        | RouteAttribute::Via(RouteVia::Inet6(address)) => Some(IpAddr::from(*address)),
        _ => None,
    })
}

/// Returns all interfaces of the host, by index.
pub(crate) async fn interfaces() -> Result<Vec<Interface>, FactError> {
    let netlink = Netlink::open()?;
    let links = links(&netlink).await?;
    let mut addresses: BTreeMap<u32, Vec<IpNet>> = BTreeMap::new();
    let mut messages = netlink.handle.address().get().execute();
    while let Some(message) = messages
        .try_next()
        .await
        .map_err(|source| netlink_error("addresses", source))?
    {
        // On a point-to-point link `Address` is the other end, and `Local` is ours.
        let local = message.attributes.iter().find_map(|attribute| match attribute {
            AddressAttribute::Local(address) => Some(*address),
            _ => None,
        });
        let address = message.attributes.iter().find_map(|attribute| match attribute {
            AddressAttribute::Address(address) => Some(*address),
            _ => None,
        });
        if let Some(address) = local.or(address)
            && let Ok(network) = IpNet::new(address, message.header.prefix_len)
        {
            addresses.entry(message.header.index).or_default().push(network);
        }
    }
    let names: BTreeMap<u32, String> = links.iter().map(|link| (link.header.index, name(link))).collect();
    let mut found: Vec<Interface> = links
        .iter()
        .map(|link| {
            interface(
                link,
                &names,
                addresses.remove(&link.header.index).unwrap_or_default(),
            )
        })
        .collect();
    found.sort_by_key(|interface| interface.index);
    Ok(found)
}

async fn links(netlink: &Netlink) -> Result<Vec<LinkMessage>, FactError> {
    let links = netlink.handle.link().get().execute();
    links
        .try_collect()
        .await
        .map_err(|source| netlink_error("interfaces", source))
}

fn name(link: &LinkMessage) -> String {
    let name = link.attributes.iter().find_map(|attribute| match attribute {
        LinkAttribute::IfName(name) => Some(name.clone()),
        _ => None,
    });
    name.unwrap_or_default()
}

fn interface(link: &LinkMessage, names: &BTreeMap<u32, String>, addresses: Vec<IpNet>) -> Interface {
    let mut found = Interface {
        index: link.header.index,
        name: name(link),
        kind: String::new(),
        up: link.header.flags.contains(LinkFlags::Up),
        master: None,
        peer: None,
        addresses,
        mtu: 0,
        card: None,
    };
    for attribute in &link.attributes {
        match attribute {
            LinkAttribute::Mtu(mtu) => found.mtu = *mtu,
            LinkAttribute::Address(address) => found.card = Some(card(address)),
            LinkAttribute::Controller(index) => found.master = names.get(index).cloned(),
            LinkAttribute::Link(index) => found.peer = Some(*index),
            LinkAttribute::LinkInfo(infos) => {
                for info in infos {
                    if let LinkInfo::Kind(kind) = info {
                        found.kind = kind_name(kind);
                    }
                }
            }
            _ => {}
        }
    }
    if found.kind != "veth" {
        found.peer = None;
    }
    found
}

/// Returns an Ethernet address as `ip` prints it.
fn card(bytes: &[u8]) -> String {
    let parts: Vec<String> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    parts.join(":")
}

fn kind_name(kind: &InfoKind) -> String {
    kind.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn loopback_is_among_the_interfaces_with_its_address() {
        let found = interfaces().await.unwrap();
        let loopback = found.iter().find(|interface| interface.name == "lo").unwrap();
        assert!(loopback.up);
        assert!(loopback.addresses.contains(&"127.0.0.1/8".parse().unwrap()));
    }

    #[tokio::test]
    async fn routes_name_devices_that_exist() {
        let names: Vec<String> = interfaces()
            .await
            .unwrap()
            .into_iter()
            .map(|interface| interface.name)
            .collect();
        for route in routes().await.unwrap() {
            assert!(route.device.is_none_or(|device| names.contains(&device)));
        }
    }
}
