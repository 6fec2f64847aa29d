//! What the cache holds, and the end of what nobody uses. Time is an argument.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use bundle::Digest;

use super::notes::{self, Note};
use super::sweep::{for_each, remove, sweep};
use super::{Cache, CacheError, claim, make_directories};

/// What the cache holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Contents {
    /// The lengths of the blobs.
    pub(crate) blobs: BTreeMap<Digest, u64>,
    /// How many blobs are begun, and their bytes so far.
    pub(crate) begun: (usize, u64),
    /// What is noted, the latest first.
    pub(crate) notes: Vec<(Note, SystemTime)>,
}

/// What was removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Pruned {
    pub(crate) blobs: usize,
    pub(crate) bytes: u64,
    /// What stays.
    pub(crate) left: (usize, u64),
}

impl Contents {
    /// Returns how many blobs are there of these, and their bytes.
    pub(crate) fn of<'a>(&self, digests: impl IntoIterator<Item = &'a Digest>) -> (usize, u64) {
        let sizes = digests.into_iter().filter_map(|digest| self.blobs.get(digest));
        sizes.fold((0, 0), |(count, sum), size| (count + 1, sum + size))
    }

    /// Returns the blobs that no note names.
    pub(crate) fn unused(&self) -> BTreeSet<Digest> {
        let named: BTreeSet<&Digest> = self.notes.iter().flat_map(|(note, _)| &note.blobs).collect();
        self.blobs
            .keys()
            .filter(|digest| !named.contains(digest))
            .copied()
            .collect()
    }
}

impl Cache {
    /// Looks at what is there, beside builds that run.
    pub(crate) fn contents(&self) -> Contents {
        let mut contents = Contents::default();
        for_each(&self.blobs(), |path, name| {
            if let (Ok(digest), Ok(metadata)) = (Digest::from_hex(name), fs::symlink_metadata(path)) {
                contents.blobs.insert(digest, metadata.len());
            }
        });
        for_each(&self.root.join("partial"), |path, _| {
            contents.begun.0 += 1;
            contents.begun.1 += fs::symlink_metadata(path).map_or(0, |metadata| metadata.len());
        });
        for_each(&self.notes(), |path, _| contents.notes.extend(notes::read(path)));
        contents
            .notes
            .sort_by(|(a, one), (b, two)| (two, &a.lock).cmp(&(one, &b.lock)));
        contents
    }

    /// Opens the cache to remove things from it; an error while a build uses it.
    pub(crate) fn open_alone(root: &Path) -> Result<(Self, File), CacheError> {
        make_directories(root)?;
        let path = root.join("lock");
        let lock = claim::claim(&path, true).map_err(CacheError::io("lock", &path))?;
        let lock = lock.ok_or_else(|| CacheError::Busy {
            path: root.to_owned(),
            user: "build",
        })?;
        let cache = Self {
            root: root.to_owned(),
            _shared: None,
        };
        Ok((cache, lock))
    }

    /// Removes every blob that no note of the last while names, what was begun of them, and older notes. The cache must
    /// have been opened alone.
    pub(crate) fn prune(&self, age: Duration, now: SystemTime) -> Result<Pruned, CacheError> {
        let mut stale: Vec<PathBuf> = Vec::new();
        let mut kept: BTreeSet<Digest> = BTreeSet::new();
        for_each(&self.notes(), |path, _| match notes::read(path) {
            // A note from the future, by a clock that was wrong, is a young one.
            Some((note, written)) if now.duration_since(written).unwrap_or_default() <= age => {
                kept.extend(note.blobs);
            }
            _ => stale.push(path.to_owned()),
        });
        let mut pruned = Pruned::default();
        for (digest, size) in self.contents().blobs {
            if kept.contains(&digest) {
                pruned.left.0 += 1;
                pruned.left.1 += size;
                continue;
            }
            stale.push(self.path(&digest));
            pruned.blobs += 1;
            pruned.bytes += size;
        }
        for path in &stale {
            fs::remove_file(path).map_err(CacheError::io("remove", path))?;
        }
        for_each(&self.root.join("partial"), |path, name| {
            if Digest::from_hex(name).is_ok_and(|digest| !kept.contains(&digest)) {
                remove(path);
            }
        });
        sweep(self, super::sweep::OLD);
        Ok(pruned)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Duration = Duration::from_hours(24);

    #[test]
    fn what_no_lock_file_of_the_last_days_names_is_removed() {
        let directory = tempfile::tempdir().unwrap();
        let cache = Cache::open(directory.path()).unwrap();
        let [old, new, both, none] =
            ["old", "new", "both", "none"].map(|text| cache.put(text.as_bytes()).unwrap());
        let note = |lock: &str, blobs: &[Digest]| {
            let note = Note::new(Path::new(lock), Vec::new(), blobs.iter().copied().collect());
            cache.note(&note).unwrap();
        };
        note("/a/bundle.lock", &[old, both]);
        note("/b/bundle.lock", &[new, both]);
        let contents = cache.contents();
        assert_eq!(contents.unused(), BTreeSet::from([none]));
        assert_eq!(contents.of(&contents.notes[0].0.blobs), (2, 7));
        // The first was written forty days ago.
        let now = SystemTime::now();
        let path = cache
            .notes()
            .join(format!("{}.json", Digest::of("/a/bundle.lock").hex()));
        File::open(path).unwrap().set_modified(now - 40 * DAY).unwrap();
        assert!(matches!(
            Cache::open_alone(directory.path()),
            Err(CacheError::Busy { .. })
        ));
        drop(cache);
        let (cache, _lock) = Cache::open_alone(directory.path()).unwrap();
        let pruned = cache.prune(30 * DAY, now).unwrap();
        assert_eq!((pruned.blobs, pruned.bytes, pruned.left), (2, 7, (2, 7)));
        assert!(cache.has(&new, 3) && cache.has(&both, 4) && !cache.has(&old, 3) && !cache.has(&none, 4));
        assert_eq!(cache.contents().notes.len(), 1);
    }
}
