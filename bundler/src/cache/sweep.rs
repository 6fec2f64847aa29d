//! What killed builds left: files under names of their own, which no lock holds any more.

use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime};

use bundle::Digest;

use super::{Cache, claim};

/// What was begun and not continued for so long is given up.
pub(super) const OLD: Duration = Duration::from_hours(7 * 24);

/// Removes what is nobody's. What cannot be removed is left for another time: it does no harm.
pub(super) fn sweep(cache: &Cache, old: Duration) {
    for_each(&cache.root.join("tmp"), |path, _| remove(path));
    for_each(&cache.root.join("partial"), |path, name| {
        // A blob's own name is there to be continued; any other was a build's own.
        let continued = Digest::from_hex(name).is_ok();
        let age = || {
            let modified = fs::symlink_metadata(path).ok()?.modified().ok()?;
            SystemTime::now().duration_since(modified).ok()
        };
        if !continued || age().is_some_and(|age| age > old) {
            remove(path);
        }
    });
}

pub(super) fn for_each(directory: &Path, mut visit: impl FnMut(&Path, &str)) {
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        let path = entry.path();
        if let Some(name) = path.file_name().and_then(|name| name.to_str()) {
            visit(&path, name);
        }
    }
}

/// Removes a file that nobody holds.
pub(super) fn remove(path: &Path) {
    // The claim is held until the name is gone, so that nobody takes the file up in between.
    if let Ok(Some(_claimed)) = claim::claim(path, false) {
        let _ = fs::remove_file(path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sink::Vessel as _;

    #[test]
    fn what_dead_builds_left_is_swept_and_what_is_begun_stays() {
        let directory = tempfile::tempdir().unwrap();
        let cache = Cache::open(directory.path()).unwrap();
        let digest = Digest::of("blob");
        let mut begun = cache.partial(&digest, 4).unwrap();
        begun.write(b"bl").unwrap();
        let mut beside = cache.partial(&digest, 4).unwrap();
        beside.write(b"blo").unwrap();
        let mut incoming = cache.incoming().unwrap();
        incoming.write(b"x").unwrap();
        let left = |part: &str| fs::read_dir(directory.path().join(part)).unwrap().count();
        // All three are alive.
        sweep(&cache, Duration::ZERO);
        assert_eq!((left("partial"), left("tmp")), (2, 1));
        beside.write(b"b").unwrap();
        beside.keep().unwrap();
        incoming.keep().unwrap();
        drop(begun);
        // As killed builds leave them: without a lock.
        fs::write(directory.path().join("tmp/incoming-x"), b"x").unwrap();
        fs::write(
            directory
                .path()
                .join("partial")
                .join(format!("{}.x", digest.hex())),
            b"b",
        )
        .unwrap();
        sweep(&cache, OLD);
        assert_eq!((left("partial"), left("tmp")), (1, 0));
        assert_eq!(cache.partial(&digest, 4).unwrap().written(), 2);
    }
}
