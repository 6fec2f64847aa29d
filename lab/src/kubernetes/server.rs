//! The control plane: etcd, kube-apiserver, kube-controller-manager and kube-scheduler as units of each server.

use super::units::{RESTART, Unit};
use super::{Plan, config, etcd, lasting};
use crate::{Error, Host, HostSpec, LabFile, POD_NETWORK, SERVICE_NETWORK};

/// Where the page keeps the control plane's files.
const HOME: &str = "/var/lib/kubernetes";
const PROGRAMS: &str = "/usr/local/bin";

/// Lets the API server use the kubelets' API: logs, exec, port-forward.
const RBAC: &str = include_str!("kube-apiserver-to-kubelet.yaml");

/// Returns what a server gets.
pub(super) fn spec(plan: &Plan<'_>, host: &Host) -> Result<HostSpec, Error> {
    let mut programs = Vec::new();
    for program in [
        "kube-apiserver",
        "kube-controller-manager",
        "kube-scheduler",
        "kubectl",
    ] {
        programs.push(plan.program("kubernetes", program, PROGRAMS)?);
    }
    for program in ["etcd", "etcdctl"] {
        programs.push(plan.program("etcd", program, PROGRAMS)?);
    }
    let units = [
        etcd::unit(host, plan.layout),
        apiserver(plan, host),
        controller_manager(),
        scheduler(),
    ];
    let mut files = files(plan)?;
    let names = [
        "etcd.service",
        "kube-apiserver.service",
        "kube-controller-manager.service",
        "kube-scheduler.service",
        lasting::ROUTES,
    ];
    files.extend(units);
    files.extend(lasting::files(host, plan.layout));
    Ok(HostSpec {
        host: host.name.clone(),
        files,
        programs,
        units: names.map(str::to_owned).to_vec(),
    })
}

fn files(plan: &Plan<'_>) -> Result<Vec<LabFile>, Error> {
    let kubeconfig = |name: &str| {
        let api = config::own_api(plan.layout);
        config::kubeconfig(&plan.certificates, name, &format!("system:{name}"), api)
            .map(|text| LabFile::secret(format!("{HOME}/{name}.kubeconfig"), text))
    };
    let admin = config::kubeconfig(&plan.certificates, "admin", "admin", config::LOCAL_API)?;
    let encryption = config::encryption(plan.options.encryption, &plan.encryption_key);
    let mut files = vec![
        kubeconfig("kube-controller-manager")?,
        kubeconfig("kube-scheduler")?,
        LabFile::secret("/root/admin.kubeconfig", admin),
        LabFile::secret(format!("{HOME}/encryption-config.yaml"), encryption),
        LabFile::new("/etc/kubernetes/config/kube-scheduler.yaml", scheduler_config()),
        LabFile::new("/root/kube-apiserver-to-kubelet.yaml", RBAC),
    ];
    for name in ["ca", "kube-api-server", "service-accounts"] {
        files.extend(plan.pair(name, &format!("{HOME}/{name}"))?);
    }
    for name in ["ca", "kube-api-server"] {
        files.extend(plan.pair(name, &format!("/etc/etcd/{name}"))?);
    }
    Ok(files)
}

/// Flags of every API server: the page's.
const API_SERVER: [&str; 22] = [
    "--allow-privileged=true",
    "--audit-log-maxage=30",
    "--audit-log-maxbackup=3",
    "--audit-log-maxsize=100",
    "--audit-log-path=/var/log/audit.log",
    "--authorization-mode=Node,RBAC",
    "--bind-address=0.0.0.0",
    "--client-ca-file=/var/lib/kubernetes/ca.crt",
    "--enable-admission-plugins=NamespaceLifecycle,NodeRestriction,LimitRanger,ServiceAccount,\
     DefaultStorageClass,ResourceQuota",
    "--event-ttl=1h",
    "--encryption-provider-config=/var/lib/kubernetes/encryption-config.yaml",
    "--kubelet-certificate-authority=/var/lib/kubernetes/ca.crt",
    "--kubelet-client-certificate=/var/lib/kubernetes/kube-api-server.crt",
    "--kubelet-client-key=/var/lib/kubernetes/kube-api-server.key",
    "--runtime-config='api/all=true'",
    "--service-account-key-file=/var/lib/kubernetes/service-accounts.crt",
    "--service-account-signing-key-file=/var/lib/kubernetes/service-accounts.key",
    "--service-account-issuer=https://server.kubernetes.local:6443",
    "--service-node-port-range=30000-32767",
    "--tls-cert-file=/var/lib/kubernetes/kube-api-server.crt",
    "--tls-private-key-file=/var/lib/kubernetes/kube-api-server.key",
    "--v=2",
];

fn apiserver(plan: &Plan<'_>, host: &Host) -> LabFile {
    // No default route leads anywhere, so the server cannot guess the address to advertise.
    let advertised = format!("--advertise-address={}", host.address);
    let services = format!("--service-cluster-ip-range={SERVICE_NETWORK}");
    let etcd = etcd::client(plan.layout);
    let etcd: Vec<&str> = etcd.iter().map(String::as_str).collect();
    let mut flags = [&etcd[..], &API_SERVER, &[&advertised, &services]].concat();
    // The last of several tells strangers nothing, as hardened ones do.
    if plan.layout.is_balanced() && plan.layout.servers().last() == Some(host) {
        flags.push("--anonymous-auth=false");
    }
    let unit = Unit {
        name: "kube-apiserver",
        description: "Kubernetes API Server",
        relations: &["After=etcd.service"],
        program: "/usr/local/bin/kube-apiserver",
        flags: &flags,
        service: &RESTART,
    };
    unit.file()
}

fn controller_manager() -> LabFile {
    let pods = format!("--cluster-cidr={POD_NETWORK}");
    let services = format!("--service-cluster-ip-range={SERVICE_NETWORK}");
    let unit = Unit {
        name: "kube-controller-manager",
        description: "Kubernetes Controller Manager",
        relations: &[],
        program: "/usr/local/bin/kube-controller-manager",
        flags: &[
            "--bind-address=0.0.0.0",
            &pods,
            "--cluster-name=kubernetes",
            "--cluster-signing-cert-file=/var/lib/kubernetes/ca.crt",
            "--cluster-signing-key-file=/var/lib/kubernetes/ca.key",
            "--kubeconfig=/var/lib/kubernetes/kube-controller-manager.kubeconfig",
            "--root-ca-file=/var/lib/kubernetes/ca.crt",
            "--service-account-private-key-file=/var/lib/kubernetes/service-accounts.key",
            &services,
            "--use-service-account-credentials=true",
            "--v=2",
        ],
        service: &RESTART,
    };
    unit.file()
}

fn scheduler() -> LabFile {
    let unit = Unit {
        name: "kube-scheduler",
        description: "Kubernetes Scheduler",
        relations: &[],
        program: "/usr/local/bin/kube-scheduler",
        flags: &["--config=/etc/kubernetes/config/kube-scheduler.yaml", "--v=2"],
        service: &RESTART,
    };
    unit.file()
}

fn scheduler_config() -> String {
    format!(
        "apiVersion: kubescheduler.config.k8s.io/v1
kind: KubeSchedulerConfiguration
clientConnection:
  kubeconfig: \"{HOME}/kube-scheduler.kubeconfig\"
leaderElection:
  leaderElect: true
"
    )
}
