//! How many files a directory has, counted as containerd counts them when it commits a snapshot (continuity, fs.DiskUsage):
//! every inode once, the directory itself too.

use std::collections::BTreeSet;
use std::fs::{Metadata, read_dir, symlink_metadata};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::Instant;

/// Counts the inodes below a directory; none where the time is over.
pub(super) fn count(directory: &Path, until: Option<Instant>) -> io::Result<Option<u64>> {
    let own = symlink_metadata(directory)?;
    if !own.is_dir() {
        return Err(io::ErrorKind::NotADirectory.into());
    }
    let (mut count, mut linked) = (1_u64, BTreeSet::new());
    let mut todo = vec![directory.to_owned()];
    while let Some(directory) = todo.pop() {
        if until.is_some_and(|until| Instant::now() > until) {
            return Ok(None);
        }
        for entry in read_dir(&directory)? {
            let entry = entry?;
            // As the entry stands there: no link is followed.
            let metadata = entry.metadata()?;
            if metadata.is_dir() {
                todo.push(entry.path());
            }
            count += u64::from(is_new(&metadata, &mut linked));
        }
    }
    Ok(Some(count))
}

/// Returns whether a file was not counted under another name.
fn is_new(metadata: &Metadata, linked: &mut BTreeSet<(u64, u64)>) -> bool {
    metadata.is_dir() || metadata.nlink() < 2 || linked.insert((metadata.dev(), metadata.ino()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_inode_counts_once_and_no_link_is_followed() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path();
        std::fs::create_dir(root.join("a")).unwrap();
        std::fs::write(root.join("a/file"), "x").unwrap();
        std::fs::hard_link(root.join("a/file"), root.join("a/other")).unwrap();
        std::os::unix::fs::symlink("/", root.join("link")).unwrap();
        assert_eq!(count(root, None).unwrap(), Some(4));
        assert_eq!(count(root, Some(Instant::now())).unwrap(), None);
        assert_eq!(
            count(&root.join("nothing"), None).unwrap_err().kind(),
            io::ErrorKind::NotFound
        );
    }
}
