//! The network is closed: nothing of it leads out, and nothing comes in.

use std::net::{Ipv4Addr, TcpListener};
use std::process::Command;

use lab::{Guard, Options};

use crate::support::{CLOSED, bare, links, until, up};

/// Tries to connect from a host, and returns what bash says if it cannot. A packet that nobody answers counts too.
fn connect(lab: &Guard, host: &str, address: &str, port: u16) -> Result<(), String> {
    let script = format!("exec 3<>/dev/tcp/{address}/{port}");
    let output = lab.exec(host, &["timeout", "2", "bash", "-c", &script]).unwrap();
    if output.status.success() {
        Ok(())
    } else {
        Err(String::from_utf8(output.stderr).unwrap())
    }
}

/// Returns the machine's own IPv4 addresses.
fn own_addresses() -> Vec<String> {
    let output = Command::new("ip")
        .args(["-o", "-4", "address", "show"])
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let address = |line: &str| {
        line.split_whitespace()
            .nth(3)?
            .split('/')
            .next()
            .map(str::to_owned)
    };
    text.lines().filter_map(address).collect()
}

#[test]
fn no_default_route_leads_out_of_any_host() {
    let lab = up(&bare("routes"));
    for host in CLOSED.into_iter().chain(["connected"]) {
        for family in ["-4", "-6"] {
            let routes = lab
                .read(host, &["ip", family, "route", "show", "default"])
                .unwrap();
            assert_eq!(routes, "", "{host} {family}");
        }
        // An address of documentation stands for the world (RFC 5737).
        let refused = connect(&lab, host, "192.0.2.1", 80).unwrap_err();
        assert!(refused.contains("Network is unreachable"), "{host}: {refused}");
    }
}

#[test]
fn the_switch_has_no_link_but_to_the_labs_own_hosts() {
    let before = links();
    let lab = up(&bare("switch"));
    assert_eq!(links(), before, "the machine's own namespace got a link");
    let namespace = format!("{}.switch", lab.options().name);
    let output = Command::new("ip")
        .args(["-n", &namespace, "-o", "link", "show"])
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let name = |line: &str| {
        line.split(": ")
            .nth(1)
            .unwrap()
            .split('@')
            .next()
            .unwrap()
            .to_owned()
    };
    let mut found: Vec<String> = text.lines().map(name).collect();
    found.sort();
    let expected = [
        "br0",
        "jumpbox",
        "lo",
        "nat-jumpbox",
        "nat-node-0",
        "nat-server",
        "node-0",
        "server",
    ];
    assert_eq!(found, expected);
    let output = Command::new("ip")
        .args(["-n", &namespace, "-4", "address", "show"])
        .output()
        .unwrap();
    assert_eq!(
        String::from_utf8(output.stdout).unwrap(),
        "",
        "the switch has an address"
    );
}

#[test]
fn no_host_reaches_the_machine_and_the_machine_reaches_no_host() {
    let lab = up(&bare("machine"));
    let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    for host in CLOSED.into_iter().chain(["connected"]) {
        for address in own_addresses() {
            assert!(
                connect(&lab, host, &address, port).is_err(),
                "{host} reaches {address}"
            );
        }
    }
    let mut incoming = listener.incoming();
    listener.set_nonblocking(true).unwrap();
    assert!(incoming.next().unwrap().is_err(), "something reached the machine");
    // Looked up in the machine's routing table, so that no packet is sent.
    let route = Command::new("ip")
        .args(["route", "get", "192.168.10.100"])
        .output()
        .unwrap();
    let route = String::from_utf8(route.stdout).unwrap();
    assert!(
        !route.contains(&lab.options().name) && !route.contains("br0"),
        "{route}"
    );
}

/// With Kubernetes, because it is the real registry that must not be reached.
#[test]
fn no_host_of_the_closed_side_reaches_the_connected_sides_registry() {
    let lab = up(&Options {
        bare: false,
        ..bare("registry")
    });
    let (address, port) = lab::REGISTRY.split_once(':').unwrap();
    let port = port.parse().unwrap();
    connect(&lab, "connected", address, port).unwrap();
    for host in CLOSED {
        connect(&lab, host, address, port).unwrap_err();
        // Every address that the connected side has, tried from the closed side.
        let text = lab
            .read("connected", &["ip", "-o", "-4", "address", "show"])
            .unwrap();
        for line in text.lines() {
            let own = line.split_whitespace().nth(3).unwrap().split('/').next().unwrap();
            connect(&lab, host, own, port).unwrap_err();
        }
    }
    // And the other way: the closed side's API server.
    let refused = connect(&lab, "connected", "192.168.10.100", 6443).unwrap_err();
    assert!(refused.contains("Network is unreachable"), "{refused}");
    connect(&lab, "jumpbox", "192.168.10.100", 6443).unwrap();
    // A registry that was ended is there again after the next up.
    let registry = "pid=$(pidof registry | tr ' ' '\\n' | while read -r p; do \
        [ \"$(readlink /proc/$p/ns/net)\" = \"$(readlink /proc/self/ns/net)\" ] && echo $p; done); kill -9 $pid";
    lab.read("connected", &["sh", "-c", registry]).unwrap();
    until("the registry's end", || {
        connect(&lab, "connected", address, port).is_err()
    });
    lab::Lab::up(lab.options(), &|line| println!("{line}")).unwrap();
    connect(&lab, "connected", address, port).unwrap();
}
