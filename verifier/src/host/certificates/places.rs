//! Where certificates lie, layout by layout, without configuration.

use std::fs;
use std::io;
use std::path::Path;

use super::store::Store;

/// Directories, and how many levels of them are looked through. Of the page, kubeadm, kubespray, k3s, RKE2, MicroK8s, k0s,
/// minikube; of etcd and of container runtimes.
const KNOWN: &[(&str, u32)] = &[
    ("/etc/kubernetes", 5),
    ("/etc/etcd", 3),
    ("/etc/ssl/etcd", 3),
    ("/etc/containerd", 4),
    ("/etc/docker/certs.d", 2),
    ("/etc/cni/net.d", 3),
    ("/etc/calico", 3),
    ("/etc/rancher", 3),
    ("/srv/kubernetes", 3),
    ("/var/lib/kubernetes", 3),
    ("/var/lib/kubelet", 1),
    ("/var/lib/kubelet/pki", 2),
    ("/var/lib/kube-proxy", 2),
    ("/var/lib/kube-scheduler", 2),
    ("/var/lib/kube-controller-manager", 2),
    ("/var/lib/etcd/pki", 2),
    ("/var/lib/rancher/k3s/server/tls", 4),
    ("/var/lib/rancher/k3s/server/cred", 2),
    ("/var/lib/rancher/k3s/agent", 1),
    ("/var/lib/rancher/rke2/server/tls", 4),
    ("/var/lib/rancher/rke2/server/cred", 2),
    ("/var/lib/rancher/rke2/agent", 1),
    ("/var/snap/microk8s/current/certs", 3),
    ("/var/snap/microk8s/current/credentials", 2),
    ("/var/lib/k0s/pki", 3),
    ("/var/lib/minikube/certs", 3),
    ("/root/.kube", 1),
    ("/root", 1),
];

/// How the names of files end that may hold certificates or keys.
const ENDINGS: [&str; 12] = [
    ".crt",
    ".cert",
    ".cer",
    ".pem",
    ".key",
    ".pub",
    ".der",
    ".kubeconfig",
    ".conf",
    ".config",
    "kubeconfig",
    "-cert.json",
];
/// Whole names of others.
const NAMES: [&str; 3] = ["config", "k3s.yaml", "rke2.yaml"];
/// So deep goes what a person names.
const DEPTH: u32 = 16;

/// Reads what lies in the known places.
pub(super) fn known(store: &mut Store) {
    for (place, depth) in KNOWN {
        walk(Path::new(place), *depth, is_ours, store);
    }
}

/// Reads what lies below a directory, or a file.
pub(super) fn below(path: &Path, store: &mut Store) {
    if path.is_dir() {
        walk(path, DEPTH, |_| true, store);
    } else {
        read(path, store);
    }
}

fn is_ours(name: &str) -> bool {
    ENDINGS.iter().any(|ending| name.ends_with(ending)) || NAMES.contains(&name)
}

/// Links to directories are not followed: `..data` of a Secret's volume leads to a directory beside it.
fn walk(directory: &Path, depth: u32, ours: fn(&str) -> bool, store: &mut Store) {
    let listed = fs::read_dir(directory).and_then(Iterator::collect::<io::Result<Vec<_>>>);
    let mut entries = match listed {
        Ok(entries) => entries,
        Err(error) => return store.unread(directory, &error),
    };
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let Ok(kind) = entry.file_type() else { continue };
        let name = entry.file_name();
        if kind.is_dir() && depth > 1 {
            walk(&entry.path(), depth - 1, ours, store);
        } else if !kind.is_dir() && ours(&name.to_string_lossy()) {
            read(&entry.path(), store);
        }
    }
}

fn read(path: &Path, store: &mut Store) {
    if let Err(error) = store.file(&path.display().to_string(), path) {
        store.unread(path, &error);
    }
}
