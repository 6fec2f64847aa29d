//! Faults of the certificates of etcd, of which one member of three has them: the others keep the majority.

use super::{Asked, Fault, Needs, Step, Touch, anywhere, fails, made, on, run};

/// What an audit of certificates finds of server-1's member, which reads its files at every handshake.
const MEMBER: Fault = Fault {
    heal: &[run(
        "server-1",
        "cd /etc; [ ! -d etcd.lab ] || { rm -rf etcd; mv etcd.lab etcd; }; \
         [ ! -e etcd.service.lab ] || { mv etcd.service.lab systemd/system/etcd.service; systemctl daemon-reload; }; \
         systemctl reset-failed etcd kube-apiserver; systemctl restart etcd kube-apiserver",
    )],
    touches: &[
        on("certs.served", "server-1"),
        anywhere("certs.called"),
        anywhere("certs.secrets"),
    ],
    needs: Needs::Servers,
    asked: Asked::Certificates,
    ..Fault::NONE
};

/// Keeps the files of server-1's member beside themselves, and goes there.
macro_rules! kept {
    () => {
        "[ -d /etc/etcd.lab ] || cp -a /etc/etcd /etc/etcd.lab; cd /etc/etcd; "
    };
}

/// Gives server-1's member what was made for it.
const TAKEN: Step = run(
    "server-1",
    concat!(
        kept!(),
        "cp /run/lab-made/etcd.key kube-api-server.key; cp /run/lab-made/etcd.crt kube-api-server.crt"
    ),
);

/// Starts server-1's member with another unit, and does not wait for it.
macro_rules! with_unit {
    ($edit:literal) => {
        concat!(
            "[ -e /etc/etcd.service.lab ] || cp -p /etc/systemd/system/etcd.service /etc/etcd.service.lab; ",
            "cp /run/lab-made/lab-* .; sed -i ",
            $edit,
            " /etc/systemd/system/etcd.service; grep -q lab- /etc/systemd/system/etcd.service; systemctl daemon-reload; \
             systemctl restart --no-block etcd; timeout 20 sh -c 'until pgrep -f [e]tcd/lab- >/dev/null; do sleep 0.2; done'; sleep 2"
        )
    };
}

/// What a member's fault drags along: the other members, and whoever asks the API.
const OTHERS: &[Touch] = &[
    anywhere("certs.served"),
    on("certs.files", "server-2"),
    anywhere("certs.called"),
    anywhere("certs.secrets"),
];

pub(super) const FAULTS: &[Fault] = &[
    Fault {
        name: "etcd-certificate-expired",
        summary: "the certificate of server-1's etcd has ended: the next handshake with it fails",
        plant: &[
            made(
                "server-1",
                "days=-1; issue etcd ca /CN=kubernetes subjectAltName=DNS:server-1,IP:192.168.10.91,IP:127.0.0.1 $both",
            ),
            TAKEN,
        ],
        expect: &[fails("certs.files", "server-1", "cert-expired")],
        ..MEMBER
    },
    Fault {
        name: "etcd-certificate-for-servers",
        summary: "the certificate of server-1's etcd is issued for servers alone, and it is a client of the other members",
        plant: &[
            made(
                "server-1",
                "issue etcd ca /CN=kubernetes subjectAltName=DNS:server-1,IP:192.168.10.91,IP:127.0.0.1 extendedKeyUsage=serverAuth",
            ),
            TAKEN,
        ],
        expect: &[fails("certs.files", "server-1", "cert-usage")],
        ..MEMBER
    },
    Fault {
        name: "etcd-address-left-out",
        summary: "the certificate of server-1's etcd has a name and not the address by which it is called",
        plant: &[
            made(
                "server-1",
                "issue etcd ca /CN=kubernetes subjectAltName=DNS:server-1,IP:127.0.0.1 $both",
            ),
            TAKEN,
        ],
        expect: &[fails("certs.files", "server-1", "cert-name-missing")],
        ..MEMBER
    },
    Fault {
        name: "etcd-key-readable",
        summary: "everybody on server-1 may read etcd's key",
        plant: &[run("server-1", concat!(kept!(), "chmod 644 kube-api-server.key"))],
        expect: &[fails("certs.files", "server-1", "cert-key-readable")],
        ..MEMBER
    },
    Fault {
        name: "etcd-peer-of-another-ca",
        summary: "server-1's etcd shows the other members a certificate of a CA of its own, which it alone believes",
        plant: &[
            made(
                "server-1",
                "root lab-peer-ca '/CN=Member Root'; \
                 issue lab-peer lab-peer-ca /CN=kubernetes subjectAltName=DNS:server-1,IP:192.168.10.91,IP:127.0.0.1 $both",
            ),
            run(
                "server-1",
                concat!(
                    kept!(),
                    with_unit!(
                        "'s,\\(--peer-[a-z]*-file=/etc/etcd/\\)kube-api-server,\\1lab-peer,; s,\\(--peer-trusted-ca-file=/etc/etcd/\\)ca,\\1lab-peer-ca,'"
                    )
                ),
            ),
        ],
        expect: &[
            fails("certs.files", "server-1", "cert-issuer-unknown"),
            fails("certs.files", "server", "cert-issuer-unknown"),
        ],
        touches: OTHERS,
        ..MEMBER
    },
    Fault {
        name: "etcd-clients-distrusted",
        summary: "server-1's etcd believes another CA for its clients than the one that signed what API servers show it",
        plant: &[
            made("server-1", "root lab-clients-ca '/CN=Clients Root'"),
            run(
                "server-1",
                concat!(
                    kept!(),
                    with_unit!("'s,\\(--trusted-ca-file=/etc/etcd/\\)ca,\\1lab-clients-ca,'")
                ),
            ),
        ],
        expect: &[
            fails("certs.files", "server", "cert-issuer-unknown"),
            fails("certs.files", "server-1", "cert-issuer-unknown"),
        ],
        touches: OTHERS,
        ..MEMBER
    },
];
