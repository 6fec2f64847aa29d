//! Where certificates lie, layout by layout, without configuration.

use std::collections::HashSet;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
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
const DEPTH: u32 = 48;
/// What the kernel makes up, by the places that every distribution gives it.
const KERNEL: [&str; 2] = ["/proc", "/sys"];
/// So deep goes what a link leads to.
const BEHIND_LINK: u32 = 3;

/// Reads what lies in the known places.
pub(super) fn known(store: &mut Store) {
    for (place, depth) in KNOWN {
        Walk::of(store).directory(Path::new(place), *depth, is_ours);
    }
}

/// Reads what lies below a directory, or a file.
pub(super) fn below(path: &Path, store: &mut Store) {
    if path.is_dir() {
        let mut walk = Walk::of(store);
        walk.directory(path, DEPTH, |_| true);
        walk.store.cut(walk.cut);
    } else {
        read(path, store);
    }
}

fn is_ours(name: &str) -> bool {
    ENDINGS.iter().any(|ending| name.ends_with(ending)) || NAMES.contains(&name)
}

/// A way through directories, each of which is looked through once.
struct Walk<'a> {
    store: &'a mut Store,
    /// Devices and inodes of the directories so far.
    seen: HashSet<(u64, u64)>,
    /// Whether some were too deep.
    cut: bool,
}

impl<'a> Walk<'a> {
    fn of(store: &'a mut Store) -> Self {
        Self {
            store,
            seen: HashSet::new(),
            cut: false,
        }
    }

    /// Links to directories are followed last, since most lead to one beside them: `..data` of a Secret's volume.
    fn directory(&mut self, directory: &Path, depth: u32, ours: fn(&str) -> bool) {
        let identity = fs::metadata(directory).map(|metadata| (metadata.dev(), metadata.ino()));
        if identity.is_ok_and(|identity| !self.seen.insert(identity)) || is_of_the_kernel(directory) {
            return;
        }
        if !self.store.has_room() {
            return;
        }
        let listed = fs::read_dir(directory).and_then(Iterator::collect::<io::Result<Vec<_>>>);
        let mut entries = match listed {
            Ok(entries) => entries,
            Err(error) => return self.store.unread(directory, &error),
        };
        entries.sort_by_key(fs::DirEntry::file_name);
        let mut links = Vec::new();
        for entry in entries {
            let Ok(kind) = entry.file_type() else { continue };
            let path = entry.path();
            if kind.is_dir() {
                self.cut |= depth == 1;
                if depth > 1 {
                    self.directory(&path, depth - 1, ours);
                }
            } else if kind.is_symlink() && path.is_dir() {
                links.push(path);
            } else if ours(&entry.file_name().to_string_lossy()) {
                read(&path, self.store);
            }
        }
        for link in links {
            // Not up, and not through all that the machine has.
            let leads_up = fs::canonicalize(&link).is_ok_and(|to| directory.starts_with(to));
            if depth > 1 && !leads_up {
                self.directory(&link, BEHIND_LINK.min(depth - 1), is_ours);
            }
        }
    }
}

/// Returns whether a directory holds what the kernel makes up: no certificate lies there, and reading may wait for ever.
fn is_of_the_kernel(directory: &Path) -> bool {
    let directory = fs::canonicalize(directory).unwrap_or_else(|_| directory.to_owned());
    KERNEL.iter().any(|place| directory.starts_with(place))
}

/// Returns a path as text. One that is none keeps its bytes apart from those of others.
fn shown(path: &Path) -> String {
    let bytes = || path.as_os_str().as_encoded_bytes().escape_ascii().to_string();
    path.to_str().map_or_else(bytes, str::to_owned)
}

/// A link that leads nowhere, or to itself, holds nothing.
fn read(path: &Path, store: &mut Store) {
    match store.file(&shown(path), path) {
        Err(error) if error.kind() == io::ErrorKind::FileTooLarge => {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            if is_ours(&name) {
                store.unread(path, &error);
            }
        }
        Err(error) if error.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error()) => {}
        Err(error) => store.unread(path, &error),
        Ok(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(prepare: impl FnOnce(&Path)) -> (Vec<String>, Vec<String>, bool) {
        let directory = tempfile::tempdir().unwrap();
        let root = fs::canonicalize(directory.path()).unwrap();
        prepare(&root);
        let mut store = Store::default();
        below(&root, &mut store);
        let reply = store.reply(0);
        let short = |path: &String| path.replace(&*root.to_string_lossy(), "");
        (
            reply.files.iter().map(|file| short(&file.path)).collect(),
            reply.unread.iter().map(|unread| short(&unread.path)).collect(),
            reply.more,
        )
    }

    const PEM: &str = "-----BEGIN CERTIFICATE-----\nAQID\n-----END CERTIFICATE-----\n";

    #[test]
    fn a_directory_behind_a_link_is_looked_through_once_and_circles_end() {
        let elsewhere = tempfile::tempdir().unwrap();
        fs::write(elsewhere.path().join("a.crt"), PEM).unwrap();
        let (files, unread, more) = found(|root| {
            for name in ["pki", "again"] {
                std::os::unix::fs::symlink(elsewhere.path(), root.join(name)).unwrap();
            }
            std::os::unix::fs::symlink("/", root.join("up")).unwrap();
            std::os::unix::fs::symlink("self.crt", root.join("self.crt")).unwrap();
            std::os::unix::fs::symlink("nowhere", root.join("gone.crt")).unwrap();
        });
        assert_eq!(
            (files, unread, more),
            (vec!["/again/a.crt".to_owned()], vec![], false)
        );
    }

    #[test]
    fn names_that_are_no_text_are_told_apart() {
        use std::os::unix::ffi::OsStrExt as _;
        let (files, unread, _) = found(|root| {
            for name in [b"\xfe.crt", b"\xff.crt"] {
                fs::write(root.join(std::ffi::OsStr::from_bytes(name)), PEM).unwrap();
            }
        });
        let names = ["/\\xfe.crt", "/\\xff.crt"].map(str::to_owned).to_vec();
        assert_eq!((files, unread), (names, vec![]));
    }

    #[test]
    fn what_is_too_long_or_too_deep_is_told() {
        let (files, unread, more) = found(|root| {
            fs::write(root.join("all.crt"), PEM.repeat(200_000)).unwrap();
            fs::write(root.join("etcd.db"), PEM.repeat(200_000)).unwrap();
            let deep = root.join("d/".repeat(60));
            fs::create_dir_all(&deep).unwrap();
        });
        assert_eq!((files, unread, more), (vec![], vec!["/all.crt".to_owned()], true));
    }
}
