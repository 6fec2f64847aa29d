//! `workload.pod-cidr`: the pod's address lies in the pod network of its node, and the CNI's configuration says the same.

use std::net::IpAddr;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use crate::checks::network::{cni_bridge, pods};
use crate::cluster::Permission;
use crate::findings::{Evidence, Finding, Judged, Line, Unjudged, cause, phrase};
use crate::protocol::CniReply;
use crate::site::Host;
use crate::suite::fixtures::Fixture;
use crate::suite::{Check, Ctx, Expect, Member, Probe, Scope};

pub(super) const CHECK: Check = Check::of::<PodCidr>("workload.pod-cidr", Scope::Worker)
    .wants(&[Fixture::Pods])
    .permissions(&[Permission::across("list", "", "nodes")]);

struct PodCidr;

#[derive(Serialize, Deserialize)]
struct Facts {
    cni: CniReply,
    /// The Node's own `spec.podCIDRs`, where the site file names none.
    of_node: Vec<IpNet>,
    /// The suite's pods on this node, with their addresses; none where they could not be made.
    pods: Vec<(String, IpAddr)>,
}

impl Probe for PodCidr {
    type Facts = Facts;

    async fn gather(ctx: &Ctx, member: &Member) -> Result<Facts, Unjudged> {
        let host = ctx.host(member)?;
        let cni = cni_bridge::cni(ctx, host).await?;
        let of_node = if host.pod_cidrs.is_empty() {
            of_node(ctx, host).await?
        } else {
            Vec::new()
        };
        let spread = ctx.fixtures().spread(ctx).await;
        let made = spread.map(|spread| spread.pods).unwrap_or_default();
        let here = pods::started(&made).filter(|(pod, _)| pod.node.as_deref() == Some(host.node()));
        Ok(Facts {
            cni,
            of_node,
            pods: here.map(|(pod, address)| (pod.name.clone(), address)).collect(),
        })
    }

    fn judge(facts: &Facts, expect: &Expect<'_>) -> Judged {
        let host = expect.host()?;
        if let Some(message) = &facts.cni.problem {
            return Ok(vec![Finding::fail(cause::CniUnreadable {
                file: facts.file(),
                node: &host.node(),
                message,
            })]);
        }
        let needs = || {
            Unjudged::skip(cause::Needs {
                what: &Fixture::Pods.owner(),
            })
        };
        let networks = facts.networks(host);
        if networks.is_empty() && facts.pods.is_empty() {
            return Err(needs());
        }
        if networks.is_empty() {
            return Err(Unjudged::skip(cause::PodNetworksUnknown));
        }
        // Calico and Cilium have pools of their own; the Node's podCIDRs mean nothing to them.
        if let Some((_, address)) = facts.outside(networks).next().filter(|_| facts.chooses_itself()) {
            let cni = &facts.cni.plugin;
            return Err(Unjudged::skip(cause::AddressesByCni { cni, address }));
        }
        let findings = facts.findings(host.node(), networks);
        if findings.is_empty() && facts.pods.is_empty() {
            return Err(needs());
        }
        Ok(findings)
    }

    fn evidence(facts: &Facts, _: &Expect<'_>) -> Vec<Evidence> {
        let CniReply {
            directory,
            file,
            plugin,
            subnets,
            ..
        } = &facts.cni;
        let cni = match file {
            Some(file) => format!("{file}: {plugin} {}", listed(subnets, " ")).into(),
            None => Line::said(phrase::CniUnconfigured { directory }),
        };
        let pods = facts.pods.iter().map(|(pod, address)| format!("{pod} {address}"));
        Evidence::lines(phrase::CniConfig, [cni])
            .into_iter()
            .chain(Evidence::lines(phrase::PodsOfNode, pods))
            .collect()
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

    /// Returns the CNI's file, or the directory where it should lie.
    fn file(&self) -> &String {
        self.cni.file.as_ref().unwrap_or(&self.cni.directory)
    }

    /// Returns the pods whose address is of none of the networks.
    fn outside<'a>(&'a self, networks: &'a [IpNet]) -> impl Iterator<Item = &'a (String, IpAddr)> {
        let inside = |address: &IpAddr| networks.iter().any(|network| network.contains(address));
        self.pods.iter().filter(move |(_, address)| !inside(address))
    }

    fn findings(&self, node: &str, networks: &[IpNet]) -> Vec<Finding> {
        let expected = &listed(networks, ", ");
        let strangers = self.outside(networks).map(|(pod, address)| {
            let cause = cause::PodOutsideNetwork {
                pod,
                node: &node,
                address,
                expected,
            };
            Finding::fail(cause).of(pod)
        });
        let inside = |subnet: &IpNet| networks.iter().any(|network| network.contains(subnet));
        let foreign = self.cni.subnets.iter().find(|subnet| !inside(subnet));
        let foreign = foreign.map(|found| {
            let file = self.file();
            Finding::fail(cause::CniNetwork {
                file,
                node: &node,
                found,
                expected,
            })
        });
        strangers.chain(foreign).collect()
    }
}

/// Returns the Node's own `spec.podCIDRs`.
async fn of_node(ctx: &Ctx, host: &Host) -> Result<Vec<IpNet>, Unjudged> {
    let nodes = ctx.api()?.nodes().await?;
    let own = nodes.iter().find(|node| node.name == host.node());
    let texts = own.map_or(&[][..], |node| &node.pod_cidrs);
    Ok(texts.iter().filter_map(|text| text.parse().ok()).collect())
}

fn listed(networks: &[IpNet], between: &str) -> String {
    let texts: Vec<String> = networks.iter().map(ToString::to_string).collect();
    texts.join(between)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::network::cni_bridge::tests::page;
    use crate::checks::testing::{expect, judged, site};
    use crate::findings::{CauseId, Outcome};

    fn facts() -> Facts {
        Facts {
            cni: page(),
            of_node: Vec::new(),
            pods: vec![("nginx-b".to_owned(), "10.200.1.2".parse().unwrap())],
        }
    }

    fn judge(facts: &Facts) -> (Outcome, Option<CauseId>) {
        let site = site();
        judged::<PodCidr>(facts, &expect(&site, "node-1"))
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
        broken.cni.problem = Some("EOF".into());
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
        assert_eq!(
            judged::<PodCidr>(&facts(), &expect(&site, "node-1")),
            (Outcome::Skip, Some(CauseId::PodNetworksUnknown))
        );
    }

    #[test]
    fn the_cni_s_file_is_judged_without_a_pod() {
        let mut alone = facts();
        alone.pods.clear();
        alone.cni.subnets = vec!["10.200.0.0/24".parse().unwrap()];
        assert_eq!(judge(&alone), (Outcome::Fail, Some(CauseId::CniNetwork)));
        alone.cni.problem = Some("EOF".into());
        assert_eq!(judge(&alone), (Outcome::Fail, Some(CauseId::CniUnreadable)));
    }
}
