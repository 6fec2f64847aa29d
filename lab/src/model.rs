//! What a lab is made of, as values: options, hosts and their addresses, files and programs of a host.
//!
//! Pure: touches neither the machine nor the network.

use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::str::FromStr;

use ipnet::Ipv4Net;
use serde::{Deserialize, Serialize};

use crate::Error;

/// The network of Services.
pub const SERVICE_NETWORK: Ipv4Net = Ipv4Net::new_assert(Ipv4Addr::new(10, 32, 0, 0), 24);
/// The network that joins the hosts.
pub const HOST_NETWORK: Ipv4Net = Ipv4Net::new_assert(Ipv4Addr::new(192, 168, 10, 0), 24);
/// The network of all pods; each node has a /24 of it.
pub const POD_NETWORK: Ipv4Net = Ipv4Net::new_assert(Ipv4Addr::new(10, 200, 0, 0), 16);
/// The domain of the hosts' full names.
pub const DOMAIN: &str = "kubernetes.local";
/// The first host of the control plane and of etcd.
pub const SERVER: &str = "server";
/// What stands before the API servers where there are several.
pub const BALANCER: &str = "balancer";
/// The only way into the closed network.
pub const JUMPBOX: &str = "jumpbox";
/// The namespace of the connected side.
pub const CONNECTED: &str = "connected";
/// Most nodes that fit into the addresses from .101 on.
pub const MOST_NODES: usize = 99;

/// What is asked of a lab.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "switches of the command line, each on its own"
)]
pub struct Options {
    /// Name of the lab; every name that the machine sees begins with it.
    pub name: String,
    /// Number of hosts of the control plane, each with a member of etcd: one, or three behind a balancer.
    #[serde(default = "one")]
    pub servers: usize,
    /// Number of worker nodes.
    pub nodes: usize,
    /// Version of Kubernetes without `v`; the newest when absent.
    pub kubernetes: Option<String>,
    /// Version of containerd of each node, in the nodes' order; the newest for nodes beyond the list.
    pub containerd: Vec<String>,
    /// How the API server encrypts Secrets at rest.
    pub encryption: Encryption,
    /// A DNS of the cluster's own: two replicas of CoreDNS, which know nothing but the cluster.
    #[serde(default)]
    pub dns: bool,
    /// Leaves out what the original page leaves out too (/etc/crictl.yaml).
    pub plain: bool,
    /// No root login, no forwarding, sudo with a password, no programs in /tmp and /dev/shm.
    pub hardened: bool,
    /// Hosts without Kubernetes, for tests of the machinery itself.
    pub bare: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            name: "lab".to_owned(),
            servers: one(),
            nodes: 2,
            kubernetes: None,
            containerd: Vec::new(),
            encryption: Encryption::default(),
            dns: false,
            plain: false,
            hardened: false,
            bare: false,
        }
    }
}

/// The page's number of servers.
const fn one() -> usize {
    1
}

impl Options {
    /// Checks the name and the numbers of hosts.
    pub fn validate(&self) -> Result<(), Error> {
        validate_name(&self.name)?;
        if !matches!(self.servers, 1 | 3) {
            return Err(Error::Options(format!(
                "{} servers: there may be 1 or 3",
                self.servers
            )));
        }
        if self.nodes > MOST_NODES {
            return Err(Error::Options(format!(
                "{} nodes are more than the {MOST_NODES} that the network holds",
                self.nodes
            )));
        }
        if self.containerd.len() > self.nodes {
            return Err(Error::Options(format!(
                "{} versions of containerd for {} nodes",
                self.containerd.len(),
                self.nodes
            )));
        }
        Ok(())
    }
}

/// Checks that a lab may be called so: what lies on the machine is named `NAME.HOST`, so no dot, no slash.
pub fn validate_name(name: &str) -> Result<(), Error> {
    let good = name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.len() <= 32
        && name
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
    if good {
        Ok(())
    } else {
        Err(Error::Options(format!(
            "{name:?} cannot name a lab: at most 32 of a-z, 0-9 and -, a letter first"
        )))
    }
}

/// A provider of encryption at rest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Encryption {
    /// AES-CBC with PKCS#7 padding, the page's own.
    #[default]
    Aescbc,
    /// AES-GCM.
    Aesgcm,
    /// XSalsa20 and Poly1305.
    Secretbox,
    /// Plaintext.
    None,
}

impl Encryption {
    /// Returns the provider's name in an EncryptionConfiguration, `identity` for plaintext.
    pub const fn provider(self) -> &'static str {
        match self {
            Self::Aescbc => "aescbc",
            Self::Aesgcm => "aesgcm",
            Self::Secretbox => "secretbox",
            Self::None => "identity",
        }
    }
}

impl FromStr for Encryption {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "aescbc" => Ok(Self::Aescbc),
            "aesgcm" => Ok(Self::Aesgcm),
            "secretbox" => Ok(Self::Secretbox),
            "none" => Ok(Self::None),
            _ => Err(format!("{text:?} is none of aescbc, aesgcm, secretbox, none")),
        }
    }
}

/// What a host is there for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Control plane and etcd.
    Server,
    /// Worker.
    Node,
    /// Stands before the API servers.
    Balancer,
    /// The way in: carries the admin's files and the media.
    Jumpbox,
    /// The connected side: the machine's own file system, no link to the others.
    Connected,
}

/// A planned host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Host {
    /// Short name, also the name of the Node.
    pub name: String,
    /// Address on eth1; loopback for the connected side.
    pub address: Ipv4Addr,
    /// What it is there for.
    pub role: Role,
    /// The network of its pods, for nodes.
    pub pod_network: Option<Ipv4Net>,
}

impl Host {
    /// Returns the full name, as in machines.txt.
    pub fn fqdn(&self) -> String {
        format!("{}.{DOMAIN}", self.name)
    }

    /// Returns whether the host belongs to the cluster.
    pub const fn in_cluster(&self) -> bool {
        matches!(self.role, Role::Server | Role::Node)
    }

    /// Returns whether the host runs systemd and sshd.
    pub const fn boots(&self) -> bool {
        self.in_cluster() || matches!(self.role, Role::Balancer)
    }
}

/// The planned hosts, in the order servers, nodes, balancer, jumpbox, connected.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Layout {
    /// All hosts.
    pub hosts: Vec<Host>,
}

impl Layout {
    /// Returns the plan for one server and `nodes` nodes: server .100, node-N .101 + N, jumpbox .10, pods of node-N in
    /// 10.200.N.0/24.
    pub fn new(nodes: usize) -> Self {
        Self::with_servers(1, nodes)
    }

    /// Returns the plan for several servers too: server-N .90 + N, and the balancer .90.
    pub fn with_servers(servers: usize, nodes: usize) -> Self {
        let host = |name: &str, address, role| Host {
            name: name.to_owned(),
            address,
            role,
            pod_network: None,
        };
        let mut hosts = vec![host(SERVER, Ipv4Addr::new(192, 168, 10, 100), Role::Server)];
        for n in 1..u8::try_from(servers).unwrap_or(1) {
            let address = Ipv4Addr::new(192, 168, 10, n.saturating_add(90));
            hosts.push(host(&format!("{SERVER}-{n}"), address, Role::Server));
        }
        for (name, n) in (0..nodes).zip(0..=u8::MAX) {
            let address = Ipv4Addr::new(192, 168, 10, n.saturating_add(101));
            let pods = Ipv4Net::new_assert(Ipv4Addr::new(10, 200, n, 0), 24);
            hosts.push(Host {
                pod_network: Some(pods),
                ..host(&format!("node-{name}"), address, Role::Node)
            });
        }
        if servers > 1 {
            hosts.push(host(BALANCER, Ipv4Addr::new(192, 168, 10, 90), Role::Balancer));
        }
        hosts.push(host(JUMPBOX, Ipv4Addr::new(192, 168, 10, 10), Role::Jumpbox));
        hosts.push(host(CONNECTED, Ipv4Addr::LOCALHOST, Role::Connected));
        Self { hosts }
    }

    /// Returns the host of this name.
    pub fn host(&self, name: &str) -> Result<&Host, Error> {
        self.hosts
            .iter()
            .find(|host| host.name == name)
            .ok_or_else(|| Error::UnknownHost {
                host: name.to_owned(),
                known: self.hosts.iter().map(|host| host.name.clone()).collect(),
            })
    }

    /// Returns the workers.
    pub fn nodes(&self) -> impl Iterator<Item = &Host> {
        self.hosts.iter().filter(|host| host.role == Role::Node)
    }

    /// Returns the hosts of the control plane.
    pub fn servers(&self) -> impl Iterator<Item = &Host> {
        self.hosts.iter().filter(|host| host.role == Role::Server)
    }

    /// Returns whether a balancer stands before the API servers.
    pub fn is_balanced(&self) -> bool {
        self.hosts.iter().any(|host| host.role == Role::Balancer)
    }

    /// Returns servers and workers: the hosts of machines.txt, in its order.
    pub fn cluster(&self) -> impl Iterator<Item = &Host> {
        self.hosts.iter().filter(|host| host.in_cluster())
    }

    /// Returns the hosts that run systemd and sshd.
    pub fn booted(&self) -> impl Iterator<Item = &Host> {
        self.hosts.iter().filter(|host| host.boots())
    }

    /// Returns the hosts that hang on the switch: all but the connected side.
    pub fn closed(&self) -> impl Iterator<Item = &Host> {
        self.hosts.iter().filter(|host| host.role != Role::Connected)
    }
}

/// A file to put into a host before it boots.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LabFile {
    /// Absolute path in the host; directories above are made (0755, root).
    pub path: PathBuf,
    /// What is in it.
    pub contents: Vec<u8>,
    /// Permissions, for example 0o600.
    pub mode: u32,
}

impl LabFile {
    /// Returns a file that everybody may read.
    pub fn new(path: impl Into<PathBuf>, contents: impl Into<Vec<u8>>) -> Self {
        Self {
            path: path.into(),
            contents: contents.into(),
            mode: 0o644,
        }
    }

    /// Returns a file that only root may read.
    pub fn secret(path: impl Into<PathBuf>, contents: impl Into<Vec<u8>>) -> Self {
        Self {
            mode: 0o600,
            ..Self::new(path, contents)
        }
    }
}

/// What a host gets beyond the common root file system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostSpec {
    /// Name of the host in the layout.
    pub host: String,
    /// Files to write before boot: configuration, units under /etc/systemd/system, certificates.
    pub files: Vec<LabFile>,
    /// Programs as (file on this machine, absolute path in the host); shared between hosts, never written to.
    pub programs: Vec<(PathBuf, PathBuf)>,
    /// Units that multi-user.target shall want, for example `kubelet.service`.
    pub units: Vec<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_layout_is_that_of_the_page() {
        let layout = Layout::new(2);
        let line = |host: &Host| format!("{} {:?} {:?}", host.address, host.role, host.pod_network);
        assert_eq!(line(layout.host("server").unwrap()), "192.168.10.100 Server None");
        assert_eq!(
            line(layout.host("node-1").unwrap()),
            "192.168.10.102 Node Some(10.200.1.0/24)"
        );
        assert_eq!(layout.nodes().count(), 2);
        assert_eq!(layout.closed().count(), 4);
        assert!(layout.host("node-2").is_err());
        assert_eq!(
            Layout::new(MOST_NODES).host("node-98").unwrap().address,
            Ipv4Addr::new(192, 168, 10, 199)
        );
    }

    #[test]
    fn three_servers_have_a_balancer_and_one_has_none() {
        let layout = Layout::with_servers(3, 1);
        let names: Vec<&str> = layout.booted().map(|host| host.name.as_str()).collect();
        assert_eq!(names, ["server", "server-1", "server-2", "node-0", "balancer"]);
        assert_eq!(
            layout.host("server-2").unwrap().address,
            Ipv4Addr::new(192, 168, 10, 92)
        );
        assert_eq!((layout.servers().count(), layout.cluster().count()), (3, 4));
        assert!(layout.is_balanced() && !Layout::new(1).is_balanced());
        let options = |servers| Options {
            servers,
            ..Options::default()
        };
        assert!(options(3).validate().is_ok() && options(2).validate().is_err());
    }

    #[test]
    fn names_that_could_reach_out_of_a_directory_or_into_another_lab_are_refused() {
        for bad in ["", "a.b", "../x", "A", "-a", "1a", "a b", &"a".repeat(33)] {
            assert!(validate_name(bad).is_err(), "{bad:?}");
        }
        assert!(validate_name("lab").is_ok() && validate_name("e2e-12-load").is_ok());
    }
}
