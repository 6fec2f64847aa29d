//! Makes a site file from what a cluster's operator already has: the page's machines.txt, or the nodes of the API.
//! Pure: text in, text out.

use std::net::IpAddr;
use std::path::PathBuf;

use ipnet::IpNet;

use super::values::is_address;
use super::{Become, Encryption, Etcd, Host, Role, Ssh};

/// Why machines.txt, or the list of nodes, makes no site.
#[derive(Debug, thiserror::Error)]
pub enum InitError {
    /// Lines that are none of `IPV4 FQDN HOST [POD_SUBNET]`.
    #[error("{}", problems.join("\n"))]
    Machines {
        /// One problem a line, with file, line and what is wrong.
        problems: Vec<String>,
    },
    /// Nothing to make a site of.
    #[error("{file} names no machine")]
    Empty {
        /// Where the machines were looked for.
        file: String,
    },
}

/// Parses machines.txt: `IPV4 FQDN HOST POD_SUBNET` a line, the last one absent for the control plane.
pub fn machines(file: &str, text: &str) -> Result<Vec<Host>, InitError> {
    let mut machines: Vec<Host> = Vec::new();
    let mut problems = Vec::new();
    for (at, line) in text.lines().enumerate() {
        let line = line.split('#').next().unwrap_or_default().trim();
        if line.is_empty() {
            continue;
        }
        match machine(line) {
            Ok(machine) if machines.iter().any(|other| other.name == machine.name) => {
                problems.push(format!("{file}:{}: the host comes twice", at + 1));
            }
            Ok(machine) => machines.push(machine),
            Err(problem) => problems.push(format!("{file}:{}: {problem}", at + 1)),
        }
    }
    if !problems.is_empty() {
        return Err(InitError::Machines { problems });
    }
    if machines.is_empty() {
        return Err(InitError::Empty {
            file: file.to_owned(),
        });
    }
    Ok(machines)
}

fn machine(line: &str) -> Result<Host, &'static str> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let (address, name, subnet) = match words.as_slice() {
        [address, _, name] => (address, name, None),
        [address, _, name, subnet] => (address, name, Some(subnet)),
        _ => return Err("not of the form IPV4 FQDN HOST [POD_SUBNET]"),
    };
    if address.parse::<IpAddr>().is_err() {
        return Err("the first word is not an IP address");
    }
    if !is_address(name) {
        return Err("the third word is not the name of a host");
    }
    let pod_cidrs = subnet
        .map(|subnet| {
            subnet
                .parse::<IpNet>()
                .map(|net| net.trunc())
                .map_err(|_| "the fourth word is not a network")
        })
        .transpose()?;
    let roles = if pod_cidrs.is_some() {
        vec![Role::Worker]
    } else {
        vec![Role::ControlPlane, Role::Etcd]
    };
    Ok(Host {
        pod_cidrs: pod_cidrs.into_iter().collect(),
        ..Host::new(*name, *address, roles)
    })
}

/// What a site file is made of.
#[derive(Clone, Debug, Default)]
pub struct Draft {
    /// Where the hosts come from, in a few words.
    pub origin: String,
    /// The kubeconfig, as the file is to name it.
    pub kubeconfig: PathBuf,
    /// How the hosts are logged into.
    pub ssh: Ssh,
    /// The hosts.
    pub hosts: Vec<Host>,
    /// How etcd is reached on its hosts; absent: nobody could tell.
    pub etcd: Option<Etcd>,
    /// The encryption of Secrets; absent: nobody could tell.
    pub encryption: Option<Encryption>,
    /// The service networks; empty: nobody could tell.
    pub service_cidrs: Vec<IpNet>,
    /// The CNI's plugin, where all nodes have the same.
    pub cni: Option<String>,
}

/// Returns whether a text stands for itself in YAML, without quotes: an address or a name, and no number or word that
/// means something else.
fn is_plain(text: &str) -> bool {
    const WORDS: [&str; 9] = ["null", "true", "false", "yes", "no", "on", "off", "y", "n"];
    let address = text.parse::<std::net::Ipv4Addr>().is_ok() || text.parse::<ipnet::Ipv4Net>().is_ok();
    let letter = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-');
    let name = text.starts_with(|c: char| c.is_ascii_alphabetic()) && text.chars().all(letter);
    address || (name && !WORDS.contains(&text.to_ascii_lowercase().as_str()))
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

fn scalar(text: &str) -> String {
    if is_plain(text) {
        text.to_owned()
    } else {
        quoted(text)
    }
}

fn list<T: ToString>(items: &[T]) -> String {
    let items: Vec<String> = items.iter().map(|item| scalar(&item.to_string())).collect();
    format!("[{}]", items.join(", "))
}

/// Writes a site file.
pub fn to_yaml(draft: &Draft) -> String {
    let mut out = format!(
        "# Made from {}. `verifier site hostkeys --site FILE` shows each host's key; --accept pins it.\n\
         apiVersion: site/v1\n\
         kubeconfig: {}\n\
         # become: sudo where root may not log in (passwordFile, or asked once on the terminal)\n\
         ssh: {}\n\
         api: {{via: direct}}   # or the name of a host from which the API server is reached\n\
         hosts:\n",
        draft.origin,
        quoted(&draft.kubeconfig.display().to_string()),
        login(&draft.ssh),
    );
    for host in &draft.hosts {
        out.push_str(&line(host));
    }
    out.push_str(&etcd(draft.etcd.as_ref()));
    out.push_str(&expected(draft));
    out
}

fn login(ssh: &Ssh) -> String {
    let mut parts = vec![format!("user: {}", scalar(ssh.user.as_deref().unwrap_or("root")))];
    parts.push(match ssh.r#become.unwrap_or_default() {
        Become::None => "become: none".to_owned(),
        Become::Sudo => "become: sudo".to_owned(),
    });
    let path = |name: &str, path: &Option<PathBuf>| {
        let text = quoted(&path.as_ref()?.display().to_string());
        Some(format!("{name}: {text}"))
    };
    parts.extend(path("passwordFile", &ssh.password_file));
    parts.extend(path("identity", &ssh.identity));
    parts.extend(path("knownHosts", &ssh.known_hosts));
    parts.extend(ssh.port.map(|port| format!("port: {port}")));
    let jumps = ssh.bastion.iter().flatten().map(ToString::to_string);
    let jumps: Vec<String> = jumps.collect();
    if !jumps.is_empty() {
        parts.push(format!("bastion: {}", quoted(&jumps.join(","))));
    }
    let usual = if ssh.identity.is_none() && ssh.known_hosts.is_none() {
        "   # identity: id_ed25519, knownHosts: known_hosts; absent: those of ~/.ssh"
    } else {
        ""
    };
    format!("{{{}}}{usual}", parts.join(", "))
}

fn line(host: &Host) -> String {
    let mut parts = vec![
        format!("name: {}", scalar(&host.name)),
        format!("address: {}", scalar(&host.address)),
        format!("roles: {}", list(&host.roles)),
    ];
    if !host.pod_cidrs.is_empty() {
        parts.push(format!("podCIDRs: {}", list(&host.pod_cidrs)));
    }
    parts.extend(
        host.node_name
            .as_ref()
            .map(|node| format!("nodeName: {}", scalar(node))),
    );
    if !host.node_ips.is_empty() {
        parts.push(format!("nodeIPs: {}", list(&host.node_ips)));
    }
    parts.extend(
        host.runtime
            .as_ref()
            .map(|path| format!("runtime: {}", quoted(&format!("unix://{path}")))),
    );
    if !host.schedulable {
        parts.push("schedulable: false".to_owned());
    }
    format!("  - {{{}}}\n", parts.join(", "))
}

fn etcd(etcd: Option<&Etcd>) -> String {
    let Some(etcd) = etcd else {
        return "etcd: {endpoints: [\"http://127.0.0.1:2379\"]}   # as seen from the etcd hosts; ca, cert, key: paths there\n"
            .to_owned();
    };
    let urls: Vec<String> = etcd.endpoints.iter().map(|url| quoted(url)).collect();
    let mut parts = vec![format!("endpoints: [{}]", urls.join(", "))];
    let files = [("ca", &etcd.ca), ("cert", &etcd.cert), ("key", &etcd.key)];
    for (name, path) in files {
        parts.extend(path.as_ref().map(|path| format!("{name}: {}", quoted(path))));
    }
    if etcd.prefix != Etcd::default().prefix {
        parts.push(format!("prefix: {}", quoted(&etcd.prefix)));
    }
    format!("etcd: {{{}}}   # as seen from the etcd hosts\n", parts.join(", "))
}

fn expected(draft: &Draft) -> String {
    let mut lines = Vec::new();
    let mut notes = Vec::new();
    match &draft.encryption {
        Some(Encryption { provider, key }) => {
            let key = key.as_ref().map(|key| format!(", key: {}", scalar(key)));
            let key = key.unwrap_or_default();
            lines.push(format!("  encryption: {{provider: {}{key}}}\n", scalar(provider)));
        }
        None => notes.push(
            "encryption: {provider: aescbc, key: key1}   # absent: any provider will do, plaintext fails\n"
                .to_owned(),
        ),
    }
    if draft.service_cidrs.is_empty() {
        notes.push("serviceCIDRs: [10.32.0.0/24]\n".to_owned());
    } else {
        lines.push(format!("  serviceCIDRs: {}\n", list(&draft.service_cidrs)));
    }
    match draft.cni.as_deref() {
        // Another name would keep the checks of bridges from looking whether it makes one all the same.
        Some("bridge") => lines.push("  cni: bridge\n".to_owned()),
        Some(other) if is_plain(other) => notes.push(format!("cni: {other}\n")),
        _ => {}
    }
    let (head, indent) = if lines.is_empty() {
        ("# expect:\n", "#   ")
    } else {
        ("expect:\n", "  # ")
    };
    let notes = notes.into_iter().map(|note| format!("{indent}{note}"));
    head.to_owned() + &lines.into_iter().chain(notes).collect::<String>()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::site::parse;

    fn draft(hosts: Vec<Host>) -> Draft {
        Draft {
            origin: "the test".to_owned(),
            kubeconfig: "admin.kubeconfig".into(),
            hosts,
            ..Draft::default()
        }
    }

    #[test]
    fn the_pages_machines_become_a_site_that_parses() {
        let text = "192.168.10.100 server.kubernetes.local server\n\
                    192.168.10.101 node-0.kubernetes.local node-0 10.200.0.0/24\n\
                    192.168.10.102 node-1.kubernetes.local node-1 10.200.1.0/24\n";
        let machines = machines("machines.txt", text).unwrap();
        let yaml = to_yaml(&Draft {
            origin: "machines.txt".to_owned(),
            ..draft(machines)
        });
        insta::assert_snapshot!(yaml);
        let site = parse("site.yaml", &yaml, Path::new("/s")).unwrap();
        assert_eq!(site.hosts[0].roles, [Role::ControlPlane, Role::Etcd]);
        assert_eq!(site.hosts[2].pod_cidrs[0].to_string(), "10.200.1.0/24");
    }

    #[test]
    fn bad_lines_come_together() {
        let text = "# comment\n192.168.10.1000 a a\n\n192.168.10.1 a.b a 10.0.0.0/99\n192.168.10.1 a\n10.0.0.1 x b\n10.0.0.2 x b\n";
        let error = machines("m", text).unwrap_err().to_string();
        assert_eq!(error.lines().count(), 4, "{error}");
        assert!(error.contains("m:7: the host comes twice"));
        assert!(machines("m", "\n# none\n").is_err());
    }

    #[test]
    fn no_name_or_address_writes_more_into_the_file_than_itself() {
        let texts = cli::nasty::texts().into_iter().filter(|text| text.len() < 4096);
        let words = [
            "null",
            "true",
            "no",
            "123",
            "1e3",
            "0x10",
            "a, roles: [etcd]",
            "a: b",
            "a #b",
        ]
        .map(str::to_owned);
        for text in texts.chain(words) {
            let host = Host {
                node_name: Some(text.clone()),
                runtime: Some(text.clone()),
                ..Host::new(&text, &text, vec![Role::Worker])
            };
            let file = to_yaml(&Draft {
                kubeconfig: PathBuf::from(&text),
                cni: Some(text.clone()),
                etcd: Some(Etcd {
                    endpoints: vec![text.clone()],
                    ca: Some(text.clone()),
                    ..Etcd::default()
                }),
                ..draft(vec![host])
            });
            let nodes = yaml::documents("s", &file).unwrap_or_else(|problems| panic!("{text:?}: {problems}"));
            let host = &nodes[0].get("hosts").unwrap().items()[0];
            for key in ["name", "address", "nodeName"] {
                assert_eq!(host.get(key).unwrap().scalar(), Some(&*text), "{file}");
            }
            assert!(host.get("ssh").is_none() && nodes[0].get("ssh").unwrap().get("proxyCommand").is_none());
        }
    }

    #[test]
    fn all_that_was_found_stands_in_a_site_that_parses() {
        let host = Host {
            pod_cidrs: vec!["fd00:1::/64".parse().unwrap()],
            node_name: Some("a.example".to_owned()),
            node_ips: vec!["10.0.0.1".parse().unwrap(), "fd00::1".parse().unwrap()],
            runtime: Some("/run/k3s/containerd/containerd.sock".to_owned()),
            schedulable: false,
            ..Host::new("a", "fd00::1", vec![Role::ControlPlane, Role::Etcd, Role::Worker])
        };
        let found = Draft {
            ssh: Ssh {
                user: Some("op".to_owned()),
                r#become: Some(Become::Sudo),
                password_file: Some("/p w".into()),
                identity: Some("id".into()),
                port: Some(2222),
                bastion: Some(vec!["root@b".parse().unwrap()]),
                ..Ssh::default()
            },
            etcd: Some(Etcd {
                endpoints: vec!["https://127.0.0.1:2379".to_owned()],
                ca: Some("/etc/kubernetes/pki/etcd/ca.crt".to_owned()),
                cert: Some("/c".to_owned()),
                key: Some("/k".to_owned()),
                prefix: "/other".to_owned(),
            }),
            encryption: Some(Encryption {
                provider: "aescbc".to_owned(),
                key: Some("key1".to_owned()),
            }),
            service_cidrs: vec!["10.96.0.0/12".parse().unwrap(), "fd00:2::/112".parse().unwrap()],
            cni: Some("bridge".to_owned()),
            ..draft(vec![host.clone()])
        };
        let yaml = to_yaml(&found);
        let site = parse("s", &yaml, Path::new("")).unwrap_or_else(|error| panic!("{error}: {yaml}"));
        assert_eq!(site.hosts, [host]);
        assert_eq!(site.ssh, found.ssh);
        assert_eq!(Some(site.etcd), found.etcd);
        assert_eq!(site.expect.encryption, found.encryption);
        assert_eq!(site.expect.service_cidrs, found.service_cidrs);
        assert_eq!(site.expect.cni, found.cni);
    }
}
