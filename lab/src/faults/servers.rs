//! Faults of one of several servers, which the others hide: the balancer leads around it, and etcd keeps its majority.

use super::control_plane::{encryption, restart_api};
use super::{Fault, Needs, Step, anywhere, fails, fails_cluster, run, warns_cluster};

/// Stops the API server of a host, and waits until the other two are all that the balancer leads to and that leads.
macro_rules! without_api {
    () => {
        "systemctl kill --signal=KILL kube-apiserver; systemctl stop kube-apiserver; since=$(date -u -d '+2 sec' +%FT%T); \
         k='kubectl --kubeconfig=/root/balanced.kubeconfig --request-timeout=5s'; \
         sed 's,https://127.0.0.1:6443,https://api-server.kubernetes.local:6443,' /root/admin.kubeconfig >/root/balanced.kubeconfig; \
         timeout 60 sh -c \"for n in 1 2 3 4 5 6; do until $k get --raw=/readyz >/dev/null 2>&1; do sleep 0.3; done; done\"; \
         timeout 60 sh -c \"for l in kube-controller-manager kube-scheduler; do \
         until [ \\\"\\$($k -n kube-system get lease \\$l -o jsonpath={.spec.renewTime} 2>/dev/null)\\\" \\> '$since' ]; \
         do sleep 0.3; done; done\""
    };
}

/// Puts back what a fault kept of the encryption configuration.
macro_rules! encryption_back {
    () => {
        concat!(
            "cd /var/lib/kubernetes; [ ! -e encryption-config.lab ] || mv encryption-config.lab encryption-config.yaml; ",
            restart_api!()
        )
    };
}

const API_BACK: &[Step] = &[run(
    "server-1",
    concat!(
        "systemctl stop haproxy || :; rm -f /root/balanced.kubeconfig; ",
        restart_api!()
    ),
)];

/// Gives the scheduler of a host a kubeconfig that leads nowhere.
macro_rules! blind_scheduler {
    () => {
        "cd /var/lib/kubernetes; [ -e kube-scheduler.lab ] || cp -p kube-scheduler.kubeconfig kube-scheduler.lab; \
         sed 's,https://127.0.0.1:6443,https://127.0.0.1:1,' kube-scheduler.lab >kube-scheduler.kubeconfig; \
         systemctl restart kube-scheduler"
    };
}
const BLIND_SCHEDULER: &str = blind_scheduler!();

const SCHEDULER_BACK: &str = "cd /var/lib/kubernetes; \
    [ ! -e kube-scheduler.lab ] || mv kube-scheduler.lab kube-scheduler.kubeconfig; systemctl restart kube-scheduler";

pub(super) const FAULTS: &[Fault] = &[
    Fault {
        name: "server-left-out",
        summary: "the site file has two of three servers",
        plant: &[run(
            "jumpbox",
            "cp -n /media/site.yaml /media/site.lab; sed -i '/name: server-1,/d' /media/site.yaml",
        )],
        heal: &[run(
            "jumpbox",
            "[ ! -e /media/site.lab ] || mv /media/site.lab /media/site.yaml",
        )],
        expect: &[warns_cluster("api.ready", "api-server-unlisted")],
        needs: Needs::Servers,
        ..Fault::NONE
    },
    Fault {
        name: "server-dead-behind-balancer",
        summary: "the API server of one of three is stopped, and the balancer leads to the others",
        plant: &[run("server-1", without_api!())],
        heal: API_BACK,
        expect: &[fails("components.control-plane", "server-1", "apiserver-stopped")],
        needs: Needs::Servers,
        ..Fault::NONE
    },
    Fault {
        name: "balancer-in-its-place",
        summary: "the API server of one of three is stopped, and a balancer on its own host answers for another",
        plant: &[run(
            "server-1",
            concat!(
                without_api!(),
                "; mkdir -p /run/systemd/system; cat >/etc/haproxy/haproxy.cfg <<'EOF'\n\
                 defaults\n    mode tcp\n    timeout connect 2s\n    timeout client 1h\n    timeout server 1h\n\
                 listen api\n    bind :6443\n    server other 192.168.10.100:6443\nEOF\n\
                 systemctl start haproxy; timeout 20 sh -c 'until kubectl --kubeconfig=/root/admin.kubeconfig \
                 get --raw=/readyz >/dev/null 2>&1; do sleep 0.3; done'"
            ),
        )],
        heal: API_BACK,
        expect: &[fails("components.control-plane", "server-1", "apiserver-stopped")],
        needs: Needs::Servers,
        ..Fault::NONE
    },
    Fault {
        name: "server-writes-plaintext",
        summary: "one of three API servers has identity first in its encryption configuration",
        plant: &[run("server-1", encryption!("      - identity: {}\\n"))],
        heal: &[run("server-1", encryption_back!())],
        expect: &[
            fails("secrets.encrypted-at-rest", "server-1", "secret-plaintext"),
            fails_cluster("secrets.all-encrypted", "encryption-differs"),
            fails_cluster("etcd.snapshot", "snapshot-canary-plaintext"),
        ],
        needs: Needs::Servers,
        ..Fault::NONE
    },
    Fault {
        name: "server-lacks-key",
        summary: "one of three API servers has another key than the others, and not theirs",
        plant: &[run(
            "server-1",
            concat!(
                "cd /var/lib/kubernetes; [ -e encryption-config.lab ] || cp -p encryption-config.yaml encryption-config.lab; ",
                "sed '/^    providers:/q' encryption-config.lab >encryption-config.yaml; ",
                "printf '      - aescbc: {keys: [{name: key2, secret: MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=}]}\\n' \
                 >>encryption-config.yaml; ",
                restart_api!()
            ),
        )],
        heal: &[run("server-1", encryption_back!())],
        expect: &[
            fails_cluster("secrets.roundtrip", "secret-unreadable-there"),
            fails("secrets.encrypted-at-rest", "server-1", "wrong-key"),
            fails_cluster("secrets.all-encrypted", "encryption-differs"),
        ],
        needs: Needs::Servers,
        ..Fault::NONE
    },
    Fault {
        name: "server-not-ready",
        summary: "the API server that tells strangers nothing (401) has a KMS plugin that is not there, and is not ready",
        plant: &[run(
            "server-2",
            concat!(
                "cd /var/lib/kubernetes; [ -e encryption-config.lab ] || cp -p encryption-config.yaml encryption-config.lab; ",
                "sed '/- identity/d' encryption-config.lab >encryption-config.yaml; ",
                "printf '      - kms: {apiVersion: v2, name: lab, endpoint: \"unix:///run/lab-kms.sock\", timeout: 1s}\\n\
                 \\040     - identity: {}\\n' >>encryption-config.yaml; ",
                "systemctl kill --signal=KILL kube-apiserver; systemctl reset-failed kube-apiserver; systemctl restart kube-apiserver; \
                 timeout 60 sh -c 'until kubectl --kubeconfig=/root/admin.kubeconfig get --raw=/version >/dev/null 2>&1; \
                 do sleep 0.3; done'; sleep 5"
            ),
        )],
        heal: &[run("server-2", encryption_back!())],
        expect: &[fails("components.control-plane", "server-2", "server-not-ready")],
        // The balancer may lead to any.
        touches: &[anywhere("api.ready"), anywhere("secrets.all-encrypted")],
        needs: Needs::Servers,
        ..Fault::NONE
    },
    Fault {
        name: "scheduler-never-led",
        summary: "the schedulers of all three servers have a kubeconfig that leads nowhere, and none has ever led",
        plant: &[
            run("server-1", BLIND_SCHEDULER),
            run("server-2", BLIND_SCHEDULER),
            run(
                "server",
                concat!(
                    blind_scheduler!(),
                    "; kubectl --kubeconfig=/root/admin.kubeconfig -n kube-system delete lease kube-scheduler"
                ),
            ),
        ],
        heal: &[
            run("server-1", SCHEDULER_BACK),
            run("server-2", SCHEDULER_BACK),
            run("server", SCHEDULER_BACK),
        ],
        expect: &[
            fails("components.control-plane", "server", "leader-never"),
            fails("components.control-plane", "server-1", "leader-never"),
            fails("components.control-plane", "server-2", "leader-never"),
            fails_cluster("workload.deployment", "scheduler-silent"),
        ],
        needs: Needs::Servers,
        ..Fault::NONE
    },
    Fault {
        name: "etcd-member-stopped",
        summary: "one of three members of etcd is stopped",
        plant: &[run("server-2", "systemctl stop etcd")],
        heal: &[run("server-2", "systemctl start etcd")],
        expect: &[
            fails_cluster("etcd.health", "etcd-stopped"),
            fails("components.control-plane", "server-2", "etcd-stopped"),
        ],
        needs: Needs::Servers,
        ..Fault::NONE
    },
];
