use super::*;
use crate::checks::testing::{expect, judged, site};
use crate::findings::{CauseId, Outcome};
use crate::protocol::{InotifyUse, Left, OpenFiles, SwapRule};

fn interface(name: &str, address: &str) -> Interface {
    Interface {
        index: 2,
        name: name.to_owned(),
        kind: String::new(),
        up: true,
        master: None,
        peer: None,
        addresses: vec![address.parse().unwrap()],
        mtu: 1500,
        card: None,
    }
}

/// A worker of the page: the plugin `bridge`, kube-proxy, everything on.
fn healthy() -> Facts {
    let on = [FORWARD[0], BRIDGE[0], BRIDGE[1]].map(|key| (key.to_owned(), Some("1".to_owned())));
    let mut values = BTreeMap::from(on);
    for name in ["eth1", "cni0"] {
        values.insert(format!("net/ipv4/conf/{name}/forwarding"), Some("1".to_owned()));
    }
    for (key, value) in limits::KEYS.iter().zip(["10", "262144", "128", "8192"]) {
        values.insert((*key).to_owned(), Some(value.to_owned()));
    }
    values.insert(FORWARD[1].to_owned(), Some("0".to_owned()));
    Facts {
        interfaces: vec![
            interface("eth1", "192.168.10.102/24"),
            interface("cni0", "10.200.1.1/24"),
        ],
        routes: Vec::new(),
        cni: Some(CniReply {
            plugin: "bridge".to_owned(),
            bridge: Some("cni0".to_owned()),
            subnets: vec!["10.200.1.0/24".parse().unwrap()],
            ..CniReply::default()
        }),
        proxies: vec!["kube-proxy".to_owned()],
        masquerades: false,
        values,
        usage: UsageReply {
            tasks: Left {
                available: 30_000,
                capacity: 32_768,
            },
            seen: 100,
            ..UsageReply::default()
        },
    }
}

fn set(facts: &mut Facts, key: &str, value: Option<&str>) {
    facts.values.insert(key.to_owned(), value.map(str::to_owned));
}

fn judge(facts: &Facts) -> (Outcome, Option<CauseId>) {
    judged::<HostsSettings>(facts, &expect(&site(), "node-1"))
}

const PASS: (Outcome, Option<CauseId>) = (Outcome::Pass, None);

#[test]
fn a_worker_of_the_page_passes_and_so_does_a_host_without_pods() {
    assert_eq!(judge(&healthy()), PASS);
    let mut server = healthy();
    server.cni = None;
    set(&mut server, FORWARD[0], Some("0"));
    set(&mut server, BRIDGE[0], None);
    assert_eq!(judged::<HostsSettings>(&server, &expect(&site(), "server")), PASS);
}

#[test]
fn a_bridge_that_passes_by_the_rules_of_services_fails() {
    let mut facts = healthy();
    set(&mut facts, BRIDGE[0], Some("0"));
    assert_eq!(judge(&facts), (Outcome::Fail, Some(CauseId::BridgeUnfiltered)));
    facts.proxies = vec!["k3s-server".to_owned()];
    facts.cni = Some(CniReply {
        plugin: "flannel".to_owned(),
        ..CniReply::default()
    });
    assert_eq!(judge(&facts), (Outcome::Fail, Some(CauseId::BridgeUnfiltered)));
    set(&mut facts, BRIDGE[0], None);
    assert_eq!(judge(&facts), (Outcome::Fail, Some(CauseId::BridgeFilterMissing)));
}

#[test]
fn without_a_bridge_or_without_kube_proxy_the_bridge_s_rules_are_of_no_interest() {
    let mut facts = healthy();
    set(&mut facts, BRIDGE[0], None);
    set(&mut facts, BRIDGE[1], None);
    for plugin in ["calico", "cilium-cni", "ptp", "antrea", "ovn-k8s-cni-overlay"] {
        facts.cni = Some(CniReply {
            plugin: plugin.to_owned(),
            ..CniReply::default()
        });
        assert_eq!(judge(&facts), PASS, "{plugin}");
    }
    facts.cni = healthy().cni;
    for other in [vec![], vec!["cilium-agent".to_owned(), "kube-proxy".to_owned()]] {
        facts.proxies = other;
        assert_eq!(judge(&facts), PASS);
    }
    facts.proxies = healthy().proxies;
    facts.masquerades = true;
    assert_eq!(judge(&facts), PASS);
}

#[test]
fn a_handful_of_ports_to_connect_from_warns() {
    let mut facts = healthy();
    set(&mut facts, "net.ipv4.ip_local_port_range", Some("32768\t60999"));
    assert_eq!(judge(&facts), PASS);
    set(&mut facts, "net.ipv4.ip_local_port_range", Some("32000\t32008"));
    assert_eq!(judge(&facts), (Outcome::Warn, Some(CauseId::PortsFew)));
}

#[test]
fn ipv6_counts_where_pods_have_it() {
    let mut facts = healthy();
    set(&mut facts, BRIDGE[1], Some("0"));
    assert_eq!(judge(&facts), PASS);
    let cni = facts.cni.as_mut().unwrap();
    cni.subnets.push("fd00:1::/64".parse().unwrap());
    let found = HostsSettings::judge(&facts, &expect(&site(), "node-1")).unwrap();
    let found: Vec<CauseId> = found.iter().map(|finding| finding.cause.id()).collect();
    assert_eq!(found, [CauseId::BridgeUnfiltered, CauseId::ForwardingOff]);
}

#[test]
fn forwarding_is_judged_once() {
    let mut facts = healthy();
    set(&mut facts, FORWARD[0], Some("0"));
    set(&mut facts, "net/ipv4/conf/eth1/forwarding", Some("0"));
    // The site file names pod networks: network.routes says it.
    assert_eq!(judge(&facts), PASS);
    let mut unnamed = site();
    unnamed.hosts.iter_mut().for_each(|host| host.pod_cidrs.clear());
    assert_eq!(
        judged::<HostsSettings>(&facts, &expect(&unnamed, "node-1")),
        (Outcome::Fail, Some(CauseId::ForwardingOff))
    );
    // Turned on interface by interface, as systemd-networkd may.
    set(&mut facts, "net/ipv4/conf/eth1/forwarding", Some("1"));
    assert_eq!(judged::<HostsSettings>(&facts, &expect(&unnamed, "node-1")), PASS);
    set(&mut facts, "net/ipv4/conf/eth1/forwarding", Some("0"));
    set(&mut facts, FORWARD[0], Some("1"));
    let warned = (Outcome::Warn, Some(CauseId::InterfaceForwardingOff));
    assert_eq!(judge(&facts), warned);
    // Nobody's packets for pods come in there.
    facts.interfaces[0].addresses = vec!["10.0.2.15/24".parse().unwrap()];
    assert_eq!(judge(&facts), PASS);
}

#[test]
fn swap_fails_only_where_the_kubelet_refuses_it_and_unknown_is_no_pass() {
    let mut facts = healthy();
    facts.usage.swaps = vec!["/dev/sda2".to_owned()];
    assert_eq!(judge(&facts), PASS);
    let rule = |refused, unread: Option<&str>| {
        Some(SwapRule {
            refused,
            unread: unread.map(str::to_owned),
        })
    };
    facts.usage.swap_rule = rule(false, None);
    assert_eq!(judge(&facts), PASS);
    facts.usage.swap_rule = rule(true, None);
    assert_eq!(judge(&facts), (Outcome::Fail, Some(CauseId::SwapRefused)));
    facts.usage.swap_rule = rule(true, Some("/var/lib/kubelet/config.yaml"));
    assert_eq!(judge(&facts), (Outcome::Error, Some(CauseId::SwapUnjudged)));
    facts.usage.swaps.clear();
    assert_eq!(judge(&facts), PASS);
}

#[test]
fn limits_warn_when_nine_tenths_are_used() {
    let warned = |change: &dyn Fn(&mut Facts)| {
        let mut facts = healthy();
        change(&mut facts);
        let (outcome, cause) = judge(&facts);
        assert_eq!(outcome, Outcome::Warn);
        cause.unwrap()
    };
    let conntrack = |facts: &mut Facts| set(facts, limits::KEYS[0], Some("235930"));
    assert_eq!(warned(&conntrack), CauseId::ConntrackNear);
    assert_eq!(
        warned(&|facts| facts.usage.tasks.available = 3000),
        CauseId::TasksNear
    );
    let inotify = |facts: &mut Facts| {
        facts.usage.inotify.push(InotifyUse {
            uid: 0,
            instances: 116,
            watches: 10,
        });
    };
    assert_eq!(warned(&inotify), CauseId::InotifyNear);
    let files = |facts: &mut Facts| {
        facts.usage.files.push(OpenFiles {
            pid: 7,
            name: "containerd".to_owned(),
            open: 1000,
            limit: 1024,
        });
    };
    assert_eq!(warned(&files), CauseId::FilesNear);
    let mut facts = healthy();
    set(&mut facts, limits::KEYS[0], Some("5"));
    set(&mut facts, limits::KEYS[1], Some("0"));
    assert_eq!(judge(&facts), PASS);
    facts.usage.unseen = 101;
    assert_eq!(judge(&facts), (Outcome::Error, Some(CauseId::UsageUnseen)));
}

#[test]
fn masquerade_all_is_found_wherever_a_version_has_it() {
    let all = |text: &str| masquerades_all(&serde_json::from_str(text).unwrap());
    assert!(all(
        r#"{"kubeproxy.config.k8s.io":{"IPTables":{"MasqueradeAll":true}}}"#
    ));
    assert!(all(
        r#"{"kubeproxy.config.k8s.io":{"Linux":{"masqueradeAll":true}}}"#
    ));
    assert!(!all(
        r#"{"kubeproxy.config.k8s.io":{"IPTables":{"MasqueradeAll":false}}}"#
    ));
}
