//! Secrets that other providers than the page's encrypt: well, and with faults of a KMS.

use super::control_plane::{encryption, restart_api};
use super::{Fault, Step, fails, fails_cluster, run};

/// Writes every Secret again, by what encrypts now. There is one at least, which was written before.
macro_rules! written_again {
    () => {
        "; k='kubectl --kubeconfig=/root/admin.kubeconfig'; $k get secrets -A -o json | $k replace -f -"
    };
}

/// Makes a provider write before the page's one, and writes every Secret again.
macro_rules! writes_first {
    ($provider:literal) => {
        concat!(
            "k='kubectl --kubeconfig=/root/admin.kubeconfig'; $k get secret lab-old >/dev/null 2>&1 || \
             $k create secret generic lab-old --from-literal=a=b; ",
            encryption!($provider),
            written_again!()
        )
    };
}

/// Lets the page's provider write again, and takes the other one away when nothing needs it any more.
macro_rules! writes_no_more {
    ($provider:literal) => {
        concat!(
            "cd /var/lib/kubernetes; if [ -e encryption-config.lab ]; then { sed '/- identity/,$d' encryption-config.lab; printf '",
            $provider,
            "'; sed -n '/- identity/,$p' encryption-config.lab; } >encryption-config.yaml; ",
            restart_api!(),
            written_again!(),
            "; mv encryption-config.lab encryption-config.yaml; ",
            restart_api!(),
            "; fi; kubectl --kubeconfig=/root/admin.kubeconfig delete secret lab-old lab-new --ignore-not-found"
        )
    };
}

/// Names the provider that encrypts in the site file.
macro_rules! expected {
    ($provider:literal) => {
        concat!(
            "sed -i 's/^  encryption: .*/  encryption: {",
            $provider,
            "}/' /media/site.yaml"
        )
    };
}

const EXPECTED_BACK: Step = run("jumpbox", expected!("provider: aescbc, key: key1"));

/// Starts the plugin whose program and keys are there.
const PLUGIN: &str = "chmod 755 /usr/local/bin/lab-kms; mkdir -p -m 700 /var/lib/lab-kms; \
    [ -e /var/lib/lab-kms/keys ] || (umask 077; echo \"kek-1 $(head -c 32 /dev/urandom | base64)\" >/var/lib/lab-kms/keys); \
    printf '[Unit]\\nDescription=KMS plugin of the lab\\nBefore=kube-apiserver.service\\n\\n[Service]\\n\
    ExecStart=/usr/local/bin/lab-kms --socket /run/lab-kms.sock --keys /var/lib/lab-kms/keys\\nRestart=always\\n\\n\
    [Install]\\nWantedBy=multi-user.target\\n' >/etc/systemd/system/lab-kms.service; \
    systemctl daemon-reload; systemctl enable --now lab-kms";
/// Starts it where it was stopped: what it encrypted is to be read once more.
const PLUGIN_STARTED: &str = "[ ! -e /etc/systemd/system/lab-kms.service ] || systemctl start lab-kms";
const NO_PLUGIN: &str = "systemctl disable --now lab-kms 2>/dev/null || :; \
    rm -rf /etc/systemd/system/lab-kms.service /usr/local/bin/lab-kms /var/lib/lab-kms /run/lab-kms.sock; systemctl daemon-reload";

pub(super) const UNUSUAL: &[Fault] = &[
    Fault {
        name: "kms",
        summary: "a KMS plugin encrypts Secrets (v2), and the page's key is behind it",
        plant: &[
            Step::Plugin {
                host: "server",
                path: "/usr/local/bin/lab-kms",
            },
            run("server", PLUGIN),
            run(
                "server",
                writes_first!(
                    "      - kms: {apiVersion: v2, name: lab, endpoint: \"unix:///run/lab-kms.sock\"}\\n"
                ),
            ),
            run("jumpbox", expected!("provider: kms, key: lab")),
        ],
        heal: &[
            run("server", PLUGIN_STARTED),
            run(
                "server",
                writes_no_more!(
                    "      - kms: {apiVersion: v2, name: lab, endpoint: \"unix:///run/lab-kms.sock\"}\\n"
                ),
            ),
            run("server", NO_PLUGIN),
            EXPECTED_BACK,
        ],
        ..Fault::NONE
    },
    Fault {
        name: "aesgcm",
        summary: "aesgcm encrypts Secrets, and the page's key is behind it",
        plant: &[
            run(
                "server",
                writes_first!(
                    "      - aesgcm: {keys: [{name: gcm1, secret: MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=}]}\\n"
                ),
            ),
            run("jumpbox", expected!("provider: aesgcm, key: gcm1")),
        ],
        heal: &[
            run(
                "server",
                writes_no_more!(
                    "      - aesgcm: {keys: [{name: gcm1, secret: MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=}]}\\n"
                ),
            ),
            EXPECTED_BACK,
        ],
        ..Fault::NONE
    },
    Fault {
        name: "secretbox",
        summary: "secretbox encrypts Secrets, and the page's key is behind it",
        plant: &[
            run(
                "server",
                writes_first!(
                    "      - secretbox: {keys: [{name: box1, secret: MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=}]}\\n"
                ),
            ),
            run("jumpbox", expected!("provider: secretbox, key: box1")),
        ],
        heal: &[
            run(
                "server",
                writes_no_more!(
                    "      - secretbox: {keys: [{name: box1, secret: MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=}]}\\n"
                ),
            ),
            EXPECTED_BACK,
        ],
        ..Fault::NONE
    },
];

pub(super) const FAULTS: &[Fault] = &[
    Fault {
        name: "kms-old-key",
        summary: "the KMS has another key, and a Secret that its old one encrypted was never written again",
        plant: &[
            Step::Plant("kms"),
            run(
                "server",
                concat!(
                    "cd /var/lib/lab-kms; grep -q ^kek-2 keys || (umask 077; \
                     { echo \"kek-2 $(head -c 32 /dev/urandom | base64)\"; cat keys; } >keys.new; mv keys.new keys); ",
                    restart_api!(),
                    "; kubectl --kubeconfig=/root/admin.kubeconfig create secret generic lab-new --from-literal=a=b"
                ),
            ),
        ],
        heal: &[Step::Heal("kms")],
        expect: &[fails_cluster("secrets.all-encrypted", "stored-old-key")],
        ..Fault::NONE
    },
    Fault {
        name: "kms-stopped",
        summary: "the KMS plugin that encrypts Secrets is stopped",
        plant: &[
            Step::Plant("kms"),
            run(
                "server",
                "systemctl stop lab-kms; timeout 90 sh -c 'while kubectl --kubeconfig=/root/admin.kubeconfig get --raw=/readyz \
                 >/dev/null 2>&1; do sleep 0.5; done'",
            ),
        ],
        heal: &[Step::Heal("kms")],
        expect: &[
            fails_cluster("api.ready", "api-not-ready"),
            fails("components.control-plane", "server", "server-not-ready"),
        ],
        ..Fault::NONE
    },
];
