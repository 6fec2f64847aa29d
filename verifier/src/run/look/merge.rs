//! From what was found to a site: which hosts there are, what each does, what is expected. Pure.

use std::net::IpAddr;
use std::path::PathBuf;

use super::api::{self, ApiSeen};
use super::{HostSeen, HostsSeen};
use crate::site::{Draft, Encryption, Etcd, Host, Role, Ssh, is_address};

/// What could not be found out, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gap {
    /// What.
    pub what: String,
    /// Why not.
    pub reason: String,
}

/// A site as it was found.
#[derive(Clone, Debug, Default)]
pub struct Found {
    /// What a site file is made of.
    pub draft: Draft,
    /// What is not in it.
    pub gaps: Vec<Gap>,
}

/// Returns the hosts that the API tells of, over those of a list. API servers that are no Node are hosts too: where there is no
/// list, for a list names them. `server` is the host in the kubeconfig's URL, after which a single one is named; absent where the
/// hosts will say their names themselves.
pub fn candidates(listed: Vec<Host>, api: &ApiSeen, server: Option<&str>) -> Vec<Host> {
    let is_listed = !listed.is_empty();
    let mut hosts = listed;
    for node in api.nodes.iter() {
        let same = |host: &&mut Host| api.node_of(host).is_some_and(|other| other.name == node.name);
        match hosts.iter_mut().find(same) {
            Some(host) => api::complete(host, node),
            None => hosts.push(api::host(node)),
        }
    }
    if is_listed {
        return hosts;
    }
    hosts.sort_by_key(|host| !host.roles.contains(&Role::ControlPlane));
    let known = |address: &&String| hosts.iter().any(|host| host.is_at(address));
    let servers = api.servers.iter().flat_map(|servers| &servers.addresses);
    let others: Vec<&String> = servers.filter(|address| !known(address)).collect();
    let label = server.and_then(|server| label(server)).filter(|label| {
        let is_taken = hosts.iter().any(|host| host.name == *label);
        others.len() == 1 && !is_taken
    });
    let name = |at: usize| label.map_or_else(|| format!("control-plane-{}", at + 1), str::to_owned);
    let made: Vec<Host> = others
        .iter()
        .enumerate()
        .map(|(at, address)| Host::new(name(at), (*address).clone(), vec![Role::ControlPlane, Role::Etcd]))
        .collect();
    made.into_iter().chain(hosts).collect()
}

/// Returns the first label of a host's name by which it may be called.
fn label(server: &str) -> Option<&str> {
    let label = server.split('.').next()?;
    let usable = server.parse::<IpAddr>().is_err() && is_address(label) && label != "localhost";
    usable.then_some(label)
}

/// Makes a site of hosts, of what the API says and of what the hosts say; `seen` is empty where nobody looked at them.
pub fn merge(mut hosts: Vec<Host>, api: &ApiSeen, seen: &HostsSeen, ssh: Ssh, kubeconfig: PathBuf) -> Found {
    let mut gaps = Vec::new();
    let mut gap = |what: &str, reason: &str| {
        gaps.push(Gap {
            what: what.to_owned(),
            reason: reason.to_owned(),
        });
    };
    for (name, seen) in seen {
        let Some(at) = hosts.iter().position(|host| host.name == *name) else {
            continue;
        };
        match seen {
            Ok(seen) => refine(&mut hosts, at, api, seen),
            Err(reason) => gap(name, reason),
        }
    }
    match &api.servers {
        Err(reason) => gap("API servers", reason),
        Ok(servers) => {
            let unseen = servers.unseen(&hosts);
            if unseen > 0 {
                gap(
                    "API servers",
                    &format!("{unseen} more give signs of life, and the API does not say where they are"),
                );
            }
        }
    }
    let looked: Vec<&HostSeen> = seen.values().filter_map(|seen| seen.as_ref().ok()).collect();
    let etcd = etcd(&looked).or_else(|| usual_etcd(api));
    let runs_etcd = hosts.iter().any(|host| host.roles.contains(&Role::Etcd));
    if etcd.is_none() && runs_etcd {
        gap("etcd", "no API server that was looked at names its endpoints");
    }
    let encryption = agreed(looked.iter().filter_map(|seen| seen.encryption()));
    if encryption.is_none() {
        gap(
            "expect.encryption",
            "no API server that was looked at says how Secrets are encrypted, or they differ",
        );
    }
    let mut service_cidrs = api.service_cidrs.clone().unwrap_or_default();
    if service_cidrs.is_empty() {
        service_cidrs = looked
            .iter()
            .map(|seen| seen.service_cidrs())
            .find(|found| !found.is_empty())
            .unwrap_or_default();
    }
    if service_cidrs.is_empty() {
        gap(
            "expect.serviceCIDRs",
            "neither the API nor an API server's flags say them",
        );
    }
    let plugins = looked.iter().filter_map(|seen| seen.cni.as_ref().ok());
    let plugins = plugins
        .filter(|cni| !cni.plugin.is_empty())
        .map(|cni| cni.plugin.clone());
    let draft = Draft {
        origin: "the nodes of the API".to_owned(),
        kubeconfig,
        ssh,
        hosts,
        etcd,
        encryption,
        service_cidrs,
        cni: agreed(plugins),
    };
    Found { draft, gaps }
}

/// Writes what a host says of itself into it.
fn refine(hosts: &mut [Host], at: usize, api: &ApiSeen, seen: &HostSeen) {
    let is_node = api.node_of(&hosts[at]).is_some();
    let renamed = hosts[at].name.starts_with("control-plane-")
        && !is_node
        && is_address(&seen.hostname)
        && hosts.iter().all(|host| host.name != seen.hostname);
    let host = &mut hosts[at];
    if renamed {
        host.name.clone_from(&seen.hostname);
    }
    if let Ok(mut roles) = seen.roles()
        && !roles.is_empty()
    {
        if is_node && !roles.contains(&Role::Worker) {
            roles.push(Role::Worker);
        }
        host.roles = roles;
    }
    if !host.roles.contains(&Role::Worker) {
        return;
    }
    host.runtime = seen.runtime.as_ref().ok().cloned();
    if host.pod_cidrs.is_empty() {
        host.pod_cidrs = seen.bridge_networks();
    }
}

/// Returns how etcd is reached on the hosts that run it: by what their API servers are told. Endpoints of all are one list; of
/// several with files of their own the first is taken.
fn etcd(looked: &[&HostSeen]) -> Option<Etcd> {
    let mut all = looked.iter().filter_map(|seen| seen.etcd());
    let mut first = all.next()?;
    for other in all {
        for url in other.endpoints {
            if !first.endpoints.contains(&url) {
                first.endpoints.push(url);
            }
        }
    }
    Some(first)
}

/// Returns how the installers' documents say that etcd is reached, for Nodes whose labels and versions tell the installer.
fn usual_etcd(api: &ApiSeen) -> Option<Etcd> {
    let members = api
        .nodes
        .iter()
        .filter(|node| api::roles(node).contains(&Role::Etcd));
    let kubelet = members.map(|node| node.kubelet.as_str()).next()?;
    let [ca, cert, key] = if kubelet.contains("+k3s") {
        [
            "k3s/server/tls/etcd/server-ca.crt",
            "k3s/server/tls/etcd/client.crt",
            "k3s/server/tls/etcd/client.key",
        ]
        .map(|file| format!("/var/lib/rancher/{file}"))
    } else if kubelet.contains("+rke2") {
        ["server-ca.crt", "client.crt", "client.key"]
            .map(|file| format!("/var/lib/rancher/rke2/server/tls/etcd/{file}"))
    } else {
        ["ca.crt", "healthcheck-client.crt", "healthcheck-client.key"]
            .map(|file| format!("/etc/kubernetes/pki/etcd/{file}"))
    };
    Some(Etcd {
        endpoints: vec!["https://127.0.0.1:2379".to_owned()],
        ca: Some(ca),
        cert: Some(cert),
        key: Some(key),
        ..Etcd::default()
    })
}

/// Returns the one thing that all say; nothing where nobody says any, or they differ.
pub(super) fn agreed<T: PartialEq>(mut all: impl Iterator<Item = T>) -> Option<T> {
    let first = all.next()?;
    all.all(|other| other == first).then_some(first)
}

/// Returns the encryption that all API servers have that were looked at.
pub(super) fn encryption(looked: &[&HostSeen]) -> Option<Encryption> {
    agreed(looked.iter().filter_map(|seen| seen.encryption()))
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Arc;

    use super::super::api::Servers;
    use super::super::api::tests::node;
    use super::super::host::tests::seen;
    use super::*;
    use crate::cluster::NodeFacts;
    use crate::site::{Site, parse, to_yaml};

    fn api(nodes: Vec<NodeFacts>, servers: &[&str]) -> ApiSeen {
        ApiSeen {
            nodes: Arc::new(nodes),
            servers: Ok(Servers {
                addresses: servers.iter().map(|server| (*server).to_owned()).collect(),
                living: servers.len(),
            }),
            service_cidrs: Ok(vec!["10.96.0.0/12".parse().unwrap()]),
        }
    }

    fn site(found: &Found) -> Site {
        let yaml = to_yaml(&found.draft);
        parse("s", &yaml, Path::new("")).unwrap_or_else(|error| panic!("{error}: {yaml}"))
    }

    fn merged(hosts: Vec<Host>, api: &ApiSeen, seen: &HostsSeen) -> Found {
        merge(hosts, api, seen, Ssh::default(), "k".into())
    }

    #[test]
    fn the_page_s_server_is_no_node_and_is_found_by_where_the_api_is_served() {
        let api = api(
            vec![
                node("node-0", "v1.37.2", &[], &["192.168.10.101"], &[]),
                node("node-1", "v1.37.2", &[], &["192.168.10.102"], &[]),
            ],
            &["192.168.10.100"],
        );
        let hosts = candidates(Vec::new(), &api, None);
        let names: Vec<&str> = hosts.iter().map(|host| host.name.as_str()).collect();
        assert_eq!(names, ["control-plane-1", "node-0", "node-1"]);
        let unlooked = candidates(Vec::new(), &api, Some("server.kubernetes.local"));
        assert_eq!(unlooked[0].name, "server");
        let looked = HostsSeen::from([(
            "control-plane-1".to_owned(),
            Ok(seen(
                "server",
                &["etcd", "kube-apiserver --etcd-servers=http://127.0.0.1:2379"],
            )),
        )]);
        let site = site(&merged(hosts, &api, &looked));
        assert_eq!(site.hosts[0].name, "server");
        assert_eq!(site.hosts[0].roles, [Role::ControlPlane, Role::Etcd]);
        assert_eq!(site.etcd, Etcd::default());
        assert_eq!(site.expect.encryption.unwrap().provider, "none");
    }

    #[test]
    fn a_server_that_lives_and_has_no_address_is_told() {
        let node = node("w", "v1.37.2", &[], &["192.168.10.101"], &[]);
        let mut api = api(vec![node], &["192.168.10.91"]);
        api.servers.as_mut().unwrap().living = 3;
        let found = merged(candidates(Vec::new(), &api, Some("vip")), &api, &HostsSeen::new());
        let gap = found.gaps.iter().find(|gap| gap.what == "API servers").unwrap();
        assert!(gap.reason.starts_with("2 more "), "{}", gap.reason);
        // Nodes of a control plane that announce one address together are all of them.
        let plane = |name: &str, address: &str| {
            super::super::api::tests::node(name, "v1.37.2", &["control-plane"], &[address], &[])
        };
        let planes = vec![
            plane("a", "10.0.0.1"),
            plane("b", "10.0.0.2"),
            plane("c", "10.0.0.3"),
        ];
        api.nodes = Arc::new(planes);
        let found = merged(candidates(Vec::new(), &api, Some("vip")), &api, &HostsSeen::new());
        assert!(found.gaps.iter().all(|gap| gap.what != "API servers"));
    }

    #[test]
    fn several_servers_are_named_as_they_name_themselves() {
        let api = api(
            vec![node("node-0", "v1.37.2", &[], &["192.168.10.101"], &[])],
            &["192.168.10.91", "192.168.10.92"],
        );
        let hosts = candidates(Vec::new(), &api, None);
        let server = |name: &str| {
            Ok(seen(
                name,
                &["etcd", "kube-apiserver --etcd-servers=https://127.0.0.1:2379"],
            ))
        };
        let looked = HostsSeen::from([
            ("control-plane-1".to_owned(), server("server-1")),
            ("control-plane-2".to_owned(), server("server-2")),
        ]);
        let found = merged(hosts, &api, &looked);
        let names: Vec<&str> = found.draft.hosts.iter().map(|host| host.name.as_str()).collect();
        assert_eq!(names, ["server-1", "server-2", "node-0"]);
        assert_eq!(found.draft.etcd.unwrap().endpoints, ["https://127.0.0.1:2379"]);
    }

    #[test]
    fn by_the_api_alone_each_installer_s_etcd_has_its_own_files_and_what_is_missing_is_told() {
        let of = |kubelet: &str, labels: &[&str]| {
            let api = api(
                vec![node("cp", kubelet, labels, &["10.0.0.1", "fd00::1"], &[])],
                &["10.0.0.1"],
            );
            merged(
                candidates(Vec::new(), &api, Some("10.0.0.9")),
                &api,
                &HostsSeen::new(),
            )
        };
        let kubeadm = of("v1.34.1", &["control-plane"]);
        assert_eq!(site(&kubeadm).hosts[0].node_ips.len(), 2);
        let ca = |found: &Found| {
            found
                .draft
                .etcd
                .clone()
                .and_then(|etcd| etcd.ca)
                .unwrap_or_default()
        };
        assert_eq!(ca(&kubeadm), "/etc/kubernetes/pki/etcd/ca.crt");
        assert_eq!(kubeadm.gaps[0].what, "expect.encryption");
        assert!(ca(&of("v1.34.1+rke2r1", &["control-plane", "etcd"])).contains("/rke2/"));
        assert!(ca(&of("v1.34.1+k3s1", &["control-plane", "etcd"])).contains("/k3s/"));
        // SQLite: there is no etcd.
        let sqlite = of("v1.34.1+k3s1", &["control-plane"]);
        assert_eq!(sqlite.draft.etcd, None);
        assert!(sqlite.gaps.iter().all(|gap| gap.what != "etcd"));
    }

    #[test]
    fn a_list_names_the_hosts_and_the_api_completes_them() {
        let api = api(
            vec![node(
                "ip-10-0-0-2",
                "v1.34.1",
                &[],
                &["10.0.0.2", "fd00::2"],
                &["dedicated"],
            )],
            &["10.0.2.15"],
        );
        let listed = vec![
            Host::new("server", "10.0.0.1", vec![Role::ControlPlane, Role::Etcd]),
            Host::new("node-0", "10.0.0.2", vec![Role::Worker]),
        ];
        let hosts = candidates(listed, &api, Some("server"));
        assert_eq!(hosts.len(), 2);
        assert_eq!(hosts[1].node(), "ip-10-0-0-2");
        assert!(!hosts[1].schedulable && hosts[1].node_ips.len() == 2);
    }

    #[test]
    fn a_host_that_was_not_reached_is_a_gap_and_stays_in_the_file() {
        let api = api(vec![node("w", "v1.34.1", &[], &["10.0.0.2"], &[])], &[]);
        let looked = HostsSeen::from([("w".to_owned(), Err("no route".to_owned()))]);
        let found = merged(candidates(Vec::new(), &api, Some("vip")), &api, &looked);
        assert_eq!(
            found.gaps[0],
            Gap {
                what: "w".to_owned(),
                reason: "no route".to_owned()
            }
        );
        assert_eq!(found.draft.hosts.len(), 1);
    }
}
