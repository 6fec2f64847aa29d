//! Faults of what extends the API, and of who is asked at admission.

use super::{Fault, Needs, fails_cluster, no_longer_young, run};

pub(super) const FAULTS: &[Fault] = &[
    Fault {
        name: "apiservice-dead",
        summary: "an add-on was removed and its APIService was not: its Service does not exist",
        plant: &[run(
            "server",
            concat!(
                "k='kubectl --kubeconfig=/root/admin.kubeconfig'; $k apply -f - <<'EOF'\n\
                 apiVersion: apiregistration.k8s.io/v1\nkind: APIService\nmetadata: {name: v1beta1.metrics.k8s.io}\n\
                 spec: {group: metrics.k8s.io, version: v1beta1, groupPriorityMinimum: 100, versionPriority: 100, \
                 insecureSkipTLSVerify: true, service: {namespace: kube-system, name: metrics-server}}\nEOF\n\
                 timeout 60 sh -c \"until $k get apiservice v1beta1.metrics.k8s.io -o jsonpath='{.status.conditions[0].status}' \
                 | grep -q False; do sleep 0.3; done\"; ",
                no_longer_young!()
            ),
        )],
        heal: &[run(
            "server",
            "kubectl --kubeconfig=/root/admin.kubeconfig delete apiservice v1beta1.metrics.k8s.io --ignore-not-found",
        )],
        expect: &[
            fails_cluster("api.extensions", "apiservice-dead"),
            // No namespace goes any more, the run's neither.
            fails_cluster("run.removal", "namespace-undiscovered"),
        ],
        needs: Needs::Images,
        ..Fault::NONE
    },
    Fault {
        name: "webhook-dead",
        summary: "a policy engine was removed and its webhook for pods was not (failurePolicy: Fail)",
        plant: &[run(
            "server",
            "k='kubectl --kubeconfig=/root/admin.kubeconfig'; $k apply -f - <<'EOF'\n\
             apiVersion: admissionregistration.k8s.io/v1\nkind: ValidatingWebhookConfiguration\nmetadata: {name: lab-fault}\n\
             webhooks:\n- name: validate.lab-fault.example\n  admissionReviewVersions: [v1]\n  sideEffects: None\n  \
             failurePolicy: Fail\n  rules: [{apiGroups: [''], apiVersions: [v1], operations: [CREATE], resources: [pods]}]\n  \
             clientConfig: {service: {namespace: kube-system, name: lab-fault}}\nEOF\n\
             timeout 60 sh -c \"while $k run lab-fault --image=none --dry-run=server >/dev/null 2>&1; do sleep 0.2; done\"",
        )],
        heal: &[run(
            "server",
            "kubectl --kubeconfig=/root/admin.kubeconfig delete validatingwebhookconfiguration lab-fault --ignore-not-found",
        )],
        expect: &[
            fails_cluster("api.webhooks", "webhook-service-missing"),
            fails_cluster("workload.deployment", "webhook-dead"),
        ],
        needs: Needs::Images,
        ..Fault::NONE
    },
];
