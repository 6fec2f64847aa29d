//! Hosts on which a kubelet runs though the site file does not call them workers: control planes of kubeadm, servers of k3s and
//! RKE2. They are loaded and judged as what they are. Whether the suite's pods go there their taints say: the file did not.

use std::collections::BTreeSet;
use std::time::Duration;

use super::look::node_of;
use crate::carrier::Hosts;
use crate::cluster::{Cluster, NodeFacts};
use crate::distribution::KUBELET_INSIDE;
use crate::protocol::Processes;
use crate::site::{Role, Site};

/// How long an agent may take to list processes.
const LIST: Duration = Duration::from_secs(10);

/// Gives the role of a worker to each host on which a kubelet runs or that is a Node; returns their names.
pub(super) async fn complete(site: &mut Site, hosts: &Hosts, api: Option<&Cluster>) -> Vec<String> {
    let all = site.hosts.iter().all(|host| host.roles.contains(&Role::Worker));
    if all && site.suite.node_selector.is_empty() {
        return Vec::new();
    }
    let nodes = async {
        match api {
            // Where the API does not answer the checks say so.
            Some(api) => api.nodes().await.ok(),
            None => None,
        }
    };
    let (running, nodes) = futures::join!(running(site, hosts), nodes);
    let nodes = nodes.as_ref().map_or(&[][..], |nodes| nodes.as_slice());
    let found = with_kubelets(site, &running, nodes);
    unselected(site, nodes);
    found
}

/// Leaves out of those that take pods the workers whose Nodes have other labels than the site file asks for.
fn unselected(site: &mut Site, nodes: &[NodeFacts]) {
    for host in &mut site.hosts {
        let node = node_of(nodes, host);
        host.schedulable &= node.is_none_or(|node| site.suite.selects(&node.labels));
    }
}

/// Returns the names of the programs that are a kubelet, or have one inside.
pub(super) fn programs() -> Vec<String> {
    let names = ["kubelet"].iter().chain(KUBELET_INSIDE);
    names.map(|name| (*name).to_owned()).collect()
}

/// Returns the hosts without the role of a worker on which a kubelet runs.
pub async fn running(site: &Site, hosts: &Hosts) -> BTreeSet<String> {
    let others = site
        .hosts
        .iter()
        .filter(|host| !host.roles.contains(&Role::Worker));
    let asked = others.map(|host| async move {
        let agent = hosts.get(&host.name)?.ok()?;
        let names = programs();
        let found = agent.ask(Processes { names }, LIST).await.ok()?;
        let runs = found.iter().any(|process| process.state != 'Z');
        runs.then(|| host.name.clone())
    });
    futures::future::join_all(asked)
        .await
        .into_iter()
        .flatten()
        .collect()
}

/// Gives the role of a worker to each host that is a Node or one of `running`; returns their names.
fn with_kubelets(site: &mut Site, running: &BTreeSet<String>, nodes: &[NodeFacts]) -> Vec<String> {
    let mut found = Vec::new();
    for host in &mut site.hosts {
        let node = node_of(nodes, host);
        if host.roles.contains(&Role::Worker) || (node.is_none() && !running.contains(&host.name)) {
            continue;
        }
        host.roles.push(Role::Worker);
        // Without its Node nobody knows its taints.
        host.schedulable = host.schedulable && node.is_some_and(is_open);
        if let Some(node) = node.filter(|node| node.name != host.node()) {
            host.node_name = Some(node.name.clone());
        }
        found.push(host.name.clone());
    }
    found
}

/// Returns whether everybody's pods may be placed on a Node. The taints of a condition go with it.
fn is_open(node: &NodeFacts) -> bool {
    let mut taints = node.taints.iter();
    !node.unschedulable
        && !taints
            .any(|taint| taint.effect != "PreferNoSchedule" && !taint.key.starts_with("node.kubernetes.io/"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::TaintFacts;
    use crate::site::Host;

    fn site() -> Site {
        let control_plane =
            |name: &str, address: &str| Host::new(name, address, vec![Role::ControlPlane, Role::Etcd]);
        Site {
            hosts: vec![
                control_plane("cp-1", "10.0.0.1"),
                control_plane("cp-2", "10.0.0.2"),
                Host::new("w-1", "10.0.0.3", vec![Role::Worker]),
            ],
            ..Site::default()
        }
    }

    fn node(name: &str, address: &str, taint_of: Option<&str>) -> NodeFacts {
        let taint = |key: &str| TaintFacts {
            key: key.to_owned(),
            value: String::new(),
            effect: "NoSchedule".to_owned(),
        };
        NodeFacts {
            name: name.to_owned(),
            addresses: vec![("InternalIP".to_owned(), address.to_owned())],
            taints: taint_of.into_iter().map(taint).collect(),
            ..NodeFacts::default()
        }
    }

    #[test]
    fn a_control_plane_with_a_kubelet_is_a_worker_and_its_taint_says_whether_it_takes_pods() {
        let mut site = site();
        let nodes = [
            node("cp-1", "10.0.0.1", Some("node-role.kubernetes.io/control-plane")),
            // An untainted one, as k3s makes it, under another name.
            node("ip-10-0-0-2", "10.0.0.2", None),
            node("w-1", "10.0.0.3", None),
        ];
        assert_eq!(
            with_kubelets(&mut site, &BTreeSet::new(), &nodes),
            ["cp-1", "cp-2"]
        );
        let takes: Vec<bool> = site.hosts.iter().map(|host| host.schedulable).collect();
        assert_eq!(takes, [false, true, true]);
        assert_eq!(site.hosts[1].node(), "ip-10-0-0-2");
        assert!(site.hosts.iter().all(|host| host.roles.contains(&Role::Worker)));
    }

    #[test]
    fn the_page_s_server_has_no_kubelet_and_stays_what_it_is() {
        let mut site = site();
        let before = site.clone();
        assert!(with_kubelets(&mut site, &BTreeSet::new(), &[node("w-1", "10.0.0.3", None)]).is_empty());
        assert_eq!(site, before);
    }

    #[test]
    fn a_kubelet_that_runs_where_the_api_is_silent_is_loaded_and_gets_no_pods() {
        let mut site = site();
        let running = BTreeSet::from(["cp-2".to_owned()]);
        assert_eq!(with_kubelets(&mut site, &running, &[]), ["cp-2"]);
        assert!(!site.hosts[1].schedulable && site.hosts[0].roles.len() == 2);
    }
}
