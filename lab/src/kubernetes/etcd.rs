//! etcd as a unit of each server: the page's single member without TLS, or members that know each other by certificates.

use super::On;
use super::units::{RESTART, Unit};
use crate::site::BACKUPS;
use crate::{Error, Host, LabFile, Layout, SERVER, run};

/// Files of a member that speaks TLS, to its clients and to the others.
const TLS: [&str; 8] = [
    "--cert-file=/etc/etcd/kube-api-server.crt",
    "--key-file=/etc/etcd/kube-api-server.key",
    "--trusted-ca-file=/etc/etcd/ca.crt",
    "--client-cert-auth",
    "--peer-cert-file=/etc/etcd/kube-api-server.crt",
    "--peer-key-file=/etc/etcd/kube-api-server.key",
    "--peer-trusted-ca-file=/etc/etcd/ca.crt",
    "--peer-client-cert-auth",
];

/// Returns the unit of a host's member.
pub(super) fn unit(host: &Host, layout: &Layout) -> LabFile {
    let flags = if layout.is_balanced() {
        several(host, layout)
    } else {
        single()
    };
    let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
    let unit = Unit {
        name: "etcd",
        description: "etcd",
        relations: &[],
        program: "/usr/local/bin/etcd",
        flags: &flags,
        service: &["Type=notify", RESTART[0], RESTART[1]],
    };
    unit.file()
}

/// Returns the API server's flags that lead to etcd.
pub(super) fn client(layout: &Layout) -> Vec<String> {
    if !layout.is_balanced() {
        return vec!["--etcd-servers=http://127.0.0.1:2379".to_owned()];
    }
    let urls: Vec<String> = layout.servers().map(|host| url(host, 2379)).collect();
    vec![
        format!("--etcd-servers={}", urls.join(",")),
        "--etcd-cafile=/etc/etcd/ca.crt".to_owned(),
        "--etcd-certfile=/etc/etcd/kube-api-server.crt".to_owned(),
        "--etcd-keyfile=/etc/etcd/kube-api-server.key".to_owned(),
    ]
}

/// Saves a snapshot where the site file says that backups are.
pub(crate) fn back_up(layout: &Layout, on: On<'_>) -> Result<(), Error> {
    let tls = if layout.is_balanced() {
        "--endpoints=https://127.0.0.1:2379 --cacert=/etc/etcd/ca.crt --cert=/etc/etcd/kube-api-server.crt \
         --key=/etc/etcd/kube-api-server.key"
    } else {
        ""
    };
    let script = format!("umask 077; mkdir -p {BACKUPS}; etcdctl {tls} snapshot save {BACKUPS}/lab.db");
    run::run(&mut on(SERVER, &["sh", "-euc", &script])?).map(|_| ())
}

fn single() -> Vec<String> {
    [
        "--name controller",
        "--initial-advertise-peer-urls http://127.0.0.1:2380",
        "--listen-peer-urls http://127.0.0.1:2380",
        "--listen-client-urls http://127.0.0.1:2379",
        "--advertise-client-urls http://127.0.0.1:2379",
        "--initial-cluster-token etcd-cluster-0",
        "--initial-cluster controller=http://127.0.0.1:2380",
        "--initial-cluster-state new",
        "--data-dir=/var/lib/etcd",
    ]
    .map(str::to_owned)
    .to_vec()
}

fn several(host: &Host, layout: &Layout) -> Vec<String> {
    let (peer, client) = (url(host, 2380), url(host, 2379));
    let members: Vec<String> = layout
        .servers()
        .map(|host| format!("{}={}", host.name, url(host, 2380)))
        .collect();
    let mut flags = vec![
        format!("--name {}", host.name),
        format!("--initial-advertise-peer-urls {peer}"),
        format!("--listen-peer-urls {peer}"),
        format!("--listen-client-urls {client},https://127.0.0.1:2379"),
        format!("--advertise-client-urls {client}"),
        "--initial-cluster-token etcd-cluster-0".to_owned(),
        format!("--initial-cluster {}", members.join(",")),
        "--initial-cluster-state new".to_owned(),
        "--data-dir=/var/lib/etcd".to_owned(),
    ];
    flags.extend(TLS.map(str::to_owned));
    flags
}

fn url(host: &Host, port: u16) -> String {
    format!("https://{}:{port}", host.address)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(layout: &Layout, host: &str) -> String {
        String::from_utf8(unit(layout.host(host).unwrap(), layout).contents).unwrap()
    }

    #[test]
    fn one_member_is_the_pages_and_three_know_each_other() {
        let one = text(&Layout::new(1), "server");
        assert!(
            one.contains("--initial-cluster controller=http://127.0.0.1:2380"),
            "{one}"
        );
        assert!(!one.contains("https"), "{one}");
        let layout = Layout::with_servers(3, 1);
        let three = text(&layout, "server-1");
        assert!(three.contains("--name server-1"), "{three}");
        assert!(
            three.contains("server-2=https://192.168.10.92:2380")
                && three.contains("--peer-client-cert-auth"),
            "{three}"
        );
        assert_eq!((client(&Layout::new(1)).len(), client(&layout).len()), (1, 4));
    }
}
