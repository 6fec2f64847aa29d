//! What a host says of itself, by its agent; and what follows from it: its roles, how etcd is reached there, how Secrets are
//! encrypted.

use std::net::IpAddr;
use std::time::Duration;

use cli::chain;
use ipnet::IpNet;

use crate::carrier::Agent;
use crate::distribution::{CONTROL_PLANE_INSIDE, KUBELET_INSIDE};
use crate::protocol::{
    Ask, Cni, CniReply, CriStatus, Existing, Interfaces, Process, Processes, Setting, SettingReply, Settled,
};
use crate::site::{Encryption, Etcd, Role};

/// How long an agent may take for an answer.
const ANSWER: Duration = Duration::from_secs(15);
/// The programs that tell a role.
const API_SERVER: &str = "kube-apiserver";
const ETCD: &str = "etcd";
const KUBELET: &str = "kubelet";
/// Where k3s keeps its own etcd, and what opens it (docs.k3s.io, "Advanced options").
const K3S_ETCD: &str = "/var/lib/rancher/k3s/server/db/etcd/config";
const K3S_FILES: [&str; 3] = [
    "/var/lib/rancher/k3s/server/tls/etcd/server-ca.crt",
    "/var/lib/rancher/k3s/server/tls/etcd/client.crt",
    "/var/lib/rancher/k3s/server/tls/etcd/client.key",
];
/// The usual endpoint of an etcd that is not alone on its network.
const LOCAL: &str = "https://127.0.0.1:2379";

/// What a host says. An error is why it could not say it.
#[derive(Clone, Debug)]
pub struct HostSeen {
    /// Its own name for itself.
    pub hostname: String,
    /// The addresses of its interfaces.
    pub addresses: Result<Vec<IpAddr>, String>,
    /// The processes that tell its roles.
    pub processes: Result<Vec<Process>, String>,
    /// Which of the files that tell of an etcd inside another program are there.
    pub files: Vec<String>,
    /// The socket of the runtime that its kubelet uses.
    pub runtime: Result<String, String>,
    /// The configuration of its CNI.
    pub cni: Result<CniReply, String>,
    /// How its API server encrypts Secrets; absent where none runs here.
    pub encryption: Option<Result<SettingReply, String>>,
}

impl HostSeen {
    /// Asks a host.
    ///
    /// # Errors
    /// When it does not say which programs run.
    pub async fn ask(agent: &Agent) -> Result<Self, String> {
        let names = [API_SERVER, ETCD, KUBELET].iter();
        let names = names.chain(CONTROL_PLANE_INSIDE).chain(KUBELET_INSIDE);
        let processes = Processes {
            names: names.map(|name| (*name).to_owned()).collect(),
        };
        let files = Existing {
            paths: vec![K3S_ETCD.to_owned()],
        };
        let (processes, files, interfaces, runtime, cni) = futures::join!(
            one(agent, processes),
            one(agent, files),
            one(agent, Interfaces {}),
            one(agent, CriStatus { socket: None }),
            one(agent, Cni { socket: None }),
        );
        let mut seen = Self {
            hostname: agent.hello().hostname.clone(),
            addresses: interfaces.map(|interfaces| {
                let all = interfaces.into_iter().flat_map(|one| one.addresses);
                all.map(|address| address.addr()).collect()
            }),
            processes,
            files: files.unwrap_or_default(),
            runtime: runtime.map(|status| status.socket),
            cni,
            encryption: None,
        };
        if let Some(server) = seen.server() {
            let of = Settled::Encryption;
            seen.encryption = Some(one(agent, Setting { pid: server.pid, of }).await);
        }
        Ok(seen)
    }

    fn find(&self, programs: &[&str]) -> Option<&Process> {
        let alive = |process: &&Process| process.state != 'Z' && programs.contains(&process.name.as_str());
        self.processes.as_ref().ok()?.iter().find(alive)
    }

    /// Returns the process that serves the API here.
    fn server(&self) -> Option<&Process> {
        self.find(&[API_SERVER])
            .or_else(|| self.find(CONTROL_PLANE_INSIDE))
    }

    /// Returns what the host does.
    ///
    /// # Errors
    /// When its processes could not be listed.
    pub fn roles(&self) -> Result<Vec<Role>, String> {
        self.processes.as_ref().map_err(Clone::clone)?;
        let k3s = self.find(&["k3s", "k3s-server"]).is_some() && !self.files.is_empty();
        let kubelet = self.find(&[KUBELET]).or_else(|| self.find(KUBELET_INSIDE));
        let all = [
            (Role::ControlPlane, self.server().is_some()),
            (Role::Etcd, k3s || self.find(&[ETCD]).is_some()),
            (Role::Worker, kubelet.is_some()),
        ];
        Ok(all.iter().filter(|(_, is)| *is).map(|(role, _)| *role).collect())
    }

    /// Returns how the API server of this host reaches etcd; nothing where it does not say.
    pub fn etcd(&self) -> Option<Etcd> {
        if self.find(&["k3s", "k3s-server"]).is_some() && !self.files.is_empty() {
            let [ca, cert, key] = K3S_FILES.map(|path| Some(path.to_owned()));
            let endpoints = vec![LOCAL.to_owned()];
            return Some(Etcd {
                endpoints,
                ca,
                cert,
                key,
                ..Etcd::default()
            });
        }
        let server = self.find(&[API_SERVER])?;
        let value = |name| server.flag(name).map(str::to_owned);
        let endpoints: Vec<String> = server
            .flag("etcd-servers")?
            .split(',')
            .map(str::trim)
            .filter(|url| url.starts_with("http"))
            .map(str::to_owned)
            .collect();
        if endpoints.is_empty() {
            return None;
        }
        let local = |url: &&String| {
            ["127.", "localhost", "[::1]"]
                .iter()
                .any(|own| after_scheme(url).starts_with(own))
        };
        let own: Vec<String> = endpoints.iter().filter(local).cloned().collect();
        Some(Etcd {
            endpoints: if own.is_empty() { endpoints } else { own },
            ca: value("etcd-cafile"),
            cert: value("etcd-certfile"),
            key: value("etcd-keyfile"),
            prefix: value("etcd-prefix").unwrap_or_else(|| Etcd::default().prefix),
        })
    }

    /// Returns the service networks that the API server of this host gives addresses of; empty where it does not say.
    pub fn service_cidrs(&self) -> Vec<IpNet> {
        let server = self.server();
        let said = server.and_then(|server| {
            server
                .flag("service-cluster-ip-range")
                .or_else(|| server.flag("service-cidr"))
        });
        let networks = said.into_iter().flat_map(|text| text.split(','));
        networks.filter_map(|text| text.trim().parse().ok()).collect()
    }

    /// Returns how the API server of this host encrypts Secrets; nothing where none runs here, or nobody could tell.
    pub fn encryption(&self) -> Option<Encryption> {
        let reply = self
            .encryption
            .as_ref()?
            .as_ref()
            .ok()
            .filter(|reply| !reply.unread)?;
        let Some(said) = &reply.value else {
            return Some(Encryption {
                provider: "none".to_owned(),
                key: None,
            });
        };
        let (provider, key) = match said.split_once(':') {
            Some((provider, key)) => (provider, Some(key.to_owned())),
            None => (said.as_str(), None),
        };
        let provider = match provider {
            "identity" => "none",
            known @ ("aescbc" | "aesgcm" | "secretbox" | "kms") => known,
            _ => return None,
        };
        Some(Encryption {
            provider: provider.to_owned(),
            key,
        })
    }

    /// Returns the networks that the bridge plugin of this host gives addresses of.
    pub fn bridge_networks(&self) -> Vec<IpNet> {
        let cni = self.cni.as_ref().ok().filter(|cni| cni.plugin == "bridge");
        cni.map(|cni| cni.subnets.clone()).unwrap_or_default()
    }
}

fn after_scheme(url: &str) -> &str {
    url.split_once("://").map_or(url, |(_, rest)| rest)
}

async fn one<A: Ask>(agent: &Agent, ask: A) -> Result<A::Reply, String> {
    agent.ask(ask, ANSWER).await.map_err(|error| chain(&error))
}

#[cfg(test)]
pub(super) mod tests {
    use secrets::MaskedArguments;

    use super::*;

    /// Returns a host on which these programs run, each a line of arguments.
    pub(in crate::run::look) fn seen(hostname: &str, lines: &[&str]) -> HostSeen {
        let process = |line: &&str| {
            let arguments: Vec<&str> = line.split(' ').collect();
            let name = arguments[0].rsplit('/').next().unwrap_or_default().to_owned();
            Process {
                pid: 7,
                parent: 1,
                name,
                arguments: MaskedArguments::new(&arguments),
                state: 'S',
                age_seconds: 100,
                cgroup: String::new(),
            }
        };
        let server = lines.iter().any(|line| line.contains("kube-apiserver"));
        HostSeen {
            hostname: hostname.to_owned(),
            addresses: Ok(Vec::new()),
            processes: Ok(lines.iter().map(process).collect()),
            files: Vec::new(),
            runtime: Ok("/run/containerd/containerd.sock".to_owned()),
            cni: Err("no file".to_owned()),
            encryption: server.then(|| Ok(SettingReply::default())),
        }
    }

    #[test]
    fn the_page_s_server_and_kubeadm_s_control_plane_say_how_etcd_is_reached() {
        let page = seen(
            "server",
            &[
                "/usr/local/bin/etcd --name controller",
                "/usr/local/bin/kube-apiserver --etcd-servers=http://127.0.0.1:2379 --service-cluster-ip-range=10.32.0.0/24",
            ],
        );
        assert_eq!(page.roles().unwrap(), [Role::ControlPlane, Role::Etcd]);
        assert_eq!(page.etcd(), Some(Etcd::default()));
        assert_eq!(page.service_cidrs()[0].to_string(), "10.32.0.0/24");
        // What `kubeadm init` writes into /etc/kubernetes/manifests/kube-apiserver.yaml.
        let kubeadm = seen(
            "cp-1",
            &[
                "etcd --listen-client-urls=https://127.0.0.1:2379,https://10.0.0.1:2379",
                "kube-apiserver --etcd-cafile=/etc/kubernetes/pki/etcd/ca.crt --etcd-certfile=/etc/kubernetes/pki/apiserver-etcd-client.crt \
             --etcd-keyfile=/etc/kubernetes/pki/apiserver-etcd-client.key --etcd-servers=https://127.0.0.1:2379 --service-cluster-ip-range=10.96.0.0/12",
                "/usr/bin/kubelet --config=/var/lib/kubelet/config.yaml",
            ],
        );
        assert_eq!(
            kubeadm.roles().unwrap(),
            [Role::ControlPlane, Role::Etcd, Role::Worker]
        );
        let etcd = kubeadm.etcd().unwrap();
        assert_eq!(etcd.endpoints, ["https://127.0.0.1:2379"]);
        assert_eq!(
            etcd.key.as_deref(),
            Some("/etc/kubernetes/pki/apiserver-etcd-client.key")
        );
        assert_eq!(kubeadm.encryption().unwrap().provider, "none");
    }

    #[test]
    fn k3s_has_an_etcd_only_where_its_directory_is_and_its_agents_are_workers() {
        let mut server = seen("s", &["k3s-server"]);
        assert_eq!(server.roles().unwrap(), [Role::ControlPlane, Role::Worker]);
        assert_eq!(server.etcd(), None);
        server.files = vec![K3S_ETCD.to_owned()];
        assert_eq!(
            server.roles().unwrap(),
            [Role::ControlPlane, Role::Etcd, Role::Worker]
        );
        assert!(
            server
                .etcd()
                .unwrap()
                .ca
                .unwrap()
                .starts_with("/var/lib/rancher/k3s")
        );
        assert_eq!(seen("a", &["k3s-agent"]).roles().unwrap(), [Role::Worker]);
        // RKE2 runs the components as static pods: kine of another database has no URL of etcd.
        let rke2 = seen(
            "r",
            &["kube-apiserver --etcd-servers=unix://kine.sock", "kubelet"],
        );
        assert_eq!(rke2.etcd(), None);
    }

    #[test]
    fn a_provider_is_told_with_its_key_and_identity_encrypts_nothing() {
        let of = |value: Option<&str>, unread| {
            let mut seen = seen("s", &["kube-apiserver"]);
            seen.encryption = Some(Ok(SettingReply {
                value: value.map(str::to_owned),
                unread,
            }));
            seen.encryption().map(|found| (found.provider, found.key))
        };
        let aescbc = ("aescbc".to_owned(), Some("key1".to_owned()));
        assert_eq!(of(Some("aescbc:key1"), false), Some(aescbc));
        assert_eq!(of(Some("identity"), false), Some(("none".to_owned(), None)));
        assert_eq!(of(None, true), None);
        assert_eq!(of(Some("rot13"), false), None);
    }
}
