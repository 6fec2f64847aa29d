//! `site.yaml`: which hosts there are, how they are reached and what is expected of them. Values only; the file is
//! read by `cmd/`, so that a site can be made and judged without any disk.

mod accept;
mod init;
mod jump;
mod login;
mod parse;
mod parse_suite;
mod suite;
mod values;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bundle::nodes::{ImageNodes, Place};
use ipnet::IpNet;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};

pub use accept::Acceptance;
pub use init::{Draft, InitError, machines, to_yaml};
pub use jump::{Jump, NoJump};
pub use parse::{SiteError, parse};
pub use suite::{HTTP, SecurityContext, SuiteSettings, TITLE, Toleration};
pub(crate) use values::is_address;

/// The place of [`Expectations::node_port_from`] that is the machine the verifier runs on.
pub const LOCAL: &str = "local";

/// A whole site.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
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
    /// What is changed of the suite's own objects.
    #[serde(default)]
    pub suite: SuiteSettings,
    /// What the site has decided to live with for a while.
    #[serde(default)]
    pub accept: Vec<Acceptance>,
    /// The file for reports: what the judges see can be made of it again. Without comments, proxy commands and
    /// names of password files.
    pub text: String,
}

/// How a host is reached by SSH. Paths are resolved against the folder of the site file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ssh {
    /// The user to log in as; absent: root.
    pub user: Option<String>,
    /// The private key.
    pub identity: Option<PathBuf>,
    /// The certificate for that key; absent: `IDENTITY-cert.pub`, where there is one.
    pub certificate: Option<PathBuf>,
    /// The known host keys; absent: `~/.ssh/known_hosts`.
    pub known_hosts: Option<PathBuf>,
    /// Whether the agent runs through sudo.
    pub r#become: Option<Become>,
    /// The file whose first line is sudo's password; absent: asked on the terminal, once for all hosts that are logged
    /// into in the same way.
    pub password_file: Option<PathBuf>,
    /// Whether the keys of the SSH agent are tried.
    pub agent: Option<bool>,
    /// The port; absent: 22.
    pub port: Option<u16>,
    /// What to go through, in this order; none at all where the site's bastions are not for this host.
    pub bastion: Option<Vec<Jump>>,
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

impl std::fmt::Display for Role {
    /// Writes it as the site file has it.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::ControlPlane => "control-plane",
            Self::Etcd => "etcd",
            Self::Worker => "worker",
        })
    }
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
    /// The `StorageClass` that claims are tried with; absent: none is.
    #[serde(default)]
    pub storage_class: Option<String>,
    /// Where NodePorts are asked from: `local` or names of hosts.
    pub node_port_from: Vec<String>,
    /// Where backups of etcd are kept.
    #[serde(default)]
    pub backup: Option<BackupPlace>,
    /// Which images the nodes may hold.
    #[serde(default)]
    pub images: Images,
}

/// Where backups of etcd are kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackupPlace {
    /// The host that has them.
    pub host: String,
    /// The directory.
    pub directory: String,
    /// How old the newest one may be.
    pub max_age: Duration,
}

/// Which images the nodes may hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Images {
    /// Those of the bundles, and others.
    #[default]
    Any,
    /// Those of the bundles and no others, by names that always mean the same.
    Exact,
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

    /// Returns those of the addresses at which API servers serve that no control plane of this site is. One may announce an
    /// address that the file does not have, so there are none as long as every address may be of a host that is left. None
    /// either where the file names no control plane: who runs a cluster for others may not let anybody in.
    pub fn unlisted_servers<'a>(&self, servers: &'a [String]) -> Vec<&'a str> {
        let planes: Vec<&Host> = self.with_role(Role::ControlPlane).collect();
        let strangers: Vec<&str> = servers
            .iter()
            .filter(|server| !planes.iter().any(|host| host.is_at(server)))
            .map(String::as_str)
            .collect();
        let left = planes
            .iter()
            .filter(|host| !servers.iter().any(|server| host.is_at(server)));
        if planes.is_empty() || strangers.len() <= left.count() {
            return Vec::new();
        }
        strangers
    }

    /// Returns the hosts with a role, in the order of the file.
    pub fn with_role(&self, role: Role) -> impl Iterator<Item = &Host> {
        self.hosts.iter().filter(move |host| host.roles.contains(&role))
    }

    /// Returns the worker whose Node has this name in the API.
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
            ssh.bastion.is_some_and(|jumps| !jumps.is_empty()) || ssh.proxy_command.is_some()
        };
        if self.hosts.iter().any(through) {
            let hosts = self.with_role(Role::ControlPlane).chain(&self.hosts);
            return hosts.take(1).map(|host| host.name.as_str()).collect();
        }
        vec![LOCAL]
    }

    /// Accepts what is accepted on a day, UTC.
    pub fn accept_on(&mut self, today: Date) {
        for acceptance in &mut self.accept {
            acceptance.live = today <= acceptance.until;
        }
    }

    /// Returns the hosts by name.
    pub fn by_name(&self) -> BTreeMap<&str, &Host> {
        self.hosts.iter().map(|host| (host.name.as_str(), host)).collect()
    }
}

impl Host {
    /// Returns a host of which no more is known.
    pub fn new(name: impl Into<String>, address: impl Into<String>, roles: Vec<Role>) -> Self {
        Self {
            name: name.into(),
            address: address.into(),
            roles,
            pod_cidrs: Vec::new(),
            node_name: None,
            node_ips: Vec::new(),
            runtime: None,
            schedulable: true,
            ssh: Ssh::default(),
        }
    }

    /// Returns whether an image of a bundle is for this host.
    pub fn takes(&self, image: &str, nodes: &ImageNodes) -> bool {
        let roles: Vec<String> = self.roles.iter().map(Role::to_string).collect();
        let names = [self.name.as_str(), self.node()];
        nodes.is_for(image, Place { names, roles: &roles })
    }

    /// Returns the images of a bundle that are not for this host.
    pub fn without(&self, nodes: &ImageNodes) -> BTreeSet<String> {
        let others = nodes.images().filter(|(image, _)| !self.takes(image, nodes));
        others.map(|(image, _)| image.to_owned()).collect()
    }

    /// Returns its name in the API.
    pub fn node(&self) -> &str {
        self.node_name.as_deref().unwrap_or(&self.name)
    }

    /// Returns whether a taint is one that installers give every Node of this host's roles, so that it is no fault there:
    /// kubeadm and RKE2 those of control planes, RKE2 that of etcd.
    pub fn is_standard_taint(&self, key: &str) -> bool {
        let role = match key {
            "node-role.kubernetes.io/control-plane" | "node-role.kubernetes.io/master" => Role::ControlPlane,
            "node-role.kubernetes.io/etcd" => Role::Etcd,
            _ => return false,
        };
        self.roles.contains(&role)
    }

    /// Returns whether an address is one of its own, as a text.
    pub fn is_at(&self, address: &str) -> bool {
        self.address == address || self.ips().iter().any(|ip| ip.to_string() == address)
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
    /// Returns these settings, and `base`'s where there are none. A password is one user's: that of `base` is not taken
    /// for another. A way to the host replaces one of the other sort.
    #[must_use]
    pub fn over(&self, base: &Self) -> Self {
        let user = |ssh: &Self| ssh.user.clone().unwrap_or_else(|| "root".to_owned());
        let same_user = self.user.is_none() || user(self) == user(base);
        let own_way = self.bastion.is_some() || self.proxy_command.is_some();
        Self {
            user: self.user.clone().or_else(|| base.user.clone()),
            identity: self.identity.clone().or_else(|| base.identity.clone()),
            certificate: self.certificate.clone().or_else(|| {
                let ours = self.identity.is_none();
                base.certificate.clone().filter(|_| ours)
            }),
            known_hosts: self.known_hosts.clone().or_else(|| base.known_hosts.clone()),
            r#become: self.r#become.or(base.r#become),
            password_file: self
                .password_file
                .clone()
                .or_else(|| base.password_file.clone().filter(|_| same_user)),
            agent: self.agent.or(base.agent),
            port: self.port.or(base.port),
            bastion: if own_way { &self.bastion } else { &base.bastion }.clone(),
            proxy_command: if own_way {
                &self.proxy_command
            } else {
                &base.proxy_command
            }
            .clone(),
        }
    }
}

/// Returns `path` as seen from `folder`: relative paths start at the file that names them.
fn resolve(folder: &Path, path: &str) -> PathBuf {
    folder.join(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ssh(user: Option<&str>) -> Ssh {
        Ssh {
            user: user.map(str::to_owned),
            ..Ssh::default()
        }
    }

    #[test]
    fn a_password_of_the_site_is_not_given_to_a_host_of_another_user() {
        let site = Ssh {
            password_file: Some("/pw".into()),
            ..ssh(Some("alice"))
        };
        assert_eq!(ssh(Some("vendor")).over(&site).password_file, None);
        assert!(ssh(Some("alice")).over(&site).password_file.is_some());
        assert!(ssh(None).over(&site).password_file.is_some());
        let own = Ssh {
            password_file: Some("/own".into()),
            ..ssh(Some("vendor"))
        };
        assert_eq!(own.over(&site).password_file, Some("/own".into()));
        let of_root = Ssh { user: None, ..site };
        assert_eq!(ssh(Some("vendor")).over(&of_root).password_file, None);
    }

    #[test]
    fn a_hosts_own_way_replaces_the_sites() {
        let site = Ssh {
            bastion: Some(vec!["root@b".parse().unwrap()]),
            ..Ssh::default()
        };
        let none = Ssh {
            bastion: Some(Vec::new()),
            ..Ssh::default()
        };
        assert_eq!(none.over(&site).bastion, Some(Vec::new()));
        let command = Ssh {
            proxy_command: Some("nc %h %p".to_owned()),
            ..Ssh::default()
        };
        assert_eq!(command.over(&site).bastion, None);
        assert_eq!(site.over(&command).proxy_command, None);
    }
}
