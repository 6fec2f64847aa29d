//! Strict reverse-path filtering on a host that sends to another one by a different interface than that one's packets come in
//! by. Pure.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::net::IpAddr;

use crate::findings::{Finding, cause};
use crate::protocol::{Interface, Route};
use crate::site::Host;

/// The filter of all interfaces: the larger of its value and the interface's own counts (ip-sysctl.rst).
const ALL: &str = "net/ipv4/conf/all/rp_filter";
const STRICT: u64 = 1;

/// Returns the settings that are needed: that of all interfaces, and that of each with one of the host's addresses.
pub(super) fn keys(interfaces: &[Interface], host: &Host) -> Vec<String> {
    let own = own(interfaces, host).map(|(interface, _)| key(interface));
    own.chain([ALL.to_owned()]).collect()
}

fn key(interface: &Interface) -> String {
    format!("net/ipv4/conf/{}/rp_filter", interface.name)
}

/// Returns the interfaces by which others' packets come in: those with the host's addresses. An address on `lo` or on a dummy is
/// reached by all of them.
fn own<'a>(interfaces: &'a [Interface], host: &Host) -> impl Iterator<Item = (&'a Interface, IpAddr)> {
    let own = host.ips();
    let real = |interface: &&Interface| interface.name != "lo" && interface.kind != "dummy";
    interfaces.iter().filter(real).filter_map(move |interface| {
        let mut addresses = interface.addresses.iter().map(ipnet::IpNet::addr);
        let address = addresses.find(|address| address.is_ipv4() && own.contains(address))?;
        Some((interface, address))
    })
}

/// Returns what is dropped. Rules of policy routing are not seen here and may make it right: so nothing is said unless the kernel
/// has dropped packets for it.
pub(super) fn findings(
    (interfaces, routes): (&[Interface], &[Route]),
    values: &BTreeMap<String, Option<String>>,
    drops: u64,
    (host, hosts): (&Host, &[Host]),
) -> Vec<Finding> {
    if drops == 0 {
        return Vec::new();
    }
    let value = |key: &str| -> u64 {
        let value = values.get(key).and_then(Option::as_deref);
        value.and_then(|value| value.parse().ok()).unwrap_or_default()
    };
    let strict = own(interfaces, host).filter(|(one, _)| value(&key(one)).max(value(ALL)) == STRICT);
    strict
        .filter_map(|(interface, _)| {
            let (other, device) = hosts
                .iter()
                .filter(|other| other.name != host.name)
                .find_map(|other| Some((other, away(routes, other, &interface.name)?)))?;
            let (host, name): (&dyn Display, _) = (&host.name, &interface.name);
            let cause = cause::ReversePathStrict {
                interface: name,
                node: &other.name,
                device: &device,
                host,
                drops: &drops,
            };
            Some(Finding::warn(cause).of(name))
        })
        .collect()
}

/// Returns the interface by which packets for a host leave, if it is never the one.
fn away<'a>(routes: &'a [Route], other: &Host, interface: &str) -> Option<&'a str> {
    other
        .ips()
        .iter()
        .filter(|address| address.is_ipv4())
        .find_map(|address| {
            let fits = || routes.iter().filter(|route| route.destination.contains(address));
            let longest = fits().map(|route| route.destination.prefix_len()).max()?;
            let devices = fits()
                .filter(|route| route.destination.prefix_len() == longest)
                .filter_map(|route| route.device.as_deref());
            let devices: Vec<&str> = devices.collect();
            (!devices.contains(&interface)).then(|| devices.first().copied())?
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::testing::site;

    fn interface(name: &str, kind: &str, address: &str) -> Interface {
        Interface {
            index: 2,
            name: name.to_owned(),
            kind: kind.to_owned(),
            up: true,
            master: None,
            peer: None,
            addresses: vec![address.parse().unwrap()],
            mtu: 1500,
            card: None,
        }
    }

    fn route(destination: &str, device: &str) -> Route {
        Route {
            destination: destination.parse().unwrap(),
            via: None,
            device: Some(device.to_owned()),
        }
    }

    /// Judges node-0 with these routes.
    fn found(kind: &str, routes: &[Route], filters: [&str; 2], drops: u64) -> usize {
        let site = site();
        let interfaces = [interface("eth1", kind, "192.168.10.101/24")];
        let keys = [ALL.to_owned(), key(&interfaces[0])];
        let values = keys.into_iter().zip(filters.map(|value| Some(value.to_owned())));
        let hosts = (&site.hosts[1], &site.hosts[..]);
        findings((&interfaces, routes), &values.collect(), drops, hosts).len()
    }

    #[test]
    fn a_way_out_that_is_not_the_way_in_warns_where_the_filter_is_strict_and_has_dropped_something() {
        let link = route("192.168.10.0/24", "eth1");
        let other = [link.clone(), route("192.168.10.102/32", "eth2")];
        assert_eq!(found("", &other, ["1", "0"], 5), 1);
        assert_eq!(found("", &other, ["0", "1"], 5), 1);
        assert_eq!(found("", &other, ["0", "2"], 5), 0);
        assert_eq!(found("", &other, ["2", "1"], 5), 0);
        assert_eq!(found("", &other, ["1", "1"], 0), 0);
        assert_eq!(found("", &[link], ["1", "1"], 5), 0);
    }

    #[test]
    fn two_ways_one_of_which_is_the_way_in_are_none_and_so_is_an_address_that_all_ways_lead_to() {
        let both = [route("192.168.10.0/24", "eth2"), route("192.168.10.0/24", "eth1")];
        assert_eq!(found("", &both, ["1", "1"], 5), 0);
        let away = [route("192.168.10.0/24", "eth2")];
        assert_eq!(found("", &away, ["1", "1"], 5), 1);
        assert_eq!(found("dummy", &away, ["1", "1"], 5), 0);
    }
}
