//! Faults of the ways to other nodes' pods: routes, rules, an overlay.

use super::{Fault, Needs, Step, WAYS_TO_PODS, anywhere, fails, on, run};

pub(super) const FAULTS: &[Fault] = &[
    Fault {
        name: "route-missing-server",
        summary: "server has no route to node-1's pod network",
        plant: &[run("server", "ip route del 10.200.1.0/24")],
        heal: &[run("server", "ip route replace 10.200.1.0/24 via 192.168.10.102")],
        expect: &[
            fails("network.routes", "server", "route-missing"),
            fails("network.pod-reachable", "server", "route-missing"),
        ],
        needs: Needs::Images,
        ..Fault::NONE
    },
    Fault {
        name: "route-missing-node",
        summary: "node-0 has no route to node-1's pod network",
        plant: &[run("node-0", "ip route del 10.200.1.0/24")],
        heal: &[run("node-0", "ip route replace 10.200.1.0/24 via 192.168.10.102")],
        expect: &[
            fails("network.routes", "node-0", "route-missing"),
            fails("network.pod-reachable", "node-0", "route-missing"),
        ],
        touches: &[
            anywhere("network.pod-to-pod"),
            anywhere("network.udp"),
            anywhere("network.mtu"),
            on("service.*", "node-0"),
        ],
        needs: Needs::Images,
        ..Fault::NONE
    },
    Fault {
        name: "route-wrong",
        summary: "server's route to node-1's pod network leads to the jumpbox",
        plant: &[run("server", "ip route replace 10.200.1.0/24 via 192.168.10.10")],
        heal: &[run("server", "ip route replace 10.200.1.0/24 via 192.168.10.102")],
        expect: &[
            fails("network.routes", "server", "route-wrong"),
            fails("network.pod-reachable", "server", "route-wrong"),
        ],
        needs: Needs::Images,
        ..Fault::NONE
    },
    Fault {
        name: "route-rule",
        summary: "a rule of server sends packets to node-1's pods by a table of its own, which drops them",
        plant: &[run(
            "server",
            "ip rule add to 10.200.1.0/24 lookup 77 prio 100; ip route replace blackhole default table 77",
        )],
        heal: &[run(
            "server",
            "ip rule del prio 100 2>/dev/null || :; ip route flush table 77 2>/dev/null || :",
        )],
        expect: &[
            fails("network.routes", "server", "route-refused"),
            fails("network.pod-reachable", "server", "route-refused"),
        ],
        needs: Needs::Images,
        ..Fault::NONE
    },
    Fault {
        name: "route-rule-of-pods",
        summary: "a rule of node-0 sends what its pods send by a table of its own, which leads to the jumpbox",
        plant: &[run(
            "node-0",
            "ip rule add from 10.200.0.0/24 to 10.200.1.0/24 lookup 78 prio 101; ip route replace default via 192.168.10.10 table 78",
        )],
        heal: &[run(
            "node-0",
            "ip rule del prio 101 2>/dev/null || :; ip route flush table 78 2>/dev/null || :",
        )],
        expect: &[fails("network.pod-to-pod", "node-0", "route-diverted")],
        touches: &[
            anywhere("network.pod-to-pod"),
            anywhere("network.udp"),
            anywhere("network.mtu"),
            on("network.pod-reachable", "node-1"),
            anywhere("service.*"),
        ],
        needs: Needs::Images,
        ..Fault::NONE
    },
    Fault {
        name: "route-metric",
        summary: "server has two routes to node-1's pod network, and the one that counts is wrong",
        plant: &[run(
            "server",
            "ip route del 10.200.1.0/24; ip route add 10.200.1.0/24 via 192.168.10.102 metric 200; ip route add 10.200.1.0/24 via 192.168.10.10 metric 10",
        )],
        heal: &[run(
            "server",
            "ip route del 10.200.1.0/24 metric 200 2>/dev/null || :; ip route del 10.200.1.0/24 metric 10 2>/dev/null || :; ip route replace 10.200.1.0/24 via 192.168.10.102",
        )],
        expect: &[
            fails("network.routes", "server", "route-wrong"),
            fails("network.pod-reachable", "server", "route-wrong"),
        ],
        needs: Needs::Images,
        ..Fault::NONE
    },
    Fault {
        name: "route-half-blackholed",
        summary: "server drops what goes to the upper half of node-1's pod network, in which no pod is while the lab is young",
        plant: &[run("server", "ip route replace blackhole 10.200.1.128/25")],
        heal: &[run(
            "server",
            "ip route del blackhole 10.200.1.128/25 2>/dev/null || :",
        )],
        expect: &[fails("network.routes", "server", "route-refused")],
        touches: WAYS_TO_PODS,
        needs: Needs::Images,
        ..Fault::NONE
    },
    Fault {
        name: "kubelet-port-closed",
        summary: "node-1 lets nobody in at its kubelet's port",
        plant: &[run("node-1", "iptables -I INPUT -p tcp --dport 10250 -j DROP")],
        heal: &[run(
            "node-1",
            "iptables -D INPUT -p tcp --dport 10250 -j DROP 2>/dev/null || :",
        )],
        expect: &[
            fails("kubectl.exec", "node-1", "chain-drops"),
            fails("kubectl.logs", "node-1", "chain-drops"),
            fails("kubectl.port-forward", "node-1", "chain-drops"),
        ],
        touches: &[on("certs.served", "node-1")],
        needs: Needs::Images,
        ..Fault::NONE
    },
    Fault {
        name: "kubelet-refused-by-server",
        summary: "a rule of the server rejects what its API server sends to node-0's kubelet",
        plant: &[run(
            "server",
            "iptables -I OUTPUT -p tcp -d 192.168.10.101 --dport 10250 -j REJECT",
        )],
        heal: &[run(
            "server",
            "iptables -D OUTPUT -p tcp -d 192.168.10.101 --dport 10250 -j REJECT 2>/dev/null || :",
        )],
        expect: &[
            fails("kubectl.exec", "node-0", "chain-drops"),
            fails("kubectl.logs", "node-0", "chain-drops"),
        ],
        touches: &[on("kubectl.*", "node-0")],
        needs: Needs::Images,
        ..Fault::NONE
    },
    Fault {
        name: "neighbour-stale",
        summary: "node-0 has a stale Ethernet address of node-1, set by hand",
        plant: &[run(
            "node-0",
            "ip neigh replace 192.168.10.102 lladdr 02:00:00:00:00:99 dev eth1 nud permanent",
        )],
        heal: &[run(
            "node-0",
            "ip neigh del 192.168.10.102 dev eth1 2>/dev/null || :",
        )],
        expect: &[fails("network.pod-to-pod", "node-0", "neighbour-wrong")],
        touches: WAYS_TO_PODS,
        needs: Needs::Images,
        ..Fault::NONE
    },
    Fault {
        name: "overlay-dropped",
        summary: "pods are reached over VXLAN, and node-1 drops its packets",
        plant: &[
            Step::Plant("overlay"),
            run("node-1", "iptables -I INPUT -p udp --dport 8472 -j DROP"),
        ],
        heal: &[
            run(
                "node-1",
                "iptables -D INPUT -p udp --dport 8472 -j DROP 2>/dev/null || :",
            ),
            Step::Heal("overlay"),
        ],
        expect: &[
            fails("network.routes", "server", "pod-network-unreachable"),
            fails("network.pod-reachable", "server", "chain-drops"),
            fails("network.pod-to-pod", "node-0", "chain-drops"),
        ],
        touches: &[
            anywhere("network.routes"),
            anywhere("network.pod-reachable"),
            anywhere("network.pod-to-pod"),
            anywhere("network.udp"),
            anywhere("network.mtu"),
            anywhere("service.*"),
        ],
        needs: Needs::Images,
        ..Fault::NONE
    },
];
