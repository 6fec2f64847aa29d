//! Faults of kubeconfigs: whom they call, whom they believe, as whom they log in, and with what.

use super::certs::{KUBELET_BACK, kubelet_kept};
use super::{Age, Asked, Fault, Named, Needs, Step, fails, fails_cluster, made, run, warns};

/// What an audit of certificates finds in a kubeconfig. Whoever uses it has read it when it started.
const AUDIT: Fault = Fault {
    needs: Needs::Images,
    asked: Asked::Certificates,
    ..Fault::NONE
};

/// Keeps a kubeconfig of the server beside itself, as `$f`.
macro_rules! kept {
    ($file:literal) => {
        concat!(
            "f=/var/lib/kubernetes/",
            $file,
            ".kubeconfig; [ -e $f.lab ] || cp -p $f $f.lab; "
        )
    };
}

/// Writes what was made as certificate and key of a kubeconfig's only user into `$f`.
macro_rules! embedded {
    ($name:literal) => {
        concat!(
            "sed -i -e \"s|client-certificate-data: .*|client-certificate-data: $(base64 -w0 /run/lab-made/",
            $name,
            ".crt)|\" -e \"s|client-key-data: .*|client-key-data: $(base64 -w0 /run/lab-made/",
            $name,
            ".key)|\" $f"
        )
    };
}

const SERVER_BACK: &[Step] = &[run(
    "server",
    "cd /var/lib/kubernetes; for f in *.kubeconfig.lab; do [ ! -e $f ] || mv $f ${f%.lab}; done",
)];

/// Keeps kube-proxy's kubeconfig beside itself, as `$f`.
macro_rules! proxy_kept {
    () => {
        "f=/var/lib/kube-proxy/kubeconfig; [ -e $f.lab ] || cp -p $f $f.lab; "
    };
}

const PROXY_BACK: &[Step] = &[run(
    "node-1",
    "cd /var/lib/kube-proxy; [ ! -e kubeconfig.lab ] || mv kubeconfig.lab kubeconfig",
)];

pub(super) const FAULTS: &[Fault] = &[
    Fault {
        name: "kubelet-believes-another-ca",
        summary: "the kubeconfig of node-1's kubelet has the CA of another cluster",
        plant: &[
            made("node-1", "root company '/CN=Company Root'"),
            run(
                "node-1",
                concat!(
                    kubelet_kept!(),
                    "sed -i \"s|certificate-authority-data: .*|certificate-authority-data: $(base64 -w0 /run/lab-made/company.crt)|\" kubeconfig"
                ),
            ),
        ],
        heal: KUBELET_BACK,
        expect: &[fails("certs.files", "node-1", "kubeconfig-ca")],
        ..AUDIT
    },
    Fault {
        name: "kubelet-client-of-no-group",
        summary: "the client certificate of node-1's kubelet has the node's CN and not the group system:nodes",
        plant: &[
            made(
                "node-1",
                "issue client ca /CN=system:node:node-1 extendedKeyUsage=clientAuth",
            ),
            run(
                "node-1",
                concat!(kubelet_kept!(), "f=kubeconfig; ", embedded!("client")),
            ),
        ],
        heal: KUBELET_BACK,
        expect: &[fails("certs.files", "node-1", "cert-identity")],
        ..AUDIT
    },
    Fault {
        name: "kubelet-client-link-broken",
        summary: "the kubeconfig of node-1's kubelet names kubelet-client-current.pem, a link to a file that was cleaned up",
        plant: &[run(
            "node-1",
            concat!(
                kubelet_kept!(),
                "mkdir -p pki; ln -sf kubelet-client-2025-01-01-00-00-00.pem pki/kubelet-client-current.pem; \
                 sed -i -e 's|client-certificate-data: .*|client-certificate: /var/lib/kubelet/pki/kubelet-client-current.pem|' \
                 -e 's|client-key-data: .*|client-key: /var/lib/kubelet/pki/kubelet-client-current.pem|' kubeconfig"
            ),
        )],
        heal: &[
            run("node-1", "rm -f /var/lib/kubelet/pki/kubelet-client-*"),
            Step::Heal("kubelet-believes-another-ca"),
        ],
        expect: &[fails("certs.files", "node-1", "cert-file-missing")],
        ..AUDIT
    },
    Fault {
        name: "kubelet-client-pem-of-two",
        summary: "kubelet-client-current.pem of node-1 leads to a file with a certificate and the key of another",
        plant: &[
            made(
                "node-1",
                "issue client ca $node extendedKeyUsage=clientAuth; key other; cat client.crt other.key >both.pem",
            ),
            run(
                "node-1",
                concat!(
                    kubelet_kept!(),
                    "mkdir -p pki; cp /run/lab-made/both.pem pki/kubelet-client-2026-01-01-00-00-00.pem; \
                     ln -sf kubelet-client-2026-01-01-00-00-00.pem pki/kubelet-client-current.pem; \
                     sed -i -e 's|client-certificate-data: .*|client-certificate: pki/kubelet-client-current.pem|' \
                     -e 's|client-key-data: .*|client-key: pki/kubelet-client-current.pem|' kubeconfig"
                ),
            ),
        ],
        heal: &[Step::Heal("kubelet-client-link-broken")],
        expect: &[fails("certs.files", "node-1", "cert-key-mismatch")],
        ..AUDIT
    },
    Fault {
        name: "kube-proxy-is-somebody",
        summary: "node-1's kube-proxy logs in as kube-proxy in place of system:kube-proxy",
        plant: &[
            made(
                "node-1",
                "issue client ca /CN=kube-proxy extendedKeyUsage=clientAuth",
            ),
            run("node-1", concat!(proxy_kept!(), embedded!("client"))),
        ],
        heal: PROXY_BACK,
        expect: &[warns("certs.files", "node-1", "cert-identity")],
        ..AUDIT
    },
    Fault {
        name: "kube-proxy-administrates",
        summary: "node-1's kube-proxy logs in with a certificate of system:masters",
        plant: &[
            made(
                "node-1",
                "issue client ca /O=system:masters/CN=admin extendedKeyUsage=clientAuth",
            ),
            run("node-1", concat!(proxy_kept!(), embedded!("client"))),
        ],
        heal: PROXY_BACK,
        expect: &[warns("certs.files", "node-1", "cert-masters")],
        ..AUDIT
    },
    Fault {
        name: "kube-proxy-context-gone",
        summary: "the current context of node-1's kube-proxy names a user that its kubeconfig lacks",
        plant: &[run(
            "node-1",
            concat!(
                proxy_kept!(),
                "sed -i 's|    user: .*|    user: kube-proxy-2025|' $f"
            ),
        )],
        heal: PROXY_BACK,
        expect: &[fails("certs.files", "node-1", "kubeconfig-dangling")],
        ..AUDIT
    },
    Fault {
        name: "kube-proxy-logs-in-as-nobody",
        summary: "the user of node-1's kube-proxy has neither certificate nor token",
        plant: &[run(
            "node-1",
            concat!(
                proxy_kept!(),
                "sed -i -e '/client-certificate-data/d' -e '/client-key-data/d' -e 's|^  user:$|  user: {}|' $f"
            ),
        )],
        heal: PROXY_BACK,
        expect: &[warns("certs.files", "node-1", "kubeconfig-bare")],
        ..AUDIT
    },
    Fault {
        name: "kube-proxy-kubeconfig-readable",
        summary: "everybody on node-1 may read kube-proxy's kubeconfig, which its configuration names by a relative path",
        plant: &[run(
            "node-1",
            concat!(
                proxy_kept!(),
                "cd /var/lib/kube-proxy; u=/etc/systemd/system/kube-proxy.service; [ -e config.lab ] || cp -p kube-proxy-config.yaml config.lab; \
                 sed -i 's|kubeconfig: .*|kubeconfig: kubeconfig|' kube-proxy-config.yaml; chmod 644 $f; \
                 grep -q ^WorkingDirectory $u || sed -i '/^\\[Service\\]/a WorkingDirectory=/var/lib/kube-proxy' $u; \
                 grep -q ^WorkingDirectory $u; systemctl daemon-reload; systemctl restart kube-proxy; sleep 2"
            ),
        )],
        heal: &[
            Step::Heal("kube-proxy-context-gone"),
            run(
                "node-1",
                "cd /var/lib/kube-proxy; [ ! -e config.lab ] || mv config.lab kube-proxy-config.yaml; \
                 sed -i '/^WorkingDirectory/d' /etc/systemd/system/kube-proxy.service; systemctl daemon-reload; systemctl restart kube-proxy",
            ),
        ],
        expect: &[fails("certs.files", "node-1", "cert-key-readable")],
        ..AUDIT
    },
    Fault {
        name: "scheduler-key-of-another",
        summary: "the kubeconfig of the scheduler has a certificate and the key of another",
        plant: &[
            made("server", "key other"),
            run(
                "server",
                concat!(
                    kept!("kube-scheduler"),
                    "sed -i \"s|client-key-data: .*|client-key-data: $(base64 -w0 /run/lab-made/other.key)|\" $f"
                ),
            ),
        ],
        heal: SERVER_BACK,
        expect: &[fails("certs.files", "server", "cert-key-mismatch")],
        ..AUDIT
    },
    Fault {
        name: "scheduler-by-address",
        summary: "the kubeconfig of the scheduler calls the API server by an address that its certificate lacks",
        plant: &[run(
            "server",
            concat!(
                kept!("kube-scheduler"),
                "sed -i 's|server: .*|server: https://192.168.10.100:6443|' $f"
            ),
        )],
        heal: SERVER_BACK,
        expect: &[fails("certs.files", "server", "cert-name-missing")],
        ..AUDIT
    },
    Fault {
        name: "scheduler-kubeconfig-readable",
        summary: "everybody on the server may read the scheduler's kubeconfig, key and all",
        plant: &[run("server", concat!(kept!("kube-scheduler"), "chmod 644 $f"))],
        heal: SERVER_BACK,
        expect: &[fails("certs.files", "server", "cert-key-readable")],
        ..AUDIT
    },
    Fault {
        name: "controllers-client-for-servers",
        summary: "the client certificate of the controller manager is issued for servers alone",
        plant: &[
            made(
                "server",
                "issue client ca /O=system:kube-controller-manager/CN=system:kube-controller-manager extendedKeyUsage=serverAuth",
            ),
            run(
                "server",
                concat!(kept!("kube-controller-manager"), embedded!("client")),
            ),
        ],
        heal: SERVER_BACK,
        expect: &[fails("certs.files", "server", "cert-usage")],
        ..AUDIT
    },
    Fault {
        name: "controllers-client-of-a-twin",
        summary: "the client certificate of the controller manager was signed by another CA of the cluster's CA's name",
        plant: &[
            made(
                "server",
                "issue client twin /O=system:kube-controller-manager/CN=system:kube-controller-manager extendedKeyUsage=clientAuth",
            ),
            run(
                "server",
                concat!(kept!("kube-controller-manager"), embedded!("client")),
            ),
        ],
        heal: SERVER_BACK,
        expect: &[fails("certs.files", "server", "cert-issuer-key")],
        ..AUDIT
    },
    Fault {
        name: "admin-ends-soon",
        summary: "the administrator's certificate in the kubeconfig of the run ends in 20 days",
        plant: &[
            Step::Certificate {
                host: "jumpbox",
                subject: Named::Admin,
                age: Age::Ending,
                path: "/root/ending",
            },
            run(
                "jumpbox",
                "cd /root; [ -e admin.kubeconfig.lab ] || cp -p admin.kubeconfig admin.kubeconfig.lab; \
                 kubectl --kubeconfig=admin.kubeconfig config set-credentials admin --embed-certs=true \
                 --client-certificate=ending.crt --client-key=ending.key; rm ending.crt ending.key",
            ),
        ],
        heal: &[Step::Heal("kubeconfig-expired")],
        expect: &[fails_cluster("certs.kubeconfig", "cert-expires-soon")],
        ..AUDIT
    },
    Fault {
        name: "admin-believes-another-ca",
        summary: "the kubeconfig of the run names a CA file that was renewed under the same name, with another key",
        plant: &[
            made("jumpbox", "cp twin.crt other-ca.crt"),
            run(
                "jumpbox",
                "cd /root; [ -e admin.kubeconfig.lab ] || cp -p admin.kubeconfig admin.kubeconfig.lab; \
                 kubectl --kubeconfig=admin.kubeconfig config set-cluster kubernetes-the-hard-way --embed-certs=true \
                 --certificate-authority=/run/lab-made/other-ca.crt",
            ),
        ],
        heal: &[Step::Heal("kubeconfig-expired")],
        expect: &[fails_cluster("certs.kubeconfig", "kubeconfig-ca")],
        touches: &[super::anywhere("certs.called"), super::anywhere("certs.secrets")],
        never_passes: &["certs.called", "certs.secrets"],
        ..AUDIT
    },
];
