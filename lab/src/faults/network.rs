//! Faults of the network on a node: forwarding, bridges, chains, addresses.

use super::{
    Fault, Needs, PODS_OF_NODE_0, PODS_OF_NODE_1, WAYS_TO_PODS, anywhere, fails, on, run, warns,
    warns_cluster,
};

/// Does something over and over as a unit of the host: what it breaks is mended by the CNI or by kube-proxy as soon as a
/// pod or a Service comes.
macro_rules! again {
    ($unit:literal, $command:literal) => {
        concat!(
            "systemctl stop ",
            $unit,
            " 2>/dev/null || :; systemd-run --quiet --collect --unit=",
            $unit,
            " sh -c 'while :; do ",
            $command,
            " 2>/dev/null; sleep 0.1; done'"
        )
    };
}

pub(super) const FAULTS: &[Fault] = &[
    Fault {
        name: "pods-masqueraded",
        summary: "node-0 hides its pods' addresses from the pods of node-1, and its CNI is not told to",
        plant: &[run(
            "node-0",
            "sed -i 's/\"ipMasq\": true/\"ipMasq\": false/' /etc/cni/net.d/10-bridge.conf; \
             iptables -t nat -I POSTROUTING -s 10.200.0.0/24 -d 10.200.1.0/24 -j MASQUERADE",
        )],
        heal: &[run(
            "node-0",
            "sed -i 's/\"ipMasq\": false/\"ipMasq\": true/' /etc/cni/net.d/10-bridge.conf; \
             iptables -t nat -D POSTROUTING -s 10.200.0.0/24 -d 10.200.1.0/24 -j MASQUERADE 2>/dev/null || :",
        )],
        expect: &[warns("network.pod-to-pod", "node-0", "pod-address-hidden")],
        needs: Needs::Images,
        ..Fault::NONE
    },
    Fault {
        name: "forwarding-off",
        summary: "node-1 forwards no packets",
        // The CNI's bridge turns it on again with each pod.
        plant: &[run(
            "node-1",
            again!("lab-forwarding-off", "echo 0 >/proc/sys/net/ipv4/ip_forward"),
        )],
        heal: &[run(
            "node-1",
            "systemctl stop lab-forwarding-off || :; echo 1 >/proc/sys/net/ipv4/ip_forward",
        )],
        expect: &[fails("network.routes", "node-1", "forwarding-off")],
        touches: WAYS_TO_PODS,
        ..Fault::NONE
    },
    Fault {
        name: "policies-unenforced",
        summary: "somebody counts on a NetworkPolicy, and nothing enforces it",
        plant: &[run(
            "server",
            "kubectl --kubeconfig=/root/admin.kubeconfig apply -f - <<'EOF'\n\
             apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: lab-deny, namespace: default}\n\
             spec: {podSelector: {}, policyTypes: [Ingress]}\nEOF",
        )],
        heal: &[run(
            "server",
            "kubectl --kubeconfig=/root/admin.kubeconfig delete networkpolicy lab-deny --ignore-not-found",
        )],
        expect: &[warns_cluster("network.policy", "policies-without-effect")],
        ..Fault::NONE
    },
    Fault {
        name: "bridge-down",
        summary: "the bridge of node-0's pods is down",
        plant: &[run("node-0", again!("lab-bridge-down", "ip link set cni0 down"))],
        heal: &[run(
            "node-0",
            "systemctl stop lab-bridge-down || :; ip link set cni0 up || :",
        )],
        expect: &[fails("network.bridge", "node-0", "bridge-down")],
        touches: PODS_OF_NODE_0,
        needs: Needs::Images,
        ..Fault::NONE
    },
    Fault {
        name: "veth-unplugged",
        summary: "the veth of a pod of node-0 is no port of the bridge",
        plant: &[run(
            "node-0",
            again!(
                "lab-veth-unplugged",
                "ip link set $(ls /sys/class/net | grep ^veth | head -n 1) nomaster"
            ),
        )],
        heal: &[run(
            "node-0",
            "systemctl stop lab-veth-unplugged || :; for v in $(ls /sys/class/net | grep ^veth); do ip link set $v master cni0; done",
        )],
        expect: &[fails("network.veth", "node-0", "veth-unplugged")],
        touches: PODS_OF_NODE_0,
        needs: Needs::Images,
        ..Fault::NONE
    },
    Fault {
        name: "cni-other-subnet",
        summary: "the CNI of node-1 gives out addresses of node-0's pod network",
        plant: &[run(
            "node-1",
            "sed -i 's,10.200.1.0/24,10.200.0.0/24,' /etc/cni/net.d/10-bridge.conf; ip link del cni0 2>/dev/null || :",
        )],
        heal: &[run(
            "node-1",
            "sed -i 's,10.200.0.0/24,10.200.1.0/24,' /etc/cni/net.d/10-bridge.conf; ip link del cni0 2>/dev/null || :",
        )],
        expect: &[fails("workload.pod-cidr", "node-1", "pod-outside-network")],
        touches: PODS_OF_NODE_1,
        needs: Needs::Images,
        ..Fault::NONE
    },
    Fault {
        name: "forward-drop",
        summary: "the FORWARD chain of node-1 drops what no rule accepts",
        plant: &[run("node-1", "iptables -P FORWARD DROP")],
        heal: &[run("node-1", "iptables -P FORWARD ACCEPT")],
        expect: &[
            fails("network.pod-to-pod", "node-1", "chain-drops"),
            fails("api.from-pods", "node-1", "chain-drops"),
        ],
        touches: WAYS_TO_PODS,
        needs: Needs::Images,
        ..Fault::NONE
    },
    Fault {
        name: "legacy-drop",
        summary: "the older backend of iptables on node-1 drops HTTP to pods, and `iptables` shows the newer one",
        plant: &[run(
            "node-1",
            "iptables-legacy -I FORWARD -p tcp --dport 80 -j DROP",
        )],
        heal: &[run(
            "node-1",
            "iptables-legacy -D FORWARD -p tcp --dport 80 -j DROP 2>/dev/null || :",
        )],
        expect: &[fails("network.pod-to-pod", "node-0", "chain-drops")],
        touches: WAYS_TO_PODS,
        needs: Needs::Images,
        ..Fault::NONE
    },
    Fault {
        name: "nftables-drop",
        summary: "a table of nftables' own on node-1 rejects HTTP to pods, which iptables does not show",
        plant: &[run(
            "node-1",
            "nft 'add table inet lab_site; add chain inet lab_site forward { type filter hook forward priority 10; }; add rule inet lab_site forward tcp dport 80 counter drop'",
        )],
        heal: &[run("node-1", "nft delete table inet lab_site 2>/dev/null || :")],
        expect: &[fails("network.pod-to-pod", "node-0", "nft-drops")],
        touches: WAYS_TO_PODS,
        needs: Needs::Images,
        ..Fault::NONE
    },
    Fault {
        name: "udp-dropped",
        summary: "both nodes drop all UDP that they forward",
        plant: &[
            run("node-0", "iptables -I FORWARD -p udp -j DROP"),
            run("node-1", "iptables -I FORWARD -p udp -j DROP"),
        ],
        heal: &[
            run("node-0", "iptables -D FORWARD -p udp -j DROP 2>/dev/null || :"),
            run("node-1", "iptables -D FORWARD -p udp -j DROP 2>/dev/null || :"),
        ],
        expect: &[
            fails("network.udp", "node-0", "chain-drops"),
            fails("network.udp", "node-1", "chain-drops"),
        ],
        touches: &[anywhere("network.mtu"), anywhere("service.udp")],
        needs: Needs::Images,
        ..Fault::NONE
    },
    Fault {
        name: "service-udp-rules-lost",
        summary: "node-1 loses kube-proxy's rules for UDP, and keeps those for TCP",
        plant: &[run(
            "node-1",
            again!(
                "lab-udp-rules-lost",
                "iptables -w -t nat -S KUBE-SERVICES | grep -e \"-p udp .*--dport 7 \" | sed s/^-A/-D/ | xargs -r -L1 iptables -w -t nat"
            ),
        )],
        heal: &[run(
            "node-1",
            "systemctl stop lab-udp-rules-lost || :; systemctl reset-failed kube-proxy; systemctl restart kube-proxy",
        )],
        expect: &[fails("service.udp", "node-1", "service-udp-rules-missing")],
        needs: Needs::Images,
        ..Fault::NONE
    },
    Fault {
        name: "service-udp-dropped",
        summary: "node-0 drops UDP to the addresses of Services",
        plant: &[run(
            "node-0",
            "iptables -w -t raw -I PREROUTING -p udp -d 10.32.0.0/24 -j DROP",
        )],
        heal: &[run(
            "node-0",
            "while iptables -w -t raw -D PREROUTING -p udp -d 10.32.0.0/24 -j DROP 2>/dev/null; do :; done",
        )],
        expect: &[fails("service.udp", "node-0", "chain-drops")],
        needs: Needs::Images,
        ..Fault::NONE
    },
    Fault {
        name: "mtu-hole",
        summary: "node-1 drops packets of more than 1,200 bytes that it forwards, and says nothing",
        plant: &[run(
            "node-1",
            "iptables -t mangle -I FORWARD -m length --length 1201:65535 -j DROP",
        )],
        heal: &[run(
            "node-1",
            "iptables -t mangle -D FORWARD -m length --length 1201:65535 -j DROP 2>/dev/null || :",
        )],
        expect: &[
            fails("network.mtu", "node-0", "chain-drops"),
            fails("network.mtu", "node-1", "chain-drops"),
        ],
        // Of the API's certificates the longer packets get lost.
        touches: &[on("api.from-pods", "node-1")],
        needs: Needs::Images,
        ..Fault::NONE
    },
    Fault {
        name: "mtu-smaller-at-one-end",
        summary: "the link takes 1,200 bytes at node-1's end and 1,500 at the others': longer packets to node-1 vanish, and nobody says so",
        plant: &[run("node-1", "ip link set eth1 mtu 1200")],
        heal: &[run("node-1", "ip link set eth1 mtu 1500")],
        expect: &[fails("network.mtu", "node-0", "mtu-hole")],
        touches: &[
            anywhere("kubectl.*"),
            anywhere("workload.*"),
            // kube-proxy may not get its list of Services through.
            anywhere("service.*"),
            anywhere("components.*"),
            on("api.from-pods", "node-1"),
        ],
        needs: Needs::Images,
        ..Fault::NONE
    },
    Fault {
        name: "hairpin-off",
        summary: "the bridge of node-0's pods sends no packet back where it came from",
        plant: &[run(
            "node-0",
            again!(
                "lab-hairpin-off",
                "for v in $(ls /sys/class/net | grep ^veth); do echo 0 >/sys/class/net/$v/brport/hairpin_mode; done"
            ),
        )],
        heal: &[run(
            "node-0",
            "systemctl stop lab-hairpin-off || :; for v in $(ls /sys/class/net | grep ^veth); do echo 1 >/sys/class/net/$v/brport/hairpin_mode; done",
        )],
        expect: &[warns("service.from-pod", "node-0", "hairpin-lost")],
        needs: Needs::Images,
        ..Fault::NONE
    },
    Fault {
        name: "nodeport-dropped",
        summary: "node-1 drops packets to node ports",
        plant: &[run(
            "node-1",
            "iptables -t raw -I PREROUTING -p tcp --dport 30000:32767 -j DROP",
        )],
        heal: &[run(
            "node-1",
            "iptables -t raw -D PREROUTING -p tcp --dport 30000:32767 -j DROP 2>/dev/null || :",
        )],
        expect: &[fails("service.nodeport", "node-1", "chain-drops")],
        // What is masqueraded may come from a port of that range.
        touches: &[anywhere("service.from-pod"), on("service.nodeport", "node-0")],
        needs: Needs::Images,
        ..Fault::NONE
    },
    Fault {
        name: "nodeport-rules-flushed",
        summary: "node-1 has no rules for node ports",
        plant: &[run(
            "node-1",
            again!("lab-nodeport-flushed", "iptables -w -t nat -F KUBE-NODEPORTS"),
        )],
        heal: &[run(
            "node-1",
            "systemctl stop lab-nodeport-flushed || :; systemctl reset-failed kube-proxy; systemctl restart kube-proxy",
        )],
        expect: &[fails("service.nodeport", "node-1", "nodeport-rules-missing")],
        needs: Needs::Images,
        ..Fault::NONE
    },
];
