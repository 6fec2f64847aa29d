//! The file systems of a node. Each directory is looked at as the program sees it that writes there: that may run in a
//! container.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use procfs::process::Process;
use rustix::fs::{StatVfsMountFlags, statvfs};

use crate::host::kubelet::{Kubelet, kubelet};
use crate::protocol::{DiskLimits, DiskPlace, DisksReply, Left, Purpose};

/// Where k3s, RKE2 and `MicroK8s` keep the data of their own etcd.
const ETCD_INSIDE: [&str; 3] = [
    "/var/lib/rancher/k3s/server/db/etcd",
    "/var/lib/rancher/rke2/server/db/etcd",
    "/var/snap/microk8s/current/var/kubernetes/backend",
];
/// Where runtimes keep what they have where they do not say it.
const RUNTIME: [&str; 3] = [
    "/var/lib/containerd",
    "/var/lib/rancher/k3s/agent/containerd",
    "/var/lib/containers/storage",
];

/// Returns the places of this host. `images` is the directory that the container runtime names.
pub(crate) fn disks(images: Option<&str>) -> DisksReply {
    let kubelet = kubelet();
    let mut wanted: Vec<(Purpose, PathBuf, PathBuf)> = Vec::new();
    let mut want =
        |purpose, root: &Path, path: &Path| wanted.push((purpose, root.to_owned(), path.to_owned()));
    let root = Path::new("/");
    if let Some(kubelet) = &kubelet {
        want(Purpose::Kubelet, root, &kubelet.root);
    }
    let usual = || RUNTIME.iter().copied().find(|path| Path::new(path).is_dir());
    if let Some(images) = images.or_else(usual) {
        want(Purpose::Images, root, Path::new(images));
        if let Some((parent, _)) = images.split_once("/io.containerd.snapshotter.v1.") {
            want(
                Purpose::Content,
                root,
                &Path::new(parent).join("io.containerd.content.v1.content"),
            );
        }
    }
    for (root, path) in etcd() {
        want(Purpose::Etcd, &root, &path);
    }
    want(Purpose::Logs, root, Path::new("/var/log"));
    if Path::new("/var/log/pods").is_dir() {
        want(Purpose::Logs, root, Path::new("/var/log/pods"));
    }
    let places = wanted
        .iter()
        .filter_map(|(purpose, root, path)| look(*purpose, root, path, kubelet.as_ref()));
    DisksReply {
        places: places.collect(),
        kubelet: kubelet.as_ref().map(|kubelet| DiskLimits {
            image_gc_percent: kubelet.image_gc_high,
            source: kubelet.source.clone(),
            unread: kubelet.unread.as_ref().map(|file| file.display().to_string()),
        }),
    }
}

/// Returns the data directories of etcd, each with the root of whoever writes there.
fn etcd() -> Vec<(PathBuf, PathBuf)> {
    let processes = procfs::process::all_processes().into_iter().flatten().flatten();
    let mut found: Vec<(PathBuf, PathBuf)> = processes
        .filter(|process| process.stat().is_ok_and(|stat| stat.comm == "etcd"))
        .filter_map(|process| {
            Some((
                PathBuf::from(format!("/proc/{}/root", process.pid)),
                data_of(&process)?,
            ))
        })
        .collect();
    found.sort_by(|one, other| one.1.cmp(&other.1));
    found.dedup_by(|one, other| one.1 == other.1);
    if found.is_empty() {
        let inside = ETCD_INSIDE.iter().find(|path| Path::new(path).is_dir());
        found.extend(inside.map(|path| (PathBuf::from("/"), PathBuf::from(path))));
    }
    found
}

/// Returns where an etcd keeps its data: `--data-dir`, or `ETCD_DATA_DIR`; else it lies in its working directory.
fn data_of(process: &Process) -> Option<PathBuf> {
    let arguments = process.cmdline().unwrap_or_default();
    let named = data_flag(&arguments).or_else(|| {
        Some(PathBuf::from(
            process
                .environ()
                .ok()?
                .get(std::ffi::OsStr::new("ETCD_DATA_DIR"))?,
        ))
    });
    let directory = named.unwrap_or_default();
    if directory.is_absolute() {
        return Some(directory);
    }
    Some(process.cwd().ok()?.join(directory))
}

fn data_flag(arguments: &[String]) -> Option<PathBuf> {
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        match argument.trim_start_matches('-').strip_prefix("data-dir") {
            Some("") => return rest.next().map(PathBuf::from),
            Some(value) => {
                if let Some(value) = value.strip_prefix('=') {
                    return Some(PathBuf::from(value));
                }
            }
            None => {}
        }
    }
    None
}

/// Looks at the file system below a directory, or below the nearest above it that is there.
fn look(purpose: Purpose, root: &Path, path: &Path, kubelet: Option<&Kubelet>) -> Option<DiskPlace> {
    // A root that may not be entered is that of our own mounts in most cases.
    let within = |root: &Path| {
        let whole = root.join(path.strip_prefix("/").unwrap_or(path));
        let there = whole.ancestors().find(|path| path.exists())?;
        Some((statvfs(there).ok()?, fs::metadata(there).ok()?.dev()))
    };
    let (found, device) = within(root).or_else(|| within(Path::new("/")))?;
    let bytes = Left {
        capacity: found.f_blocks.saturating_mul(found.f_frsize),
        available: found.f_bavail.saturating_mul(found.f_frsize),
    };
    let inodes = Left {
        capacity: found.f_files,
        available: found.f_favail,
    };
    let (evicts_bytes, evicts_inodes) = match (purpose, kubelet) {
        (Purpose::Kubelet, Some(kubelet)) => (
            kubelet.nodefs.of(bytes.capacity),
            kubelet.nodefs_inodes.of(inodes.capacity),
        ),
        (Purpose::Images, Some(kubelet)) => (
            kubelet.imagefs.of(bytes.capacity),
            kubelet.imagefs_inodes.of(inodes.capacity),
        ),
        _ => (0, 0),
    };
    Some(DiskPlace {
        purpose,
        path: path.display().to_string(),
        device,
        read_only: found.f_flag.contains(StatVfsMountFlags::RDONLY),
        bytes,
        inodes,
        evicts_bytes,
        evicts_inodes,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_that_is_not_there_yet_is_judged_by_the_one_above_it() {
        let place = look(
            Purpose::Images,
            Path::new("/"),
            Path::new("/tmp/no/such/thing"),
            None,
        )
        .unwrap();
        assert_eq!(place.path, "/tmp/no/such/thing");
        assert!(place.bytes.capacity > 0 && !place.read_only);
        let kubelet = Kubelet::default();
        let place = look(
            Purpose::Kubelet,
            Path::new("/"),
            Path::new("/tmp"),
            Some(&kubelet),
        )
        .unwrap();
        assert_eq!(place.evicts_bytes, place.bytes.capacity / 1000 * 100);
        let place = look(Purpose::Logs, Path::new("/"), Path::new("/tmp"), Some(&kubelet)).unwrap();
        assert_eq!((place.evicts_bytes, place.evicts_inodes), (0, 0));
    }

    #[test]
    fn etcd_s_directory_is_read_from_its_command_line() {
        let line = |text: &str| data_flag(&text.split(' ').map(str::to_owned).collect::<Vec<_>>());
        assert_eq!(
            line("etcd --name a --data-dir=/srv/etcd"),
            Some(PathBuf::from("/srv/etcd"))
        );
        assert_eq!(line("etcd -data-dir /srv/etcd"), Some(PathBuf::from("/srv/etcd")));
        assert_eq!(line("etcd --data-directory=/x"), None);
    }
}
