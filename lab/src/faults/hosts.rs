//! Faults of hosts: SSH, units that stop or hang.

use super::{
    Fault, NODE_0_UNREACHED, Needs, PODS_OF_NODE_0, PODS_OF_NODE_1, RUNTIME_OF_NODE_1, WAYS_TO_PODS, errs_on,
    fails, on, run, start_runtime, warns,
};

/// Puts /etc/hosts back.
const HOSTS_BACK: &str = "[ ! -e /etc/hosts.lab ] || mv /etc/hosts.lab /etc/hosts";

pub(super) const FAULTS: &[Fault] = &[
    Fault {
        name: "memory-short",
        summary: "a program on node-0 takes more memory than it may, and the kernel ends it, over and over",
        plant: &[run(
            "node-0",
            "systemd-run -q --unit=lab-memory -p MemoryMax=16M -p MemorySwapMax=0 -p Restart=always -p RestartSec=500ms \
             -p StartLimitIntervalSec=0 sh -c 'x=$(head -c 64M /dev/zero | tr \"\\\\0\" x)'; \
             timeout 20 sh -c 'before=$(grep oom_kill /proc/vmstat); while [ \"$before\" = \"$(grep oom_kill /proc/vmstat)\" ]; do sleep 0.2; done'",
        )],
        heal: &[run(
            "node-0",
            "systemctl stop lab-memory 2>/dev/null || :; systemctl reset-failed lab-memory 2>/dev/null || :",
        )],
        expect: &[warns("run.counters", "node-0", "memory-short")],
        ..Fault::NONE
    },
    Fault {
        name: "kubelet-stopped",
        summary: "the kubelet of node-1 is stopped; its Ready condition stays true for most of a minute",
        plant: &[run("node-1", "systemctl stop kubelet")],
        heal: &[run("node-1", "systemctl start kubelet")],
        expect: &[
            fails("nodes.ready", "node-1", "kubelet-stopped"),
            fails("components.workers", "node-1", "kubelet-stopped"),
        ],
        touches: PODS_OF_NODE_1,
        ..Fault::NONE
    },
    Fault {
        name: "kubelet-hung",
        summary: "the kubelet of node-1 is alive but does nothing (SIGSTOP)",
        plant: &[run(
            "node-1",
            "systemctl kill --kill-whom=main --signal=STOP kubelet",
        )],
        heal: &[run(
            "node-1",
            "systemctl kill --kill-whom=main --signal=CONT kubelet || systemctl restart kubelet",
        )],
        expect: &[
            fails("nodes.ready", "node-1", "kubelet-hung"),
            fails("components.workers", "node-1", "kubelet-hung"),
        ],
        touches: PODS_OF_NODE_1,
        ..Fault::NONE
    },
    Fault {
        name: "containerd-stopped",
        summary: "containerd of node-1 is stopped, and with it the kubelet, which requires it",
        plant: &[run("node-1", "systemctl stop containerd")],
        heal: &[run("node-1", start_runtime!())],
        expect: &[fails("components.workers", "node-1", "containerd-stopped")],
        touches: RUNTIME_OF_NODE_1,
        ..Fault::NONE
    },
    Fault {
        name: "containerd-hung",
        summary: "containerd of node-1 is alive but answers nobody (SIGSTOP)",
        plant: &[run(
            "node-1",
            "systemctl kill --kill-whom=main --signal=STOP containerd",
        )],
        heal: &[run(
            "node-1",
            concat!(
                "systemctl kill --kill-whom=main --signal=CONT containerd || :; ",
                start_runtime!()
            ),
        )],
        expect: &[fails("components.workers", "node-1", "containerd-hung")],
        touches: RUNTIME_OF_NODE_1,
        ..Fault::NONE
    },
    Fault {
        name: "kube-proxy-stopped",
        summary: "kube-proxy of node-0 is stopped",
        plant: &[run("node-0", "systemctl stop kube-proxy")],
        heal: &[run("node-0", "systemctl start kube-proxy")],
        expect: &[fails("components.workers", "node-0", "kube-proxy-stopped")],
        touches: &[on("service.*", "node-0")],
        ..Fault::NONE
    },
    Fault {
        name: "kube-proxy-hung",
        summary: "kube-proxy of node-0 is alive but does nothing (SIGSTOP)",
        plant: &[run(
            "node-0",
            "systemctl kill --kill-whom=main --signal=STOP kube-proxy",
        )],
        heal: &[run(
            "node-0",
            "systemctl kill --kill-whom=main --signal=CONT kube-proxy || systemctl restart kube-proxy",
        )],
        expect: &[fails("components.workers", "node-0", "kube-proxy-hung")],
        touches: &[on("service.*", "node-0")],
        ..Fault::NONE
    },
    Fault {
        name: "units-disabled",
        summary: "the kubelet of node-1 and etcd run, but nothing starts them at the next start of their hosts",
        plant: &[
            run("node-1", "systemctl disable kubelet"),
            run("server", "systemctl disable etcd"),
        ],
        heal: &[
            run("node-1", "systemctl enable kubelet"),
            run("server", "systemctl enable etcd"),
        ],
        expect: &[
            fails("hosts.reboot", "node-1", "unit-disabled"),
            fails("hosts.reboot", "server", "unit-disabled"),
        ],
        ..Fault::NONE
    },
    Fault {
        name: "set-by-hand",
        summary: "routes of server and forwarding of node-0 are set, but in no file",
        plant: &[
            run("server", "systemctl disable pod-routes"),
            run(
                "node-0",
                "cd /etc/sysctl.d; [ ! -e 99-kubernetes.conf ] || mv 99-kubernetes.conf 99-kubernetes.lab",
            ),
        ],
        heal: &[
            run("server", "systemctl enable pod-routes"),
            run(
                "node-0",
                "cd /etc/sysctl.d; [ ! -e 99-kubernetes.lab ] || mv 99-kubernetes.lab 99-kubernetes.conf",
            ),
        ],
        expect: &[
            warns("hosts.reboot", "server", "route-not-persistent"),
            warns("hosts.reboot", "node-0", "sysctl-not-persistent"),
        ],
        ..Fault::NONE
    },
    Fault {
        name: "bridge-unfiltered",
        summary: "what the pods of node-0 send each other passes by kube-proxy's rules",
        plant: &[run(
            "node-0",
            "echo 0 >/proc/sys/net/bridge/bridge-nf-call-iptables",
        )],
        heal: &[run(
            "node-0",
            "echo 1 >/proc/sys/net/bridge/bridge-nf-call-iptables",
        )],
        expect: &[fails("hosts.settings", "node-0", "bridge-unfiltered")],
        touches: &[on("service.*", "node-0")],
        ..Fault::NONE
    },
    Fault {
        name: "interface-not-forwarding",
        summary: "node-0 forwards, but not what comes in by eth1",
        plant: &[run("node-0", "echo 0 >/proc/sys/net/ipv4/conf/eth1/forwarding")],
        heal: &[run("node-0", "echo 1 >/proc/sys/net/ipv4/conf/eth1/forwarding")],
        expect: &[warns("hosts.settings", "node-0", "interface-forwarding-off")],
        touches: PODS_OF_NODE_0,
        ..Fault::NONE
    },
    Fault {
        name: "reverse-path-strict",
        summary: "node-0 sends to node-1 through a tunnel, and drops what comes back past it",
        plant: &[
            run(
                "node-1",
                "ip address replace 192.168.10.152/32 dev eth1; [ -e /sys/class/net/lab0 ] || \
                 ip link add lab0 type vxlan id 5 dstport 4790 local 192.168.10.152 remote 192.168.10.151; \
                 ip link set lab0 up",
            ),
            run(
                "node-0",
                "ip address replace 192.168.10.151/32 dev eth1; [ -e /sys/class/net/lab0 ] || \
                 ip link add lab0 type vxlan id 5 dstport 4790 local 192.168.10.151 remote 192.168.10.152; \
                 ip link set lab0 up; echo 1 >/proc/sys/net/ipv4/conf/eth1/rp_filter; \
                 ip route replace 192.168.10.102/32 dev lab0 src 192.168.10.101; \
                 ! timeout 3 bash -c '</dev/tcp/192.168.10.102/22'",
            ),
        ],
        heal: &[
            run(
                "node-0",
                "echo 0 >/proc/sys/net/ipv4/conf/eth1/rp_filter; ip link del lab0 || :; \
                 ip address del 192.168.10.151/32 dev eth1 || :",
            ),
            run(
                "node-1",
                "ip link del lab0 || :; ip address del 192.168.10.152/32 dev eth1 || :",
            ),
        ],
        expect: &[warns("hosts.settings", "node-0", "reverse-path-strict")],
        touches: WAYS_TO_PODS,
        ..Fault::NONE
    },
    Fault {
        name: "time-source-lost",
        summary: "the time service of node-1 has no source any more",
        plant: &[run(
            "node-1",
            "sed -i 's/^local/#local/' /etc/chrony/lab.conf; systemctl restart chrony; sleep 1",
        )],
        heal: &[run(
            "node-1",
            "sed -i 's/^#local/local/' /etc/chrony/lab.conf; systemctl restart chrony; sleep 1",
        )],
        expect: &[warns("hosts.time", "node-1", "time-unsynchronised")],
        ..Fault::NONE
    },
    Fault {
        name: "name-elsewhere",
        summary: "node-0's /etc/hosts has another address for node-1",
        plant: &[run(
            "node-0",
            "cp -n /etc/hosts /etc/hosts.lab; sed -i 's/^192.168.10.102 /192.168.10.202 /' /etc/hosts",
        )],
        heal: &[run("node-0", HOSTS_BACK)],
        expect: &[fails("hosts.names", "node-0", "name-elsewhere")],
        ..Fault::NONE
    },
    Fault {
        name: "api-name-lost",
        summary: "node-0's /etc/hosts has no name of the API server any more",
        plant: &[run(
            "node-0",
            "cp -n /etc/hosts /etc/hosts.lab; sed -i '/ server$/d' /etc/hosts",
        )],
        heal: &[run("node-0", HOSTS_BACK)],
        expect: &[fails("hosts.names", "node-0", "api-name-unknown")],
        // The kubelet and kube-proxy keep the connections that they have.
        touches: PODS_OF_NODE_0,
        ..Fault::NONE
    },
    Fault {
        name: "node-name-lost",
        summary: "server's /etc/hosts has no name of node-1 any more, by which the API server reaches its kubelet",
        plant: &[run(
            "server",
            "cp -n /etc/hosts /etc/hosts.lab; sed -i '/ node-1$/d' /etc/hosts",
        )],
        heal: &[run("server", HOSTS_BACK)],
        expect: &[
            fails("hosts.names", "server", "node-name-unknown"),
            fails("kubectl.exec", "node-1", "kubelet-name-unknown"),
        ],
        // Logs and port-forward may go over a connection that is still open.
        touches: &[on("kubectl.*", "node-1")],
        ..Fault::NONE
    },
    Fault {
        name: "logs-read-only",
        summary: "where server writes its logs is mounted read-only",
        plant: &[run(
            "server",
            "[ -e /run/lab-logs ] || { touch /run/lab-logs; mount --bind /var/log /var/log; }; \
             mount -o remount,bind,ro /var/log",
        )],
        heal: &[run(
            "server",
            "[ ! -e /run/lab-logs ] || { umount /var/log; rm /run/lab-logs; }",
        )],
        expect: &[fails("hosts.disk", "server", "disk-read-only")],
        ..Fault::NONE
    },
    Fault {
        name: "sshd-down",
        summary: "sshd of node-0 is stopped",
        plant: &[run("node-0", "systemctl stop ssh")],
        heal: &[run("node-0", "systemctl start ssh")],
        expect: &[fails("hosts.reach", "node-0", "ssh-refused")],
        touches: NODE_0_UNREACHED,
        ..Fault::NONE
    },
    Fault {
        name: "host-key-unknown",
        summary: "the administrator's known_hosts does not know node-0",
        plant: &[run(
            "jumpbox",
            "cd /root/.ssh; cp known_hosts known_hosts.lab; \
             grep -v -e node-0 -e '^192\\.168\\.10\\.101[ ,]' known_hosts.lab >known_hosts",
        )],
        heal: &[run(
            "jumpbox",
            "cd /root/.ssh; [ ! -e known_hosts.lab ] || mv known_hosts.lab known_hosts",
        )],
        expect: &[
            // Nothing is wrong with the host: our own side does not know it yet.
            errs_on("hosts.reach", "node-0", "ssh-host-key-unknown"),
        ],
        touches: NODE_0_UNREACHED,
        ..Fault::NONE
    },
    Fault {
        name: "host-key-changed",
        summary: "node-0 has another host key than known_hosts says, as after a new installation",
        plant: &[run(
            "node-0",
            "cd /etc/ssh; [ -e lab.key ] || mv ssh_host_ed25519_key lab.key; \
             ssh-keygen -q -t ed25519 -N '' -C changed -f ssh_host_ed25519_key; systemctl reset-failed ssh; systemctl restart ssh",
        )],
        heal: &[run(
            "node-0",
            "cd /etc/ssh; [ ! -e lab.key ] || mv lab.key ssh_host_ed25519_key; rm -f ssh_host_ed25519_key.pub; \
             systemctl reset-failed ssh; systemctl restart ssh",
        )],
        expect: &[fails("hosts.reach", "node-0", "ssh-host-key-changed")],
        touches: NODE_0_UNREACHED,
        ..Fault::NONE
    },
    Fault {
        name: "sudo-refused",
        summary: "sudo of node-0 no longer knows the user",
        plant: &[run("node-0", "mv /etc/sudoers.d/op /root/sudoers.lab")],
        heal: &[run(
            "node-0",
            "[ ! -e /root/sudoers.lab ] || mv /root/sudoers.lab /etc/sudoers.d/op",
        )],
        expect: &[fails("hosts.reach", "node-0", "sudo-refused")],
        touches: NODE_0_UNREACHED,
        needs: Needs::Hardened,
        ..Fault::NONE
    },
    Fault {
        name: "no-programs-run",
        summary: "no directory of node-0 that the user may write to runs programs",
        plant: &[run(
            "node-0",
            "for d in /root/.cache /home/op/.cache /var/tmp /tmp /run /dev/shm; do \
               case $d in /home/op/*) [ -d /home/op ] || continue;; esac; mkdir -p $d; \
               if mountpoint -q $d; then mount -o remount,noexec $d; else mount --bind $d $d; \
               mount -o remount,bind,noexec $d; touch /run/lab-bound-$(echo $d | tr / _); fi; done",
        )],
        heal: &[run(
            "node-0",
            "for d in /root/.cache /home/op/.cache /var/tmp; do m=/run/lab-bound-$(echo $d | tr / _); \
             [ ! -e $m ] || { umount $d; rm $m; }; done; mount -o remount,exec /tmp; mount -o remount,exec /dev/shm",
        )],
        expect: &[fails("hosts.reach", "node-0", "no-exec-directory")],
        touches: NODE_0_UNREACHED,
        ..Fault::NONE
    },
];
