//! What a certificate is for by the name of its file, as the known layouts have it: for what lies there and no program uses.

use super::Purpose;

/// What API servers serve, by the names of the page and of kubeadm.
const API: [&str; 5] = [
    "apiserver.crt",
    "kube-apiserver.crt",
    "kube-api-server.crt",
    "apiserver.pem",
    "kube-apiserver.pem",
];

/// Returns whether a file is called as what API servers serve.
pub fn is_of_api(path: &str) -> bool {
    API.contains(&name_of(path))
}

/// Returns what a file is for by its name.
pub(super) fn by_name(path: &str) -> Option<Purpose> {
    let name = name_of(path);
    // kubespray has one pair of each kind for every host.
    let of_host = |kind: &str| name.starts_with(kind) && name.strip_suffix(".pem").is_some();
    match name {
        _ if is_of_api(path) => Some(Purpose::Serve),
        "apiserver-kubelet-client.crt"
        | "apiserver-etcd-client.crt"
        | "front-proxy-client.crt"
        | "healthcheck-client.crt" => Some(Purpose::Client),
        "peer.crt" | "peer.pem" => Some(Purpose::Peer),
        _ if path.contains("/etcd/") && of_host("member-") => Some(Purpose::Peer),
        _ => None,
    }
}

fn name_of(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_layouts_say_by_a_name_what_a_file_is_for() {
        for (path, purpose) in [
            ("/etc/kubernetes/pki/apiserver.crt", Some(Purpose::Serve)),
            ("/var/lib/kubernetes/kube-api-server.crt", Some(Purpose::Serve)),
            (
                "/etc/kubernetes/pki/apiserver-etcd-client.crt",
                Some(Purpose::Client),
            ),
            ("/etc/kubernetes/pki/etcd/peer.crt", Some(Purpose::Peer)),
            ("/etc/ssl/etcd/ssl/member-node1.pem", Some(Purpose::Peer)),
            ("/home/me/member-node1.pem", None),
            ("/etc/kubernetes/pki/etcd/server.crt", None),
        ] {
            assert_eq!(by_name(path), purpose, "{path}");
        }
    }
}
