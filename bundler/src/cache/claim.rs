//! Locks on files that have names. The lock is on the inode; between opening and locking, the name may have come to
//! another: a build that finished has renamed the file, or a sweep has removed it. So after the lock the name is looked at
//! once more, and whoever holds a file that has lost its name begins anew.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;

/// Names change hands at most so often between two looks.
const TRIES: usize = 100;

/// Opens a file for reading and writing, and never through a link.
pub(super) fn open(path: &Path, create: bool) -> io::Result<File> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(create)
        .truncate(false)
        .custom_flags(rustix::fs::OFlags::NOFOLLOW.bits().cast_signed())
        .open(path)
}

/// Returns whether a name leads to this very file.
pub(super) fn is_named(file: &File, path: &Path) -> bool {
    let (Ok(file), Ok(named)) = (file.metadata(), fs::symlink_metadata(path)) else {
        return false;
    };
    (file.dev(), file.ino()) == (named.dev(), named.ino())
}

/// Opens the file of a name and locks it; none where another holds it.
pub(super) fn claim(path: &Path, create: bool) -> io::Result<Option<File>> {
    for _ in 0..TRIES {
        let file = open(path, create)?;
        match file.try_lock() {
            Ok(()) if is_named(&file, path) => return Ok(Some(file)),
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(None),
            // Without locks every file may be another's.
            Err(TryLockError::Error(error)) if error.kind() == io::ErrorKind::Unsupported => return Ok(None),
            Err(TryLockError::Error(error)) => return Err(error),
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_counts_only_on_the_file_that_still_has_the_name() {
        let directory = tempfile::tempdir().unwrap();
        let (path, away) = (directory.path().join("name"), directory.path().join("away"));
        let first = claim(&path, true).unwrap().unwrap();
        assert!(claim(&path, true).unwrap().is_none());
        // Another build has the file open when it is finished and gets its final name.
        let late = open(&path, false).unwrap();
        fs::rename(&path, &away).unwrap();
        drop(first);
        late.try_lock().unwrap();
        assert!(!is_named(&late, &path));
        let own = claim(&path, true).unwrap().unwrap();
        assert!(is_named(&own, &path) && !is_named(&own, &away));
    }

    #[test]
    fn links_are_not_followed() {
        let directory = tempfile::tempdir().unwrap();
        let (path, target) = (directory.path().join("link"), directory.path().join("target"));
        fs::write(&target, b"mine").unwrap();
        std::os::unix::fs::symlink(&target, &path).unwrap();
        assert!(claim(&path, true).is_err());
    }
}
