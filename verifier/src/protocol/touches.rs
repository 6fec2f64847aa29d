//! What a request touches on a host, for those who must allow it: files that are read, sockets that are asked, programs that are
//! run, what is made. Paths are where most systems have them; others follow what the host's own programs are told.

/// What a request touches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Touches {
    /// The request.
    pub request: &'static str,
    /// Files and directories that are read.
    pub reads: &'static [&'static str],
    /// Sockets that are asked.
    pub asks: &'static [&'static str],
    /// Programs that are run.
    pub runs: &'static [&'static str],
    /// What is made.
    pub makes: &'static [&'static str],
}

const fn reads(request: &'static str, reads: &'static [&'static str]) -> Touches {
    Touches {
        request,
        reads,
        asks: &[],
        runs: &[],
        makes: &[],
    }
}

const fn asks(request: &'static str, asks: &'static [&'static str]) -> Touches {
    Touches {
        request,
        reads: &[],
        asks,
        runs: &[],
        makes: &[],
    }
}

impl Touches {
    const fn and_reads(mut self, reads: &'static [&'static str]) -> Self {
        self.reads = reads;
        self
    }

    const fn and_asks(mut self, asks: &'static [&'static str]) -> Self {
        self.asks = asks;
        self
    }

    const fn runs(mut self, runs: &'static [&'static str]) -> Self {
        self.runs = runs;
        self
    }

    const fn makes(mut self, makes: &'static [&'static str]) -> Self {
        self.makes = makes;
        self
    }
}

/// The container runtime's socket: the site file's, or the one that the kubelet is told.
const CRI: &str = "the CRI socket (/run/containerd/containerd.sock, or runtime in the site file)";
const KUBELET_API: &str = "the kubelet (127.0.0.1:10250)";
const ETCD: &[&str] = &["etcd's endpoints of the site file"];
const ETCD_FILES: &[&str] = &["ca, cert and key of etcd in the site file"];
const PROCESSES: &[&str] = &["/proc/PID/{stat,cmdline,cgroup}"];
const MAIN: &str = "/proc/net, rtnetlink";
const STORE: &[&str] = &["/var/lib/containerd, and what containerd says of it"];
const KUBELET: &[&str] = &["the kubelet's configuration and kubeconfig", "/var/lib/kubelet"];

/// All requests.
pub const TOUCHES: &[Touches] = &[
    reads("Hello", &["/etc/os-release", "/proc/sys/kernel/{hostname,osrelease,random/boot_id}"]),
    reads("Clock", &["the clock"]),
    asks("TimeSource", &["127.0.0.1:323 (chronyd)", "127.0.0.1:123 (ntpd)"])
        .and_reads(&["adjtimex", "/run/systemd/timesync", "/proc/PID"]),
    reads("Names", &["/etc/hosts", "/etc/resolv.conf", "/etc/nsswitch.conf"]),
    asks("HttpProbe", &["addresses of the cluster and of its pods, by HTTP"]),
    asks("TlsProbe", &["the host's own servers, by HTTPS"]),
    asks("EchoServer", &["port 7 of the suite's pods"]).makes(&["a server in the network of a pod of the suite, for 3 minutes"]),
    asks("Echo", &["port 7 of the suite's pods"]),
    reads("Resolver", &["/etc/resolv.conf of a pod of the suite"]),
    asks("Dns", &["the cluster's DNS servers"]),
    asks("EchoSurvey", &["the suite's Service, by UDP"]),
    reads("Processes", PROCESSES),
    reads("Listeners", &["/proc/net/{tcp,tcp6}", "/proc/PID/fd"]),
    reads("Setting", &["/proc/PID/cmdline", "the configuration that it names"]),
    reads("Existing", &["names of files of distributions (/etc/rancher, /var/lib/rancher, /etc/kubernetes ...)"]),
    reads("Journal", &["the journal"]).runs(&["journalctl"]),
    reads("Restarts", &["what systemd counts of its units"]).runs(&["systemctl show"]),
    reads("ContainerLog", &["/var/log/pods"]),
    reads("Routes", &[MAIN]),
    reads("RouteLookups", &[MAIN]),
    reads("Interfaces", &["/sys/class/net", MAIN]),
    reads("Sysctls", &["/proc/sys/net", "/proc/sys/fs"]),
    reads("Disks", &["/proc/self/mountinfo", "statfs of the directories of kubelet, runtime, etcd and logs"]).and_asks(&[KUBELET_API]),
    reads("Usage", &["/proc/swaps", "/proc/sys/fs", "/proc/PID/fd", "/proc/sys/net/netfilter"]),
    reads("ErrorCounters", &["/proc/net/{snmp,netstat,stat/nf_conntrack}", "/proc/vmstat", "/sys/fs/ext4", "/sys/class/net"]),
    reads("Persistence", &["/etc", "/usr/lib", "/run/systemd", "/lib/modules-load.d (units, sysctl.d, modules-load.d, fstab, networks)", "/proc/self/mounts", "what the programs read when they start (whether it is there, when it was written)"]),
    reads("Certificates", &["/etc/kubernetes", "/var/lib/{kubelet,kubernetes,kube-*,rancher,etcd,k0s}", "/etc/{etcd,ssl/etcd,rancher,cni}", "/root/.kube", "files that the processes name"]),
    asks("TlsPeek", &["servers of the host and of the cluster, by TLS"]),
    reads("Chains", &["/proc/net/{ip_tables_names,ip6_tables_names}"]).runs(&["iptables-save", "ip6tables-save", "nft list ruleset"]),
    reads("Cni", &["/etc/cni/net.d"]),
    reads("Crictl", &["/etc/crictl.yaml"]).and_asks(&[CRI]),
    asks("CriPods", &[CRI]).and_reads(&["/proc/PID/ns/net"]),
    asks("CriStatus", &[CRI]),
    reads("Headroom", KUBELET).and_asks(&[KUBELET_API]),
    asks("CriImages", &[CRI]),
    asks("CriImageStatus", &[CRI]),
    asks("ImageStore", &[CRI]).and_reads(STORE),
    asks("EtcdGet", ETCD).and_reads(ETCD_FILES),
    reads("EncryptionRules", &["the API server's --encryption-provider-config"]),
    asks("EtcdObjects", ETCD).and_reads(ETCD_FILES),
    asks("EtcdProof", ETCD).and_reads(ETCD_FILES),
    asks("EtcdSnapshot", ETCD).and_reads(ETCD_FILES),
    reads("Backup", &["the directory of expect.backup in the site file"]),
    asks("EtcdStatus", ETCD).and_reads(ETCD_FILES),
    asks("Dial", &["the API servers, for the verifier's own requests"]),
    asks("Missing", &[CRI]).and_reads(KUBELET),
    asks("Unpacked", &[CRI]).and_reads(STORE),
    asks("Load", &[CRI]).makes(&["blobs, snapshots and image records in containerd's namespace k8s.io, a lease there for as long as it takes"]),
];

/// Returns what a request touches.
pub fn touches(request: &str) -> Option<&'static Touches> {
    TOUCHES.iter().find(|touches| touches.request == request)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::REQUESTS;

    #[test]
    fn every_request_says_what_it_touches_and_no_other_is_named() {
        let named: Vec<&str> = TOUCHES.iter().map(|touches| touches.request).collect();
        assert_eq!(named, REQUESTS);
        for touches in TOUCHES {
            let all = [touches.reads, touches.asks].concat();
            assert!(!all.is_empty(), "{}", touches.request);
        }
    }
}
