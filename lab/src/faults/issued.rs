//! Faults of what a kubelet serves, by how it was issued, how it lies there and when it was loaded.

use super::certs::{KUBELET_BACK, kubelet_kept};
use super::{Age, Asked, Fault, Named, Needs, Step, anywhere, fails, made, on, run, warns};

/// What an audit of certificates finds on node-1. The kubelet loads what is new within a minute, or keeps what it has.
const SERVES: Fault = Fault {
    heal: KUBELET_BACK,
    touches: &[on("certs.served", "node-1")],
    needs: Needs::Images,
    asked: Asked::Certificates,
    ..Fault::NONE
};

/// Gives the kubelet of node-1 what was made for it.
const TAKEN: Step = run(
    "node-1",
    concat!(
        kubelet_kept!(),
        "cp /run/lab-made/kubelet.key kubelet.key; cp /run/lab-made/kubelet.crt kubelet.crt"
    ),
);

/// Lets the kubelet of node-1 load its certificate when it starts and never again, as all before 1.31 did.
macro_rules! loads_once {
    () => {
        "[ -e lab/kubelet-config.yaml ] || cp -p kubelet-config.yaml lab; \
         grep -q ReloadKubelet kubelet-config.yaml || \
         printf 'featureGates: {ReloadKubeletServerCertificateFile: false}\\n' >>kubelet-config.yaml; \
         systemctl reset-failed kubelet; systemctl restart kubelet; \
         timeout 60 sh -c 'until ss -ltn | grep -q :10250; do sleep 0.2; done'; "
    };
}

pub(super) const FAULTS: &[Fault] = &[
    Fault {
        name: "kubelet-certificate-not-begun",
        summary: "the serving certificate of node-1's kubelet is good from tomorrow on: it was made on a machine whose clock is ahead",
        plant: &[
            Step::Certificate {
                host: "node-1",
                subject: Named::Kubelet("node-1"),
                age: Age::Early,
                path: "/var/lib/kubelet/other",
            },
            run(
                "node-1",
                concat!(
                    kubelet_kept!(),
                    "cp other.key kubelet.key; cp other.crt kubelet.crt"
                ),
            ),
        ],
        expect: &[fails("certs.files", "node-1", "cert-not-yet-valid")],
        ..SERVES
    },
    Fault {
        name: "kubelet-certificate-for-clients",
        summary: "the serving certificate of node-1's kubelet is issued for clients alone",
        plant: &[
            made(
                "node-1",
                "issue kubelet ca $node $names extendedKeyUsage=clientAuth",
            ),
            TAKEN,
        ],
        expect: &[fails("certs.files", "node-1", "cert-usage")],
        ..SERVES
    },
    Fault {
        name: "kubelet-certificate-without-names",
        summary: "the serving certificate of node-1's kubelet has a CN and no SAN",
        plant: &[
            made("node-1", "issue kubelet ca /O=system:nodes/CN=node-1 $both"),
            TAKEN,
        ],
        expect: &[fails("certs.files", "node-1", "cert-nameless")],
        ..SERVES
    },
    Fault {
        name: "kubelet-certificate-of-a-twin",
        summary: "node-1's serving certificate was signed by another CA of the cluster's CA's name",
        plant: &[made("node-1", "issue kubelet twin $node $names $both"), TAKEN],
        expect: &[fails("certs.files", "node-1", "cert-issuer-key")],
        ..SERVES
    },
    Fault {
        name: "kubelet-certificate-of-the-company",
        summary: "node-1's serving certificate was signed by a CA that the API server was not given",
        plant: &[
            made(
                "node-1",
                "root company '/CN=Company Root'; issue kubelet company $node $names $both",
            ),
            TAKEN,
        ],
        expect: &[fails("certs.files", "node-1", "cert-issuer-unknown")],
        ..SERVES
    },
    Fault {
        name: "kubelet-intermediate-left-out",
        summary: "node-1's serving certificate was signed by an intermediate of the cluster's CA, which its file lacks",
        plant: &[
            made(
                "node-1",
                "issue between ca /CN=Between $authority; issue kubelet between $node $names $both",
            ),
            TAKEN,
        ],
        expect: &[fails("certs.files", "node-1", "cert-issuer-unknown")],
        ..SERVES
    },
    Fault {
        name: "kubelet-intermediate-first",
        summary: "the file of node-1's serving certificate has the intermediate before the certificate",
        plant: &[
            made(
                "node-1",
                "issue between ca /CN=Between $authority; issue leaf between $node $names $both; \
                 cat between.crt leaf.crt >kubelet.crt; mv leaf.key kubelet.key",
            ),
            TAKEN,
        ],
        expect: &[fails("certs.files", "node-1", "cert-chain-order")],
        ..SERVES
    },
    Fault {
        name: "kubelet-intermediate-no-ca",
        summary: "node-1's serving certificate was signed by one that is no CA",
        plant: &[
            made(
                "node-1",
                "issue between ca /CN=Between basicConstraints=critical,CA:FALSE subjectKeyIdentifier=hash; \
                 issue leaf between $node $names $both; cat leaf.crt between.crt >kubelet.crt; mv leaf.key kubelet.key",
            ),
            TAKEN,
        ],
        expect: &[fails("certs.files", "node-1", "cert-chain-refused")],
        ..SERVES
    },
    Fault {
        name: "kubelet-key-short",
        summary: "the key of node-1's serving certificate has 1024 bits",
        plant: &[
            made(
                "node-1",
                "openssl genrsa -out kubelet.key 1024; issue kubelet ca $node $names $both",
            ),
            TAKEN,
        ],
        expect: &[warns("certs.files", "node-1", "cert-key-weak")],
        ..SERVES
    },
    Fault {
        name: "kubelet-signature-sha1",
        summary: "node-1's serving certificate was signed over SHA-1",
        plant: &[
            made("node-1", "hash=-sha1; issue kubelet ca $node $names $both"),
            TAKEN,
        ],
        expect: &[fails("certs.files", "node-1", "cert-signature-weak")],
        ..SERVES
    },
    Fault {
        name: "kubelet-key-encrypted",
        summary: "the key of node-1's kubelet asks for a passphrase",
        plant: &[
            made(
                "node-1",
                "issue leaf ca $node $names $both; mv leaf.crt kubelet.crt; \
                 openssl pkcs8 -topk8 -in leaf.key -passout pass:lab -out kubelet.key",
            ),
            TAKEN,
        ],
        expect: &[fails("certs.files", "node-1", "cert-key-encrypted")],
        ..SERVES
    },
    Fault {
        name: "kubelet-key-of-a-person",
        summary: "the key of node-1's kubelet belongs to a person's user",
        plant: &[run("node-1", concat!(kubelet_kept!(), "chown 1000 kubelet.key"))],
        expect: &[warns("certs.files", "node-1", "cert-key-owner")],
        ..SERVES
    },
    Fault {
        name: "kubelet-certificate-link-broken",
        summary: "the file of node-1's serving certificate is a link to a dated one that was cleaned up",
        plant: &[run(
            "node-1",
            concat!(kubelet_kept!(), "ln -sf pki/kubelet-2025-01-01.crt kubelet.crt"),
        )],
        expect: &[fails("certs.files", "node-1", "cert-file-missing")],
        ..SERVES
    },
    Fault {
        name: "kubelet-certificate-der",
        summary: "the file of node-1's serving certificate is DER, as some authorities hand it out",
        plant: &[
            made(
                "node-1",
                "issue leaf ca $node $names $both; mv leaf.key kubelet.key; openssl x509 -in leaf.crt -outform DER -out kubelet.crt",
            ),
            TAKEN,
        ],
        expect: &[fails("certs.files", "node-1", "cert-file-broken")],
        ..SERVES
    },
    Fault {
        name: "kubelet-certificate-by-notepad",
        summary: "a byte order mark stands before node-1's serving certificate: somebody pasted it on Windows",
        plant: &[
            made(
                "node-1",
                "issue leaf ca $node $names $both; mv leaf.key kubelet.key; { printf '\\357\\273\\277'; cat leaf.crt; } >kubelet.crt",
            ),
            TAKEN,
        ],
        expect: &[fails("certs.files", "node-1", "cert-file-broken")],
        ..SERVES
    },
    Fault {
        name: "kubelet-certificate-not-loaded",
        summary: "node-1's serving certificate was renewed, and its kubelet loads none until it starts again",
        plant: &[
            made("node-1", "issue kubelet ca $node $names $both"),
            run(
                "node-1",
                concat!(
                    kubelet_kept!(),
                    loads_once!(),
                    "cp /run/lab-made/kubelet.key kubelet.key; cp /run/lab-made/kubelet.crt kubelet.crt"
                ),
            ),
        ],
        expect: &[warns("certs.served", "node-1", "cert-served-other")],
        touches: &[],
        ..SERVES
    },
    Fault {
        name: "kubelet-certificate-renewed-too-late",
        summary: "node-1's serving certificate ended, was renewed, and the old one is still served",
        plant: &[
            Step::Certificate {
                host: "node-1",
                subject: Named::Kubelet("node-1"),
                age: Age::Expired,
                path: "/var/lib/kubelet/other",
            },
            run(
                "node-1",
                concat!(
                    kubelet_kept!(),
                    "cp other.key kubelet.key; cp other.crt kubelet.crt; ",
                    loads_once!(),
                    "cp lab/kubelet.key kubelet.key; cp lab/kubelet.crt kubelet.crt"
                ),
            ),
        ],
        expect: &[fails("certs.served", "node-1", "cert-served-expired")],
        touches: &[],
        ..SERVES
    },
    Fault {
        name: "kubelet-ca-expired",
        summary: "the CA that node-1's kubelet believes has ended; it was renewed elsewhere",
        plant: &[
            made(
                "node-1",
                "openssl x509 -in ca.crt -signkey ca.key -days -1 -out kubelet-ca.crt",
            ),
            run(
                "node-1",
                concat!(kubelet_kept!(), "cp /run/lab-made/kubelet-ca.crt ca.crt"),
            ),
        ],
        expect: &[fails("certs.files", "node-1", "cert-expired")],
        ..SERVES
    },
    Fault {
        name: "kubelet-ca-ends-earlier",
        summary: "the CA that node-1's kubelet believes ends in 200 days, and what it signed in ten years",
        plant: &[
            made(
                "node-1",
                "openssl x509 -in ca.crt -signkey ca.key -days 200 -out kubelet-ca.crt",
            ),
            run(
                "node-1",
                concat!(kubelet_kept!(), "cp /run/lab-made/kubelet-ca.crt ca.crt"),
            ),
        ],
        expect: &[warns("certs.files", "node-1", "ca-ends-earlier")],
        ..SERVES
    },
    Fault {
        name: "kubelet-ca-of-the-company",
        summary: "node-1's kubelet believes another CA than the one that signed what the API server shows it",
        plant: &[
            made("node-1", "root company '/CN=Company Root'"),
            run(
                "node-1",
                concat!(kubelet_kept!(), "cp /run/lab-made/company.crt ca.crt"),
            ),
        ],
        expect: &[fails("certs.files", "server", "cert-issuer-unknown")],
        ..SERVES
    },
    Fault {
        name: "kubelet-ca-a-twin",
        summary: "node-1's kubelet believes a CA of the cluster's CA's name that was made a second time",
        plant: &[
            made("node-1", "cp twin.crt other-ca.crt"),
            run(
                "node-1",
                concat!(kubelet_kept!(), "cp /run/lab-made/other-ca.crt ca.crt"),
            ),
        ],
        expect: &[
            warns("certs.files", "node-1", "ca-twins"),
            fails("certs.files", "server", "cert-issuer-key"),
        ],
        ..SERVES
    },
    Fault {
        name: "kubelet-ca-a-leaf",
        summary: "node-1's kubelet was given its own certificate in place of the CA",
        plant: &[run("node-1", concat!(kubelet_kept!(), "cp kubelet.crt ca.crt"))],
        expect: &[fails("certs.files", "node-1", "cert-not-ca")],
        touches: &[on("certs.served", "node-1"), anywhere("certs.files")],
        ..SERVES
    },
];
