//! A site file against what is there: what differs, and what could not be found out. Pure.

use std::collections::BTreeSet;

use super::api::{self, ApiSeen, Servers};
use super::merge::encryption;
use super::{HostSeen, HostsSeen};
use crate::findings::{Finding, cause};
use crate::site::{Encryption, Host, Role, Site};

/// What came of a host of the site file; without a name, of what concerns no host.
pub(in crate::run) type Compared = Vec<(Option<String>, Vec<Finding>)>;

/// Compares a site file with what is there. `etcd` names the hosts with the role on which no endpoint of the file answers, and
/// why.
pub(in crate::run) fn compare(
    site: &Site,
    api: &Result<ApiSeen, String>,
    seen: &HostsSeen,
    etcd: &[(String, String)],
) -> Compared {
    let mut compared: Compared = Vec::new();
    for host in &site.hosts {
        let mut findings = match seen.get(&host.name) {
            Some(Ok(seen)) => of_host(host, seen),
            Some(Err(reason)) => vec![unknown(&host.name, reason)],
            None => vec![unknown(&host.name, "nobody looked")],
        };
        if let Ok(api) = api {
            findings.extend(of_node(
                host,
                api,
                seen.get(&host.name).and_then(|seen| seen.as_ref().ok()),
            ));
        }
        let silent = etcd.iter().filter(|(name, _)| *name == host.name);
        findings
            .extend(silent.map(|(_, found)| differs(host, "etcd.endpoints", &site.etcd.endpoints, found)));
        compared.push((Some(host.name.clone()), findings));
    }
    compared.push((None, of_cluster(site, api, seen)));
    compared
}

fn of_host(host: &Host, seen: &HostSeen) -> Vec<Finding> {
    let mut findings = Vec::new();
    match seen.roles() {
        Err(reason) => findings.push(unknown(&host.name, &reason)),
        Ok(found) => {
            let mut written: BTreeSet<Role> = host.roles.iter().copied().collect();
            // A run finds such a kubelet by itself.
            if found.contains(&Role::Worker) && written.insert(Role::Worker) {
                let (host, node) = (&host.name, &host.node());
                findings.push(Finding::warn(cause::NodeWithoutRole { node, host }));
            }
            if written != found.iter().copied().collect() {
                findings.push(differs(host, "roles", &host.roles, &listed(&found)));
            }
        }
    }
    if let Some(written) = &host.runtime {
        match &seen.runtime {
            Ok(found) if one_place(found) == one_place(written) => {}
            Ok(found) => findings.push(differs(host, "runtime", &[written], found)),
            Err(reason) => findings.push(unknown(&format!("runtime of {}", host.name), reason)),
        }
    }
    findings
}

/// Returns a path below /run as itself: /var/run is another name of it.
fn one_place(path: &str) -> &str {
    path.strip_prefix("/var")
        .filter(|rest| rest.starts_with("/run/"))
        .unwrap_or(path)
}

fn of_node(host: &Host, api: &ApiSeen, seen: Option<&HostSeen>) -> Vec<Finding> {
    if !host.roles.contains(&Role::Worker) {
        return Vec::new();
    }
    let Some(node) = api.node_of(host) else {
        let node = host.node();
        let cause = cause::SiteNodeMissing {
            host: &host.name,
            node: &node,
        };
        return vec![Finding::fail(cause)];
    };
    let mut findings = Vec::new();
    if node.name != host.node() {
        findings.push(differs(host, "nodeName", &[host.node()], &node.name));
    }
    let (written, found) = (sorted(host.ips()), sorted(api::internal(node)));
    // A host that is logged into by a name has no address to compare unless the file says it.
    if !written.is_empty() && !found.is_empty() && written != found {
        findings.push(differs(host, "nodeIPs", &written, &listed(&found)));
    }
    let mut networks = sorted(api::pod_cidrs(node));
    if networks.is_empty() {
        networks = sorted(seen.map(HostSeen::bridge_networks).unwrap_or_default());
    }
    let written = sorted(host.pod_cidrs.clone());
    if !written.is_empty() && !networks.is_empty() && written != networks {
        findings.push(differs(host, "podCIDRs", &written, &listed(&networks)));
    }
    if host.schedulable && !api::is_schedulable(node, host) {
        findings.push(differs(host, "schedulable", &["true"], "false"));
    }
    findings
}

fn of_cluster(site: &Site, api: &Result<ApiSeen, String>, seen: &HostsSeen) -> Vec<Finding> {
    let looked: Vec<&HostSeen> = seen.values().filter_map(|seen| seen.as_ref().ok()).collect();
    let mut findings = Vec::new();
    match api {
        Err(reason) => findings.push(unknown("the API server", reason)),
        Ok(api) => {
            let known = |name: &str| {
                site.hosts
                    .iter()
                    .any(|host| api.node_of(host).is_some_and(|node| node.name == name))
            };
            let strangers = api.nodes.iter().filter(|node| !known(&node.name));
            findings.extend(strangers.map(|node| Finding::fail(cause::SiteNodeUnknown { node: &node.name })));
            findings.extend(of_servers(site, &api.servers));
        }
    }
    let written = sorted(site.expect.service_cidrs.clone());
    if !written.is_empty() {
        let of_api = api
            .as_ref()
            .ok()
            .and_then(|api| api.service_cidrs.clone().ok())
            .unwrap_or_default();
        let flags = || {
            looked
                .iter()
                .map(|seen| seen.service_cidrs())
                .find(|found| !found.is_empty())
        };
        let found = if of_api.is_empty() {
            flags().unwrap_or_default()
        } else {
            of_api
        };
        if found.is_empty() {
            findings.push(unknown(
                "expect.serviceCIDRs",
                "neither the API nor an API server's flags say them",
            ));
        } else if written != sorted(found.clone()) {
            findings.push(expects("expect.serviceCIDRs", &listed(&written), &listed(&found)));
        }
    }
    findings.extend(of_encryption(site.expect.encryption.as_ref(), &looked));
    if let Some(written) = &site.expect.cni {
        let plugins: BTreeSet<&str> = looked
            .iter()
            .filter_map(|seen| seen.cni.as_ref().ok())
            .map(|cni| cni.plugin.as_str())
            .filter(|plugin| !plugin.is_empty())
            .collect();
        let found = plugins.iter().copied().collect::<Vec<_>>().join(", ");
        // Calico's and Cilium's plugins have names of their own: `calico`, `cilium-cni`.
        let same = |plugin: &&str| plugin.starts_with(written.as_str());
        if plugins.is_empty() {
            findings.push(unknown("expect.cni", "no node's configuration could be read"));
        } else if !plugins.iter().all(same) {
            findings.push(expects("expect.cni", written, &found));
        }
    }
    findings
}

fn of_servers(site: &Site, servers: &Result<Servers, String>) -> Option<Finding> {
    let what = "API servers";
    let servers = match servers {
        Err(reason) => return Some(unknown(what, reason)),
        Ok(servers) => servers,
    };
    let unlisted = site.unlisted_servers(&servers.addresses);
    if !unlisted.is_empty() {
        let addresses = &unlisted.join(", ");
        return Some(Finding::fail(cause::ApiServerUnlisted { addresses }));
    }
    let unseen = servers.unseen(&site.hosts);
    let named = site.with_role(Role::ControlPlane).next().is_some();
    (named && unseen > 0).then(|| {
        unknown(
            what,
            &format!(
                "{unseen} more give signs of life than the site file has hosts with the role control-plane"
            ),
        )
    })
}

fn of_encryption(written: Option<&Encryption>, looked: &[&HostSeen]) -> Option<Finding> {
    let written = written?;
    let Some(found) = encryption(looked) else {
        let reason = "no API server that was looked at says how Secrets are encrypted, or they differ";
        return Some(unknown("expect.encryption", reason));
    };
    let words = |encryption: &Encryption| match &encryption.key {
        Some(key) => format!("{}, key {key}", encryption.provider),
        None => encryption.provider.clone(),
    };
    let same_key = written.key.is_none() || written.key == found.key;
    (written.provider != found.provider || !same_key)
        .then(|| expects("expect.encryption", &words(written), &words(&found)))
}

fn differs<T: ToString>(host: &Host, field: &str, written: &[T], found: &str) -> Finding {
    Finding::fail(cause::SiteDiffers {
        host: &host.name,
        field: &field,
        written: &listed(written),
        found: &found,
    })
}

fn expects(field: &str, written: &str, found: &str) -> Finding {
    Finding::fail(cause::SiteExpects {
        field: &field,
        written: &written,
        found: &found,
    })
}

fn unknown(what: &str, reason: &str) -> Finding {
    Finding::error(cause::SiteUnknown {
        what: &what,
        reason: &reason,
    })
}

fn listed<T: ToString>(items: &[T]) -> String {
    if items.is_empty() {
        return "none".to_owned();
    }
    items
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(", ")
}

fn sorted<T: Ord>(mut items: Vec<T>) -> Vec<T> {
    items.sort();
    items.dedup();
    items
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Arc;

    use super::super::api::tests::node;
    use super::super::host::tests::seen;
    use super::*;
    use crate::site::parse;

    fn site(rest: &str) -> Site {
        let text = format!(
            "apiVersion: site/v1\nkubeconfig: k\nhosts:\n\
             - {{name: server, address: 10.0.0.1, roles: [control-plane, etcd]}}\n\
             - {{name: node-0, address: 10.0.0.2, roles: [worker]{rest}\n"
        );
        parse("s", &text, Path::new("")).unwrap()
    }

    fn api() -> ApiSeen {
        let mut node = node("node-0", "v1.37.2", &[], &["10.0.0.2"], &[]);
        node.pod_cidrs = vec!["10.200.0.0/24".to_owned()];
        ApiSeen {
            nodes: Arc::new(vec![node]),
            servers: Ok(Servers::default()),
            service_cidrs: Ok(vec!["10.32.0.0/24".parse().unwrap()]),
        }
    }

    fn hosts() -> HostsSeen {
        HostsSeen::from([
            (
                "server".to_owned(),
                Ok(seen("server", &["kube-apiserver", "etcd"])),
            ),
            ("node-0".to_owned(), Ok(seen("node-0", &["kubelet"]))),
        ])
    }

    fn told(site: &Site, api: &Result<ApiSeen, String>, seen: &HostsSeen) -> Vec<String> {
        let compared = compare(site, api, seen, &[]);
        let findings = compared.into_iter().flat_map(|(_, findings)| findings);
        findings
            .map(|finding| {
                let args = finding.cause.args();
                let of = |name: &str| args.get(name).map(ToString::to_string).unwrap_or_default();
                format!("{} {}{}", finding.cause.id(), of("field"), of("what"))
            })
            .collect()
    }

    #[test]
    fn a_file_that_says_what_is_there_has_no_finding() {
        let site = site(
            ", podCIDRs: [10.200.0.0/24], runtime: /var/run/containerd/containerd.sock}\nexpect: {serviceCIDRs: [10.32.0.0/24], encryption: {provider: none}}",
        );
        assert_eq!(told(&site, &Ok(api()), &hosts()), Vec::<String>::new());
    }

    #[test]
    fn each_field_that_differs_is_named() {
        let site = site(
            ", nodeName: other, nodeIPs: [10.0.0.2, 10.0.0.9], podCIDRs: [10.9.0.0/24], runtime: /run/crio/crio.sock}\n\
             expect: {serviceCIDRs: [10.9.9.0/24], encryption: {provider: aescbc}, cni: bridge}",
        );
        let mut seen = hosts();
        seen.insert(
            "server".to_owned(),
            Ok(super::super::host::tests::seen("server", &["kube-apiserver"])),
        );
        assert_eq!(
            told(&site, &Ok(api()), &seen),
            [
                "site-differs roles",
                "site-differs runtime",
                "site-differs nodeName",
                "site-differs nodeIPs",
                "site-differs podCIDRs",
                "site-expects expect.serviceCIDRs",
                "site-expects expect.encryption",
                "site-unknown expect.cni",
            ]
        );
    }

    #[test]
    fn a_kubelet_that_the_file_does_not_know_is_a_warning() {
        let site = site("}");
        let mut seen = hosts();
        let server = super::super::host::tests::seen("server", &["kube-apiserver", "etcd", "kubelet"]);
        seen.insert("server".to_owned(), Ok(server));
        assert_eq!(told(&site, &Ok(api()), &seen), ["node-without-role "]);
    }

    #[test]
    fn what_could_not_be_looked_at_is_an_error_and_no_difference() {
        let mut seen = hosts();
        seen.insert("node-0".to_owned(), Err("no route".to_owned()));
        let site = site("}");
        assert_eq!(
            told(&site, &Err("refused".to_owned()), &seen),
            ["site-unknown node-0", "site-unknown the API server"]
        );
    }

    #[test]
    fn nodes_without_a_host_and_hosts_without_a_node_are_named() {
        let site = site("}\n- {name: node-1, address: 10.0.0.3, roles: [worker]}");
        let mut api = api();
        Arc::make_mut(&mut api.nodes).push(node("new", "v1.37.2", &[], &["10.0.0.4"], &[]));
        let mut seen = hosts();
        seen.insert(
            "node-1".to_owned(),
            Ok(super::super::host::tests::seen("node-1", &["kubelet"])),
        );
        assert_eq!(
            told(&site, &Ok(api), &seen),
            ["site-node-missing ", "site-node-unknown "]
        );
    }
}
