//! Faults of which nothing is seen until the host starts again.

use super::{Fault, anywhere, errs_on, fails, run, warns};

/// A drop-in of the kubelet's unit.
macro_rules! drop_in {
    () => {
        "/etc/systemd/system/kubelet.service.d"
    };
}

/// Ends a unit every so many seconds; systemd starts it again at once. Ends it by hand until systemd has done so often enough to
/// be seen.
macro_rules! flaps {
    ($unit:literal, $seconds:literal) => {
        concat!(
            "mkdir -p /etc/systemd/system/",
            $unit,
            ".service.d; printf '[Unit]\\nStartLimitIntervalSec=0\\n[Service]\\nRuntimeMaxSec=",
            $seconds,
            "\\nRestart=always\\nRestartSec=1\\n' >/etc/systemd/system/",
            $unit,
            ".service.d/lab.conf; systemctl daemon-reload; systemctl restart ",
            $unit,
            "; timeout 60 sh -c 'until [ $(systemctl show -P NRestarts ",
            $unit,
            ") -ge 5 ]; do systemctl kill --signal=KILL ",
            $unit,
            "; sleep 1.5; done'; sleep 3"
        )
    };
}

/// Lets it run again as long as it likes.
macro_rules! stays {
    ($unit:literal) => {
        concat!(
            "rm -rf /etc/systemd/system/",
            $unit,
            ".service.d; systemctl daemon-reload; systemctl restart ",
            $unit
        )
    };
}

pub(super) const FAULTS: &[Fault] = &[
    Fault {
        name: "program-gone",
        summary: "node-0's kubelet runs, and its program was moved away",
        plant: &[run(
            "node-0",
            "mv /usr/local/bin/kubelet /usr/local/bin/kubelet.lab",
        )],
        heal: &[run(
            "node-0",
            "[ ! -e /usr/local/bin/kubelet.lab ] || mv /usr/local/bin/kubelet.lab /usr/local/bin/kubelet",
        )],
        expect: &[fails("hosts.reboot", "node-0", "unit-program-missing")],
        ..Fault::NONE
    },
    Fault {
        name: "configuration-gone",
        summary: "node-0's kubelet runs, and its configuration was moved away",
        plant: &[run(
            "node-0",
            "mv /var/lib/kubelet/kubelet-config.yaml /var/lib/kubelet/kubelet-config.lab",
        )],
        heal: &[run(
            "node-0",
            "cd /var/lib/kubelet; [ ! -e kubelet-config.lab ] || mv kubelet-config.lab kubelet-config.yaml",
        )],
        expect: &[
            fails("hosts.reboot", "node-0", "unit-input-missing"),
            errs_on("hosts.disk", "node-0", "disk-unjudged"),
        ],
        ..Fault::NONE
    },
    Fault {
        name: "condition-unmet",
        summary: "a drop-in lets node-0's kubelet start only where a file is that is not there",
        plant: &[run(
            "node-0",
            concat!(
                "mkdir -p ",
                drop_in!(),
                "; printf '[Unit]\\nConditionPathExists=/etc/lab-go\\n' >",
                drop_in!(),
                "/lab.conf; systemctl daemon-reload"
            ),
        )],
        heal: &[run(
            "node-0",
            concat!("rm -rf ", drop_in!(), "; systemctl daemon-reload"),
        )],
        expect: &[fails("hosts.reboot", "node-0", "unit-condition-unmet")],
        ..Fault::NONE
    },
    Fault {
        name: "configuration-untried",
        summary: "node-0's kubelet has not read what its configuration says now",
        plant: &[run(
            "node-0",
            "cd /var/lib/kubelet; cp -p kubelet-config.yaml kubelet-config.lab; echo 'eventRecordQPS: 7' >>kubelet-config.yaml",
        )],
        heal: &[run(
            "node-0",
            "cd /var/lib/kubelet; [ ! -e kubelet-config.lab ] || mv kubelet-config.lab kubelet-config.yaml",
        )],
        expect: &[warns("hosts.reboot", "node-0", "input-newer")],
        ..Fault::NONE
    },
    Fault {
        name: "encryption-untried",
        summary: "the key of encryption was changed in the file, and the API server was not started again",
        plant: &[run(
            "server",
            "cd /var/lib/kubernetes; cp -p encryption-config.yaml encryption-config.lab; \
             sed -i 's/secret: .*/secret: AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=/' encryption-config.yaml",
        )],
        heal: &[run(
            "server",
            "cd /var/lib/kubernetes; [ ! -e encryption-config.lab ] || mv encryption-config.lab encryption-config.yaml",
        )],
        expect: &[warns("hosts.reboot", "server", "input-newer")],
        ..Fault::NONE
    },
    Fault {
        name: "hostname-by-hand",
        summary: "node-0 has another name in /etc/hostname",
        plant: &[run("node-0", "echo worker-7 >/etc/hostname")],
        heal: &[run("node-0", "echo node-0 >/etc/hostname")],
        expect: &[fails("hosts.reboot", "node-0", "hostname-otherwise")],
        ..Fault::NONE
    },
    Fault {
        name: "fstab-without-device",
        summary: "node-0's fstab mounts a disk that it does not have",
        plant: &[run(
            "node-0",
            "touch /etc/fstab; cp -p /etc/fstab /etc/fstab.lab; echo '/dev/sdz9 /data ext4 defaults 0 2' >>/etc/fstab",
        )],
        heal: &[run(
            "node-0",
            "[ ! -e /etc/fstab.lab ] || mv /etc/fstab.lab /etc/fstab",
        )],
        expect: &[fails("hosts.reboot", "node-0", "mount-without-device")],
        ..Fault::NONE
    },
    Fault {
        name: "firewall-returns",
        summary: "node-0 starts nftables at the next start, and somebody has stopped it",
        plant: &[run(
            "node-0",
            "printf '[Service]\\nType=oneshot\\nRemainAfterExit=yes\\nExecStart=/usr/sbin/nft -f /etc/nftables.conf\\n\
             [Install]\\nWantedBy=multi-user.target\\n' >/etc/systemd/system/nftables.service; systemctl enable nftables",
        )],
        heal: &[run(
            "node-0",
            "systemctl disable nftables || :; rm -f /etc/systemd/system/nftables.service; systemctl daemon-reload",
        )],
        expect: &[warns("hosts.reboot", "node-0", "firewall-returns")],
        ..Fault::NONE
    },
    Fault {
        name: "configuration-in-run",
        summary: "node-0's kubelet reads its configuration from /run",
        plant: &[run(
            "node-0",
            "cp /var/lib/kubelet/kubelet-config.yaml /run/kubelet-config.yaml; cp -p /etc/systemd/system/kubelet.service /root/kubelet.lab; \
             sed -i 's,--config=[^ ]*,--config=/run/kubelet-config.yaml,' /etc/systemd/system/kubelet.service; \
             systemctl daemon-reload; systemctl restart kubelet",
        )],
        heal: &[run(
            "node-0",
            "[ ! -e /root/kubelet.lab ] || mv /root/kubelet.lab /etc/systemd/system/kubelet.service; \
             systemctl daemon-reload; systemctl restart kubelet; rm -f /run/kubelet-config.yaml",
        )],
        expect: &[fails("hosts.reboot", "node-0", "unit-input-volatile")],
        ..Fault::NONE
    },
    Fault {
        name: "ports-few",
        summary: "node-0 has nine ports to start connections from",
        plant: &[run(
            "node-0",
            "sysctl -w net.ipv4.ip_local_port_range='32000 32008'",
        )],
        heal: &[run(
            "node-0",
            "sysctl -w net.ipv4.ip_local_port_range='32768 60999'",
        )],
        expect: &[warns("hosts.settings", "node-0", "ports-few")],
        touches: &[anywhere("*")],
        ..Fault::NONE
    },
    Fault {
        name: "kubelet-flaps",
        summary: "node-0's kubelet ends every 18 seconds and is started again",
        plant: &[run("node-0", flaps!("kubelet", "18"))],
        heal: &[run("node-0", stays!("kubelet"))],
        expect: &[warns("hosts.restarts", "node-0", "unit-restarts")],
        touches: &[anywhere("*")],
        ..Fault::NONE
    },
    Fault {
        name: "scheduler-flaps",
        summary: "the scheduler ends every 18 seconds and is started again",
        plant: &[run("server", flaps!("kube-scheduler", "18"))],
        heal: &[run("server", stays!("kube-scheduler"))],
        expect: &[warns("hosts.restarts", "server", "unit-restarts")],
        touches: &[anywhere("*")],
        ..Fault::NONE
    },
];
