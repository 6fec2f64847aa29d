//! What a host of the page still has after it was started again: its routes to pods, its kernel's settings and modules. The page
//! types these by hand; its hosts would lose them.

use std::fmt::Write as _;

use crate::{Host, LabFile, Layout, Role};

/// The unit that sets the routes.
pub(super) const ROUTES: &str = "pod-routes.service";

/// Returns the files of a host.
pub(super) fn files(host: &Host, layout: &Layout) -> Vec<LabFile> {
    let mut files = vec![LabFile::new(
        format!("/etc/systemd/system/{ROUTES}"),
        routes(host, layout),
    )];
    if host.role == Role::Node {
        files.push(LabFile::new("/etc/sysctl.d/99-kubernetes.conf", SYSCTL));
        files.push(LabFile::new("/etc/modules-load.d/kubernetes.conf", MODULES));
    }
    files
}

const SYSCTL: &str = "net.ipv4.ip_forward = 1
net.bridge.bridge-nf-call-iptables = 1
net.bridge.bridge-nf-call-ip6tables = 1
";

const MODULES: &str = "overlay
br_netfilter
";

/// Returns a unit that sets the routes to the other nodes' pods, as the lab's own network has them.
fn routes(host: &Host, layout: &Layout) -> String {
    let mut text = String::from(
        "[Unit]\nDescription=Routes to the pods of other nodes\n\n[Service]\nType=oneshot\nRemainAfterExit=yes\n",
    );
    for node in layout.nodes().filter(|node| node.name != host.name) {
        if let Some(pods) = node.pod_network {
            // Writing to a String cannot fail.
            let _ = writeln!(
                text,
                "ExecStart=/sbin/ip route replace {pods} via {} dev eth1",
                node.address
            );
        }
    }
    // A host that has no other node's pods to reach starts nothing.
    text.push_str("ExecStart=/bin/true\n\n[Install]\nWantedBy=multi-user.target\n");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_sets_the_routes_to_all_others_and_not_to_itself() {
        let layout = Layout::new(3);
        let text = routes(layout.host("node-1").unwrap(), &layout);
        assert!(
            text.contains("ip route replace 10.200.0.0/24 via 192.168.10.101 dev eth1"),
            "{text}"
        );
        assert!(
            text.contains("10.200.2.0/24") && !text.contains("10.200.1.0/24"),
            "{text}"
        );
    }

    #[test]
    fn only_nodes_forward() {
        let layout = Layout::new(2);
        let count = |name: &str| files(layout.host(name).unwrap(), &layout).len();
        assert_eq!((count("server"), count("node-0")), (1, 3));
    }
}
