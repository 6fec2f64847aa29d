//! The texts that describe the lab's hosts: machines.txt and /etc/hosts as on the page, and the verifier's site file.
//!
//! Pure: computes texts.

use std::fmt::Write as _;

use crate::{DOMAIN, Encryption, Layout, Options, Role, SERVER, SERVICE_NETWORK};

/// Where the first server keeps backups of etcd.
pub(crate) const BACKUPS: &str = "/var/backups/etcd";
/// Where the jumpbox has the administrator's files.
pub(crate) const HOME: &str = "/root";

/// Returns the page's machines.txt: `IPV4 FQDN HOST POD_SUBNET`, no subnet for the server.
pub(crate) fn machines(layout: &Layout) -> String {
    let mut text = String::new();
    for host in layout.cluster() {
        write!(text, "{} {} {}", host.address, host.fqdn(), host.name).unwrap_or_default();
        if let Some(pods) = host.pod_network {
            write!(text, " {pods}").unwrap_or_default();
        }
        text.push('\n');
    }
    text
}

/// Returns /etc/hosts, the same on every host. Without the 127.0.1.1 of an installer: a kubelet would take it.
pub(crate) fn hosts(layout: &Layout) -> String {
    let mut text = String::from("127.0.0.1 localhost\n\n# Kubernetes The Hard Way\n");
    for host in layout.closed() {
        write!(text, "{} {} {}", host.address, host.fqdn(), host.name).unwrap_or_default();
        if host.role == Role::Balancer {
            write!(text, " api-server.{DOMAIN}").unwrap_or_default();
        }
        text.push('\n');
    }
    text
}

/// Returns the site file for the verifier on the jumpbox.
pub(crate) fn site(options: &Options, layout: &Layout) -> String {
    let login = if options.hardened {
        format!("user: op, become: sudo, passwordFile: {HOME}/op.password")
    } else {
        "user: root, become: none".to_owned()
    };
    let mut text = format!(
        "apiVersion: site/v1\n\
         kubeconfig: {HOME}/admin.kubeconfig\n\
         ssh: {{{login}, identity: {HOME}/.ssh/id_ed25519, knownHosts: {HOME}/.ssh/known_hosts}}\n\
         hosts:\n"
    );
    for host in layout.cluster() {
        let (name, address) = (&host.name, host.address);
        let rest = match (host.role, host.pod_network) {
            (Role::Node, Some(pods)) => format!("roles: [worker], podCIDRs: [{pods}]"),
            _ => "roles: [control-plane, etcd]".to_owned(),
        };
        writeln!(text, "  - {{name: {name}, address: {address}, {rest}}}").unwrap_or_default();
    }
    let encryption = match options.encryption {
        Encryption::None => "{provider: none}".to_owned(),
        other => format!("{{provider: {}, key: key1}}", other.provider()),
    };
    let etcd = if layout.is_balanced() {
        "[\"https://127.0.0.1:2379\"], ca: /etc/etcd/ca.crt, cert: /etc/etcd/kube-api-server.crt, \
         key: /etc/etcd/kube-api-server.key"
    } else {
        "[\"http://127.0.0.1:2379\"]"
    };
    write!(
        text,
        "etcd: {{endpoints: {etcd}}}\n\
         expect:\n  encryption: {encryption}\n  serviceCIDRs: [{SERVICE_NETWORK}]\n  cni: bridge\n  \
         nodePortFrom: [local, server]\n  backup: {{host: {SERVER}, dir: {BACKUPS}, maxAge: 26h}}\n"
    )
    .unwrap_or_default();
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn machines_are_listed_as_on_the_page() {
        assert_eq!(
            machines(&Layout::new(2)),
            "192.168.10.100 server.kubernetes.local server\n\
             192.168.10.101 node-0.kubernetes.local node-0 10.200.0.0/24\n\
             192.168.10.102 node-1.kubernetes.local node-1 10.200.1.0/24\n"
        );
    }

    #[test]
    fn the_site_file_names_login_hosts_and_encryption() {
        let options = Options {
            hardened: true,
            ..Options::default()
        };
        assert_eq!(
            site(&options, &Layout::new(1)),
            "apiVersion: site/v1\n\
             kubeconfig: /root/admin.kubeconfig\n\
             ssh: {user: op, become: sudo, passwordFile: /root/op.password, identity: /root/.ssh/id_ed25519, knownHosts: /root/.ssh/known_hosts}\n\
             hosts:\n  - {name: server, address: 192.168.10.100, roles: [control-plane, etcd]}\n  \
             - {name: node-0, address: 192.168.10.101, roles: [worker], podCIDRs: [10.200.0.0/24]}\n\
             etcd: {endpoints: [\"http://127.0.0.1:2379\"]}\n\
             expect:\n  encryption: {provider: aescbc, key: key1}\n  serviceCIDRs: [10.32.0.0/24]\n  cni: bridge\n  \
             nodePortFrom: [local, server]\n  backup: {host: server, dir: /var/backups/etcd, maxAge: 26h}\n"
        );
    }

    #[test]
    fn of_several_servers_each_has_etcd_behind_tls_and_the_balancer_is_none() {
        let layout = Layout::with_servers(3, 1);
        let text = site(&Options::default(), &layout);
        let line = "{name: server-2, address: 192.168.10.92, roles: [control-plane, etcd]}";
        assert!(text.contains(line) && !text.contains("balancer"), "{text}");
        assert!(
            text.contains("endpoints: [\"https://127.0.0.1:2379\"], ca: /etc/etcd/ca.crt, cert"),
            "{text}"
        );
        let names = "192.168.10.90 balancer.kubernetes.local balancer api-server.kubernetes.local\n";
        assert!(hosts(&layout).contains(names), "{}", hosts(&layout));
    }
}
