//! Faults of certificates and keys where they lie: most of them disturb nothing yet, and will at the next start.

use super::{Age, Fault, Named, Needs, Step, anywhere, fails, on, run, warns};

/// What stands in the kubelet's files, kept beside them and put back.
macro_rules! kubelet_kept {
    () => {
        "cd /var/lib/kubelet; mkdir -p lab; for f in kubelet.crt kubelet.key ca.crt kubeconfig; do [ -e lab/$f ] || cp -p $f lab/$f; done; "
    };
}
pub(super) use kubelet_kept;

pub(super) const KUBELET_BACK: &[Step] = &[run(
    "node-1",
    "cd /var/lib/kubelet; [ ! -d lab ] || { cp -p --remove-destination lab/* .; rm -rf lab; }; rm -f other.crt other.key; \
     systemctl reset-failed kubelet; systemctl restart kubelet",
)];

/// Lets the kubelet's kubeconfig name the certificate beside it.
const NAMED_CLIENT: Step = run(
    "node-1",
    concat!(
        kubelet_kept!(),
        "sed -i -e 's|client-certificate-data: .*|client-certificate: other.crt|' -e 's|client-key-data: .*|client-key: other.key|' kubeconfig"
    ),
);

const fn other(subject: Named, age: Age) -> Step {
    Step::Certificate {
        host: "node-1",
        subject,
        age,
        path: "/var/lib/kubelet/other",
    }
}

pub(super) const FAULTS: &[Fault] = &[
    Fault {
        name: "kubelet-key-of-another",
        summary: "the key of node-1's kubelet was replaced, its certificate was not; it will not start again",
        plant: &[
            other(Named::Kubelet("node-1"), Age::Good),
            run("node-1", concat!(kubelet_kept!(), "cp other.key kubelet.key")),
        ],
        heal: KUBELET_BACK,
        expect: &[fails("certs.files", "node-1", "cert-key-mismatch")],
        needs: Needs::Images,
        ..Fault::NONE
    },
    Fault {
        name: "kubelet-key-readable",
        summary: "everybody on node-1 may read the kubelet's private key",
        plant: &[run("node-1", "chmod 644 /var/lib/kubelet/kubelet.key")],
        heal: &[run("node-1", "chmod 600 /var/lib/kubelet/kubelet.key")],
        expect: &[fails("certs.files", "node-1", "cert-key-readable")],
        needs: Needs::Images,
        ..Fault::NONE
    },
    Fault {
        name: "kubelet-certificate-ends-soon",
        summary: "the serving certificate of node-1's kubelet ends in 20 days",
        plant: &[
            other(Named::Kubelet("node-1"), Age::Ending),
            run(
                "node-1",
                concat!(
                    kubelet_kept!(),
                    "cp other.key kubelet.key; cp other.crt kubelet.crt"
                ),
            ),
        ],
        heal: KUBELET_BACK,
        expect: &[fails("certs.files", "node-1", "cert-expires-soon")],
        // It loads what is new within a minute.
        touches: &[on("certs.served", "node-1")],
        needs: Needs::Images,
        ..Fault::NONE
    },
    Fault {
        name: "kubelet-certificate-cut-off",
        summary: "the file of node-1's serving certificate is cut off in its middle; the kubelet has the old one in memory",
        plant: &[run(
            "node-1",
            concat!(kubelet_kept!(), "head -c 300 lab/kubelet.crt >kubelet.crt"),
        )],
        heal: KUBELET_BACK,
        expect: &[fails("certs.files", "node-1", "cert-file-broken")],
        touches: &[on("certs.served", "node-1")],
        needs: Needs::Images,
        ..Fault::NONE
    },
    Fault {
        name: "kubelet-ca-gone",
        summary: "the CA that node-1's kubelet believes was removed; it has it in memory until it starts again",
        plant: &[run("node-1", concat!(kubelet_kept!(), "rm ca.crt"))],
        heal: KUBELET_BACK,
        expect: &[fails("certs.files", "node-1", "cert-file-missing")],
        needs: Needs::Images,
        ..Fault::NONE
    },
    Fault {
        name: "kubelet-client-expired",
        summary: "the kubeconfig of node-1's kubelet names a client certificate that has expired",
        plant: &[other(Named::Kubelet("node-1"), Age::Expired), NAMED_CLIENT],
        heal: KUBELET_BACK,
        expect: &[fails("certs.files", "node-1", "cert-expired")],
        needs: Needs::Images,
        ..Fault::NONE
    },
    Fault {
        name: "kubelet-client-of-another-node",
        summary: "the kubeconfig of node-1's kubelet names the client certificate of node-0",
        plant: &[other(Named::Kubelet("node-0"), Age::Good), NAMED_CLIENT],
        heal: KUBELET_BACK,
        expect: &[fails("certs.files", "node-1", "cert-node-other")],
        needs: Needs::Images,
        ..Fault::NONE
    },
    Fault {
        name: "kubelet-client-of-nobody",
        summary: "the kubeconfig of node-1's kubelet names the administrator's certificate in place of a node's, and not its key",
        plant: &[
            other(Named::Admin, Age::Good),
            NAMED_CLIENT,
            run("node-1", "rm /var/lib/kubelet/other.key"),
        ],
        heal: KUBELET_BACK,
        expect: &[fails("certs.files", "node-1", "cert-file-missing")],
        needs: Needs::Images,
        ..Fault::NONE
    },
    Fault {
        name: "kube-proxy-believes-any-server",
        summary: "the kubeconfig of node-1's kube-proxy checks no server",
        plant: &[run(
            "node-1",
            "cd /var/lib/kube-proxy; [ -e kubeconfig.lab ] || cp -p kubeconfig kubeconfig.lab; \
             sed -i 's|certificate-authority-data: .*|insecure-skip-tls-verify: true|' kubeconfig",
        )],
        heal: &[run(
            "node-1",
            "cd /var/lib/kube-proxy; [ ! -e kubeconfig.lab ] || mv kubeconfig.lab kubeconfig",
        )],
        expect: &[warns("certs.files", "node-1", "kubeconfig-insecure")],
        needs: Needs::Images,
        ..Fault::NONE
    },
    Fault {
        name: "apiserver-key-of-another",
        summary: "the key of the API server's certificate was replaced; the server has the old one in memory",
        plant: &[
            Step::Certificate {
                host: "server",
                subject: Named::Admin,
                age: Age::Good,
                path: "/root/other",
            },
            run(
                "server",
                "cd /var/lib/kubernetes; [ -e lab.key ] || cp -p kube-api-server.key lab.key; cp /root/other.key kube-api-server.key",
            ),
        ],
        heal: &[run(
            "server",
            "cd /var/lib/kubernetes; [ ! -e lab.key ] || mv lab.key kube-api-server.key; rm -f /root/other.crt /root/other.key",
        )],
        expect: &[fails("certs.files", "server", "cert-key-mismatch")],
        // With that file it may call no kubelet.
        touches: &[anywhere("kubectl.*")],
        needs: Needs::Images,
        ..Fault::NONE
    },
];
