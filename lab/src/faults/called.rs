//! Faults of certificates that only the API knows of: of servers that the API server calls, and of TLS Secrets. The webhooks of
//! these are for a kind that nobody has, so that they disturb nothing.

use super::{Age, Asked, Fault, Named, Needs, Step, fails_cluster, made, run};

/// What an audit of certificates finds.
const AUDIT: Fault = Fault {
    asked: Asked::Certificates,
    needs: Needs::Images,
    ..Fault::NONE
};

/// Makes a certificate of node-1's kubelet on the server, with its key.
const fn certificate(age: Age) -> Step {
    Step::Certificate {
        host: "server",
        subject: Named::Kubelet("node-1"),
        age,
        path: "/root/lab-called",
    }
}

/// A Service that leads to the kubelet of node-0, which serves TLS with a certificate of the cluster's CA.
macro_rules! to_kubelet {
    () => {
        "export KUBECONFIG=/root/admin.kubeconfig; kubectl apply -f - <<'EOF'\n\
         apiVersion: v1\nkind: Service\nmetadata: {name: lab-called, namespace: kube-system}\n\
         spec: {ports: [{port: 443, targetPort: 10250}]}\n---\n\
         apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\n\
         metadata: {name: lab-called, namespace: kube-system, labels: {kubernetes.io/service-name: lab-called}}\n\
         addressType: IPv4\nports: [{port: 10250, protocol: TCP}]\n\
         endpoints: [{addresses: [192.168.10.101], conditions: {ready: true}}]\nEOF\n"
    };
}

/// A webhook that calls the Service and believes the CA in `$ca`.
macro_rules! webhook {
    () => {
        "kubectl apply -f - <<EOF\n\
         apiVersion: admissionregistration.k8s.io/v1\nkind: ValidatingWebhookConfiguration\nmetadata: {name: lab-called}\n\
         webhooks:\n- name: validate.lab-called.example\n  admissionReviewVersions: [v1]\n  sideEffects: None\n  \
         failurePolicy: Fail\n  rules: [{apiGroups: [lab-called.example], apiVersions: [v1], operations: [CREATE], resources: [nothing]}]\n  \
         clientConfig: {service: {namespace: kube-system, name: lab-called}, caBundle: $(base64 -w0 $ca)}\nEOF\n\
         sleep 2"
    };
}

/// An API of another server, which the Service leads to, by the CA in `$ca`.
macro_rules! aggregated {
    () => {
        "kubectl apply -f - <<EOF\n\
         apiVersion: apiregistration.k8s.io/v1\nkind: APIService\nmetadata: {name: v1.lab-called.example}\n\
         spec: {group: lab-called.example, version: v1, groupPriorityMinimum: 100, versionPriority: 100, \
         service: {namespace: kube-system, name: lab-called}, caBundle: $(base64 -w0 $ca)}\nEOF\n\
         sleep 2"
    };
}

/// A TLS Secret of the files `$crt` and `$key`.
macro_rules! secret {
    () => {
        "kubectl --kubeconfig=/root/admin.kubeconfig -n kube-system create secret generic lab-called --type=kubernetes.io/tls \
         --from-file=tls.crt=$crt --from-file=tls.key=$key"
    };
}

const GONE: &[Step] = &[run(
    "server",
    "export KUBECONFIG=/root/admin.kubeconfig; kubectl delete validatingwebhookconfiguration lab-called --ignore-not-found; \
     kubectl delete apiservice v1.lab-called.example --ignore-not-found; \
     kubectl -n kube-system delete service/lab-called endpointslice/lab-called pod/lab-called configmap/lab-called secret/lab-called \
     --ignore-not-found --now; rm -f /root/lab-called.*",
)];

pub(super) const FAULTS: &[Fault] = &[
    Fault {
        name: "webhook-ca-of-another",
        summary: "the caBundle of a webhook holds another certificate than the CA that signed what it shows",
        plant: &[
            certificate(Age::Good),
            run(
                "server",
                concat!(to_kubelet!(), "ca=/root/lab-called.crt; ", webhook!()),
            ),
        ],
        heal: GONE,
        expect: &[fails_cluster("certs.called", "called-distrusted")],
        ..AUDIT
    },
    Fault {
        name: "webhook-of-another-name",
        summary: "a webhook shows a certificate of its CA, made for another name than its Service's",
        plant: &[run(
            "server",
            concat!(to_kubelet!(), "ca=/var/lib/kubernetes/ca.crt; ", webhook!()),
        )],
        heal: GONE,
        expect: &[fails_cluster("certs.called", "called-other-name")],
        ..AUDIT
    },
    Fault {
        name: "webhook-certificate-expired",
        summary: "a pod with a webhook shows a certificate that ended an hour ago",
        plant: &[
            certificate(Age::Expired),
            run(
                "server",
                concat!(
                    "export KUBECONFIG=/root/admin.kubeconfig; kubectl -n kube-system create secret tls lab-called \
                     --cert=/root/lab-called.crt --key=/root/lab-called.key; kubectl apply -f - <<'EOF'\n\
                     apiVersion: v1\nkind: ConfigMap\nmetadata: {name: lab-called, namespace: kube-system}\ndata:\n  \
                     tls.conf: 'server { listen 8443 ssl; ssl_certificate /tls/tls.crt; ssl_certificate_key /tls/tls.key; }'\n---\n\
                     apiVersion: v1\nkind: Pod\nmetadata: {name: lab-called, namespace: kube-system, labels: {app: lab-called}}\nspec:\n  \
                     containers:\n  - name: nginx\n    image: docker.io/library/nginx:1.29\n    imagePullPolicy: Never\n    \
                     volumeMounts: [{name: tls, mountPath: /tls}, {name: conf, mountPath: /etc/nginx/conf.d}]\n  \
                     volumes: [{name: tls, secret: {secretName: lab-called}}, {name: conf, configMap: {name: lab-called}}]\n---\n\
                     apiVersion: v1\nkind: Service\nmetadata: {name: lab-called, namespace: kube-system}\n\
                     spec: {selector: {app: lab-called}, ports: [{port: 443, targetPort: 8443}]}\nEOF\n\
                     kubectl -n kube-system wait --for=condition=Ready pod/lab-called --timeout=60s; ca=/var/lib/kubernetes/ca.crt; ",
                    webhook!()
                ),
            ),
        ],
        heal: GONE,
        expect: &[
            fails_cluster("certs.called", "called-ends"),
            fails_cluster("certs.secrets", "tls-secret-ends"),
        ],
        ..AUDIT
    },
    Fault {
        name: "tls-secret-expired",
        summary: "the certificate of a TLS Secret ended an hour ago",
        plant: &[
            certificate(Age::Expired),
            run(
                "server",
                "kubectl --kubeconfig=/root/admin.kubeconfig -n kube-system create secret tls lab-called \
                 --cert=/root/lab-called.crt --key=/root/lab-called.key",
            ),
        ],
        heal: GONE,
        expect: &[fails_cluster("certs.secrets", "tls-secret-ends")],
        ..AUDIT
    },
    Fault {
        name: "tls-secret-key-of-another",
        summary: "the certificate of a TLS Secret was replaced, its key was not",
        plant: &[
            certificate(Age::Good),
            run(
                "server",
                "kubectl --kubeconfig=/root/admin.kubeconfig -n kube-system create secret generic lab-called --type=kubernetes.io/tls \
                 --from-file=tls.crt=/root/lab-called.crt --from-file=tls.key=/var/lib/kubernetes/ca.key",
            ),
        ],
        heal: GONE,
        expect: &[fails_cluster("certs.secrets", "tls-secret-key-of-another")],
        ..AUDIT
    },
    Fault {
        name: "webhook-ca-ended",
        summary: "the CA in the caBundle of a webhook has ended; what it signed has not",
        plant: &[
            made(
                "server",
                "openssl x509 -in ca.crt -signkey ca.key -days -1 -out ended.crt",
            ),
            run(
                "server",
                concat!(to_kubelet!(), "ca=/run/lab-made/ended.crt; ", webhook!()),
            ),
        ],
        heal: GONE,
        expect: &[fails_cluster("certs.called", "called-ca-ended")],
        ..AUDIT
    },
    Fault {
        name: "aggregated-api-distrusted",
        summary: "the caBundle of an APIService holds another CA than the one that signed what its server shows",
        plant: &[
            made("server", "root company '/CN=Company Root'"),
            run(
                "server",
                concat!(to_kubelet!(), "ca=/run/lab-made/company.crt; ", aggregated!()),
            ),
        ],
        heal: GONE,
        expect: &[fails_cluster("certs.called", "called-distrusted")],
        ..AUDIT
    },
    Fault {
        name: "aggregated-api-of-another-name",
        summary: "the server of an APIService shows a certificate for another name than its Service's",
        plant: &[run(
            "server",
            concat!(to_kubelet!(), "ca=/var/lib/kubernetes/ca.crt; ", aggregated!()),
        )],
        heal: GONE,
        expect: &[fails_cluster("certs.called", "called-other-name")],
        ..AUDIT
    },
    Fault {
        name: "tls-secret-order",
        summary: "the bundle of a TLS Secret begins with the CA",
        plant: &[
            made(
                "server",
                "issue leaf ca /CN=shop.example subjectAltName=DNS:shop.example extendedKeyUsage=serverAuth; cat ca.crt leaf.crt >both.crt",
            ),
            run(
                "server",
                concat!("cd /run/lab-made; crt=both.crt key=leaf.key; ", secret!()),
            ),
        ],
        heal: GONE,
        expect: &[fails_cluster("certs.secrets", "tls-secret-order")],
        ..AUDIT
    },
    Fault {
        name: "tls-secret-not-begun",
        summary: "the certificate of a TLS Secret is good from tomorrow on",
        plant: &[
            certificate(Age::Early),
            run(
                "server",
                concat!("cd /root; crt=lab-called.crt key=lab-called.key; ", secret!()),
            ),
        ],
        heal: GONE,
        expect: &[fails_cluster("certs.secrets", "tls-secret-ends")],
        ..AUDIT
    },
    Fault {
        name: "tls-secret-without-key",
        summary: "a TLS Secret has a certificate, and no key",
        plant: &[
            certificate(Age::Good),
            run(
                "server",
                concat!("cd /root; crt=lab-called.crt key=/dev/null; ", secret!()),
            ),
        ],
        heal: GONE,
        expect: &[fails_cluster("certs.secrets", "tls-secret-without-key")],
        ..AUDIT
    },
    Fault {
        name: "tls-secret-of-words",
        summary: "a TLS Secret has the words that were to be replaced by a certificate",
        plant: &[run(
            "server",
            concat!(
                "mkdir -p /run/lab-made; cd /run/lab-made; echo '<paste the certificate here>' >words; crt=words key=words; ",
                secret!()
            ),
        )],
        heal: GONE,
        expect: &[fails_cluster("certs.secrets", "tls-secret-without")],
        ..AUDIT
    },
];
