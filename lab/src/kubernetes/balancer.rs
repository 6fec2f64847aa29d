//! What stands before several API servers: Debian's haproxy on a host of its own, passing bytes and looking into none.

use std::fmt::Write as _;

use super::units::{RESTART, Unit};
use crate::{BALANCER, HostSpec, LabFile, Layout};

/// Returns what the balancer gets.
pub(super) fn spec(layout: &Layout) -> HostSpec {
    let unit = Unit {
        name: "haproxy",
        description: "HAProxy before the API servers",
        relations: &[],
        program: "/usr/sbin/haproxy",
        flags: &["-Ws", "-f /etc/haproxy/haproxy.cfg"],
        service: &["Type=notify", RESTART[0], RESTART[1]],
    };
    HostSpec {
        host: BALANCER.to_owned(),
        files: vec![
            unit.file(),
            LabFile::new("/etc/haproxy/haproxy.cfg", config(layout)),
        ],
        programs: Vec::new(),
        units: vec!["haproxy.service".to_owned()],
    }
}

/// Returns the configuration. A server that tells strangers nothing (401) lives all the same.
fn config(layout: &Layout) -> String {
    let mut text = String::from(
        "global
    maxconn 2000

defaults
    mode tcp
    timeout connect 2s
    timeout check 2s
    timeout client 1h
    timeout server 1h

frontend api
    bind :6443
    default_backend servers

backend servers
    balance roundrobin
    option httpchk GET /readyz
    http-check expect status 200,401,403
    default-server check check-ssl verify none inter 1s fall 2 rise 1 on-marked-down shutdown-sessions
",
    );
    for host in layout.servers() {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "    server {} {}:6443", host.name, host.address);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_server_is_behind_the_balancer() {
        let text = config(&Layout::with_servers(3, 2));
        assert!(text.contains("server server 192.168.10.100:6443\n"), "{text}");
        assert!(text.contains("server server-2 192.168.10.92:6443\n"), "{text}");
    }
}
