//! `workload.pod-cidr`: the pod's address lies in the pod network of its node, and the CNI's configuration says the same.

use std::net::IpAddr;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use crate::checks::network::{cni_bridge, pods};
use crate::cluster::Permission;
use crate::findings::{Cause, CauseId, Evidence, Finding, Trouble, Verdict};
use crate::protocol::CniReply;
use crate::site::Host;
use crate::suite::fixtures::Fixture;
use crate::suite::{About, Check, Ctx, Expect, Member, Probe, Scope};

pub(super) const CHECK: Check = Check::of::<PodCidr>(About {
    id: "workload.pod-cidr",
    scope: Scope::Worker,
    needs: &[Fixture::Pods],
    permissions: &[Permission::across("list", "", "nodes")],
    summary: "pods get addresses of their node's pod network, as its CNI is configured",
    explain: "Compares three things that must agree: the address that the suite's pod on this node was given, the pod \
network that the site file gives the node (podCIDRs; where it names none, the Node's own spec.podCIDRs), and the network \
in the node's CNI configuration. When they differ, pods get addresses that the other hosts route to another node.\n\n\
Usual causes of failure, in order: the CNI's file was copied from another node; the node was given a new pod network \
and its CNI was not; the site file is out of date.\n\nWhere to look: /etc/cni/net.d on the node, `kubectl get pods -o \
wide`, the site file. A CNI that does not name its network in a file is judged by the pod's address alone; \
one that has pools of its own (Calico, Cilium) is skipped where its addresses lie elsewhere.",
    by_hand: "kubectl get pods -o wide; ssh {host} 'cat /etc/cni/net.d/*'",
});

struct PodCidr;

#[derive(Serialize, Deserialize)]
struct Facts {
    cni: CniReply,
    /// The Node's own `spec.podCIDRs`.
    of_node: Vec<IpNet>,
    /// The suite's pods on this node, with their addresses.
    pods: Vec<(String, IpAddr)>,
}

impl Probe for PodCidr {
    type Facts = Facts;

    async fn gather(ctx: &Ctx, member: &Member) -> Result<Facts, Trouble> {
        let host = ctx.host(member)?;
        let cni = cni_bridge::cni(ctx, host).await?;
        let spread = ctx.fixtures().spread(ctx).await?;
        let nodes = ctx.api()?.nodes().await?;
        let own = nodes.into_iter().find(|node| node.name == host.node());
        let texts = own.map(|node| node.pod_cidrs).unwrap_or_default();
        let here = pods::started(&spread.pods).filter(|(pod, _)| pod.node.as_deref() == Some(host.node()));
        Ok(Facts {
            cni,
            of_node: texts.iter().filter_map(|text| text.parse().ok()).collect(),
            pods: here.map(|(pod, address)| (pod.name.clone(), address)).collect(),
        })
    }

    fn judge(facts: &Facts, expect: &Expect<'_>) -> Verdict {
        let Some(host) = expect.host else {
            return Trouble::internal(&"no host to judge").into();
        };
        let findings = facts.findings(host);
        let evidence = facts.evidence();
        if facts.chooses_itself() && !findings.is_empty() {
            // Calico and Cilium have pools of their own; the Node's podCIDRs mean nothing to them.
            let cause = Cause::new(CauseId::AddressesByCni).with("cni", &facts.cni.plugin);
            let outside = findings
                .iter()
                .find_map(|finding| finding.cause.args.get("address"));
            let cause = cause.with("address", outside.map_or("some", String::as_str));
            return Verdict::from(Trouble::skip(cause)).with(evidence);
        }
        if findings.is_empty() && facts.pods.is_empty() {
            return Verdict::from(pods::needs(&[host.node().to_owned()])).with(evidence);
        }
        if facts.networks(host).is_empty() && findings.is_empty() {
            return Verdict::from(Trouble::skip(Cause::new(CauseId::PodNetworksUnknown))).with(evidence);
        }
        Verdict::of(findings).with(evidence)
    }
}

impl Facts {
    /// Returns the pod networks that the node should have.
    fn networks<'a>(&'a self, host: &'a Host) -> &'a [IpNet] {
        if host.pod_cidrs.is_empty() {
            &self.of_node
        } else {
            &host.pod_cidrs
        }
    }

    /// Returns whether the CNI gives out addresses by rules of its own, which no file of the node names.
    fn chooses_itself(&self) -> bool {
        let named = !self.cni.subnets.is_empty() || self.cni.plugin == "flannel";
        self.cni.file.is_some() && self.cni.problem.is_none() && !named
    }

    fn findings(&self, host: &Host) -> Vec<Finding> {
        let of = |id| Cause::new(id).with("node", host.node());
        if let Some(problem) = &self.cni.problem {
            let file = self.cni.file.as_deref().unwrap_or_default();
            return vec![Finding::fail(
                of(CauseId::CniUnreadable)
                    .with("file", file)
                    .with("message", problem),
            )];
        }
        let networks = self.networks(host);
        if networks.is_empty() {
            return Vec::new();
        }
        let expected = networks
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join(", ");
        let mut findings = Vec::new();
        for (pod, address) in &self.pods {
            if !networks.iter().any(|network| network.contains(address)) {
                let cause = of(CauseId::PodOutsideNetwork)
                    .with("pod", pod)
                    .with("address", address);
                findings.push(Finding::fail(cause.with("expected", &expected)));
            }
        }
        let inside = |subnet: &IpNet| networks.iter().any(|network| network.contains(subnet));
        if let Some(subnet) = self.cni.subnets.iter().find(|subnet| !inside(subnet)) {
            let file = self.cni.file.as_deref().unwrap_or_default();
            let cause = of(CauseId::CniNetwork).with("file", file).with("found", subnet);
            findings.push(Finding::fail(cause.with("expected", expected)));
        }
        findings
    }

    fn evidence(&self) -> Vec<Evidence> {
        let CniReply {
            directory,
            file,
            plugin,
            subnets,
            ..
        } = &self.cni;
        let subnets: Vec<String> = subnets.iter().map(ToString::to_string).collect();
        let cni = match file {
            Some(file) => format!("{file}: {plugin} {}", subnets.join(" ")),
            None => format!("{directory}: no network is configured"),
        };
        let pods: Vec<String> = self
            .pods
            .iter()
            .map(|(pod, address)| format!("{pod} {address}"))
            .collect();
        let pods = Evidence::lines("pods on this node", &pods);
        [Evidence::new("CNI", cni)].into_iter().chain(pods).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::network::cni_bridge::tests::page;
    use crate::checks::testing::{expect, seen, site};
    use crate::findings::Outcome;

    fn facts() -> Facts {
        Facts {
            cni: page(),
            of_node: Vec::new(),
            pods: vec![("nginx-b".to_owned(), "10.200.1.2".parse().unwrap())],
        }
    }

    fn judge(facts: &Facts) -> (Outcome, Option<CauseId>) {
        let site = site();
        seen(&PodCidr::judge(facts, &expect(&site, "node-1")))
    }

    #[test]
    fn an_address_of_the_node_s_network_passes_and_another_fails() {
        assert_eq!(judge(&facts()), (Outcome::Pass, None));
        let mut other = facts();
        other.pods[0].1 = "10.200.0.9".parse().unwrap();
        assert_eq!(judge(&other), (Outcome::Fail, Some(CauseId::PodOutsideNetwork)));
    }

    #[test]
    fn a_cni_of_another_network_or_that_cannot_be_read_fails() {
        let mut other = facts();
        other.cni.subnets = vec!["10.200.0.0/24".parse().unwrap()];
        assert_eq!(judge(&other), (Outcome::Fail, Some(CauseId::CniNetwork)));
        let mut broken = facts();
        broken.cni.problem = Some("EOF".to_owned());
        assert_eq!(judge(&broken), (Outcome::Fail, Some(CauseId::CniUnreadable)));
    }

    #[test]
    fn a_cni_with_a_pool_of_its_own_is_never_blamed_for_it() {
        let mut calico = facts();
        calico.cni.plugin = "calico".to_owned();
        calico.cni.bridge = None;
        calico.cni.subnets.clear();
        assert_eq!(judge(&calico), (Outcome::Pass, None));
        calico.pods[0].1 = "192.168.77.3".parse().unwrap();
        assert_eq!(judge(&calico), (Outcome::Skip, Some(CauseId::AddressesByCni)));
    }

    #[test]
    fn without_a_pod_or_a_network_to_compare_with_it_is_no_pass() {
        let mut none = facts();
        none.pods.clear();
        assert_eq!(judge(&none), (Outcome::Skip, Some(CauseId::Needs)));
        let mut site = site();
        for host in &mut site.hosts {
            host.pod_cidrs.clear();
        }
        let verdict = PodCidr::judge(&facts(), &expect(&site, "node-1"));
        assert_eq!(seen(&verdict), (Outcome::Skip, Some(CauseId::PodNetworksUnknown)));
    }
}
