//! Makes a site file from what a cluster's operator already has: the page's machines.txt, or the nodes of the API.
//! Pure: text in, text out.

use std::fmt::Write as _;
use std::net::IpAddr;
use std::path::Path;

use ipnet::IpNet;

use super::values::is_address;

/// A line of machines.txt, or a Node of the API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Machine {
    /// The name.
    pub name: String,
    /// Where its sshd is.
    pub address: String,
    /// The pod networks; a machine of the page that has none is the control plane.
    pub pod_cidrs: Vec<IpNet>,
    /// Whether it runs the control plane and etcd.
    pub control_plane: bool,
    /// Whether it runs pods.
    pub worker: bool,
    /// Its name in the API where that differs.
    pub node_name: Option<String>,
}

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
pub fn machines(file: &str, text: &str) -> Result<Vec<Machine>, InitError> {
    let mut machines: Vec<Machine> = Vec::new();
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

fn machine(line: &str) -> Result<Machine, &'static str> {
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
    Ok(Machine {
        name: (*name).to_owned(),
        address: (*address).to_owned(),
        control_plane: pod_cidrs.is_none(),
        worker: pod_cidrs.is_some(),
        pod_cidrs: pod_cidrs.into_iter().collect(),
        node_name: None,
    })
}

/// Returns the site file for the page's machines.
pub fn from_machines(machines: &[Machine], kubeconfig: &Path) -> String {
    to_yaml(machines, kubeconfig, "machines.txt")
}

/// Returns the site file for the nodes of the API.
pub fn from_nodes(machines: &[Machine], kubeconfig: &Path) -> String {
    to_yaml(machines, kubeconfig, "the nodes of the API")
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

/// Writes a site file; `origin` says in its first line where the hosts come from.
pub fn to_yaml(machines: &[Machine], kubeconfig: &Path, origin: &str) -> String {
    let mut out = String::new();
    let quoted = |text: &str| serde_json::Value::from(text).to_string();
    let scalar = |text: &str| {
        if is_plain(text) {
            text.to_owned()
        } else {
            quoted(text)
        }
    };
    // Writing to a String cannot fail.
    let _ = write!(
        out,
        "# Made from {origin}. `verifier site hostkeys --site FILE` shows each host's key; --accept pins it.\n\
         apiVersion: site/v1\n\
         kubeconfig: {}\n\
         # become: sudo where root may not log in (passwordFile, or asked once on the terminal)\n\
         ssh: {{user: root, become: none}}   # identity: id_ed25519, knownHosts: known_hosts; absent: those of ~/.ssh\n\
         api: {{via: direct}}   # or the name of a host from which the API server is reached\n\
         hosts:\n",
        quoted(&kubeconfig.display().to_string())
    );
    for machine in machines {
        let mut roles = Vec::new();
        if machine.control_plane {
            roles.extend(["control-plane", "etcd"]);
        }
        if machine.worker {
            roles.push("worker");
        }
        let _ = write!(
            out,
            "  - {{name: {}, address: {}, roles: [{}]",
            scalar(&machine.name),
            scalar(&machine.address),
            roles.join(", ")
        );
        if !machine.pod_cidrs.is_empty() {
            let nets: Vec<String> = machine
                .pod_cidrs
                .iter()
                .map(|net| scalar(&net.to_string()))
                .collect();
            let _ = write!(out, ", podCIDRs: [{}]", nets.join(", "));
        }
        if let Some(node) = &machine.node_name {
            let _ = write!(out, ", nodeName: {}", scalar(node));
        }
        out.push_str("}\n");
    }
    out.push_str(
        "etcd: {endpoints: [\"http://127.0.0.1:2379\"]}   # as seen from the etcd hosts; ca, cert, key: paths there\n\
         # expect:\n\
         #   encryption: {provider: aescbc, key: key1}   # absent: any provider will do, plaintext fails\n\
         #   serviceCIDRs: [10.32.0.0/24]\n",
    );
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::site::{Role, parse};

    #[test]
    fn the_pages_machines_become_a_site_that_parses() {
        let text = "192.168.10.100 server.kubernetes.local server\n\
                    192.168.10.101 node-0.kubernetes.local node-0 10.200.0.0/24\n\
                    192.168.10.102 node-1.kubernetes.local node-1 10.200.1.0/24\n";
        let machines = machines("machines.txt", text).unwrap();
        let yaml = from_machines(&machines, Path::new("admin.kubeconfig"));
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
            let machine = Machine {
                name: text.clone(),
                address: text.clone(),
                pod_cidrs: Vec::new(),
                control_plane: false,
                worker: true,
                node_name: Some(text.clone()),
            };
            let file = from_nodes(&[machine], Path::new(&text));
            let nodes = yaml::documents("s", &file).unwrap_or_else(|problems| panic!("{text:?}: {problems}"));
            let host = &nodes[0].get("hosts").unwrap().items()[0];
            for key in ["name", "address", "nodeName"] {
                assert_eq!(host.get(key).unwrap().scalar(), Some(&*text), "{file}");
            }
            assert!(host.get("ssh").is_none() && nodes[0].get("ssh").unwrap().get("proxyCommand").is_none());
        }
    }

    #[test]
    fn nodes_with_ipv6_make_a_site_that_parses() {
        let machine = Machine {
            name: "a".to_owned(),
            address: "fd00::1".to_owned(),
            pod_cidrs: vec!["fd00:1::/64".parse().unwrap()],
            control_plane: true,
            worker: true,
            node_name: Some("a.example".to_owned()),
        };
        let site = parse("s", &from_nodes(&[machine], Path::new("k")), Path::new("")).unwrap();
        assert_eq!(site.hosts[0].node(), "a.example");
        assert_eq!(site.hosts[0].roles.len(), 3);
    }
}
