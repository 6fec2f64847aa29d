//! Faults of the cluster's own DNS.

use super::{Fault, Needs, fails_cluster, run, warns_cluster};

/// Does something inside the network of the DNS's pod of a node.
macro_rules! in_pod {
    ($command:literal) => {
        concat!("nsenter -t $(pgrep -o -x coredns) -n sh -c '", $command, "'")
    };
}

/// Changes a line of the kubelet's configuration, and waits until it serves again.
macro_rules! kubelet {
    ($edit:literal) => {
        concat!(
            "sed -i '",
            $edit,
            "' /var/lib/kubelet/kubelet-config.yaml; systemctl reset-failed kubelet; systemctl restart kubelet; ",
            "timeout 60 perl -MIO::Socket::INET -e 'select undef, undef, undef, 0.1 until IO::Socket::INET->new(q(127.0.0.1:10250))'"
        )
    };
}

/// Sets the Corefile to that of the lab with a line more, and starts the pods anew.
macro_rules! corefile {
    ($line:literal) => {
        concat!(
            "k='kubectl --kubeconfig=/root/admin.kubeconfig -n kube-system'; sed 's,^        errors$,&\\n        ",
            $line,
            ",' /root/coredns.yaml >/root/coredns-lab.yaml; $k apply -f /root/coredns-lab.yaml; \
             $k rollout restart deployment/coredns; $k rollout status deployment/coredns --timeout=90s"
        )
    };
}

const COREFILE_BACK: &str = "k='kubectl --kubeconfig=/root/admin.kubeconfig -n kube-system'; rm -f /root/coredns-lab.yaml; \
    $k apply -f /root/coredns.yaml; $k rollout restart deployment/coredns; $k rollout status deployment/coredns --timeout=90s";

pub(super) const FAULTS: &[Fault] = &[
    Fault {
        name: "dns-pod-dead",
        summary: "one of two pods of the DNS answers nobody, and is ready",
        plant: &[run(
            "node-1",
            in_pod!(
                "iptables -w -I INPUT -p udp --dport 53 -j DROP; iptables -w -I INPUT -p tcp --dport 53 -j DROP"
            ),
        )],
        heal: &[run("node-1", in_pod!("iptables -w -F INPUT"))],
        expect: &[fails_cluster("network.dns", "dns-pod-silent")],
        needs: Needs::Dns,
        ..Fault::NONE
    },
    Fault {
        name: "dns-udp-dropped",
        summary: "node-0 drops UDP of port 53 that it forwards",
        plant: &[run("node-0", "iptables -w -I FORWARD -p udp --dport 53 -j DROP")],
        heal: &[run(
            "node-0",
            "while iptables -w -D FORWARD -p udp --dport 53 -j DROP 2>/dev/null; do :; done",
        )],
        expect: &[fails_cluster("network.dns", "chain-drops")],
        needs: Needs::Dns,
        ..Fault::NONE
    },
    Fault {
        name: "dns-tcp-dropped",
        summary: "a pod of the DNS gets no TCP",
        plant: &[run(
            "node-0",
            in_pod!("iptables -w -I INPUT -p tcp --dport 53 -j DROP"),
        )],
        heal: &[run("node-0", in_pod!("iptables -w -F INPUT"))],
        expect: &[fails_cluster("network.dns", "dns-pod-half")],
        needs: Needs::Dns,
        ..Fault::NONE
    },
    Fault {
        name: "dns-no-endpoints",
        summary: "no pod is behind the DNS's Service",
        plant: &[run(
            "server",
            "k='kubectl --kubeconfig=/root/admin.kubeconfig -n kube-system'; $k scale deployment/coredns --replicas=0; \
             $k wait --for=delete pod -l k8s-app=kube-dns --timeout=60s",
        )],
        heal: &[run(
            "server",
            "k='kubectl --kubeconfig=/root/admin.kubeconfig -n kube-system'; $k scale deployment/coredns --replicas=2; \
             $k rollout status deployment/coredns --timeout=90s",
        )],
        expect: &[fails_cluster("network.dns", "dns-no-endpoints")],
        needs: Needs::Dns,
        ..Fault::NONE
    },
    Fault {
        name: "dns-kubelet-wrong-address",
        summary: "the kubelet of node-1 tells its pods of a DNS that is not there",
        plant: &[run("node-1", kubelet!("s/10.32.0.10\"/10.32.0.11\"/"))],
        heal: &[run("node-1", kubelet!("s/10.32.0.11\"/10.32.0.10\"/"))],
        expect: &[fails_cluster("network.dns", "dns-kubelet-address")],
        needs: Needs::Dns,
        ..Fault::NONE
    },
    Fault {
        name: "dns-kubelet-other-domain",
        summary: "the kubelet of node-1 tells its pods of a domain that the DNS does not serve",
        plant: &[run("node-1", kubelet!("s/\"cluster.local\"/\"site.internal\"/"))],
        heal: &[run("node-1", kubelet!("s/\"site.internal\"/\"cluster.local\"/"))],
        expect: &[fails_cluster("network.dns", "dns-domain-differs")],
        needs: Needs::Dns,
        ..Fault::NONE
    },
    Fault {
        name: "dns-wrong-answer",
        summary: "a line of the Corefile answers for the API's name",
        plant: &[run(
            "server",
            corefile!(
                "template IN A kubernetes.default.svc.cluster.local { answer \"{{ .Name }} 5 IN A 10.99.99.99\" }"
            ),
        )],
        heal: &[run("server", COREFILE_BACK)],
        expect: &[fails_cluster("network.dns", "dns-answer-wrong")],
        needs: Needs::Dns,
        ..Fault::NONE
    },
    Fault {
        name: "dns-stale",
        summary: "the DNS's pods do not reach the API server any more, and answer from what they knew before",
        plant: &[
            run(
                "node-0",
                in_pod!("iptables -w -I OUTPUT -p tcp --dport 443 -j DROP"),
            ),
            run(
                "node-1",
                in_pod!("iptables -w -I OUTPUT -p tcp --dport 443 -j DROP"),
            ),
        ],
        heal: &[
            run("node-0", in_pod!("iptables -w -F OUTPUT")),
            run("node-1", in_pod!("iptables -w -F OUTPUT")),
            run("server", COREFILE_BACK),
        ],
        expect: &[fails_cluster("network.dns", "dns-service-unknown")],
        needs: Needs::Dns,
        ..Fault::NONE
    },
    Fault {
        name: "dns-outside-silent",
        summary: "the DNS forwards names outside of the cluster to a host that drops them",
        plant: &[
            run("server", "iptables -w -I INPUT -p udp --dport 53 -j DROP"),
            run("server", corefile!("forward . 192.168.10.100")),
        ],
        heal: &[
            run(
                "server",
                "while iptables -w -D INPUT -p udp --dport 53 -j DROP 2>/dev/null; do :; done",
            ),
            run("server", COREFILE_BACK),
        ],
        expect: &[warns_cluster("network.dns", "dns-outside-silent")],
        needs: Needs::Dns,
        ..Fault::NONE
    },
];
