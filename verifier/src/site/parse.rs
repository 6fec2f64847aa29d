//! From the text of a site file to a [`Site`], with every problem named at once, by place and never by value: a password
//! may stand in the wrong line. Pure.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use yaml::{Map, Node, Place, Placed, Problems, Value, boolean, list, parsed, placed, text};

use super::accept::acceptance;
use super::jump::bastion;
use super::parse_suite::suite;
use super::values::{address, r#become, endpoint, host_name, images, network, port, roles, runtime};
use super::{BackupPlace, Encryption, Etcd, Expectations, Host, Site, Ssh, Via, resolve};

/// Every problem of a site file, one a line, each with file, line and column.
#[derive(Debug, thiserror::Error)]
#[error("{problems}")]
pub struct SiteError {
    problems: Problems,
}

impl SiteError {
    /// Returns the problems.
    pub const fn problems(&self) -> &Problems {
        &self.problems
    }
}

/// The providers of encryption at rest that a site may expect (Kubernetes' EncryptionConfiguration).
const PROVIDERS: [&str; 5] = ["aescbc", "aesgcm", "secretbox", "kms", "none"];

/// Parses the text of a site file called `file`; relative paths start at `folder`.
pub fn parse(file: &str, source: &str, folder: &Path) -> Result<Site, SiteError> {
    yaml::decode(file, source, |node, problems| site(node, problems, folder))
        .map_err(|problems| SiteError { problems })
}

/// Returns the file as it goes into reports: without comments, and without commands and names of password files, which may
/// hold or be a password.
fn text_of(node: &Node) -> String {
    let mut node = node.clone();
    leave_out(&mut node);
    yaml::emit(&node)
}

fn leave_out(node: &mut Node) {
    match &mut node.value {
        Value::Mapping(fields) => {
            for (key, node) in fields {
                if matches!(key.value.as_str(), "proxyCommand" | "passwordFile") {
                    let (text, plain) = ("(left out)".to_owned(), false);
                    node.value = Value::Scalar { text, plain };
                }
                leave_out(node);
            }
        }
        Value::Sequence(items) => items.iter_mut().for_each(leave_out),
        Value::Scalar { .. } => {}
    }
}

fn site(node: &Node, problems: &mut Problems, folder: &Path) -> Option<Site> {
    let mut map = node.map(problems)?;
    map.required("apiVersion", api_version);
    let kubeconfig = map.required("kubeconfig", text);
    let ssh = map.optional("ssh", |node, problems| ssh(node, problems, folder));
    let api = map.optional("api", via);
    let hosts = map.required("hosts", list(|node, problems| host(node, problems, folder)));
    let etcd = map.optional("etcd", etcd);
    let expect = map.optional("expect", expect);
    let suite = map.optional("suite", suite);
    let accept = map.optional("accept", list(acceptance));
    map.finish();
    let (expect, places) = expect.unwrap_or_default();
    let (accept, hosts_accepted): (Vec<_>, Vec<_>) = accept.unwrap_or_default().into_iter().unzip();
    let list = node.get("hosts");
    if let Some(list) = list {
        if hosts.as_ref().is_some_and(Vec::is_empty) {
            problems.add(list.place, "the list of hosts is empty");
        }
        twins(list, problems);
    }
    let known = |name: &str| {
        let names = list.map(Node::items).unwrap_or_default().iter();
        names
            .filter_map(|host| host.get("name")?.scalar())
            .any(|other| other == name)
    };
    let api = api.unwrap_or(Placed {
        place: node.place,
        value: Via::Direct,
    });
    if let Via::Host(name) = &api.value
        && !known(name)
    {
        problems.add_with_hint(
            api.place,
            "the API server is reached via what is no host of this file",
            "write direct or the name of a host",
        );
    }
    for (place, name) in hosts_accepted.into_iter().flatten() {
        if !known(&name) {
            let hint = "write the name of one, and none where the result is the cluster's";
            problems.add_with_hint(place, "no host of this file", hint);
        }
    }
    for (place, name) in places {
        if name != "local" && !known(&name) {
            let hint = "write local or the name of a host";
            problems.add_with_hint(place, "no host of this file", hint);
        }
    }
    Some(Site {
        kubeconfig: resolve(folder, &kubeconfig?),
        ssh: ssh.unwrap_or_default(),
        api: api.value,
        hosts: hosts?,
        etcd: etcd.unwrap_or_default(),
        expect,
        suite: suite.unwrap_or_default(),
        accept,
        text: text_of(node),
    })
}

fn api_version(node: &Node, problems: &mut Problems) -> Option<()> {
    let version = text(node, problems)?;
    if version != "site/v1" {
        problems.add_with_hint(
            node.place,
            "this apiVersion is not known",
            "this verifier reads site/v1",
        );
    }
    Some(())
}

/// Names what two hosts have in common that they must not. Works on the nodes, so that a host with a problem of its
/// own hides no other.
fn twins(hosts: &Node, problems: &mut Problems) {
    let mut seen: BTreeMap<(&str, String), Place> = BTreeMap::new();
    for host in hosts.items() {
        let scalar = |name| host.get(name).and_then(Node::scalar);
        let name = scalar("name").unwrap_or_default();
        let ssh = |name| {
            host.get("ssh")
                .and_then(|ssh| ssh.get(name))
                .and_then(Node::scalar)
        };
        let mut keys = vec![("name", Some(name.to_owned()))];
        let through = |name| host.get("ssh").is_some_and(|ssh| ssh.get(name).is_some());
        if !through("bastion") && !through("proxyCommand") {
            let port = ssh("port").unwrap_or("22");
            keys.push((
                "address",
                scalar("address").map(|address| format!("{address}:{port}")),
            ));
        }
        keys.push(("node name", scalar("nodeName").map(str::to_owned)));
        for (what, text) in keys {
            let Some(text) = text.filter(|text| !text.is_empty()) else {
                continue;
            };
            if let Some(other) = seen.insert((what, text), host.place) {
                let first = other.line;
                problems.add(
                    host.place,
                    format!("the {what} comes twice, the other is that of the host in line {first}"),
                );
            }
        }
    }
}

fn ssh(node: &Node, problems: &mut Problems, folder: &Path) -> Option<Ssh> {
    let mut map = node.map(problems)?;
    let path = |map: &mut Map<'_>, name| map.optional(name, text).map(|path| resolve(folder, &path));
    let ssh = Ssh {
        user: map.optional("user", text),
        identity: path(&mut map, "identity"),
        certificate: path(&mut map, "certificate"),
        known_hosts: path(&mut map, "knownHosts"),
        r#become: map.optional("become", r#become),
        password_file: path(&mut map, "passwordFile"),
        agent: map.optional("agent", boolean),
        port: map.optional("port", port),
        bastion: map.optional("bastion", bastion),
        proxy_command: map.optional("proxyCommand", text),
    };
    if ssh.bastion.is_some() && ssh.proxy_command.is_some() {
        let place = map.place_of("proxyCommand");
        map.problem(place, "bastion and proxyCommand exclude each other");
    }
    map.finish();
    Some(ssh)
}

fn via(node: &Node, problems: &mut Problems) -> Option<Placed<Via>> {
    let mut map = node.map(problems)?;
    let via = map.required("via", placed(text));
    map.finish();
    via.map(|via| Placed {
        place: via.place,
        value: if via.value == "direct" {
            Via::Direct
        } else {
            Via::Host(via.value)
        },
    })
}

fn host(node: &Node, problems: &mut Problems, folder: &Path) -> Option<Host> {
    let mut map = node.map(problems)?;
    let name = map.required("name", host_name);
    let address = map.required("address", address);
    let roles = map.required("roles", roles);
    let pod_cidrs = map.optional("podCIDRs", list(network));
    let node_name = map.optional("nodeName", host_name);
    let node_ips = map.optional("nodeIPs", list(parsed::<IpAddr>));
    let runtime = map.optional("runtime", runtime);
    let schedulable = map.optional("schedulable", boolean);
    let ssh = map.optional("ssh", |node, problems| ssh(node, problems, folder));
    map.finish();
    Some(Host {
        name: name?,
        address: address?,
        roles: roles?,
        pod_cidrs: pod_cidrs.unwrap_or_default(),
        node_name,
        node_ips: node_ips.unwrap_or_default(),
        runtime,
        schedulable: schedulable.unwrap_or(true),
        ssh: ssh.unwrap_or_default(),
    })
}

fn etcd(node: &Node, problems: &mut Problems) -> Option<Etcd> {
    let usual = Etcd::default();
    let mut map = node.map(problems)?;
    let endpoints = map.optional("endpoints", list(endpoint));
    let ca = map.optional("ca", text);
    let cert = map.optional("cert", text);
    let key = map.optional("key", text);
    let prefix = map.optional("prefix", text);
    if cert.is_some() != key.is_some() {
        let place = map.place();
        map.problem(place, "cert and key belong together");
    }
    map.finish();
    Some(Etcd {
        endpoints: endpoints.unwrap_or(usual.endpoints),
        ca,
        cert,
        key,
        prefix: prefix.map_or(usual.prefix, |prefix| format!("/{}", prefix.trim_matches('/'))),
    })
}

type Expected = (Expectations, Vec<(Place, String)>);

/// Decodes what is expected, and the places of names that must be hosts.
fn expect(node: &Node, problems: &mut Problems) -> Option<Expected> {
    let mut map = node.map(problems)?;
    let encryption = map.optional("encryption", encryption);
    let service_cidrs = map.optional("serviceCIDRs", list(network));
    let cni = map.optional("cni", text);
    let storage_class = map.optional("storageClass", text);
    let from = map
        .optional("nodePortFrom", list(placed(text)))
        .unwrap_or_default();
    let backup = map.optional("backup", backup);
    let images = map.optional("images", images);
    map.finish();
    let mut places: Vec<(Place, String)> = from.iter().map(|name| (name.place, name.value.clone())).collect();
    let (backup, host) = backup.unzip();
    places.extend(host);
    let expect = Expectations {
        encryption,
        service_cidrs: service_cidrs.unwrap_or_default(),
        cni,
        storage_class,
        node_port_from: from.into_iter().map(|name| name.value).collect(),
        backup,
        images: images.unwrap_or_default(),
    };
    Some((expect, places))
}

/// Decodes where backups are kept, and the place of the host's name.
fn backup(node: &Node, problems: &mut Problems) -> Option<(BackupPlace, (Place, String))> {
    let mut map = node.map(problems)?;
    let host = map.required("host", placed(text));
    let directory = map.required("dir", placed(text));
    let max_age = map.required("maxAge", age);
    if let Some(directory) = directory
        .as_ref()
        .filter(|directory| !directory.value.starts_with('/'))
    {
        map.problem(directory.place, "dir is no absolute path");
    }
    map.finish();
    let (host, directory) = (host?, directory?);
    let place = BackupPlace {
        host: host.value.clone(),
        directory: directory.value,
        max_age: max_age?,
    };
    Some((place, (host.place, host.value)))
}

/// Decodes a time: `26h`, `7d`.
fn age(node: &Node, problems: &mut Problems) -> Option<Duration> {
    let said = text(node, problems)?;
    let days = said.strip_suffix('d').and_then(|days| days.trim().parse().ok());
    let age = match days {
        Some(days) => Some(Duration::from_hours(24_u64.saturating_mul(days))),
        None => cli::duration(&said).ok(),
    };
    let age = age.filter(|age| !age.is_zero());
    if age.is_none() {
        problems.add_with_hint(node.place, "this is no time", "write a time such as 26h or 7d");
    }
    age
}

fn encryption(node: &Node, problems: &mut Problems) -> Option<Encryption> {
    let mut map = node.map(problems)?;
    let provider = map.required("provider", placed(text));
    let key = map.optional("key", text);
    map.finish();
    let provider = provider?;
    if !PROVIDERS.contains(&provider.value.as_str()) {
        problems.add_with_hint(
            provider.place,
            "this provider is not known",
            format!("known are {}", PROVIDERS.join(", ")),
        );
    }
    Some(Encryption {
        provider: provider.value,
        key,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::site::{Become, Role};

    const GOOD: &str = r#"
apiVersion: site/v1
kubeconfig: admin.kubeconfig
ssh: {user: root, identity: id_ed25519, knownHosts: known_hosts, become: none}
api: {via: direct}
hosts:
  - {name: server, address: 192.168.10.100, roles: [control-plane, etcd]}
  - {name: node-0, address: 192.168.10.101, roles: [worker], podCIDRs: [10.200.0.0/24], ssh: {port: 2222, become: sudo}}
etcd: {endpoints: ["http://127.0.0.1:2379"]}
expect:
  encryption: {provider: aescbc, key: key1}
  serviceCIDRs: [10.32.0.0/24]
  cni: bridge
  nodePortFrom: [local, server]
"#;

    #[test]
    fn the_documented_file_is_read() {
        let site = parse("site.yaml", GOOD, Path::new("/site")).unwrap();
        assert_eq!(site.kubeconfig, Path::new("/site/admin.kubeconfig"));
        assert_eq!(site.hosts.len(), 2);
        let node = site.host_of_node("node-0").unwrap();
        let ssh = site.ssh_of(node);
        assert_eq!(
            (ssh.port, ssh.r#become, ssh.user.as_deref()),
            (Some(2222), Some(Become::Sudo), Some("root"))
        );
        assert_eq!(ssh.identity.as_deref(), Some(Path::new("/site/id_ed25519")));
        assert_eq!(site.with_role(Role::Etcd).count(), 1);
        assert_eq!(site.expect.encryption.unwrap().key.as_deref(), Some("key1"));
    }

    #[test]
    fn a_file_with_nothing_optional_has_the_usual_values() {
        let text =
            "apiVersion: site/v1\nkubeconfig: /k\nhosts:\n- {name: a, address: a.example, roles: [worker]}\n";
        let site = parse("site.yaml", text, Path::new("/site")).unwrap();
        assert_eq!(site.etcd, Etcd::default());
        assert_eq!(site.api, Via::Direct);
        assert!(site.hosts[0].schedulable && site.hosts[0].ips().is_empty());
    }

    #[test]
    fn all_problems_come_at_once_with_their_places() {
        let text = r#"apiVersion: site/v2
kubeconfig: admin.kubeconfig
ssh: {become: su, port: 0}
api: {via: bastion}
hosts:
  - {name: server, address: 192.168.10.300, roles: [control-plane]}
  - {name: node-0, address: 192.168.10.101, roles: [worker, slave], podCIDRs: [10.200.0.1/24]}
  - {name: node-1, address: 192.168.10.102, roles: [worker]}
  - {name: node-1, address: 192.168.10.102, roles: [worker], podCidrs: [10.200.2.0/24]}
etcd: {endpoints: ["127.0.0.1:2379"], cert: /c}
expect:
  encryption: {provider: aes}
  nodePortFrom: [local, jumpbox]
"#;
        let error = parse("site.yaml", text, Path::new("")).unwrap_err();
        insta::assert_snapshot!(error.to_string());
    }

    #[test]
    fn hosts_that_repeat_each_other_and_strange_names_are_refused() {
        let text = "apiVersion: site/v1\nkubeconfig: k\napi: {via: nowhere}\nhosts:\n\
            - {name: a, address: 10.0.0.1, roles: [worker]}\n\
            - {name: a, address: 10.0.0.1, roles: [worker]}\n\
            - {name: b, address: 10.0.0.1, roles: [worker], ssh: {port: 2222}}\n\
            expect: {nodePortFrom: [local, c]}\n";
        let error = parse("site.yaml", text, Path::new("")).unwrap_err();
        insta::assert_snapshot!(error.to_string());
    }
}
