//! How much may still be written where the images lie, before the kubelet does something about it.

use std::fmt::Write as _;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::error::Error;
use super::kubelet::{Kubelet, kubelet};

/// Where containerd keeps its files by default.
const DEFAULT: &str = "/var/lib/containerd";

/// A file system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Space {
    /// Its length in bytes.
    capacity: u64,
    /// What may be written to it, in bytes.
    available: u64,
}

/// Returns the bytes that may be written below `directory`, and how that came about.
pub(crate) fn room(directory: Option<&str>) -> Result<(u64, String), Error> {
    let path = nearest(Path::new(directory.unwrap_or(DEFAULT)));
    let failed = |source: std::io::Error| Error::Room {
        path: path.display().to_string(),
        source,
    };
    let found = rustix::fs::statvfs(&path).map_err(|error| failed(error.into()))?;
    let namespace = Space {
        capacity: found.f_blocks * found.f_frsize,
        available: found.f_bavail * found.f_frsize,
    };
    let kubelet = kubelet();
    let device = |path: &Path| std::fs::metadata(path).map(|metadata| metadata.dev()).ok();
    let shared = kubelet.as_ref().is_some_and(|kubelet| {
        let root = device(&nearest(&kubelet.root));
        root.is_some() && root == device(&path)
    });
    let (room, limits) = judge(namespace, kubelet.as_ref(), shared);
    let why = format!(
        "{}: {} available of {}; {limits}",
        path.display(),
        bytes(namespace.available),
        bytes(namespace.capacity),
    );
    Ok((room, why))
}

/// Takes the tightest of the kubelet's limits. `shared`: the kubelet's own directory lies on the same file system.
fn judge(namespace: Space, kubelet: Option<&Kubelet>, shared: bool) -> (u64, String) {
    let Some(kubelet) = kubelet else {
        return (namespace.available, "no kubelet runs here".to_owned());
    };
    let collect = namespace.capacity / 100 * 100_u64.saturating_sub(kubelet.image_gc_high);
    let mut keep = collect.max(kubelet.imagefs.of(namespace.capacity));
    let mut why = format!(
        "the kubelet collects images with less than {} available and evicts pods with less than {}",
        bytes(collect),
        bytes(kubelet.imagefs.of(namespace.capacity)),
    );
    if shared {
        let nodefs = kubelet.nodefs.of(namespace.capacity);
        keep = keep.max(nodefs);
        let _ = write!(
            why,
            " or, for its own files on the same file system, {}",
            bytes(nodefs)
        );
    }
    let _ = write!(why, " ({})", kubelet.source);
    (namespace.available.saturating_sub(keep), why)
}

/// Returns the path itself or the nearest directory above it that is there.
fn nearest(path: &Path) -> PathBuf {
    let there = path.ancestors().find(|path| path.exists());
    there.unwrap_or(Path::new("/")).to_owned()
}

fn bytes(count: u64) -> String {
    bytesize::ByteSize::b(count).display().iec().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::containerd::kubelet::Threshold;

    #[test]
    fn the_tightest_limit_of_the_kubelet_counts() {
        let namespace = Space {
            capacity: 100_000,
            available: 40_000,
        };
        let mut kubelet = Kubelet::default();
        assert_eq!(judge(namespace, None, false).0, 40_000);
        assert_eq!(judge(namespace, Some(&kubelet), true).0, 25_000);
        kubelet.nodefs = Threshold::Bytes(30_000);
        assert_eq!(judge(namespace, Some(&kubelet), true).0, 10_000);
        assert_eq!(judge(namespace, Some(&kubelet), false).0, 25_000);
        kubelet.image_gc_high = 50;
        assert_eq!(judge(namespace, Some(&kubelet), false).0, 0);
    }
}
