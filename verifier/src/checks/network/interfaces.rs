//! `network.interfaces`: the host has the address that the site file gives it, and no network overlaps another.

use std::net::IpAddr;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use super::cni_bridge::line;
use crate::cluster::{NodeFacts, Permission};
use crate::findings::{Cause, CauseId, Evidence, Finding, Trouble, Verdict};
use crate::protocol::{Interface, Interfaces};
use crate::site::{Host, Role, Site};
use crate::suite::{About, Check, Ctx, Expect, Member, Probe, Scope};

pub(super) const CHECK: Check = Check::of::<OwnInterfaces>(About {
    id: "network.interfaces",
    scope: Scope::Host,
    needs: &[],
    permissions: &[Permission::across("list", "", "nodes")],
    summary: "the host has its address of the site file, and networks do not overlap",
    explain: "Proves that the address which the site file gives this host (nodeIPs where they are named, else address) is \
on one of its interfaces that is up, that a worker's InternalIP in the API is one of these addresses, and that the \
network of the host, the pod networks and the service networks do not overlap: an address in two of them is reached \
in one way only.\n\nUsual causes of failure, in order: the kubelet registered the address of another interface \
(--node-ip; a NAT interface such as VirtualBox's 10.0.2.15 comes first); the host was given a new address; pod networks \
were chosen inside the network of the hosts.\n\nWhere to look: `ip addr` on the host, `kubectl get nodes -o wide`. \
Other addresses, also the same on every host, are no finding.",
    by_hand: "ssh {host} ip addr; kubectl get nodes -o wide",
});

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

    async fn gather(ctx: &Ctx, member: &Member) -> Result<Facts, Trouble> {
        let host = ctx.host(member)?;
        let interfaces = ctx.ask(&host.name, Interfaces {}).await?;
        let mut facts = Facts {
            interfaces,
            node: None,
            silent: None,
        };
        if host.roles.contains(&Role::Worker) {
            let nodes = match ctx.api() {
                Ok(api) => api.nodes().await.map_err(Trouble::from),
                Err(trouble) => Err(trouble),
            };
            match nodes {
                Ok(nodes) => facts.node = nodes.into_iter().find(|node| node.name == host.node()),
                Err(trouble) => facts.silent = Some(trouble.cause),
            }
        }
        Ok(facts)
    }

    fn judge(facts: &Facts, expect: &Expect<'_>) -> Verdict {
        let Some(host) = expect.host else {
            return Trouble::internal(&"no host to judge").into();
        };
        let lines: Vec<String> = facts.interfaces.iter().map(line).collect();
        let evidence = Evidence::lines("interfaces", &lines);
        let findings = facts.findings(host, expect.site);
        match &facts.silent {
            // What the API says of the Node is half of the proof.
            Some(cause) if findings.is_empty() => Verdict::from(Trouble::error(cause.clone())),
            _ => Verdict::of(findings),
        }
        .with(evidence)
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
            let cause = Cause::new(CauseId::AddressMissing).with("host", &host.name);
            let cause = cause.with("address", address);
            match self.holder(*address) {
                None => findings.push(Finding::fail(cause)),
                Some(interface) if !interface.up => {
                    let cause = Cause::new(CauseId::InterfaceDown).with("host", &host.name);
                    let cause = cause.with("interface", &interface.name).with("address", address);
                    findings.push(Finding::fail(cause));
                }
                Some(_) => {}
            }
        }
        if let Some(other) = internal.iter().find(|address| !wanted.contains(address)) {
            let expected: Vec<String> = wanted.iter().map(ToString::to_string).collect();
            let cause = Cause::new(CauseId::InternalAddress).with("node", host.node());
            let cause = cause.with("found", other).with("expected", expected.join(", "));
            findings.push(Finding::fail(cause));
        }
        findings.extend(self.overlaps(&wanted, site));
        findings
    }

    /// Returns the interface that has an address.
    fn holder(&self, address: IpAddr) -> Option<&Interface> {
        let has = |interface: &&Interface| interface.addresses.iter().any(|own| own.addr() == address);
        self.interfaces.iter().find(has)
    }

    /// Returns which networks overlap, each pair once.
    fn overlaps(&self, own: &[IpAddr], site: &Site) -> Vec<Finding> {
        let addresses = self.interfaces.iter().flat_map(|interface| &interface.addresses);
        let host = addresses.filter(|network| own.contains(&network.addr()));
        let mut networks: Vec<(String, IpNet)> = host
            .map(|network| ("the hosts' network".to_owned(), network.trunc()))
            .collect();
        for host in &site.hosts {
            let of = |network: &IpNet| (format!("the pod network of {}", host.name), *network);
            networks.extend(host.pod_cidrs.iter().map(of));
        }
        let service = |network: &IpNet| ("the service network".to_owned(), *network);
        networks.extend(site.expect.service_cidrs.iter().map(service));
        let mut findings = Vec::new();
        for (at, (name, network)) in networks.iter().enumerate() {
            for (other_name, other) in &networks[at + 1..] {
                if network.contains(other) || other.contains(network) {
                    let cause = Cause::new(CauseId::NetworksOverlap)
                        .with("one", format!("{name} {network}"))
                        .with("other", format!("{other_name} {other}"));
                    findings.push(Finding::fail(cause));
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
    use crate::checks::testing::{expect, seen, site};
    use crate::findings::Outcome;
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
        seen(&OwnInterfaces::judge(facts, &expect(site, "node-0")))
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
        facts.silent = Some(
            Cause::new(CauseId::ApiUnreachable)
                .with("server", "s")
                .with("reason", "r"),
        );
        assert_eq!(
            judge(&facts, &site()),
            (Outcome::Error, Some(CauseId::ApiUnreachable))
        );
    }
}
