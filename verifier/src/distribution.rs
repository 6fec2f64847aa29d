//! How distributions of Kubernetes lay a host out: which program runs what, under which unit, where its files lie. A pure
//! table; hints, process names, sockets and file places all come from it.

use serde::{Deserialize, Serialize};

/// A layout of a host.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Distribution {
    /// Kubernetes the Hard Way: a unit for each component.
    #[default]
    HardWay,
    /// kubeadm: the control plane as static pods, kube-proxy as a `DaemonSet`.
    Kubeadm,
    /// A server of k3s: everything in one process.
    K3sServer,
    /// An agent of k3s.
    K3sAgent,
    /// A server of RKE2.
    Rke2Server,
    /// An agent of RKE2.
    Rke2Agent,
    /// `MicroK8s`.
    Microk8s,
}

/// How a component runs.
enum Run {
    /// As a systemd unit, alone or inside another program's.
    Unit(&'static str),
    /// As a static pod whose container has the component's name.
    StaticPod,
    /// As a `DaemonSet` of kube-system.
    DaemonSet(&'static str),
}

/// The container runtimes' sockets, in the order in which they are tried.
pub const SOCKETS: &[&str] = &[
    "/run/containerd/containerd.sock",
    "/run/k3s/containerd/containerd.sock",
    "/run/k0s/containerd.sock",
    "/var/snap/microk8s/common/run/containerd.sock",
    "/run/dockershim.sock",
    "/run/crio/crio.sock",
];

/// Programs that run the kubelet inside their own process.
pub const KUBELET_INSIDE: &[&str] = &["k3s", "k3s-server", "k3s-agent", "kubelite"];
/// Programs that run the control plane inside their own process, etcd included where they keep one.
pub const CONTROL_PLANE_INSIDE: &[&str] = &["k3s", "k3s-server", "kubelite"];
/// Processes of k3s, whose kubelet has limits of its own.
pub const K3S: &[&str] = &["k3s-server", "k3s-agent"];
/// Programs that serve the CRI.
pub const RUNTIMES: &[&str] = &["containerd", "crio", "cri-dockerd", "dockerd"];
/// Programs that can serve Services without kube-proxy.
pub const SERVICE_PROXIES: &[&str] = &[
    "cilium-agent",
    "kube-router",
    "antrea-agent",
    "ovnkube",
    "ovnkube-node",
    "kube-ovn-daemon",
    "kpng",
];
/// Where kube-proxy lies on a host on which it is to run.
pub const KUBE_PROXY_FILES: &[&str] = &[
    "/etc/systemd/system/kube-proxy.service",
    "/run/systemd/system/kube-proxy.service",
    "/usr/lib/systemd/system/kube-proxy.service",
    "/lib/systemd/system/kube-proxy.service",
    "/etc/init.d/kube-proxy",
    "/etc/kubernetes/manifests/kube-proxy.yaml",
    "/var/lib/rancher/rke2/agent/pod-manifests/kube-proxy.yaml",
    "/usr/local/bin/kube-proxy",
    "/usr/bin/kube-proxy",
    "/opt/bin/kube-proxy",
    "/opt/kube/bin/kube-proxy",
    "/var/lib/kube-proxy",
];
/// Programs that start the node's own: their tree is Kubernetes', not a stranger's.
pub const STARTERS: &[&str] = &[
    "containerd",
    "kubelet",
    "kube-proxy",
    "k3s",
    "k3s-server",
    "k3s-agent",
    "rke2",
    "kubelite",
];

/// Programs that set the routes of pods whenever they start.
pub const ROUTERS: &[&str] = &[
    "flanneld",
    "kube-router",
    "cilium-agent",
    "calico-node",
    "antrea-agent",
    "ovnkube",
    "kube-ovn-daemon",
    "weaver",
];

/// The shims that containerd starts, one a pod, as their program files are called.
pub const SHIMS: &[&str] = &[
    "containerd-shim",
    "containerd-shim-runc-v2",
    "containerd-shim-runc-v1",
];

/// Files that tell a layout, the most telling first.
const MARKS: &[(&str, Distribution)] = &[
    ("/etc/systemd/system/k3s.service", Distribution::K3sServer),
    ("/etc/systemd/system/k3s-agent.service", Distribution::K3sAgent),
    ("/var/lib/rancher/rke2/server", Distribution::Rke2Server),
    ("/var/lib/rancher/rke2/agent", Distribution::Rke2Agent),
    ("/var/lib/rancher/k3s/server", Distribution::K3sServer),
    ("/var/lib/rancher/k3s/agent", Distribution::K3sAgent),
    ("/var/snap/microk8s/current", Distribution::Microk8s),
    ("/var/lib/kubelet/kubeadm-flags.env", Distribution::Kubeadm),
    (
        "/etc/kubernetes/manifests/kube-apiserver.yaml",
        Distribution::Kubeadm,
    ),
];

impl Distribution {
    /// Returns the files by which a host's layout is told.
    pub fn marks() -> Vec<String> {
        MARKS.iter().map(|(path, _)| (*path).to_owned()).collect()
    }

    /// Returns the layout of a host that has these of the files.
    pub fn of(existing: &[String]) -> Self {
        let mark = MARKS
            .iter()
            .find(|(path, _)| existing.iter().any(|found| found == path));
        mark.map_or(Self::HardWay, |(_, distribution)| *distribution)
    }

    /// Returns what a place of the words stands for, for example `journal.kubelet`; none for a name that is no place.
    pub fn place(self, name: &str) -> Option<String> {
        let (kind, of) = name.split_once('.')?;
        match kind {
            "journal" => Some(self.journal(of)),
            "status" => Some(self.status(of)),
            "start" => Some(self.again(of, "start")),
            "restart" => Some(self.again(of, "restart")),
            "path" => self.path(of).map(str::to_owned),
            "renew" => (of == "leaf").then(|| self.renew().to_owned()),
            "tool" => (of == "crictl").then(|| self.crictl().to_owned()),
            _ => None,
        }
    }

    /// Returns the systemd unit that runs a component on such a host, for example `kubelet.service`; none where the kubelet or
    /// the cluster starts it.
    pub fn unit(self, component: &str) -> Option<String> {
        match self.run(component) {
            Run::Unit(unit) => Some(format!("{unit}.service")),
            Run::StaticPod | Run::DaemonSet(_) => None,
        }
    }

    /// Returns whether its programs themselves load what modules and set what settings they need, and set the routes of pods,
    /// whenever they start.
    pub const fn sets_up_hosts(self) -> bool {
        match self {
            Self::K3sServer | Self::K3sAgent | Self::Rke2Server | Self::Rke2Agent | Self::Microk8s => true,
            Self::HardWay | Self::Kubeadm => false,
        }
    }

    fn run(self, component: &str) -> Run {
        let node = matches!(component, "kubelet" | "containerd");
        match (self, component) {
            (Self::K3sServer, _) => Run::Unit("k3s"),
            (Self::K3sAgent, _) => Run::Unit("k3s-agent"),
            (Self::Rke2Server, _) if node => Run::Unit("rke2-server"),
            (Self::Rke2Agent, _) if node => Run::Unit("rke2-agent"),
            (Self::Rke2Server | Self::Rke2Agent, _) => Run::StaticPod,
            (Self::Microk8s, "containerd") => Run::Unit("snap.microk8s.daemon-containerd"),
            (Self::Microk8s, "etcd") => Run::Unit("snap.microk8s.daemon-k8s-dqlite"),
            (Self::Microk8s, _) => Run::Unit("snap.microk8s.daemon-kubelite"),
            (Self::Kubeadm, "kube-proxy") => Run::DaemonSet("kube-proxy"),
            (Self::Kubeadm, _) if !node => Run::StaticPod,
            (_, "containerd") => Run::Unit("containerd"),
            (_, "kube-proxy") => Run::Unit("kube-proxy"),
            (_, "kube-apiserver") => Run::Unit("kube-apiserver"),
            (_, "kube-scheduler") => Run::Unit("kube-scheduler"),
            (_, "kube-controller-manager") => Run::Unit("kube-controller-manager"),
            (_, "etcd") => Run::Unit("etcd"),
            // The kubelet, or what is none of these: its journal names what it runs.
            _ => Run::Unit("kubelet"),
        }
    }

    fn journal(self, component: &str) -> String {
        let crictl = self.crictl();
        match self.run(component) {
            Run::Unit(unit) => format!("journalctl -u {unit} -n 50"),
            Run::StaticPod => {
                format!("{crictl} logs --tail 50 $({crictl} ps -a --name {component} -q | head -n 1)")
            }
            Run::DaemonSet(name) => format!("kubectl -n kube-system logs ds/{name} --tail 50"),
        }
    }

    fn status(self, component: &str) -> String {
        match self.run(component) {
            Run::Unit(unit) => format!("systemctl status {unit}"),
            Run::StaticPod => format!("{} ps -a --name {component}", self.crictl()),
            Run::DaemonSet(name) => format!("kubectl -n kube-system get pods -l k8s-app={name} -o wide"),
        }
    }

    fn again(self, component: &str, verb: &str) -> String {
        let crictl = self.crictl();
        match self.run(component) {
            Run::Unit(unit) => format!("systemctl {verb} {unit}"),
            // The kubelet starts it again.
            Run::StaticPod => format!("{crictl} stop $({crictl} ps --name {component} -q)"),
            Run::DaemonSet(name) => format!("kubectl -n kube-system rollout restart ds/{name}"),
        }
    }

    const fn crictl(self) -> &'static str {
        match self {
            Self::HardWay | Self::Kubeadm => "crictl",
            Self::K3sServer | Self::K3sAgent => "k3s crictl",
            Self::Rke2Server | Self::Rke2Agent => {
                "/var/lib/rancher/rke2/bin/crictl --runtime-endpoint unix:///run/k3s/containerd/containerd.sock"
            }
            Self::Microk8s => {
                "crictl --runtime-endpoint unix:///var/snap/microk8s/common/run/containerd.sock"
            }
        }
    }

    /// How a component's certificate is issued anew, as the documents of each distribution have it.
    const fn renew(self) -> &'static str {
        match self {
            Self::HardWay => {
                "openssl x509 -req -days 3653 -in NAME.csr -copy_extensions copyall -sha256 -CA ca.crt -CAkey ca.key -CAcreateserial -out NAME.crt"
            }
            Self::Kubeadm => "kubeadm certs renew all",
            Self::K3sServer => "systemctl stop k3s; k3s certificate rotate; systemctl start k3s",
            // They get theirs from a server whenever they start.
            Self::K3sAgent => "systemctl restart k3s-agent",
            Self::Rke2Server => {
                "systemctl stop rke2-server; rke2 certificate rotate; systemctl start rke2-server"
            }
            Self::Rke2Agent => "systemctl restart rke2-agent",
            Self::Microk8s => "microk8s refresh-certs --cert server.crt",
        }
    }

    /// Paths as the documents of each distribution name them.
    fn path(self, of: &str) -> Option<&'static str> {
        Some(match (self, of) {
            (Self::HardWay, "kubelet-cert") => "/var/lib/kubelet/kubelet.crt",
            (Self::Kubeadm, "kubelet-cert") => "/var/lib/kubelet/pki/kubelet.crt",
            (Self::K3sServer | Self::K3sAgent, "kubelet-cert") => {
                "/var/lib/rancher/k3s/agent/serving-kubelet.crt"
            }
            (Self::Rke2Server | Self::Rke2Agent, "kubelet-cert") => {
                "/var/lib/rancher/rke2/agent/serving-kubelet.crt"
            }
            (Self::Microk8s, "kubelet-cert") => "/var/snap/microk8s/current/certs/kubelet.crt",
            (Self::K3sServer | Self::K3sAgent, "cni-config") => "/var/lib/rancher/k3s/agent/etc/cni/net.d",
            (Self::Microk8s, "cni-config") => "/var/snap/microk8s/current/args/cni-network",
            (_, "cni-config") => "/etc/cni/net.d",
            (Self::K3sServer | Self::K3sAgent, "cni-bin") => "/var/lib/rancher/k3s/data/current/bin",
            (Self::Microk8s, "cni-bin") => "/var/snap/microk8s/current/opt/cni/bin",
            (_, "cni-bin") => "/opt/cni/bin",
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_s_host_has_a_unit_for_each_component() {
        let page = Distribution::of(&[]);
        assert_eq!(page, Distribution::HardWay);
        assert_eq!(
            page.place("journal.kubelet").unwrap(),
            "journalctl -u kubelet -n 50"
        );
        assert_eq!(
            page.place("status.kube-scheduler").unwrap(),
            "systemctl status kube-scheduler"
        );

        assert_eq!(page.place("nothing.kubelet"), None);
        assert_eq!(page.unit("etcd").as_deref(), Some("etcd.service"));
        assert_eq!(Distribution::Kubeadm.unit("etcd"), None);
        assert!(Distribution::K3sAgent.sets_up_hosts() && !page.sets_up_hosts());
    }

    #[test]
    fn hints_name_what_each_layout_has() {
        let of = |files: &[&str], place: &str| {
            let files: Vec<String> = files.iter().map(|file| (*file).to_owned()).collect();
            Distribution::of(&files).place(place).unwrap()
        };
        assert_eq!(
            of(
                &["/var/lib/rancher/k3s/agent", "/etc/systemd/system/k3s.service"],
                "journal.kubelet"
            ),
            "journalctl -u k3s -n 50"
        );
        assert_eq!(
            of(&["/var/lib/rancher/rke2/agent"], "restart.kubelet"),
            "systemctl restart rke2-agent"
        );
        assert_eq!(
            of(&["/var/lib/kubelet/kubeadm-flags.env"], "status.kube-apiserver"),
            "crictl ps -a --name kube-apiserver"
        );
        assert_eq!(
            of(&["/var/lib/kubelet/kubeadm-flags.env"], "restart.kube-proxy"),
            "kubectl -n kube-system rollout restart ds/kube-proxy"
        );
    }
}
