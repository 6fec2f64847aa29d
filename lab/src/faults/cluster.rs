//! Faults of the control plane: etcd, the API server's settings, permissions, nodes as the API knows them, certificates.

use super::{Age, Expectation, Fault, Named, Needs, Step, errs, fails, run, warns};

/// Restarts the API server and waits at most a minute until it is ready. Asked politely it takes a minute to stop,
/// because of the watches that it serves.
macro_rules! restart_api {
    () => {
        "systemctl kill --signal=KILL kube-apiserver; systemctl reset-failed kube-apiserver; \
         systemctl restart kube-apiserver; timeout 60 sh -c 'until kubectl --kubeconfig=/root/admin.kubeconfig \
         get --raw=/readyz >/dev/null 2>&1; do sleep 0.2; done'"
    };
}

/// Keeps the encryption configuration, and writes one whose list of providers is `$first`, then the old list.
macro_rules! encryption {
    ($first:literal) => {
        concat!(
            "cd /var/lib/kubernetes; [ -e encryption-config.lab ] || cp -p encryption-config.yaml encryption-config.lab; ",
            "sed '/^    providers:/q' encryption-config.lab >encryption-config.yaml; ",
            "printf '",
            $first,
            "' >>encryption-config.yaml; ",
            "sed '1,/^    providers:/d' encryption-config.lab >>encryption-config.yaml; ",
            restart_api!()
        )
    };
}

const ENCRYPTION_BACK: &[Step] = &[run(
    "server",
    concat!(
        "cd /var/lib/kubernetes; [ ! -e encryption-config.lab ] || mv encryption-config.lab encryption-config.yaml; ",
        restart_api!()
    ),
)];

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
        name: "identity-first",
        summary: "the encryption configuration has identity first: new Secrets are stored as plaintext",
        plant: &[run("server", encryption!("      - identity: {}\\n"))],
        heal: ENCRYPTION_BACK,
        expect: &[fails("secrets.encrypted-at-rest", "server", "secret-plaintext")],
        needs: Needs::Nothing,
    },
    Fault {
        name: "old-key-first",
        summary: "the encryption configuration has an old key first",
        plant: &[run(
            "server",
            encryption!(
                "      - aescbc: {keys: [{name: key0, secret: MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=}]}\\n"
            ),
        )],
        heal: ENCRYPTION_BACK,
        expect: &[fails("secrets.encrypted-at-rest", "server", "wrong-key")],
        needs: Needs::Nothing,
    },
    Fault {
        name: "other-provider-first",
        summary: "the encryption configuration has another provider than expected first",
        plant: &[run(
            "server",
            encryption!(
                "      - secretbox: {keys: [{name: key1, secret: MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=}]}\\n"
            ),
        )],
        heal: ENCRYPTION_BACK,
        expect: &[fails("secrets.encrypted-at-rest", "server", "wrong-provider")],
        needs: Needs::Nothing,
    },
    Fault {
        name: "no-deployments",
        summary: "the kubeconfig may not create Deployments",
        plant: &[run(
            "jumpbox",
            limited!(
                "- {apiGroups: ['', coordination.k8s.io, discovery.k8s.io, authorization.k8s.io], resources: ['*'], verbs: ['*']}\n\
                 - {apiGroups: [apps], resources: ['*'], verbs: [get, list, watch, update, patch, delete]}\n"
            ),
        )],
        heal: LIMIT_BACK,
        expect: &[errs("workload.deployment", "forbidden")],
        needs: Needs::Nothing,
    },
    Fault {
        name: "no-exec",
        summary: "the kubeconfig may do everything but run commands in containers",
        plant: &[run(
            "jumpbox",
            limited!(
                "- {apiGroups: [apps, coordination.k8s.io, discovery.k8s.io, authorization.k8s.io], resources: ['*'], verbs: ['*']}\n\
                 - {apiGroups: [''], resources: [namespaces, nodes, pods, pods/log, pods/portforward, secrets, services, \
                 endpoints, events, serviceaccounts, configmaps, nodes/proxy], verbs: ['*']}\n"
            ),
        )],
        heal: LIMIT_BACK,
        expect: &[errs("api.permissions", "forbidden")],
        needs: Needs::Nothing,
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
        expect: &[Expectation {
            host: None,
            ..fails("api.ready", "", "api-credentials")
        }],
        needs: Needs::Nothing,
    },
    Fault {
        name: "scheduler-stopped",
        summary: "kube-scheduler is stopped",
        plant: &[run("server", "systemctl stop kube-scheduler")],
        heal: &[run("server", "systemctl start kube-scheduler")],
        expect: &[Expectation {
            host: None,
            ..fails("workload.deployment", "", "scheduler-silent")
        }],
        needs: Needs::Images,
    },
    Fault {
        name: "controller-manager-stopped",
        summary: "kube-controller-manager is stopped",
        plant: &[run("server", "systemctl stop kube-controller-manager")],
        heal: &[run("server", "systemctl start kube-controller-manager")],
        expect: &[Expectation {
            host: None,
            ..fails("workload.deployment", "", "controller-silent")
        }],
        needs: Needs::Images,
    },
    Fault {
        name: "etcd-stopped",
        summary: "etcd is stopped",
        plant: &[run("server", "systemctl stop etcd")],
        heal: &[run("server", concat!("systemctl start etcd; ", restart_api!()))],
        expect: &[fails("etcd.health", "server", "etcd-unreachable")],
        needs: Needs::Nothing,
    },
    Fault {
        name: "etcd-hung",
        summary: "etcd is alive but answers nobody (SIGSTOP)",
        plant: &[run(
            "server",
            "systemctl kill --kill-whom=main --signal=STOP etcd",
        )],
        heal: &[run(
            "server",
            concat!(
                "systemctl kill --kill-whom=main --signal=CONT etcd || systemctl restart etcd; ",
                restart_api!()
            ),
        )],
        expect: &[fails("etcd.health", "server", "etcd-hung")],
        needs: Needs::Nothing,
    },
    Fault {
        name: "etcd-nospace",
        summary: "etcd has raised its alarm NOSPACE and refuses writes",
        plant: &[run(
            "server",
            "mkdir -p /etc/systemd/system/etcd.service.d; \
             printf '[Service]\\nEnvironment=ETCD_QUOTA_BACKEND_BYTES=16384\\n' >/etc/systemd/system/etcd.service.d/lab.conf; \
             systemctl daemon-reload; systemctl reset-failed etcd; systemctl restart etcd; \
             timeout 60 sh -c 'until etcdctl alarm list | grep -q NOSPACE; do etcdctl put lab-fault x >/dev/null 2>&1 || sleep 0.2; done'",
        )],
        heal: &[run(
            "server",
            concat!(
                "rm -f /etc/systemd/system/etcd.service.d/lab.conf; systemctl daemon-reload; systemctl reset-failed etcd; systemctl restart etcd; ",
                "etcdctl alarm disarm; etcdctl del lab-fault; ",
                restart_api!()
            ),
        )],
        expect: &[fails("etcd.health", "server", "etcd-alarm")],
        needs: Needs::Nothing,
    },
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
        expect: &[fails("nodes.ready", "node-1", "node-missing")],
        needs: Needs::Nothing,
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
        needs: Needs::Nothing,
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
        expect: &[fails("nodes.ready", "node-1", "node-cordoned")],
        needs: Needs::Nothing,
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
        expect: &[fails("nodes.ready", "node-1", "node-tainted")],
        needs: Needs::Nothing,
    },
    Fault {
        name: "disk-pressure",
        summary: "the kubelet of node-1 finds its image file system full",
        plant: &[run(
            "node-1",
            "sed -i 's/imagefs.available: .*/imagefs.available: \"99%\"/' /var/lib/kubelet/kubelet-config.yaml; \
             systemctl reset-failed kubelet; systemctl restart kubelet",
        )],
        heal: &[run(
            "node-1",
            "sed -i 's/imagefs.available: .*/imagefs.available: \"100Mi\"/' /var/lib/kubelet/kubelet-config.yaml; \
             systemctl reset-failed kubelet; systemctl restart kubelet",
        )],
        expect: &[fails("nodes.ready", "node-1", "node-pressure")],
        needs: Needs::Nothing,
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
        expect: &[fails("kubectl.logs", "node-1", "certificate-expired")],
        needs: Needs::Images,
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
        expect: &[fails("kubectl.logs", "node-1", "certificate-name")],
        needs: Needs::Images,
    },
    Fault {
        name: "admission-refuses",
        summary: "a policy refuses every pod of the suite",
        plant: &[run(
            "server",
            "kubectl --kubeconfig=/root/admin.kubeconfig apply -f - <<'EOF'\n\
             apiVersion: admissionregistration.k8s.io/v1\nkind: ValidatingAdmissionPolicy\nmetadata: {name: lab-fault}\n\
             spec:\n  failurePolicy: Fail\n  matchConstraints:\n    resourceRules:\n    \
             - {apiGroups: [''], apiVersions: [v1], operations: [CREATE], resources: [pods]}\n  \
             validations: [{expression: 'false', message: 'the lab lets no pod in'}]\n\
             ---\napiVersion: admissionregistration.k8s.io/v1\nkind: ValidatingAdmissionPolicyBinding\n\
             metadata: {name: lab-fault}\nspec: {policyName: lab-fault, validationActions: [Deny]}\nEOF\n\
             timeout 60 sh -c 'while kubectl --kubeconfig=/root/admin.kubeconfig run lab-fault --image=none --dry-run=server \
             >/dev/null 2>&1; do sleep 0.2; done'",
        )],
        heal: &[run(
            "server",
            "kubectl --kubeconfig=/root/admin.kubeconfig delete --ignore-not-found \
             validatingadmissionpolicybinding,validatingadmissionpolicy lab-fault",
        )],
        expect: &[errs("workload.deployment", "admission-refused")],
        needs: Needs::Images,
    },
];
