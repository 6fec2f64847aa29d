//! What the API says of its cluster: Nodes, where its servers are, service networks.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use cli::chain;
use ipnet::IpNet;
use tokio::time::sleep;

use crate::cluster::{Cluster, NodeFacts};
use crate::site::{Host, Role, is_address};

/// How long API servers that live may take to become endpoints, and how often a look is taken.
const SETTLE: Duration = Duration::from_secs(20);
const LOOK: Duration = Duration::from_secs(1);

/// What the API says.
#[derive(Clone, Debug)]
pub struct ApiSeen {
    /// The Nodes, by name.
    pub nodes: Arc<Vec<NodeFacts>>,
    /// The API servers; an error is why nobody could tell.
    pub servers: Result<Servers, String>,
    /// The service networks; an error is why nobody could tell.
    pub service_cidrs: Result<Vec<IpNet>, String>,
}

/// The API servers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Servers {
    /// Where they say that they serve: one address each, or one for all.
    pub addresses: Vec<String>,
    /// How many give signs of life; before Kubernetes 1.26 none does.
    pub living: usize,
}

impl Servers {
    /// Returns how many more of them live than are among these hosts.
    pub(super) fn unseen(&self, hosts: &[Host]) -> usize {
        let planes = hosts
            .iter()
            .filter(|host| host.roles.contains(&Role::ControlPlane));
        self.living.saturating_sub(planes.count())
    }
}

impl ApiSeen {
    /// Asks the API.
    ///
    /// # Errors
    /// When it does not say which Nodes there are.
    pub async fn ask(api: &Cluster) -> Result<Self, String> {
        let nodes = api.nodes().await.map_err(|error| chain(&error))?;
        let asked = async { futures::join!(servers(api, &nodes), api.service_cidrs()) };
        let (servers, service_cidrs) = Box::pin(asked).await;
        Ok(Self {
            nodes,
            servers,
            service_cidrs: service_cidrs.map_err(|error| chain(&error)),
        })
    }

    /// Returns the Node that a host is.
    pub fn node_of(&self, host: &Host) -> Option<&NodeFacts> {
        node_of(&self.nodes, host)
    }
}

/// Returns where the API servers are. One that has just started is alive before it is an endpoint: it is waited for, unless it
/// may be one of the Nodes.
async fn servers(api: &Cluster, nodes: &[NodeFacts]) -> Result<Servers, String> {
    let until = Instant::now() + SETTLE;
    let planes = nodes
        .iter()
        .filter(|node| roles(node).contains(&Role::ControlPlane));
    let planes = planes.count();
    loop {
        let (addresses, living) = futures::join!(api.servers(), api.living_servers());
        let servers = Servers {
            addresses: addresses.map_err(|error| chain(&error))?,
            // Who may not read Leases takes the addresses for all.
            living: living.unwrap_or_default(),
        };
        if servers.living <= servers.addresses.len().max(planes) || Instant::now() >= until {
            return Ok(servers);
        }
        sleep(LOOK).await;
    }
}

/// Returns the Node that a host is: the one of its name, else the one with an address of it.
pub(in crate::run) fn node_of<'a>(nodes: &'a [NodeFacts], host: &Host) -> Option<&'a NodeFacts> {
    let named = nodes.iter().find(|node| node.name == host.node());
    let ips = host.ips();
    let is_own = |(_, address): &(String, String)| {
        *address == host.address || address.parse().is_ok_and(|ip: IpAddr| ips.contains(&ip))
    };
    named.or_else(|| nodes.iter().find(|node| node.addresses.iter().any(is_own)))
}

/// Returns the addresses of a Node inside its network, both families.
pub(super) fn internal(node: &NodeFacts) -> Vec<IpAddr> {
    let internal = node.addresses.iter().filter(|(kind, _)| kind == "InternalIP");
    internal.filter_map(|(_, address)| address.parse().ok()).collect()
}

/// Returns the pod networks of a Node.
pub(super) fn pod_cidrs(node: &NodeFacts) -> Vec<IpNet> {
    node.pod_cidrs
        .iter()
        .filter_map(|text| text.parse().ok())
        .collect()
}

/// Returns the roles that the labels of a Node tell. kubeadm labels no etcd: there it runs beside the API server; k3s and
/// RKE2 label it.
pub(super) fn roles(node: &NodeFacts) -> Vec<Role> {
    let has = |role: &str| {
        node.labels
            .contains_key(&format!("node-role.kubernetes.io/{role}"))
    };
    let control_plane = has("control-plane") || has("master");
    let rancher = ["+k3s", "+rke2"].iter().any(|mark| node.kubelet.contains(mark));
    let mut roles = Vec::new();
    if control_plane {
        roles.push(Role::ControlPlane);
    }
    if has("etcd") || (control_plane && !rancher) {
        roles.push(Role::Etcd);
    }
    roles.push(Role::Worker);
    roles
}

/// Returns whether pods may be placed on a Node: it is not cordoned, and has no taint of somebody's own. Those of its roles are
/// tolerated, and those of a condition go with it.
pub(super) fn is_schedulable(node: &NodeFacts, host: &Host) -> bool {
    let keeps_away = |taint: &&crate::cluster::TaintFacts| {
        taint.effect != "PreferNoSchedule"
            && !host.is_standard_taint(&taint.key)
            && !taint.key.starts_with("node.kubernetes.io/")
            && !taint.key.starts_with("node.cloudprovider.kubernetes.io/")
    };
    !node.unschedulable && !node.taints.iter().any(|taint| keeps_away(&taint))
}

/// Returns the host that a Node is.
pub(super) fn host(node: &NodeFacts) -> Host {
    let internal = internal(node);
    // What is no address, the site file could not take.
    let named = node
        .addresses
        .iter()
        .find(|(kind, text)| kind == "Hostname" && is_address(text));
    let address = internal.first().map(ToString::to_string);
    let address = address.or_else(|| named.map(|(_, text)| text.clone()));
    let mut host = Host::new(
        &node.name,
        address.unwrap_or_else(|| node.name.clone()),
        roles(node),
    );
    complete(&mut host, node);
    host
}

/// Adds what a Node says to the host that it is.
pub(super) fn complete(host: &mut Host, node: &NodeFacts) {
    if host.name != node.name {
        host.node_name = Some(node.name.clone());
    }
    for role in roles(node) {
        if !host.roles.contains(&role) {
            host.roles.push(role);
        }
    }
    host.roles.sort_unstable();
    let internal = internal(node);
    if internal
        .iter()
        .map(ToString::to_string)
        .ne([host.address.clone()])
    {
        host.node_ips = internal;
    }
    let found = pod_cidrs(node);
    if !found.is_empty() {
        host.pod_cidrs = found;
    }
    host.schedulable = is_schedulable(node, host);
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::cluster::TaintFacts;

    /// Returns a Node with its labels, addresses and taints.
    pub(in crate::run::look) fn node(
        name: &str,
        kubelet: &str,
        labels: &[&str],
        addresses: &[&str],
        taints: &[&str],
    ) -> NodeFacts {
        let label = |role: &&str| (format!("node-role.kubernetes.io/{role}"), String::new());
        let taint = |key: &&str| TaintFacts {
            key: (*key).to_owned(),
            value: String::new(),
            effect: "NoSchedule".to_owned(),
        };
        NodeFacts {
            name: name.to_owned(),
            kubelet: kubelet.to_owned(),
            labels: labels.iter().map(label).collect(),
            addresses: addresses
                .iter()
                .map(|address| ("InternalIP".to_owned(), (*address).to_owned()))
                .collect(),
            taints: taints.iter().map(taint).collect(),
            ..NodeFacts::default()
        }
    }

    #[test]
    fn kubeadm_s_control_plane_is_a_worker_with_its_taint_and_both_families() {
        let taint = "node-role.kubernetes.io/control-plane";
        let found = host(&node(
            "cp-1",
            "v1.34.1",
            &["control-plane"],
            &["10.0.0.1", "fd00::1"],
            &[taint],
        ));
        assert_eq!(found.roles, [Role::ControlPlane, Role::Etcd, Role::Worker]);
        assert!(found.schedulable, "the suite tolerates the taint of the role");
        assert_eq!(found.ips().len(), 2);
        let worker = host(&node("w-1", "v1.34.1", &[], &["10.0.0.2"], &["dedicated"]));
        assert_eq!((worker.roles, worker.schedulable), (vec![Role::Worker], false));
        assert!(worker.node_ips.is_empty());
    }

    #[test]
    fn k3s_and_rke2_label_etcd_where_there_is_one() {
        let roles = |kubelet, labels: &[&str]| roles(&node("n", kubelet, labels, &[], &[]));
        assert_eq!(
            roles("v1.34.1+k3s1", &["control-plane", "master"]),
            [Role::ControlPlane, Role::Worker]
        );
        assert_eq!(
            roles("v1.34.1+k3s1", &["control-plane", "etcd", "master"]),
            [Role::ControlPlane, Role::Etcd, Role::Worker]
        );
        assert_eq!(roles("v1.34.1+rke2r1", &["etcd"]), [Role::Etcd, Role::Worker]);
    }
}
