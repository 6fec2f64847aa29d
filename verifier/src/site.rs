//! `site.yaml`: which hosts there are, how they are reached and what is expected of them. Values only; the file is
//! read by `cmd/`, so that a site can be made and judged without any disk.

mod init;
mod parse;
mod values;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

pub use init::{InitError, Machine, from_machines, from_nodes, machines, to_yaml};
pub use parse::{SiteError, parse};
pub(crate) use values::is_address;

/// The place of [`Expectations::node_port_from`] that is the machine the verifier runs on.
pub const LOCAL: &str = "local";

/// A whole site.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Site {
    /// The kubeconfig, resolved against the folder of the site file.
    pub kubeconfig: PathBuf,
    /// How every host is reached unless it says otherwise.
    pub ssh: Ssh,
    /// Where the API server is reached from.
    pub api: Via,
    /// The hosts, in the order of the file.
    pub hosts: Vec<Host>,
    /// How etcd is reached from the hosts that run it.
    pub etcd: Etcd,
    /// What is expected.
    pub expect: Expectations,
    /// The file's text, for reports: what the judges see can be made of it again. Secrets never stand in it.
    pub text: String,
}

/// How a host is reached by SSH. Paths are resolved against the folder of the site file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ssh {
    /// The user to log in as; absent: root.
    pub user: Option<String>,
    /// The private key.
    pub identity: Option<PathBuf>,
    /// The known host keys; absent: `~/.ssh/known_hosts`.
    pub known_hosts: Option<PathBuf>,
    /// Whether the agent runs through sudo.
    pub r#become: Option<Become>,
    /// The file whose first line is sudo's password; absent: asked once on the terminal.
    pub password_file: Option<PathBuf>,
    /// Whether the keys of the SSH agent are tried.
    pub agent: Option<bool>,
    /// The port; absent: 22.
    pub port: Option<u16>,
    /// `user@host:port` to go through.
    pub bastion: Option<String>,
    /// A command whose stdin and stdout are the connection; `%h`, `%p` and `%r` stand for host, port and user.
    pub proxy_command: Option<String>,
}

/// How the agent gets its rights.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Become {
    /// It runs as the user who logged in.
    #[default]
    None,
    /// It is started through sudo.
    Sudo,
}

/// Where something is reached from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Via {
    /// From this machine.
    #[default]
    Direct,
    /// From the host of this name, through its agent.
    Host(String),
}

/// A host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Host {
    /// Its name, unique in the site.
    pub name: String,
    /// Where its sshd is: an IP address or a name.
    pub address: String,
    /// What it does.
    pub roles: Vec<Role>,
    /// The pod networks of its Node.
    pub pod_cidrs: Vec<IpNet>,
    /// Its name in the API where that differs.
    pub node_name: Option<String>,
    /// Where traffic to it goes where that is not `address`.
    pub node_ips: Vec<IpAddr>,
    /// The path of its CRI socket.
    pub runtime: Option<String>,
    /// Whether the suite's pods may be placed there.
    pub schedulable: bool,
    /// What of [`Site::ssh`] differs for this host.
    pub ssh: Ssh,
}

/// What a host does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Runs kube-apiserver, kube-scheduler, kube-controller-manager.
    ControlPlane,
    /// Runs etcd.
    Etcd,
    /// Runs a kubelet and pods.
    Worker,
}

/// How etcd is reached, as seen from the etcd hosts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Etcd {
    /// The URLs.
    pub endpoints: Vec<String>,
    /// The path of the CA's certificate there.
    pub ca: Option<String>,
    /// The path of the client's certificate there.
    pub cert: Option<String>,
    /// The path of the client's key there.
    pub key: Option<String>,
    /// The API server's `--etcd-prefix`.
    pub prefix: String,
}

impl Default for Etcd {
    fn default() -> Self {
        Self {
            endpoints: vec!["http://127.0.0.1:2379".to_owned()],
            ca: None,
            cert: None,
            key: None,
            prefix: "/registry".to_owned(),
        }
    }
}

/// What is expected of the site.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Expectations {
    /// Encryption at rest; absent: any provider will do.
    pub encryption: Option<Encryption>,
    /// The service networks.
    pub service_cidrs: Vec<IpNet>,
    /// The CNI; absent: read from the nodes.
    pub cni: Option<String>,
    /// Where NodePorts are asked from: `local` or names of hosts.
    pub node_port_from: Vec<String>,
}

/// The encryption that is expected.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Encryption {
    /// `aescbc`, `aesgcm`, `secretbox`, `kms` or `none`.
    pub provider: String,
    /// The name of the key.
    pub key: Option<String>,
}

impl Site {
    /// Returns the host of this name.
    pub fn host(&self, name: &str) -> Option<&Host> {
        self.hosts.iter().find(|host| host.name == name)
    }

    /// Returns the hosts with a role, in the order of the file.
    pub fn with_role(&self, role: Role) -> impl Iterator<Item = &Host> {
        self.hosts.iter().filter(move |host| host.roles.contains(&role))
    }

    /// Returns the host whose Node has this name in the API.
    pub fn host_of_node(&self, node: &str) -> Option<&Host> {
        self.with_role(Role::Worker).find(|host| host.node() == node)
    }

    /// Returns how a host is reached: its own settings over those of the site.
    pub fn ssh_of(&self, host: &Host) -> Ssh {
        host.ssh.over(&self.ssh)
    }

    /// Returns where NodePorts are asked from. Where the file does not say: from this machine, or where it reaches the
    /// hosts only through others, from the control plane's hosts.
    pub fn node_port_places(&self) -> Vec<&str> {
        let named = &self.expect.node_port_from;
        if !named.is_empty() {
            return named.iter().map(String::as_str).collect();
        }
        let through = |host: &Host| {
            let ssh = self.ssh_of(host);
            ssh.bastion.is_some() || ssh.proxy_command.is_some()
        };
        if self.hosts.iter().any(through) {
            let hosts = self.with_role(Role::ControlPlane).chain(&self.hosts);
            return hosts.take(1).map(|host| host.name.as_str()).collect();
        }
        vec![LOCAL]
    }

    /// Returns the hosts by name.
    pub fn by_name(&self) -> BTreeMap<&str, &Host> {
        self.hosts.iter().map(|host| (host.name.as_str(), host)).collect()
    }
}

impl Host {
    /// Returns its name in the API.
    pub fn node(&self) -> &str {
        self.node_name.as_deref().unwrap_or(&self.name)
    }

    /// Returns the addresses that traffic to it goes to: `nodeIPs`, else `address` where that is an IP address.
    pub fn ips(&self) -> Vec<IpAddr> {
        if self.node_ips.is_empty() {
            self.address.parse().into_iter().collect()
        } else {
            self.node_ips.clone()
        }
    }
}

impl Ssh {
    /// Returns these settings, and `base`'s where there are none.
    #[must_use]
    pub fn over(&self, base: &Self) -> Self {
        Self {
            user: self.user.clone().or_else(|| base.user.clone()),
            identity: self.identity.clone().or_else(|| base.identity.clone()),
            known_hosts: self.known_hosts.clone().or_else(|| base.known_hosts.clone()),
            r#become: self.r#become.or(base.r#become),
            password_file: self.password_file.clone().or_else(|| base.password_file.clone()),
            agent: self.agent.or(base.agent),
            port: self.port.or(base.port),
            bastion: self.bastion.clone().or_else(|| base.bastion.clone()),
            proxy_command: self.proxy_command.clone().or_else(|| base.proxy_command.clone()),
        }
    }
}

/// Returns `path` as seen from `folder`: relative paths start at the file that names them.
fn resolve(folder: &Path, path: &str) -> PathBuf {
    folder.join(path)
}
