//! `network.interfaces`: the host has the address that the site file gives it, and no network overlaps another.

use std::net::IpAddr;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use super::cni_bridge::line;
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
        if let Some(other) = internal.iter().find(|address| !wanted.contains(address)) {
            let expected: Vec<String> = wanted.iter().map(ToString::to_string).collect();
            findings.push(Finding::fail(cause::InternalAddress {
                node: &host.node(),
                found: other,
                expected: &expected.join(", "),
            }));
        }
        findings.extend(self.overlaps(&wanted, site));
        findings
    }

    /// Returns the interface that has an address.
    fn holder(&self, address: IpAddr) -> Option<&Interface> {
        let has = |interface: &&Interface| interface.addresses.iter().any(|own| own.addr() == address);
        self.interfaces.iter().find(has)
    }

    /// Returns which networks overlap, each pair once. Each is named by the interface that holds it, or by its place in
    /// the site file.
    fn overlaps(&self, own: &[IpAddr], site: &Site) -> Vec<Finding> {
        let held = self.interfaces.iter().flat_map(|interface| {
            let networks = interface.addresses.iter();
            let own = networks.filter(|network| own.contains(&network.addr()));
            own.map(|network| (interface.name.clone(), network.trunc()))
        });
        let pods = site.hosts.iter().flat_map(|host| {
            let of = |network: &IpNet| (format!("{} podCIDRs", host.name), *network);
            host.pod_cidrs.iter().map(of)
        });
        let services = site.expect.service_cidrs.iter();
        let services = services.map(|network| ("serviceCIDRs".to_owned(), *network));
        let networks: Vec<(String, IpNet)> = held.chain(pods).chain(services).collect();
        let mut findings = Vec::new();
        for (at, (one_of, one)) in networks.iter().enumerate() {
            for (other_of, other) in &networks[at + 1..] {
                if one.contains(other) || other.contains(one) {
                    findings.push(Finding::fail(cause::NetworksOverlap {
                        one,
                        one_of,
                        other,
                        other_of,
                    }));
                }
            }
        }
        findings
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
