//! Faults of the way to the API: permissions, credentials, what answers in its place.

use super::{ASKS_THE_API, Age, Fault, Named, Needs, OF_THE_API, Step, errs, errs_on, fails_cluster, run};

/// Makes the administrator's kubeconfig that of a user who may do everything but `$except`.
macro_rules! limited {
    ($rules:literal) => {
        concat!(
            "export KUBECONFIG=/root/.kube/config; cd /root; ",
            "[ -e admin.kubeconfig.lab ] || cp -p admin.kubeconfig admin.kubeconfig.lab; ",
            "kubectl -n kube-system create serviceaccount lab-limited; ",
            "kubectl apply -f - <<'EOF'\n",
            "apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata: {name: lab-limited}\nrules:\n",
            $rules,
            "- {nonResourceURLs: ['*'], verbs: [get]}\n",
            "---\napiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRoleBinding\nmetadata: {name: lab-limited}\n",
            "roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: lab-limited}\n",
            "subjects: [{kind: ServiceAccount, namespace: kube-system, name: lab-limited}]\nEOF\n",
            "token=$(kubectl -n kube-system create token lab-limited --duration=24h); ",
            "export KUBECONFIG=/root/admin.kubeconfig; kubectl config set-credentials limited --token=\"$token\"; ",
            "kubectl config set-context --current --user=limited"
        )
    };
}

const LIMIT_BACK: &[Step] = &[run(
    "jumpbox",
    "export KUBECONFIG=/root/.kube/config; cd /root; \
     [ ! -e admin.kubeconfig.lab ] || mv admin.kubeconfig.lab admin.kubeconfig; \
     kubectl delete clusterrolebinding,clusterrole lab-limited --ignore-not-found; \
     kubectl -n kube-system delete serviceaccount lab-limited --ignore-not-found",
)];

pub(super) const FAULTS: &[Fault] = &[
    Fault {
        name: "no-deployments",
        summary: "the kubeconfig may not create Deployments",
        plant: &[run(
            "jumpbox",
            limited!(
                "- {apiGroups: ['', coordination.k8s.io, discovery.k8s.io, authorization.k8s.io], resources: ['*'], verbs: ['*']}\n\
                 - {apiGroups: [apps], resources: ['*'], verbs: [get, list, watch, update, patch, delete]}\n\
                 - {apiGroups: [apiregistration.k8s.io, apiextensions.k8s.io, admissionregistration.k8s.io], resources: ['*'], verbs: [list]}\n"
            ),
        )],
        heal: LIMIT_BACK,
        expect: &[
            errs("api.permissions", "permissions-missing"),
            errs("workload.deployment", "forbidden"),
        ],
        ..Fault::NONE
    },
    Fault {
        name: "no-exec",
        summary: "the kubeconfig may do everything but run commands in containers",
        plant: &[run(
            "jumpbox",
            limited!(
                "- {apiGroups: [apps, coordination.k8s.io, discovery.k8s.io, authorization.k8s.io], resources: ['*'], verbs: ['*']}\n\
                 - {apiGroups: [''], resources: [namespaces, nodes, pods, pods/log, pods/portforward, secrets, services, \
                 endpoints, events, serviceaccounts, configmaps, nodes/proxy], verbs: ['*']}\n\
                 - {apiGroups: [apiregistration.k8s.io, apiextensions.k8s.io, admissionregistration.k8s.io], resources: ['*'], verbs: [list]}\n"
            ),
        )],
        heal: LIMIT_BACK,
        expect: &[
            errs("api.permissions", "permissions-missing"),
            errs_on("kubectl.exec", "node-0", "forbidden"),
            errs_on("kubectl.exec", "node-1", "forbidden"),
            errs_on("api.from-pods", "node-0", "forbidden"),
            errs_on("api.from-pods", "node-1", "forbidden"),
            errs("network.policy", "forbidden"),
        ],
        ..Fault::NONE
    },
    Fault {
        name: "no-lists",
        summary: "the kubeconfig may not list DaemonSets, APIServices and webhooks",
        plant: &[run(
            "jumpbox",
            limited!(
                "- {apiGroups: ['', coordination.k8s.io, discovery.k8s.io, authorization.k8s.io], resources: ['*'], verbs: ['*']}\n\
                 - {apiGroups: [apps], resources: [deployments, deployments/scale, replicasets, statefulsets], verbs: ['*']}\n"
            ),
        )],
        heal: LIMIT_BACK,
        expect: &[
            errs("api.permissions", "permissions-missing"),
            errs("api.extensions", "forbidden"),
            errs("api.webhooks", "forbidden"),
            errs("addons.ready", "forbidden"),
            errs("certs.called", "forbidden"),
            errs("network.policy", "forbidden"),
        ],
        ..Fault::NONE
    },
    Fault {
        name: "kubeconfig-expired",
        summary: "the certificate in the kubeconfig has expired",
        plant: &[
            Step::Certificate {
                host: "jumpbox",
                subject: Named::Admin,
                age: Age::Expired,
                path: "/root/expired",
            },
            run(
                "jumpbox",
                "cd /root; [ -e admin.kubeconfig.lab ] || cp -p admin.kubeconfig admin.kubeconfig.lab; \
                 kubectl --kubeconfig=admin.kubeconfig config set-credentials admin --embed-certs=true \
                 --client-certificate=expired.crt --client-key=expired.key; rm expired.crt expired.key",
            ),
        ],
        heal: &[run(
            "jumpbox",
            "cd /root; [ ! -e admin.kubeconfig.lab ] || mv admin.kubeconfig.lab admin.kubeconfig",
        )],
        expect: &[
            fails_cluster("api.ready", "api-credentials"),
            fails_cluster("certs.kubeconfig", "cert-expired"),
        ],
        touches: OF_THE_API,
        never_passes: ASKS_THE_API,
        ..Fault::NONE
    },
    Fault {
        name: "proxy-answers",
        summary: "a proxy stands before the API server and answers 200 {} to everything; its certificate is of the cluster's CA",
        plant: &[
            // The nginx of the bundle's image, run on the node itself: hosts have nothing else that speaks TLS.
            run(
                "node-0",
                "ctr='/opt/containerd/bin/ctr -n k8s.io images'; mkdir -p /run/lab-proxy /var/lib/nginx; \
                 mountpoint -q /run/lab-proxy || $ctr mount docker.io/library/nginx:1.29 /run/lab-proxy; \
                 cat >/run/lab-proxy.conf <<'EOF'\n\
                 daemon off; user root; pid /run/lab-proxy.pid; error_log stderr; events {}\n\
                 http { access_log off; default_type application/json; server { listen 7443 ssl http2;\n\
                 ssl_certificate /var/lib/kubelet/kubelet.crt; ssl_certificate_key /var/lib/kubelet/kubelet.key;\n\
                 location / { return 200 '{}'; } } }\nEOF\n\
                 systemctl stop lab-proxy 2>/dev/null || :; systemd-run --quiet --collect --unit=lab-proxy \
                 --setenv=LD_LIBRARY_PATH=$(ls -d /run/lab-proxy/usr/lib/*-linux-gnu) /run/lab-proxy/usr/sbin/nginx -c /run/lab-proxy.conf; \
                 timeout 20 sh -c 'until ss -ltn | grep -q :7443; do sleep 0.1; done'",
            ),
            run(
                "jumpbox",
                "cd /root; [ -e admin.kubeconfig.lab ] || cp -p admin.kubeconfig admin.kubeconfig.lab; \
                 kubectl --kubeconfig=admin.kubeconfig config set-cluster kubernetes-the-hard-way --server=https://node-0:7443",
            ),
        ],
        heal: &[
            run(
                "jumpbox",
                "cd /root; [ ! -e admin.kubeconfig.lab ] || mv admin.kubeconfig.lab admin.kubeconfig",
            ),
            run(
                "node-0",
                "systemctl stop lab-proxy 2>/dev/null || :; ! mountpoint -q /run/lab-proxy || \
                 /opt/containerd/bin/ctr -n k8s.io images unmount --rm /run/lab-proxy; \
                 rm -rf /run/lab-proxy /run/lab-proxy.conf /var/lib/nginx",
            ),
        ],
        expect: &[fails_cluster("api.ready", "api-not-kubernetes")],
        touches: OF_THE_API,
        never_passes: ASKS_THE_API,
        needs: Needs::Images,
        ..Fault::NONE
    },
];
