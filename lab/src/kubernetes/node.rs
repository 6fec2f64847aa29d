//! A worker: containerd, kubelet and kube-proxy as units, the CNI's bridge, and the page's places for all of it.

use std::fmt;
use std::str::FromStr;

use super::units::{RESTART, Unit};
use super::{Plan, config, lasting};
use crate::images;
use crate::{Error, Host, HostSpec, LabFile, Options, POD_NETWORK};

/// A line of containerd.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Runtime {
    /// 1.6.20, Debian 12's package.
    V1_6,
    /// 1.7.
    V1_7,
    /// 2.1.
    V2_1,
    /// 2.4.
    #[default]
    Newest,
}

impl Runtime {
    /// Returns each node's runtime: the versions named, and the newest for the nodes beyond the list.
    pub fn of_nodes(versions: &[String], nodes: usize) -> Result<Vec<Self>, Error> {
        let mut runtimes = versions
            .iter()
            .map(|version| version.parse())
            .collect::<Result<Vec<Self>, _>>()?;
        runtimes.resize(nodes, Self::Newest);
        Ok(runtimes)
    }

    /// Returns the component that holds its programs.
    pub const fn component(self) -> &'static str {
        match self {
            Self::V1_6 => "containerd-1.6",
            Self::V1_7 => "containerd-1.7",
            Self::V2_1 => "containerd-2.1",
            Self::Newest => "containerd",
        }
    }
}

impl FromStr for Runtime {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let line = |text: &str| text.split('.').take(2).collect::<Vec<_>>().join(".");
        match line(text).as_str() {
            "1.6" => Ok(Self::V1_6),
            "1.7" => Ok(Self::V1_7),
            "2.1" => Ok(Self::V2_1),
            "2.4" => Ok(Self::Newest),
            _ => Err(Error::Options(format!(
                "containerd {text} is none of the lab's 1.6, 1.7, 2.1, 2.4"
            ))),
        }
    }
}

impl fmt::Display for Runtime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::V1_6 => "1.6",
            Self::V1_7 => "1.7",
            Self::V2_1 => "2.1",
            Self::Newest => "2.4",
        })
    }
}

/// Returns what a node gets.
pub(super) fn spec(plan: &Plan<'_>, host: &Host, runtime: Runtime) -> Result<HostSpec, Error> {
    let mut programs = vec![plan.program("runc", "runc", "/usr/local/bin")?];
    // The daemon's own shim is the first on its PATH: one of another line does not understand it.
    for program in ["containerd", "containerd-shim-runc-v2"] {
        programs.push(plan.program(runtime.component(), program, "/usr/bin")?);
    }
    // Beside the PATH: an operator of such a cluster does not find it there either.
    programs.push(plan.program(runtime.component(), "ctr", "/opt/containerd/bin")?);
    for program in ["kubelet", "kube-proxy"] {
        programs.push(plan.program("kubernetes", program, "/usr/local/bin")?);
    }
    for program in ["bridge", "loopback", "host-local", "portmap"] {
        programs.push(plan.program("cni", program, "/opt/cni/bin")?);
    }
    let mut files = files(plan, host, runtime)?;
    files.extend([containerd(), kubelet(), kube_proxy()]);
    files.extend(lasting::files(host, plan.layout));
    Ok(HostSpec {
        host: host.name.clone(),
        files,
        programs,
        units: [
            "containerd.service",
            "kubelet.service",
            "kube-proxy.service",
            lasting::ROUTES,
        ]
        .map(str::to_owned)
        .to_vec(),
    })
}

fn files(plan: &Plan<'_>, host: &Host, runtime: Runtime) -> Result<Vec<LabFile>, Error> {
    let user = format!("system:node:{}", host.name);
    let api = config::api(plan.layout);
    let kubelet = config::kubeconfig(&plan.certificates, &host.name, &user, api)?;
    let proxy = config::kubeconfig(&plan.certificates, "kube-proxy", "system:kube-proxy", api)?;
    let ca = plan.certificates.get("ca")?.certificate.clone();
    let mut files = vec![
        LabFile::new("/etc/containerd/config.toml", containerd_config(runtime)),
        LabFile::new("/etc/cni/net.d/10-bridge.conf", bridge_config(host, plan.options)),
        LabFile::new("/etc/cni/net.d/99-loopback.conf", LOOPBACK),
        LabFile::new("/var/lib/kubelet/ca.crt", ca),
        LabFile::new("/var/lib/kubelet/kubelet-config.yaml", KUBELET),
        LabFile::secret("/var/lib/kubelet/kubeconfig", kubelet),
        LabFile::new("/var/lib/kube-proxy/kube-proxy-config.yaml", proxy_config()),
        LabFile::secret("/var/lib/kube-proxy/kubeconfig", proxy),
    ];
    files.extend(plan.pair(&host.name, "/var/lib/kubelet/kubelet")?);
    if !plan.options.plain {
        files.push(LabFile::new("/etc/crictl.yaml", CRICTL));
    }
    Ok(files)
}

const CRICTL: &str = "runtime-endpoint: unix:///run/containerd/containerd.sock
image-endpoint: unix:///run/containerd/containerd.sock
timeout: 10
";

const LOOPBACK: &str = r#"{
  "cniVersion": "1.0.0",
  "name": "lo",
  "type": "loopback"
}
"#;

/// As the page's, but for what a shared machine needs: cgroupfs, no refusal of cgroup v1 and of swap, and thresholds that
/// a full disk of the machine does not reach (with the defaults kubelets delete loaded images as garbage).
const KUBELET: &str = r#"kind: KubeletConfiguration
apiVersion: kubelet.config.k8s.io/v1beta1
address: "0.0.0.0"
authentication:
  anonymous:
    enabled: false
  webhook:
    enabled: true
  x509:
    clientCAFile: "/var/lib/kubelet/ca.crt"
authorization:
  mode: Webhook
clusterDomain: "cluster.local"
clusterDNS:
  - "10.32.0.10"
cgroupDriver: cgroupfs
containerRuntimeEndpoint: "unix:///var/run/containerd/containerd.sock"
enableServer: true
enforceNodeAllocatable: []
evictionHard:
  nodefs.available: "100Mi"
  imagefs.available: "100Mi"
failCgroupV1: false
failSwapOn: false
imageGCHighThresholdPercent: 100
imageGCLowThresholdPercent: 99
maxPods: 16
port: 10250
registerNode: true
resolvConf: ""
runtimeRequestTimeout: "15m"
tlsCertFile: "/var/lib/kubelet/kubelet.crt"
tlsPrivateKeyFile: "/var/lib/kubelet/kubelet.key"
"#;

fn proxy_config() -> String {
    // maxPerCore is a setting of the whole machine, which a namespace may not change.
    format!(
        "kind: KubeProxyConfiguration
apiVersion: kubeproxy.config.k8s.io/v1alpha1
clientConnection:
  kubeconfig: \"/var/lib/kube-proxy/kubeconfig\"
mode: \"iptables\"
clusterCIDR: \"{POD_NETWORK}\"
conntrack:
  maxPerCore: 0
"
    )
}

/// Returns the CNI's configuration. The page's lets no pod reach itself through its Service; other kinds of clusters do.
fn bridge_config(host: &Host, options: &Options) -> String {
    let hairpin = !options.plain;
    let subnet = host
        .pod_network
        .map(|network| network.to_string())
        .unwrap_or_default();
    format!(
        r#"{{
  "cniVersion": "1.0.0",
  "name": "bridge",
  "type": "bridge",
  "bridge": "cni0",
  "isGateway": true,
  "hairpinMode": {hairpin},
  "ipMasq": true,
  "ipam": {{
    "type": "host-local",
    "ranges": [
      [{{"subnet": "{subnet}"}}]
    ],
    "routes": [{{"dst": "0.0.0.0/0"}}]
  }}
}}
"#
    )
}

/// Returns containerd's configuration: version 3 for the lines that know it, 2 for the older.
fn containerd_config(runtime: Runtime) -> String {
    let pause = images::PAUSE.name;
    if runtime >= Runtime::V2_1 {
        return format!(
            r#"version = 3

[plugins.'io.containerd.cri.v1.images']
  snapshotter = "overlayfs"

[plugins.'io.containerd.cri.v1.images'.pinned_images]
  sandbox = "{pause}"

[plugins.'io.containerd.cri.v1.runtime']
  restrict_oom_score_adj = true

[plugins.'io.containerd.cri.v1.runtime'.containerd]
  default_runtime_name = "runc"

[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc]
  runtime_type = "io.containerd.runc.v2"

[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc.options]
  SystemdCgroup = false

[plugins.'io.containerd.cri.v1.runtime'.cni]
  bin_dirs = ["/opt/cni/bin"]
  conf_dir = "/etc/cni/net.d"
"#
        );
    }
    format!(
        r#"version = 2

[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{pause}"
  restrict_oom_score_adj = true

[plugins."io.containerd.grpc.v1.cri".containerd]
  snapshotter = "overlayfs"
  default_runtime_name = "runc"

[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
  runtime_type = "io.containerd.runc.v2"

[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
  SystemdCgroup = false

[plugins."io.containerd.grpc.v1.cri".cni]
  bin_dir = "/opt/cni/bin"
  conf_dir = "/etc/cni/net.d"
"#
    )
}

fn containerd() -> LabFile {
    let unit = Unit {
        name: "containerd",
        description: "containerd container runtime",
        relations: &["After=network.target"],
        program: "/usr/bin/containerd",
        flags: &[],
        service: &[
            "Restart=always",
            "RestartSec=5",
            "Delegate=yes",
            "KillMode=process",
            "LimitNOFILE=1048576",
            "LimitNPROC=infinity",
            "LimitCORE=infinity",
        ],
    };
    unit.file()
}

fn kubelet() -> LabFile {
    let unit = Unit {
        name: "kubelet",
        description: "Kubernetes Kubelet",
        relations: &["After=containerd.service", "Requires=containerd.service"],
        program: "/usr/local/bin/kubelet",
        flags: &[
            "--config=/var/lib/kubelet/kubelet-config.yaml",
            "--kubeconfig=/var/lib/kubelet/kubeconfig",
            "--v=2",
        ],
        service: &RESTART,
    };
    unit.file()
}

fn kube_proxy() -> LabFile {
    let unit = Unit {
        name: "kube-proxy",
        description: "Kubernetes Kube Proxy",
        relations: &[],
        program: "/usr/local/bin/kube-proxy",
        flags: &["--config=/var/lib/kube-proxy/kube-proxy-config.yaml"],
        service: &RESTART,
    };
    unit.file()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_get_the_runtimes_named_and_the_newest_beyond() {
        let versions = ["1.6.20".to_owned(), "2.1".to_owned()];
        let runtimes = Runtime::of_nodes(&versions, 3).unwrap();
        assert_eq!(runtimes, [Runtime::V1_6, Runtime::V2_1, Runtime::Newest]);
        assert!(Runtime::of_nodes(&["3.0".to_owned()], 3).is_err());
    }

    #[test]
    fn every_runtime_is_told_the_sandbox_image_in_its_own_key() {
        for runtime in [Runtime::V1_6, Runtime::V1_7] {
            assert!(containerd_config(runtime).contains("sandbox_image = \"registry.k8s.io/pause:3.10\""));
        }
        for runtime in [Runtime::V2_1, Runtime::Newest] {
            assert!(containerd_config(runtime).contains("sandbox = \"registry.k8s.io/pause:3.10\""));
        }
    }

    #[test]
    fn the_bridge_has_the_nodes_own_pod_network() {
        let layout = crate::Layout::new(2);
        let text = bridge_config(layout.host("node-1").unwrap(), &Options::default());
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value["ipam"]["ranges"][0][0]["subnet"], "10.200.1.0/24");
    }
}
