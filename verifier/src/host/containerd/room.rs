//! How much may still be written where the images lie, before the kubelet does something about it.

use std::fmt::Write as _;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::error::Error;
use crate::host::kubelet::{Kubelet, kubelet};
use crate::protocol::Left;

/// Where containerd keeps its files by default.
const DEFAULT: &str = "/var/lib/containerd";

/// Returns the bytes that may be written below `directory`, and how that came about.
pub(crate) fn room(directory: Option<&str>) -> Result<(u64, String), Error> {
    let place = Place::of(directory);
    let found = place.look()?;
    let (room, limits) = judge(found.bytes, place.kubelet.as_ref(), place.shared);
    let why = format!(
        "{}: {} available of {}; {limits}",
        place.path.display(),
        bytes(found.bytes.available),
        bytes(found.bytes.capacity),
    );
    Ok((room, why))
}

/// Returns what is left of the file system below `directory`, whoever minds it.
pub(crate) fn left(directory: Option<&str>) -> Result<Left, Error> {
    Ok(Place::of(directory).look()?.bytes)
}

/// Where images lie, and who minds how full it is.
#[derive(Debug)]
struct Place {
    path: PathBuf,
    kubelet: Option<Kubelet>,
    /// Whether the kubelet's own directory lies on the same file system.
    shared: bool,
}

/// What a file system has.
#[derive(Clone, Copy, Debug)]
struct Found {
    bytes: Left,
    /// Of inodes; a capacity of 0 where the file system does not count them.
    inodes: Left,
}

impl Place {
    fn of(directory: Option<&str>) -> Self {
        let path = nearest(Path::new(directory.unwrap_or(DEFAULT)));
        let kubelet = kubelet();
        let device = |path: &Path| std::fs::metadata(path).map(|metadata| metadata.dev()).ok();
        let shared = kubelet.as_ref().is_some_and(|kubelet| {
            let root = device(&nearest(&kubelet.root));
            root.is_some() && root == device(&path)
        });
        Self {
            path,
            kubelet,
            shared,
        }
    }

    fn look(&self) -> Result<Found, Error> {
        let found = rustix::fs::statvfs(&self.path).map_err(|error| Error::Room {
            path: self.path.display().to_string(),
            source: error.into(),
        })?;
        Ok(Found {
            bytes: Left {
                capacity: found.f_blocks.saturating_mul(found.f_frsize),
                available: found.f_bavail.saturating_mul(found.f_frsize),
            },
            inodes: Left {
                capacity: found.f_files,
                available: found.f_favail,
            },
        })
    }

    /// Returns the inodes that may be taken before the kubelet evicts pods.
    fn inodes(&self, inodes: Left) -> u64 {
        let Some(kubelet) = &self.kubelet else {
            return inodes.available;
        };
        let mut keep = kubelet.imagefs_inodes.of(inodes.capacity);
        if self.shared {
            keep = keep.max(kubelet.nodefs_inodes.of(inodes.capacity));
        }
        inodes.available.saturating_sub(keep)
    }
}

/// Watches the room while layers are unpacked: what they unpack to says nobody but they themselves.
#[derive(Debug)]
pub(super) struct Guard {
    place: Place,
    /// What must stay of the room, in bytes: a layer goes on growing while it is being stopped.
    spare: u64,
}

/// How often the room is looked at. A look takes microseconds; a layer of zeros grows by a gigabyte a second.
const POLL: Duration = Duration::from_millis(20);
/// The most that is spared.
const SPARE: u64 = 256 << 20;

impl Guard {
    /// Returns a guard of a load that is estimated to need `need` bytes. What it spares comes out of what would be left.
    pub(super) fn new(directory: Option<&str>, need: u64) -> Result<Self, Error> {
        let place = Place::of(directory);
        let (room, _) = judge(place.look()?.bytes, place.kubelet.as_ref(), place.shared);
        let spare = (room.saturating_sub(need) / 2).min(SPARE);
        Ok(Self { place, spare })
    }

    /// Waits until there is too little room, and says how that is. A file system that cannot be looked at any more is left
    /// to containerd's own errors.
    pub(super) async fn breach(&self) -> String {
        loop {
            if let Some(why) = self.place.look().ok().and_then(|found| self.judge(found)) {
                return why;
            }
            tokio::time::sleep(POLL).await;
        }
    }

    fn judge(&self, found: Found) -> Option<String> {
        let Found { bytes: space, inodes } = found;
        let path = self.place.path.display();
        let (room, limits) = judge(space, self.place.kubelet.as_ref(), self.place.shared);
        if room <= self.spare {
            let left = bytes(space.available);
            return Some(format!("only {left} are left on {path}; {limits}"));
        }
        if inodes.capacity > 0 && self.place.inodes(inodes) == 0 {
            let Left { capacity, available } = inodes;
            return Some(format!(
                "only {available} of {capacity} inodes are left on {path}"
            ));
        }
        None
    }
}

/// Takes the tightest of the kubelet's limits. `shared`: the kubelet's own directory lies on the same file system.
fn judge(namespace: Left, kubelet: Option<&Kubelet>, shared: bool) -> (u64, String) {
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
    use crate::host::kubelet::Threshold;

    #[test]
    fn a_load_is_stopped_before_bytes_or_inodes_reach_what_the_kubelet_minds() {
        let guard = |kubelet: Option<Kubelet>, spare| Guard {
            place: Place {
                path: PathBuf::from("/images"),
                kubelet,
                shared: true,
            },
            spare,
        };
        let space = |capacity, available| Left { available, capacity };
        let found = |available, inodes| Found {
            bytes: space(100_000, available),
            inodes: space(1000, inodes),
        };
        // 15 % are for the kubelet, 1,000 bytes are spared; of inodes 5 %.
        let with = guard(Some(Kubelet::default()), 1000);
        assert_eq!(with.judge(found(16_001, 51)), None);
        assert!(
            with.judge(found(16_000, 51))
                .unwrap()
                .contains("are left on /images")
        );
        assert!(
            with.judge(found(16_001, 50))
                .unwrap()
                .contains("50 of 1000 inodes")
        );
        let without = guard(None, 0);
        assert_eq!(without.judge(found(1, 1)), None);
        assert!(without.judge(found(0, 1)).is_some() && without.judge(found(1, 0)).is_some());
        let uncounted = Found {
            bytes: space(100, 50),
            inodes: space(0, 0),
        };
        assert_eq!(without.judge(uncounted), None);
    }

    #[test]
    fn the_tightest_limit_of_the_kubelet_counts() {
        let namespace = Left {
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
