//! Faults of what a control plane signs with, believes and shows: authorities, the front proxy, the keys of tokens, and who may
//! read any of it.

use super::control_plane::restart_api;
use super::{Asked, Fault, Needs, Step, anywhere, fails, made, run, warns};

/// What an audit of certificates finds on the server.
const AUDIT: Fault = Fault {
    needs: Needs::Images,
    asked: Asked::Certificates,
    ..Fault::NONE
};

/// Starts the controller manager with another file in place of the CA's, for flags that begin so.
macro_rules! controllers_given {
    ($flags:literal) => {
        concat!(
            "cp /run/lab-made/lab-ca.* /var/lib/kubernetes; unit=/etc/systemd/system/kube-controller-manager.service; \
             sed -i 's,--\\(",
            $flags,
            "\\)=/var/lib/kubernetes/ca,--\\1=/var/lib/kubernetes/lab-ca,' $unit; grep -q lab-ca $unit; \
             systemctl daemon-reload; systemctl restart kube-controller-manager"
        )
    };
}

const CONTROLLERS_BACK: &[Step] = &[run(
    "server",
    "sed -i 's,/var/lib/kubernetes/lab-ca,/var/lib/kubernetes/ca,' /etc/systemd/system/kube-controller-manager.service; \
     rm -f /var/lib/kubernetes/lab-ca.*; systemctl daemon-reload; systemctl restart kube-controller-manager",
)];

/// Gives the API server a front proxy of one name, with what was made for it.
const FRONT_PROXY: Step = run(
    "server",
    concat!(
        "cp /run/lab-made/lab-proxy* /var/lib/kubernetes; unit=/etc/systemd/system/kube-apiserver.service; d=/var/lib/kubernetes/lab-proxy; \
         grep -q lab-proxy $unit || sed -i \"s,--allow-privileged=true,--proxy-client-cert-file=$d.crt --proxy-client-key-file=$d.key \
         --requestheader-client-ca-file=$d-ca.crt --requestheader-allowed-names=front-proxy-client \
         --requestheader-username-headers=X-Remote-User --requestheader-group-headers=X-Remote-Group \
         --requestheader-extra-headers-prefix=X-Remote-Extra- &,\" $unit; systemctl daemon-reload; ",
        restart_api!()
    ),
);

const FRONT_PROXY_BACK: &[Step] = &[run(
    "server",
    concat!(
        "sed -i -e 's,--proxy-client-[^ ]* ,,g' -e 's,--requestheader-[^ ]* ,,g' /etc/systemd/system/kube-apiserver.service; \
         rm -f /var/lib/kubernetes/lab-proxy*; systemctl daemon-reload; ",
        restart_api!()
    ),
)];

/// Keeps a file of the control plane beside itself, as `$f`.
macro_rules! kept {
    ($file:literal) => {
        concat!(
            "f=/var/lib/kubernetes/",
            $file,
            "; [ -e $f.lab ] || cp -p $f $f.lab; "
        )
    };
}

const FILES_BACK: &[Step] = &[run(
    "server",
    "cd /var/lib/kubernetes; for f in *.lab; do [ ! -e $f ] || mv $f ${f%.lab}; done",
)];

pub(super) const FAULTS: &[Fault] = &[
    Fault {
        name: "token-key-replaced",
        summary: "the key that signs tokens was made anew, and the API server believes the old one: after the next start no token is good",
        plant: &[
            made("server", "key other"),
            run(
                "server",
                concat!(kept!("service-accounts.key"), "cp /run/lab-made/other.key $f"),
            ),
        ],
        heal: FILES_BACK,
        expect: &[fails("certs.files", "server", "token-key-other")],
        ..AUDIT
    },
    Fault {
        name: "token-key-readable",
        summary: "everybody on the server may read the key that signs tokens",
        plant: &[run(
            "server",
            concat!(kept!("service-accounts.key"), "chmod 644 $f"),
        )],
        heal: FILES_BACK,
        expect: &[fails("certs.files", "server", "cert-key-readable")],
        ..AUDIT
    },
    Fault {
        name: "signing-key-gone",
        summary: "the CA's key, with which the controller manager signs, was taken away from the server",
        plant: &[run("server", concat!(kept!("ca.key"), "rm $f"))],
        heal: FILES_BACK,
        expect: &[warns("certs.files", "server", "cert-file-missing")],
        ..AUDIT
    },
    Fault {
        name: "signing-ca-of-the-company",
        summary: "the controller manager signs with a CA that the API server does not believe: what kubelets get is good for nothing",
        plant: &[
            made("server", "root lab-ca '/CN=Company Root'"),
            run("server", controllers_given!("cluster-signing-[a-z]*-file")),
        ],
        heal: CONTROLLERS_BACK,
        expect: &[fails("certs.files", "server", "cert-issuer-unknown")],
        ..AUDIT
    },
    Fault {
        name: "signing-key-of-another",
        summary: "the controller manager has the CA's certificate and the key of another",
        plant: &[
            made("server", "key lab-ca; cp ca.crt lab-ca.crt"),
            run("server", controllers_given!("cluster-signing-[a-z]*-file")),
        ],
        heal: CONTROLLERS_BACK,
        expect: &[fails("certs.files", "server", "cert-key-mismatch")],
        ..AUDIT
    },
    Fault {
        name: "root-ca-of-the-company",
        summary: "the controller manager gives pods a CA that did not sign what the API server serves",
        plant: &[
            made("server", "root lab-ca '/CN=Company Root'"),
            run("server", controllers_given!("root-ca-file")),
        ],
        heal: CONTROLLERS_BACK,
        expect: &[fails("certs.files", "server", "root-ca-other")],
        ..AUDIT
    },
    Fault {
        name: "front-proxy-of-another-name",
        summary: "the front proxy's certificate has a CN that --requestheader-allowed-names does not allow",
        plant: &[
            made(
                "server",
                "root lab-proxy-ca /CN=front-proxy-ca; issue lab-proxy lab-proxy-ca /CN=aggregator extendedKeyUsage=clientAuth",
            ),
            FRONT_PROXY,
        ],
        heal: FRONT_PROXY_BACK,
        expect: &[fails("certs.files", "server", "cert-identity")],
        ..AUDIT
    },
    Fault {
        name: "front-proxy-expired",
        summary: "the front proxy's certificate has ended",
        plant: &[
            made(
                "server",
                "root lab-proxy-ca /CN=front-proxy-ca; \
                 days=-1; issue lab-proxy lab-proxy-ca /CN=front-proxy-client extendedKeyUsage=clientAuth",
            ),
            FRONT_PROXY,
        ],
        heal: FRONT_PROXY_BACK,
        expect: &[fails("certs.files", "server", "cert-expired")],
        ..AUDIT
    },
    Fault {
        name: "front-proxy-of-another-ca",
        summary: "the front proxy's CA was made anew, and its certificate is of before",
        plant: &[
            made(
                "server",
                "root before /CN=front-proxy-ca; root lab-proxy-ca /CN=front-proxy-ca; \
                 issue lab-proxy before /CN=front-proxy-client extendedKeyUsage=clientAuth",
            ),
            FRONT_PROXY,
        ],
        heal: FRONT_PROXY_BACK,
        expect: &[fails("certs.files", "server", "cert-issuer-key")],
        ..AUDIT
    },
    Fault {
        name: "front-proxy-ca-shared",
        summary: "the CA of all clients is the front proxy's too",
        plant: &[
            made(
                "server",
                "cp ca.crt lab-proxy-ca.crt; issue lab-proxy ca /CN=front-proxy-client extendedKeyUsage=clientAuth",
            ),
            FRONT_PROXY,
        ],
        heal: FRONT_PROXY_BACK,
        expect: &[warns("certs.files", "server", "front-proxy-shared")],
        ..AUDIT
    },
    Fault {
        name: "apiserver-name-left-out",
        summary: "the API server's certificate was issued anew without the name by which all call it",
        plant: &[
            made(
                "server",
                "issue api ca /CN=kubernetes subjectAltName=DNS:kubernetes,DNS:kubernetes.default.svc,IP:127.0.0.1,IP:10.32.0.1 $both",
            ),
            run(
                "server",
                concat!(
                    kept!("kube-api-server.crt"),
                    "cp /run/lab-made/api.crt $f; ",
                    kept!("kube-api-server.key"),
                    "cp /run/lab-made/api.key $f"
                ),
            ),
        ],
        heal: FILES_BACK,
        expect: &[fails("certs.files", "server", "cert-name-missing")],
        // It loads what is new within a minute; then nobody calls it any more.
        touches: &[
            anywhere("certs.served"),
            anywhere("certs.kubeconfig"),
            anywhere("certs.called"),
            anywhere("certs.secrets"),
        ],
        ..AUDIT
    },
    Fault {
        name: "unreadable-without-become",
        summary: "the site file says no `become`: the keys of the hosts cannot be read by who logs in",
        plant: &[run(
            "jumpbox",
            "cp -n /media/site.yaml /media/site.lab; sed -i 's|become: sudo, passwordFile: [^,]*,|become: none,|' /media/site.yaml; \
             grep -q 'become: none' /media/site.yaml",
        )],
        heal: &[run(
            "jumpbox",
            "[ ! -e /media/site.lab ] || mv /media/site.lab /media/site.yaml",
        )],
        expect: &[
            super::errs_on("certs.files", "server", "cert-file-unreadable"),
            super::errs_on("certs.files", "node-0", "cert-file-unreadable"),
            super::errs_on("certs.files", "node-1", "cert-file-unreadable"),
        ],
        touches: &[anywhere("certs.served")],
        never_passes: &["certs.files"],
        needs: Needs::Hardened,
        asked: Asked::Certificates,
    },
];
