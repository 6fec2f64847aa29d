//! `network.interfaces`: the host has the address that the site file gives it, and no network overlaps another.

use std::net::IpAddr;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use super::cni_bridge::line;
use super::next_hop;
use crate::cluster::{NodeFacts, Permission};
use crate::findings::{Cause, Evidence, Finding, Judged, Unjudged, cause, phrase};
use crate::protocol::{Interface, Interfaces};
use crate::site::{Host, Role, Site};
use crate::suite::{Check, Ctx, Expect, Member, Probe, Scope};

pub(super) const CHECK: Check = Check::of::<OwnInterfaces>("network.interfaces", Scope::Host)
    .permissions(&[Permission::across("list", "", "nodes")]);

struct OwnInterfaces;

#[derive(Serialize, Deserialize)]
struct Facts {
    interfaces: Vec<Interface>,
    /// The host's Node; absent for a host that is no worker, or has not joined.
    node: Option<NodeFacts>,
    /// Why the API did not say.
    silent: Option<Cause>,
}

impl Probe for OwnInterfaces {
    type Facts = Facts;

    async fn gather(ctx: &Ctx, member: &Member) -> Result<Facts, Unjudged> {
        let host = ctx.host(member)?;
        let interfaces = ctx.ask(&host.name, Interfaces {}).await?;
        let mut facts = Facts {
            interfaces,
            node: None,
            silent: None,
        };
        if host.roles.contains(&Role::Worker) {
            let nodes = match ctx.api() {
                Ok(api) => api.nodes().await.map_err(Unjudged::from),
                Err(unjudged) => Err(unjudged),
            };
            match nodes {
                Ok(nodes) => facts.node = nodes.iter().find(|node| node.name == host.node()).cloned(),
                Err(unjudged) => facts.silent = Some(unjudged.into_cause()),
            }
        }
        Ok(facts)
    }

    fn judge(facts: &Facts, expect: &Expect<'_>) -> Judged {
        let findings = facts.findings(expect.host()?, expect.site);
        match &facts.silent {
            // What the API says of the Node is half of the proof.
            Some(cause) if findings.is_empty() => Err(Unjudged::error(cause.clone())),
            _ => Ok(findings),
        }
    }

    fn evidence(facts: &Facts, _: &Expect<'_>) -> Vec<Evidence> {
        let evidence = Evidence::lines(phrase::HostInterfaces, facts.interfaces.iter().map(line));
        evidence.into_iter().collect()
    }
}

impl Facts {
    fn findings(&self, host: &Host, site: &Site) -> Vec<Finding> {
        let mut wanted = host.ips();
        let internal: Vec<IpAddr> = self.node.iter().flat_map(internal).collect();
        if wanted.is_empty() {
            // The site file has a name; then the Node says which address it stands for.
            wanted.clone_from(&internal);
        }
        // An address of a family that the site file does not mention is taken from the API: dual-stack.
        let of_its_family = |address: &IpAddr| wanted.iter().any(|own| own.is_ipv4() == address.is_ipv4());
        let (same, others): (Vec<IpAddr>, Vec<IpAddr>) = internal.into_iter().partition(of_its_family);
        let expected: Vec<String> = wanted.iter().map(ToString::to_string).collect();
        let strange = same.into_iter().find(|address| !wanted.contains(address));
        wanted.extend(others);
        let mut findings = Vec::new();
        for address in &wanted {
            let host = &host.name;
            match self.holder(*address) {
                None => findings.push(Finding::fail(cause::AddressMissing { host, address })),
                Some(Interface { up: false, name, .. }) => {
                    findings.push(Finding::fail(cause::InterfaceDown {
                        interface: name,
                        host,
                        address,
                    }));
                }
                Some(_) => {}
            }
        }
        if let Some(other) = strange {
            findings.push(Finding::fail(cause::InternalAddress {
                node: &host.node(),
                found: &other,
                expected: &expected.join(", "),
            }));
        }
        findings.extend(self.overlaps(host, &wanted, site));
        findings
    }

    /// Returns the interface that has an address.
    fn holder(&self, address: IpAddr) -> Option<&Interface> {
        let has = |interface: &&Interface| interface.addresses.iter().any(|own| own.addr() == address);
        self.interfaces.iter().find(has)
    }

    /// Returns which networks overlap, each pair once: those of the host's own addresses with each other and with those of the
    /// cluster, and every other network on the host with those of the cluster. Each is named by the interface that holds it,
    /// or by its place in the site file.
    fn overlaps(&self, host: &Host, own: &[IpAddr], site: &Site) -> Vec<Finding> {
        let is_own = |network: &IpNet| own.contains(&network.addr());
        let (held, besides): (Vec<_>, Vec<_>) = self.networks(host).partition(|(_, network)| is_own(network));
        let named = |(name, network): (&String, &IpNet)| (name.clone(), network.trunc());
        let held = held.into_iter().map(named);
        let pods = site.hosts.iter().flat_map(|host| {
            let of = |network: &IpNet| (format!("{} podCIDRs", host.name), *network);
            host.pod_cidrs.iter().map(of)
        });
        let services = site.expect.service_cidrs.iter();
        let services = services.map(|network| ("serviceCIDRs".to_owned(), *network));
        let of_cluster: Vec<(String, IpNet)> = pods.chain(services).collect();
        let networks: Vec<(String, IpNet)> = held.chain(of_cluster.iter().cloned()).collect();
        let mut findings = Vec::new();
        for (at, one) in networks.iter().enumerate() {
            findings.extend(networks[at + 1..].iter().filter_map(|other| overlap(one, other)));
        }
        for one in besides.into_iter().map(named) {
            findings.extend(of_cluster.iter().filter_map(|other| overlap(&one, other)));
        }
        findings
    }

    /// Returns the networks that the host's interfaces are in. Those of the CNI, of overlays and of single addresses are none of
    /// the host's.
    fn networks(&self, host: &Host) -> impl Iterator<Item = (&String, &IpNet)> {
        let of_cni = |address: IpAddr| host.pod_cidrs.iter().any(|network| network.contains(&address));
        let outer = self.interfaces.iter().filter(|interface| {
            interface.name != "lo" && !next_hop::is_overlay(&interface.name, &interface.kind)
        });
        let all = outer.flat_map(|interface| {
            let networks = interface.addresses.iter();
            networks.map(move |network| (&interface.name, network))
        });
        all.filter(move |(_, network)| {
            let is_single = network.prefix_len() == network.max_prefix_len();
            !is_single && !of_cni(network.addr()) && !is_link_local(network.addr())
        })
    }
}

fn overlap((one_of, one): &(String, IpNet), (other_of, other): &(String, IpNet)) -> Option<Finding> {
    let cause = cause::NetworksOverlap {
        one,
        one_of,
        other,
        other_of,
    };
    (one.contains(other) || other.contains(one)).then(|| Finding::fail(cause))
}

/// Returns whether an address is of one link alone (RFC 3927, RFC 4291).
fn is_link_local(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => address.is_link_local(),
        IpAddr::V6(address) => address.is_unicast_link_local(),
    }
}

/// Returns the addresses by which the cluster reaches a Node.
fn internal(node: &NodeFacts) -> impl Iterator<Item = IpAddr> {
    let addresses = node.addresses.iter().filter(|(kind, _)| kind == "InternalIP");
    addresses.filter_map(|(_, address)| address.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::network::cni_bridge::tests::interface;
    use crate::checks::testing::{expect, judged, site};
    use crate::findings::{CauseId, Outcome};
    use crate::suite::fixtures::why::tests::node;

    fn facts() -> Facts {
        Facts {
            interfaces: vec![
                interface(2, "eth0", "", &["10.0.2.15/24"]),
                interface(3, "eth1", "", &["192.168.10.101/24"]),
            ],
            node: Some(node("node-0")),
            silent: None,
        }
    }

    fn judge(facts: &Facts, site: &Site) -> (Outcome, Option<CauseId>) {
        judged::<OwnInterfaces>(facts, &expect(site, "node-0"))
    }

    #[test]
    fn the_page_s_node_passes_and_its_nat_interface_is_no_finding() {
        assert_eq!(judge(&facts(), &site()), (Outcome::Pass, None));
    }

    #[test]
    fn an_address_that_is_not_there_or_down_or_another_internal_address_fails() {
        let mut other = facts();
        other.interfaces[1].addresses = vec!["192.168.10.109/24".parse().unwrap()];
        assert_eq!(
            judge(&other, &site()),
            (Outcome::Fail, Some(CauseId::AddressMissing))
        );
        let mut down = facts();
        down.interfaces[1].up = false;
        assert_eq!(
            judge(&down, &site()),
            (Outcome::Fail, Some(CauseId::InterfaceDown))
        );
        let mut nat = facts();
        nat.node.as_mut().unwrap().addresses[0].1 = "10.0.2.15".to_owned();
        assert_eq!(
            judge(&nat, &site()),
            (Outcome::Fail, Some(CauseId::InternalAddress))
        );
    }

    #[test]
    fn an_address_of_another_family_that_only_the_api_has_must_be_there_and_is_no_stranger() {
        let mut dual = facts();
        let node = dual.node.as_mut().unwrap();
        node.addresses
            .push(("InternalIP".to_owned(), "fd00::101".to_owned()));
        assert_eq!(
            judge(&dual, &site()),
            (Outcome::Fail, Some(CauseId::AddressMissing))
        );
        dual.interfaces[1].addresses.push("fd00::101/64".parse().unwrap());
        assert_eq!(judge(&dual, &site()), (Outcome::Pass, None));
    }

    #[test]
    fn every_network_of_the_host_is_compared_with_those_of_the_cluster_but_the_cni_s_own() {
        let mut nat = facts();
        nat.interfaces[0].addresses = vec!["10.200.1.15/16".parse().unwrap()];
        assert_eq!(
            judge(&nat, &site()),
            (Outcome::Fail, Some(CauseId::NetworksOverlap))
        );
        let mut healthy = facts();
        healthy.interfaces.extend([
            interface(4, "cni0", "bridge", &["10.200.0.1/24"]),
            interface(5, "flannel.1", "vxlan", &["10.200.0.0/32"]),
            interface(6, "kube-ipvs0", "dummy", &["10.32.0.1/32"]),
            interface(7, "cilium_host", "veth", &["10.200.0.7/32"]),
        ]);
        assert_eq!(judge(&healthy, &site()), (Outcome::Pass, None));
    }

    #[test]
    fn networks_that_overlap_are_named_both() {
        let mut site = site();
        site.expect.service_cidrs = vec!["10.200.0.0/16".parse().unwrap()];
        assert_eq!(
            judge(&facts(), &site),
            (Outcome::Fail, Some(CauseId::NetworksOverlap))
        );
    }

    #[test]
    fn a_worker_whose_node_nobody_could_ask_for_is_no_pass() {
        let mut facts = facts();
        facts.node = None;
        let silent = cause::ApiUnreachable {
            server: &"s",
            reason: &"r",
        };
        facts.silent = Some(silent.into());
        assert_eq!(
            judge(&facts, &site()),
            (Outcome::Error, Some(CauseId::ApiUnreachable))
        );
    }
}
