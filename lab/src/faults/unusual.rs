//! What is unusual at a site and not wrong: the verifier must say nothing of it.

use super::{Fault, Needs, run};

/// Sends what goes to the pods of other hosts over VXLAN, as flannel does it: an address and a link of the tunnel a host.
macro_rules! overlay {
    ($own:literal, $tunnel:literal, $link:literal) => {
        concat!(
            "ip link del lab.vxlan 2>/dev/null || :; ip link add lab.vxlan address ",
            $link,
            " type vxlan id 1 dev eth1 local ",
            $own,
            " dstport 8472 nolearning; ip addr add ",
            $tunnel,
            "/32 dev lab.vxlan; ip link set lab.vxlan up; ",
            "peer() { [ $1 = ",
            $own,
            " ] || { bridge fdb append $3 dev lab.vxlan dst $1; ip neigh replace $2 lladdr $3 dev lab.vxlan nud permanent; ",
            "[ $2 = 10.200.254.0 ] && ip route replace $2 dev lab.vxlan || ip route replace $2/24 via $2 dev lab.vxlan onlink; }; }; ",
            "peer 192.168.10.100 10.200.254.0 02:00:00:00:00:64; peer 192.168.10.101 10.200.0.0 02:00:00:00:00:65; ",
            "peer 192.168.10.102 10.200.1.0 02:00:00:00:00:66"
        )
    };
}

/// Takes the overlay away; the routes of the page come back.
macro_rules! no_overlay {
    () => {
        "ip link del lab.vxlan 2>/dev/null || :; for n in 0 1; do ip addr show dev eth1 | grep -q 192.168.10.10$((n + 1))/ || ip route replace 10.200.$n.0/24 via 192.168.10.10$((n + 1)); done"
    };
}

/// A Deployment of pods that run the image of the suite.
macro_rules! deployment {
    ($name:literal, $replicas:literal, $pod:literal) => {
        concat!(
            "k='kubectl --kubeconfig=/root/admin.kubeconfig'; $k apply -f - <<'EOF'\n\
             apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: ",
            $name,
            "}\nspec:\n  replicas: ",
            $replicas,
            "\n  selector: {matchLabels: {app: ",
            $name,
            "}}\n  template:\n    metadata: {labels: {app: ",
            $name,
            "}}\n    spec:\n      terminationGracePeriodSeconds: 1\n",
            $pod,
            "EOF\n\
             timeout 400 $k rollout status deployment/",
            $name
        )
    };
}

/// Takes such a Deployment away with its pods.
macro_rules! no_deployment {
    ($name:literal) => {
        concat!(
            "k='kubectl --kubeconfig=/root/admin.kubeconfig'; $k delete deployment ",
            $name,
            " --ignore-not-found; $k wait --for=delete pod -l app=",
            $name,
            " --timeout=120s"
        )
    };
}

/// Changes how many pods a kubelet takes.
macro_rules! max_pods {
    ($from:literal, $to:literal) => {
        concat!(
            "sed -i 's/^maxPods: ",
            $from,
            "$/maxPods: ",
            $to,
            "/' /var/lib/kubelet/kubelet-config.yaml; systemctl restart kubelet"
        )
    };
}

pub(super) const UNUSUAL: &[Fault] = &[
    Fault {
        name: "overlay",
        summary: "pods of other nodes are reached over VXLAN",
        plant: &[
            run(
                "server",
                overlay!("192.168.10.100", "10.200.254.0", "02:00:00:00:00:64"),
            ),
            run(
                "node-0",
                overlay!("192.168.10.101", "10.200.0.0", "02:00:00:00:00:65"),
            ),
            run(
                "node-1",
                overlay!("192.168.10.102", "10.200.1.0", "02:00:00:00:00:66"),
            ),
        ],
        heal: &[
            run("server", no_overlay!()),
            run("node-0", no_overlay!()),
            run("node-1", no_overlay!()),
        ],
        ..Fault::NONE
    },
    Fault {
        name: "dense",
        summary: "a hundred pods of 28 processes each run on node-0",
        plant: &[
            run("node-0", max_pods!("16", "110")),
            run(
                "server",
                deployment!(
                    "lab-dense",
                    "100",
                    "      nodeSelector: {kubernetes.io/hostname: node-0}\n      containers:\n      - name: many\n        image: docker.io/library/nginx:1.29\n        \
                 imagePullPolicy: Never\n        command: [/bin/sh, -c, 'for i in $(seq 27); do sleep 1d & done; wait']\n"
                ),
            ),
        ],
        heal: &[
            run("server", no_deployment!("lab-dense")),
            run("node-0", max_pods!("110", "16")),
        ],
        needs: Needs::Images,
        ..Fault::NONE
    },
    Fault {
        name: "churn",
        summary: "pods come and go all the time",
        plant: &[
            run(
                "server",
                deployment!(
                    "lab-churn",
                    "6",
                    "      containers:\n      - {name: web, image: 'docker.io/library/nginx:1.29', imagePullPolicy: Never}\n"
                ),
            ),
            run(
                "server",
                "systemd-run -q --unit=lab-churn sh -c 'k=\"kubectl --kubeconfig=/root/admin.kubeconfig\"; while :; do \
                 $k delete --wait=false $($k get pods -l app=lab-churn -o name | shuf -n 2); sleep 1; done'",
            ),
        ],
        heal: &[
            run(
                "server",
                "systemctl stop lab-churn 2>/dev/null || :; systemctl reset-failed lab-churn 2>/dev/null || :",
            ),
            run("server", no_deployment!("lab-churn")),
        ],
        needs: Needs::Images,
        ..Fault::NONE
    },
    super::storage::STORAGE,
];
