//! Faults of what runs beside the suite.

use super::{Fault, Needs, anywhere, fails_cluster, no_longer_young, on, run};

pub(super) const FAULTS: &[Fault] = &[
    Fault {
        name: "addon-image-missing",
        summary: "an add-on of kube-system names an image that no bundle carries",
        plant: &[run(
            "server",
            concat!(
                "k='kubectl --kubeconfig=/root/admin.kubeconfig -n kube-system'; \
                 $k create deployment lab-dns --image=registry.k8s.io/coredns/coredns:v1.12.0 --replicas=2; \
                 timeout 60 sh -c \"until $k get pods -l app=lab-dns -o jsonpath='{..waiting.reason}' | grep -q Pull; do sleep 0.3; done\"; ",
                no_longer_young!()
            ),
        )],
        heal: &[run(
            "server",
            "kubectl --kubeconfig=/root/admin.kubeconfig -n kube-system delete deployment lab-dns --ignore-not-found; \
             kubectl --kubeconfig=/root/admin.kubeconfig -n kube-system wait --for=delete pod -l app=lab-dns --timeout=60s",
        )],
        expect: &[fails_cluster("addons.ready", "addon-image-unbundled")],
        needs: Needs::Images,
        ..Fault::NONE
    },
    Fault {
        name: "addon-crashes",
        summary: "an add-on's container ends as soon as it was started, over and over",
        plant: &[run(
            "server",
            concat!(
                "k='kubectl --kubeconfig=/root/admin.kubeconfig -n kube-system'; $k apply -f - <<'EOF'\n\
                 apiVersion: apps/v1\nkind: DaemonSet\nmetadata: {name: lab-crash}\nspec:\n  selector: {matchLabels: {app: lab-crash}}\n  \
                 template:\n    metadata: {labels: {app: lab-crash}}\n    spec:\n      terminationGracePeriodSeconds: 1\n      containers:\n      \
                 - {name: crash, image: 'docker.io/library/nginx:1.29', imagePullPolicy: Never, command: [/bin/sh, -c, 'exit 3']}\nEOF\n\
                 timeout 90 sh -c \"until $k get pods -l app=lab-crash -o jsonpath='{..restartCount}' | \
                 grep -q '[2-9] [2-9]'; do sleep 0.3; done\"; ",
                no_longer_young!()
            ),
        )],
        heal: &[run(
            "server",
            "kubectl --kubeconfig=/root/admin.kubeconfig -n kube-system delete daemonset lab-crash --ignore-not-found; \
             kubectl --kubeconfig=/root/admin.kubeconfig -n kube-system wait --for=delete pod -l app=lab-crash --timeout=60s",
        )],
        expect: &[fails_cluster("addons.ready", "addon-crashes")],
        // Between two readings a container may come and go.
        touches: &[
            anywhere("runtime.containers"),
            on("runtime.process-tree", "node-0"),
            on("runtime.process-tree", "node-1"),
        ],
        needs: Needs::Images,
        ..Fault::NONE
    },
];
