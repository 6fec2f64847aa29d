//! Faults of nodes as the API knows them, and of the kubelets' certificates.

use super::{Age, Fault, Named, Needs, PODS_OF_NODE_1, Step, fails, run, start_runtime, warns};

/// Waits until the DiskPressure condition of node-1 is this.
macro_rules! disk_pressure {
    ($status:literal) => {
        concat!(
            "timeout 90 sh -c 'until kubectl --kubeconfig=/root/admin.kubeconfig get node node-1 ",
            "-o jsonpath=\"{.status.conditions[?(@.type==\\\"DiskPressure\\\")].status}\" | grep -q ",
            $status,
            "; do sleep 0.3; done'"
        )
    };
}

/// Sets node-1's condition NetworkUnavailable, and waits until its taint is there or gone.
macro_rules! network_unavailable {
    ($status:literal, $reason:literal, $not:literal) => {
        concat!(
            "kubectl --kubeconfig=/root/admin.kubeconfig patch node node-1 --subresource=status -p ",
            "'{\"status\":{\"conditions\":[{\"type\":\"NetworkUnavailable\",\"status\":\"",
            $status,
            "\",\"reason\":\"",
            $reason,
            "\",\"message\":\"planted\"}]}}' && timeout 30 sh -c 'until ",
            $not,
            "kubectl --kubeconfig=/root/admin.kubeconfig get node node-1 -o jsonpath={.spec.taints} | ",
            "grep -q network-unavailable; do sleep 0.3; done'"
        )
    };
}

/// Puts the kubelet's own serving certificate back.
const KUBELET_BACK: &[Step] = &[run(
    "node-1",
    "cd /var/lib/kubelet; for f in crt key; do [ ! -e lab.$f ] || mv lab.$f kubelet.$f; done; systemctl reset-failed kubelet; systemctl restart kubelet",
)];

const KEEP_KUBELET: Step = run(
    "node-1",
    "cd /var/lib/kubelet; for f in crt key; do [ -e lab.$f ] || cp -p kubelet.$f lab.$f; done",
);

pub(super) const FAULTS: &[Fault] = &[
    Fault {
        name: "node-never-joined",
        summary: "node-1 of the site file is no Node of the cluster",
        plant: &[
            run("node-1", "systemctl stop kubelet"),
            run(
                "server",
                "kubectl --kubeconfig=/root/admin.kubeconfig delete node node-1 --ignore-not-found",
            ),
        ],
        heal: &[run("node-1", "systemctl start kubelet")],
        expect: &[
            fails("nodes.ready", "node-1", "node-missing"),
            fails("components.workers", "node-1", "kubelet-stopped"),
        ],
        touches: PODS_OF_NODE_1,
        ..Fault::NONE
    },
    Fault {
        name: "node-unknown",
        summary: "the cluster has a Node that the site file does not know",
        plant: &[run(
            "server",
            "kubectl --kubeconfig=/root/admin.kubeconfig apply -f - <<'EOF'\n\
             apiVersion: v1\nkind: Node\nmetadata: {name: stranger}\nspec: {unschedulable: true}\nEOF\n",
        )],
        heal: &[run(
            "server",
            "kubectl --kubeconfig=/root/admin.kubeconfig delete node stranger --ignore-not-found",
        )],
        expect: &[warns("nodes.ready", "stranger", "node-unknown")],
        ..Fault::NONE
    },
    Fault {
        name: "node-cordoned",
        summary: "node-1 is cordoned",
        plant: &[run(
            "server",
            "kubectl --kubeconfig=/root/admin.kubeconfig cordon node-1",
        )],
        heal: &[run(
            "server",
            "kubectl --kubeconfig=/root/admin.kubeconfig uncordon node-1",
        )],
        expect: &[
            fails("nodes.ready", "node-1", "node-cordoned"),
            fails("workload.scale", "node-1", "node-cordoned"),
        ],
        touches: PODS_OF_NODE_1,
        ..Fault::NONE
    },
    Fault {
        name: "node-tainted",
        summary: "node-1 has a taint that keeps pods away",
        plant: &[run(
            "server",
            "kubectl --kubeconfig=/root/admin.kubeconfig taint --overwrite node node-1 lab=fault:NoSchedule",
        )],
        heal: &[run(
            "server",
            "kubectl --kubeconfig=/root/admin.kubeconfig taint node node-1 lab- || \
             ! kubectl --kubeconfig=/root/admin.kubeconfig get node node-1 -o yaml | grep -q 'key: lab$'",
        )],
        expect: &[
            fails("nodes.ready", "node-1", "node-tainted"),
            fails("workload.scale", "node-1", "node-tainted"),
        ],
        touches: PODS_OF_NODE_1,
        ..Fault::NONE
    },
    Fault {
        name: "node-out-of-service",
        summary: "node-1 has a taint of Kubernetes' own that no condition explains",
        plant: &[run(
            "server",
            "kubectl --kubeconfig=/root/admin.kubeconfig taint --overwrite node node-1 \
             node.kubernetes.io/out-of-service=nodeshutdown:NoExecute",
        )],
        heal: &[run(
            "server",
            "kubectl --kubeconfig=/root/admin.kubeconfig taint node node-1 node.kubernetes.io/out-of-service- || \
             ! kubectl --kubeconfig=/root/admin.kubeconfig get node node-1 -o yaml | grep -q out-of-service",
        )],
        expect: &[
            fails("nodes.ready", "node-1", "node-tainted"),
            fails("workload.scale", "node-1", "node-tainted"),
        ],
        touches: PODS_OF_NODE_1,
        ..Fault::NONE
    },
    Fault {
        name: "node-network-unavailable",
        summary: "node-1 is Ready and reports NetworkUnavailable, as Calico does when it ends; the taint follows by itself",
        plant: &[run("server", network_unavailable!("True", "CalicoIsDown", ""))],
        heal: &[run("server", network_unavailable!("False", "CalicoIsUp", "! "))],
        expect: &[
            fails("nodes.ready", "node-1", "node-network-unavailable"),
            fails("workload.scale", "node-1", "node-tainted"),
        ],
        touches: PODS_OF_NODE_1,
        ..Fault::NONE
    },
    Fault {
        name: "disk-pressure",
        summary: "the image file system of node-1 is full but for 30 MB",
        plant: &[
            // On a file system of its own, because what containerd uses otherwise is the machine's. Its content is copied,
            // so that the images are there.
            run(
                "node-1",
                concat!(
                    "cd /var/lib; image=/var/lib/kubelet/lab-disk; systemctl stop kubelet containerd; \
                 [ -e /dev/loop-control ] || mknod /dev/loop-control c 10 237; \
                 for n in $(seq 0 63); do [ -e /dev/loop$n ] || mknod /dev/loop$n b 7 $n; done; \
                 if ! mountpoint -q /run/lab-disk && [ ! -e $image ]; then \
                 truncate -s $(($(du -sm containerd | cut -f1) * 5 / 4 + 200))M $image; \
                 mkfs.ext4 -q -m 0 -O ^has_journal $image; mkdir -p /run/lab-disk; mount -o loop $image /run/lab-disk; \
                 cp -a containerd/. /run/lab-disk/; umount /run/lab-disk; mount -o loop $image containerd; fi; \
                 fallocate -l $(($(df --output=avail -m containerd | tail -n 1) - 30))M containerd/lab-full; ",
                    start_runtime!()
                ),
            ),
            run("server", disk_pressure!("True")),
        ],
        heal: &[
            run(
                "node-1",
                concat!(
                    "systemctl stop kubelet containerd; rm -f /var/lib/containerd/lab-full; \
             ! grep -q '^/dev/loop[0-9]* /var/lib/containerd ' /proc/mounts || umount /var/lib/containerd; \
             rm -rf /run/lab-disk /var/lib/kubelet/lab-disk; ",
                    start_runtime!()
                ),
            ),
            run("server", disk_pressure!("False")),
        ],
        expect: &[
            fails("nodes.ready", "node-1", "node-pressure"),
            fails("hosts.disk", "node-1", "disk-evicts"),
        ],
        touches: PODS_OF_NODE_1,
        ..Fault::NONE
    },
    Fault {
        name: "kubelet-certificate-expired",
        summary: "the serving certificate of node-1's kubelet has expired",
        plant: &[
            KEEP_KUBELET,
            Step::Certificate {
                host: "node-1",
                subject: Named::Kubelet("node-1"),
                age: Age::Expired,
                path: "/var/lib/kubelet/kubelet",
            },
            run(
                "node-1",
                "systemctl reset-failed kubelet; systemctl restart kubelet",
            ),
        ],
        heal: KUBELET_BACK,
        expect: &[
            fails("kubectl.logs", "node-1", "certificate-expired"),
            fails("kubectl.exec", "node-1", "certificate-expired"),
            fails("kubectl.port-forward", "node-1", "certificate-expired"),
            fails("certs.files", "node-1", "cert-expired"),
        ],
        needs: Needs::Images,
        ..Fault::NONE
    },
    Fault {
        name: "kubelet-certificate-of-another",
        summary: "node-1's kubelet serves the certificate of node-0",
        plant: &[
            KEEP_KUBELET,
            Step::Certificate {
                host: "node-1",
                subject: Named::Kubelet("node-0"),
                age: Age::Good,
                path: "/var/lib/kubelet/kubelet",
            },
            run(
                "node-1",
                "systemctl reset-failed kubelet; systemctl restart kubelet",
            ),
        ],
        heal: KUBELET_BACK,
        expect: &[
            fails("kubectl.logs", "node-1", "certificate-name"),
            fails("kubectl.exec", "node-1", "certificate-name"),
            fails("kubectl.port-forward", "node-1", "certificate-name"),
            fails("certs.files", "node-1", "cert-name-missing"),
        ],
        needs: Needs::Images,
        ..Fault::NONE
    },
    Fault {
        name: "no-second-start",
        summary: "the runtime of node-1 starts the container of a pod once, and never again",
        plant: &[run(
            "node-1",
            "cd /usr/local/bin; [ -e runc.lab ] || cp -p runc runc.lab; mkdir -p /run/lab-started; cat >runc.new <<'EOF'\n\
             #!/bin/bash\n\
             for word; do\n\
                 case $before in --bundle|-b) config=$word/config.json;; esac\n\
                 case $word in create) create=1;; esac\n\
                 before=$word\n\
             done\n\
             if [ -n \"$create\" ] && grep -q 'container-type\":\"container\"' \"$config\"; then\n\
                 id=$(sed 's/.*cri.sandbox-id\":\"\\([^\"]*\\).*/\\1/' \"$config\")\n\
                 [ ! -e /run/lab-started/$id ] || { echo 'no second start' >&2; exit 1; }\n\
                 : >/run/lab-started/$id\n\
             fi\n\
             exec /usr/local/bin/runc.lab \"$@\"\n\
             EOF\n\
             chmod 755 runc.new; mv runc.new runc",
        )],
        heal: &[run(
            "node-1",
            "cd /usr/local/bin; [ ! -e runc.lab ] || mv runc.lab runc; rm -rf /run/lab-started",
        )],
        expect: &[fails("workload.restart", "node-1", "container-not-restarted")],
        needs: Needs::Images,
        ..Fault::NONE
    },
];
