//! Faults of the way by which pods talk to the API: kubectl sees nothing of them.

use super::control_plane::restart_api;
use super::{Fault, Needs, Step, anywhere, fails, run, warns};

/// Changes a unit of the server by sed's script, and gives the API server and the controllers the time to be back.
macro_rules! rewrite {
    ($unit:literal, $script:literal) => {
        concat!(
            "sed -i '",
            $script,
            "' /etc/systemd/system/",
            $unit,
            ".service; systemctl daemon-reload; systemctl restart --no-block kube-controller-manager; ",
            restart_api!()
        )
    };
}

/// The same for the API server of one of several, which leads nobody: the others go on.
macro_rules! tokens_by {
    ($file:literal) => {
        concat!(
            "sed -i 's#--service-account-key-file=[^ ]*#--service-account-key-file=/var/lib/kubernetes/",
            $file,
            "#' /etc/systemd/system/kube-apiserver.service; systemctl daemon-reload; \
             systemctl kill --signal=KILL kube-apiserver; sleep 1; systemctl reset-failed kube-apiserver; \
             systemctl restart kube-apiserver; sleep 25"
        )
    };
}

const CLOSED: &str = "iptables -I FORWARD -s 10.200.0.0/24 -p tcp -d 192.168.10.100 --dport 6443 -j DROP";
const OPEN: &str =
    "iptables -D FORWARD -s 10.200.0.0/24 -p tcp -d 192.168.10.100 --dport 6443 -j DROP 2>/dev/null || :";

pub(super) const FAULTS: &[Fault] = &[
    Fault {
        name: "api-closed-to-pods",
        summary: "node-0 drops what its pods send to the API server",
        plant: &[run("node-0", CLOSED)],
        heal: &[run("node-0", OPEN)],
        expect: &[fails("api.from-pods", "node-0", "chain-drops")],
        needs: Needs::Images,
        ..Fault::NONE
    },
    Fault {
        name: "api-announced-elsewhere",
        summary: "the API server announces the address of eth0, which is the same on every host",
        plant: &[run(
            "server",
            rewrite!(
                "kube-apiserver",
                "s#--advertise-address=[^ ]*#--advertise-address=10.0.2.15#"
            ),
        )],
        heal: &[run(
            "server",
            rewrite!(
                "kube-apiserver",
                "s#--advertise-address=[^ ]*#--advertise-address=192.168.10.100#"
            ),
        )],
        expect: &[
            fails("api.from-pods", "node-0", "api-endpoint-elsewhere"),
            fails("api.from-pods", "node-1", "api-endpoint-elsewhere"),
        ],
        needs: Needs::Images,
        ..Fault::NONE
    },
    Fault {
        name: "root-authority-unpublished",
        summary: "the controller that gives every namespace the API's CA is switched off",
        plant: UNPUBLISHED,
        heal: PUBLISHED,
        expect: &[
            warns("components.control-plane", "server", "controllers-off"),
            fails("api.from-pods", "node-0", "root-authority-missing"),
            fails("api.from-pods", "node-1", "root-authority-missing"),
        ],
        needs: Needs::Images,
        ..Fault::NONE
    },
    Fault {
        name: "token-keys-differ",
        summary: "the API server of server-1 knows another key for the tokens of pods than the others",
        plant: &[run("server-1", tokens_by!("ca.crt"))],
        heal: &[run("server-1", tokens_by!("service-accounts.crt"))],
        expect: &[
            fails("api.from-pods", "node-0", "api-token-refused"),
            fails("api.from-pods", "node-1", "api-token-refused"),
            fails("certs.files", "server-1", "token-key-other"),
        ],
        touches: &[anywhere("components.*")],
        needs: Needs::Servers,
        ..Fault::NONE
    },
];

const UNPUBLISHED: &[Step] = &[run(
    "server",
    rewrite!(
        "kube-controller-manager",
        "s#--v=2$#--v=2 --controllers=*,-root-ca-certificate-publisher-controller#"
    ),
)];
const PUBLISHED: &[Step] = &[run(
    "server",
    rewrite!("kube-controller-manager", "s# --controllers=[^ ]*##"),
)];
