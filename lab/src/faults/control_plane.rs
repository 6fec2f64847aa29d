//! Faults of the control plane: etcd, the API server's settings, the scheduler, the controllers.

use super::{Fault, Needs, OF_THE_API, Step, anywhere, errs, fails, fails_cluster, run};

/// Restarts the API server and waits at most a minute until it is ready. Asked politely it takes a minute to stop,
/// because of the watches that it serves. Then gives the controllers and the scheduler, which end without it, the time to
/// lead again and to see a Deployment: their silence is not the fault.
macro_rules! restart_api {
    () => {
        "systemctl kill --signal=KILL kube-apiserver; systemctl reset-failed kube-apiserver; \
         systemctl restart kube-apiserver; timeout 60 sh -c 'until kubectl --kubeconfig=/root/admin.kubeconfig \
         get --raw=/readyz >/dev/null 2>&1; do sleep 0.2; done'; since=$(date -u +%FT%T); \
         timeout 40 sh -c 'for l in kube-controller-manager kube-scheduler; do \
         until [ \"$(kubectl --kubeconfig=/root/admin.kubeconfig -n kube-system get lease $l \
         -o jsonpath={.spec.renewTime} 2>/dev/null)\" \\> '$since' ]; do sleep 0.3; done; done' || :; \
         k='kubectl --kubeconfig=/root/admin.kubeconfig -n kube-system'; \
         $k create deployment lab-probe --image=none --replicas=0 || :; \
         timeout 60 sh -c \"until [ \\\"\\$($k get deployment lab-probe -o jsonpath={.status.observedGeneration})\\\" = 1 ]; \
         do sleep 0.3; done\" || :; $k delete deployment lab-probe --ignore-not-found"
    };
}

pub(super) use restart_api;

/// Gives the API server an admission configuration, which holds for namespaces that are still to come.
macro_rules! admission {
    ($plugin:literal) => {
        concat!(
            "cat >/var/lib/kubernetes/lab-admission.yaml <<'EOF'\n",
            "apiVersion: apiserver.config.k8s.io/v1\nkind: AdmissionConfiguration\nplugins:\n",
            $plugin,
            "EOF\nunit=/etc/systemd/system/kube-apiserver.service; grep -q lab-admission $unit || ",
            "sed -i 's,--allow-privileged=true,--admission-control-config-file=/var/lib/kubernetes/lab-admission.yaml &,' $unit; ",
            "grep -q lab-admission $unit; systemctl daemon-reload; ",
            restart_api!()
        )
    };
}

const ADMISSION_BACK: &[Step] = &[run(
    "server",
    concat!(
        "sed -i 's,--admission-control-config-file=[^ ]* ,,' /etc/systemd/system/kube-apiserver.service; ",
        "rm -f /var/lib/kubernetes/lab-admission.yaml; systemctl daemon-reload; ",
        restart_api!()
    ),
)];

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

pub(super) use encryption;

const ENCRYPTION_BACK: &[Step] = &[run(
    "server",
    concat!(
        "cd /var/lib/kubernetes; [ ! -e encryption-config.lab ] || mv encryption-config.lab encryption-config.yaml; ",
        restart_api!()
    ),
)];

pub(super) const FAULTS: &[Fault] = &[
    Fault {
        name: "identity-first",
        summary: "the encryption configuration has identity first: new Secrets are stored as plaintext",
        plant: &[run("server", encryption!("      - identity: {}\\n"))],
        heal: ENCRYPTION_BACK,
        expect: &[
            fails("secrets.encrypted-at-rest", "server", "secret-plaintext"),
            fails_cluster("secrets.all-encrypted", "encryption-identity-first"),
            fails_cluster("etcd.snapshot", "snapshot-canary-plaintext"),
        ],
        ..Fault::NONE
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
        // It names the run's own Secrets, where it comes to see them.
        touches: &[anywhere("secrets.all-encrypted")],
        ..Fault::NONE
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
        touches: &[anywhere("secrets.all-encrypted")],
        ..Fault::NONE
    },
    Fault {
        name: "scheduler-stopped",
        summary: "kube-scheduler is stopped",
        plant: &[run("server", "systemctl stop kube-scheduler")],
        heal: &[run("server", "systemctl start kube-scheduler")],
        expect: &[
            fails("components.control-plane", "server", "scheduler-stopped"),
            fails_cluster("workload.deployment", "scheduler-silent"),
        ],
        needs: Needs::Images,
        ..Fault::NONE
    },
    Fault {
        name: "controller-manager-stopped",
        summary: "kube-controller-manager is stopped",
        plant: &[run("server", "systemctl stop kube-controller-manager")],
        heal: &[run("server", "systemctl start kube-controller-manager")],
        expect: &[
            fails("components.control-plane", "server", "controller-manager-stopped"),
            fails_cluster("workload.deployment", "controller-silent"),
            // The namespace controller lives in it: nothing that was made goes.
            errs("run.removal", "namespace-stays"),
        ],
        needs: Needs::Images,
        ..Fault::NONE
    },
    Fault {
        name: "etcd-stopped",
        summary: "etcd is stopped",
        plant: &[run("server", "systemctl stop etcd")],
        heal: &[run("server", concat!("systemctl start etcd; ", restart_api!()))],
        expect: &[fails_cluster("etcd.health", "etcd-stopped")],
        touches: OF_THE_API,
        never_passes: &["secrets.*", "workload.*", "service.*"],
        ..Fault::NONE
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
        expect: &[fails_cluster("etcd.health", "etcd-hung")],
        touches: OF_THE_API,
        never_passes: &["secrets.*", "workload.*", "service.*"],
        ..Fault::NONE
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
        expect: &[fails_cluster("etcd.health", "etcd-alarm")],
        touches: OF_THE_API,
        never_passes: &["secrets.encrypted-at-rest", "workload.*"],
        ..Fault::NONE
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
        ..Fault::NONE
    },
    Fault {
        name: "pod-security-restricted",
        summary: "PodSecurity `restricted` is enforced in every namespace that does not say otherwise",
        plant: &[run(
            "server",
            admission!(
                "- name: PodSecurity\n  configuration: {apiVersion: pod-security.admission.config.k8s.io/v1, \
                 kind: PodSecurityConfiguration, defaults: {enforce: restricted, enforce-version: latest}}\n"
            ),
        )],
        heal: ADMISSION_BACK,
        expect: &[errs("workload.deployment", "admission-refused")],
        needs: Needs::Images,
        ..Fault::NONE
    },
    Fault {
        name: "always-pull",
        summary: "the API server's AlwaysPullImages makes every pod pull its image, which nobody can here",
        plant: &[run(
            "server",
            concat!(
                "unit=/etc/systemd/system/kube-apiserver.service; grep -q AlwaysPullImages $unit || ",
                "sed -i 's/--enable-admission-plugins=/&AlwaysPullImages,/' $unit; grep -q AlwaysPullImages $unit; systemctl daemon-reload; ",
                restart_api!()
            ),
        )],
        heal: &[run(
            "server",
            concat!(
                "sed -i 's/AlwaysPullImages,//' /etc/systemd/system/kube-apiserver.service; systemctl daemon-reload; ",
                restart_api!()
            ),
        )],
        expect: &[fails_cluster("workload.deployment", "pod-mutated")],
        touches: &[anywhere("workload.scale")],
        needs: Needs::Images,
        ..Fault::NONE
    },
    Fault {
        name: "quota-zero",
        summary: "the quota of pods is 0 in every namespace that has none of its own",
        plant: &[run(
            "server",
            // A ResourceQuota cannot be there before its namespace, and pods would be quicker than who makes it.
            admission!(
                "- name: ResourceQuota\n  configuration: {apiVersion: apiserver.config.k8s.io/v1, \
                 kind: ResourceQuotaConfiguration, limitedResources: [{resource: pods, matchContains: [pods]}]}\n"
            ),
        )],
        heal: ADMISSION_BACK,
        expect: &[errs("workload.deployment", "admission-refused")],
        needs: Needs::Images,
        ..Fault::NONE
    },
];
