//! The cache: blobs by their digest, shared by builds that run at the same time.
//!
//! - A blob appears under its name only whole and with its hash checked (temporary file, then rename). Nothing but its
//!   own hash speaks against it afterwards: what a manifest says of its length does not.
//! - What was begun lies in `partial/` under the digest it will have, locked by the build that writes it, and is
//!   continued by the next. A lock counts only while the name still leads to the file that it is on (`claim.rs`).
//! - What killed builds left is removed by the next (`sweep.rs`); what nobody uses any more, by `cache prune`.

mod claim;
mod incoming;
mod notes;
mod partial;
mod prune;
mod sweep;

use std::fs::{self, File, TryLockError};
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use bundle::{Digest, Hasher};

use crate::cache_error::CacheError;

pub(crate) use incoming::Incoming;
pub(crate) use notes::Note;
pub(crate) use partial::Partial;
pub(crate) use prune::{Contents, Pruned};

/// How long a build waits for a `cache prune` to end.
const PATIENCE: Duration = Duration::from_secs(10);
const BUFFER: usize = 1 << 20;

/// The directory of the cache. While it is held, nothing is pruned.
#[derive(Clone, Debug)]
pub(crate) struct Cache {
    root: PathBuf,
    /// The lock that builds share; none where the file system knows no locks.
    _shared: Option<Arc<File>>,
}

/// Whether a blob is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Held {
    /// With the length that was asked for.
    Yes,
    No,
    /// With its right hash and another length: whoever asked was wrong.
    OtherLength(u64),
}

impl CacheError {
    /// Returns whether the disk is full.
    pub(crate) fn is_full(&self) -> bool {
        matches!(self, Self::Io { source, .. }
            if matches!(source.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded))
    }

    /// Returns whether the cache may only be read: a medium, another user's.
    pub(crate) fn is_read_only(&self) -> bool {
        matches!(self, Self::Io { source, .. } if is_read_only(source))
    }

    fn io<'a>(operation: &'static str, path: &'a Path) -> impl FnOnce(io::Error) -> Self + use<'a> {
        move |source| Self::Io {
            operation,
            path: path.to_owned(),
            source,
        }
    }
}

impl Cache {
    /// Opens the cache in `root`, making its directories, and removes what killed builds left there.
    pub(crate) fn open(root: &Path) -> Result<Self, CacheError> {
        make_directories(root)?;
        let cache = Self {
            root: root.to_owned(),
            _shared: share(&root.join("lock"))?.map(Arc::new),
        };
        sweep::sweep(&cache, sweep::OLD);
        Ok(cache)
    }

    /// Returns how many bytes an ordinary user may still write; none where the file system does not say it.
    pub(crate) fn room(&self) -> Option<u64> {
        let room = rustix::fs::statvfs(&self.root).ok()?;
        Some(room.f_bavail.saturating_mul(room.f_frsize))
    }

    /// Returns the device that the cache lies on.
    pub(crate) fn device(&self) -> Option<u64> {
        Some(fs::metadata(&self.root).ok()?.dev())
    }

    /// Returns where a blob of that digest lies or would lie.
    pub(crate) fn path(&self, digest: &Digest) -> PathBuf {
        self.blobs().join(digest.hex())
    }

    fn blobs(&self) -> PathBuf {
        self.root.join("blobs/sha256")
    }

    /// Returns whether the blob is there with the right length.
    pub(crate) fn has(&self, digest: &Digest, size: u64) -> bool {
        self.look(digest, size) == Held::Yes
    }

    /// Looks for a blob. One of another length is hashed: if it is damaged, it is removed, else it stays.
    pub(crate) fn look(&self, digest: &Digest, size: u64) -> Held {
        let Ok(mut file) = File::open(self.path(digest)) else {
            return Held::No;
        };
        let Ok(metadata) = file.metadata() else {
            return Held::No;
        };
        if metadata.len() == size {
            return Held::Yes;
        }
        if hash(&mut file).is_ok_and(|found| found == *digest) {
            return Held::OtherLength(metadata.len());
        }
        self.evict(digest, &file);
        Held::No
    }

    /// Removes a blob if its bytes are not those of its name.
    pub(crate) fn recheck(&self, digest: &Digest) {
        if let Ok(mut file) = File::open(self.path(digest))
            && hash(&mut file).is_ok_and(|found| found != *digest)
        {
            self.evict(digest, &file);
        }
    }

    /// Removes the blob that `file` was opened as, and no other that has come to its name since.
    fn evict(&self, digest: &Digest, file: &File) {
        let (path, away) = (
            self.path(digest),
            self.root.join("tmp").join(format!("bad-{}", digest.hex())),
        );
        if !claim::is_named(file, &path) || fs::rename(&path, &away).is_err() {
            return;
        }
        if claim::is_named(file, &away) {
            let _ = fs::remove_file(&away);
        } else {
            // Another build has just put a good one there.
            let _ = fs::rename(&away, &path);
        }
    }

    /// Reads a small blob, at most `limit` bytes, and checks its hash. A damaged one is removed and not given.
    pub(crate) fn read(&self, digest: &Digest, limit: u64) -> Option<Vec<u8>> {
        let file = File::open(self.path(digest)).ok()?;
        let mut bytes = Vec::new();
        (&file).take(limit + 1).read_to_end(&mut bytes).ok()?;
        if bytes.len() as u64 > limit {
            // Longer than what was asked for may be, and nothing is wrong with it.
            return None;
        }
        if Digest::of(&bytes) == *digest {
            return Some(bytes);
        }
        self.evict(digest, &file);
        None
    }

    /// Stores a small blob and returns its digest.
    pub(crate) fn put(&self, bytes: &[u8]) -> Result<Digest, CacheError> {
        let mut incoming = self.incoming()?;
        incoming.write(bytes)?;
        let (digest, _) = incoming.keep()?;
        Ok(digest)
    }

    /// Takes in a blob that lies in a file, whose bytes there were compared with its digest.
    pub(crate) fn fill(
        &self,
        digest: &Digest,
        file: &File,
        (start, size): (u64, u64),
    ) -> Result<(), CacheError> {
        if self.has(digest, size) {
            return Ok(());
        }
        Incoming::begin(self)?.fill(digest, file, (start, size))
    }

    /// Begins a blob whose digest is not known beforehand.
    pub(crate) fn incoming(&self) -> Result<Incoming, CacheError> {
        Incoming::begin(self)
    }

    /// Begins or continues the blob of that digest.
    pub(crate) fn partial(&self, digest: &Digest, size: u64) -> Result<Partial, CacheError> {
        Partial::begin(self, digest, size)
    }
}

fn make_directories(root: &Path) -> Result<(), CacheError> {
    for part in ["blobs/sha256", "partial", "tmp", "notes"] {
        let path = root.join(part);
        match fs::create_dir_all(&path) {
            // A cache that may only be read serves as long as it has everything.
            Err(error) if is_read_only(&error) && root.join("blobs/sha256").is_dir() => {}
            made => made.map_err(CacheError::io("make", &path))?,
        }
    }
    Ok(())
}

fn is_read_only(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::PermissionDenied
    )
}

/// Takes the lock that builds share.
fn share(path: &Path) -> Result<Option<File>, CacheError> {
    let begun = Instant::now();
    loop {
        let Some(file) = lock_file(path)? else {
            return Ok(None);
        };
        match file.try_lock_shared() {
            // Else somebody emptied the directory meanwhile, and others lock another file.
            Ok(()) if claim::is_named(&file, path) => return Ok(Some(file)),
            Ok(()) | Err(TryLockError::WouldBlock) if begun.elapsed() < PATIENCE => {
                thread::sleep(Duration::from_millis(50));
            }
            Ok(()) | Err(TryLockError::WouldBlock) => {
                return Err(CacheError::Busy {
                    path: path.to_owned(),
                    user: "`cache prune`",
                });
            }
            Err(TryLockError::Error(error)) if error.kind() == io::ErrorKind::Unsupported => return Ok(None),
            Err(TryLockError::Error(source)) => return Err(CacheError::io("lock", path)(source)),
        }
    }
}

/// Opens the file of the lock; none where it is not there and cannot be made.
fn lock_file(path: &Path) -> Result<Option<File>, CacheError> {
    match claim::open(path, true) {
        Ok(file) => Ok(Some(file)),
        // Whoever may prune it may also write to it, and finds our lock, if there is a file for it.
        Err(error) if is_read_only(&error) => Ok(File::open(path).ok()),
        Err(error) => Err(CacheError::io("open", path)(error)),
    }
}

/// Hashes a file from where it stands.
fn hash(file: &mut File) -> io::Result<Digest> {
    let mut hasher = Hasher::new();
    let mut buffer = vec![0; BUFFER];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(hasher.finish()),
            count => hasher.update(&buffer[..count]),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::sink::{SinkError, Vessel as _};

    fn cache() -> (tempfile::TempDir, Cache) {
        let directory = tempfile::tempdir().unwrap();
        let cache = Cache::open(directory.path()).unwrap();
        (directory, cache)
    }

    #[test]
    fn a_blob_is_continued_where_it_was_left() {
        let (_directory, cache) = cache();
        let digest = Digest::of("hello world");
        let mut first = cache.partial(&digest, 11).unwrap();
        first.write(b"hello ").unwrap();
        drop(first);
        assert!(!cache.has(&digest, 11));
        let mut second = cache.partial(&digest, 11).unwrap();
        assert_eq!(second.written(), 6);
        second.write(b"world").unwrap();
        second.keep().unwrap();
        assert!(cache.has(&digest, 11));
    }

    #[test]
    fn wrong_bytes_never_get_the_name() {
        let (_directory, cache) = cache();
        let digest = Digest::of("right");
        let mut partial = cache.partial(&digest, 5).unwrap();
        partial.write(b"wrong").unwrap();
        assert!(matches!(partial.keep(), Err(SinkError::Mismatch { .. })));
        assert_eq!(partial.written(), 0);
        partial.write(b"right").unwrap();
        partial.keep().unwrap();
        assert_eq!(cache.read(&digest, 100).unwrap(), b"right");
    }

    #[test]
    fn two_builds_do_not_write_into_the_same_file() {
        let (_directory, cache) = cache();
        let digest = Digest::of("shared");
        let mut one = cache.partial(&digest, 6).unwrap();
        let mut two = cache.partial(&digest, 6).unwrap();
        one.write(b"sha").unwrap();
        two.write(b"shared").unwrap();
        two.keep().unwrap();
        one.write(b"red").unwrap();
        one.keep().unwrap();
        assert_eq!(cache.read(&digest, 100).unwrap(), b"shared");
    }

    #[test]
    fn damage_is_noticed_and_removed() {
        let (_directory, cache) = cache();
        let digest = cache.put(b"manifest").unwrap();
        for bytes in [b"manifesT".as_slice(), b"mani", b"manifest and more"] {
            fs::write(cache.path(&digest), bytes).unwrap();
            assert!(cache.read(&digest, 100).is_none());
            assert!(!cache.path(&digest).exists());
        }
        fs::write(cache.path(&digest), b"mani").unwrap();
        assert!(!cache.has(&digest, 8) && !cache.path(&digest).exists());
        fs::write(cache.path(&digest), b"manifesT").unwrap();
        cache.recheck(&digest);
        assert!(!cache.path(&digest).exists());
    }

    #[test]
    fn a_cache_that_may_only_be_read_serves_what_it_has() {
        let (directory, cache) = cache();
        let digest = cache.put(b"blob").unwrap();
        drop(cache);
        for left in ["partial", "tmp", "notes", "lock"] {
            let path = directory.path().join(left);
            let _ = fs::remove_dir(&path).or_else(|_| fs::remove_file(&path));
        }
        let set = |mode| fs::set_permissions(directory.path(), fs::Permissions::from_mode(mode)).unwrap();
        set(0o555);
        let opened = Cache::open(directory.path());
        set(0o755);
        assert_eq!(opened.unwrap().read(&digest, 10).unwrap(), b"blob");
    }

    /// The attack: a manifest that says one byte more of a blob that is there, or names a layer as its configuration.
    #[test]
    fn no_claim_evicts_a_good_blob() {
        let (_directory, cache) = cache();
        let digest = cache.put(b"layer").unwrap();
        assert_eq!(cache.look(&digest, 6), Held::OtherLength(5));
        assert_eq!(cache.look(&digest, 0), Held::OtherLength(5));
        assert!(cache.read(&digest, 2).is_none());
        cache.recheck(&digest);
        assert_eq!(cache.look(&digest, 5), Held::Yes);
    }

    #[test]
    fn a_blob_that_came_meanwhile_is_not_evicted_for_another_s_damage() {
        let (_directory, cache) = cache();
        let digest = Digest::of("good");
        fs::write(cache.path(&digest), b"bad!").unwrap();
        let damaged = File::open(cache.path(&digest)).unwrap();
        cache.put(b"good").unwrap();
        cache.evict(&digest, &damaged);
        assert_eq!(cache.read(&digest, 10).unwrap(), b"good");
    }

    /// Two builds in one process, each step of each at any moment, with ends at any moment: whatever has a name has its
    /// hash.
    #[test]
    fn a_model_of_two_builds_never_gives_a_name_to_wrong_bytes() {
        let (_directory, cache) = cache();
        let contents: Vec<Vec<u8>> = (1..4_u8).map(|seed| vec![seed; 40]).collect();
        let mut state = 7_u64;
        let mut roll = |sides: usize| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            usize::try_from(state >> 33).unwrap() % sides
        };
        let mut builds: [Option<(usize, Partial)>; 3] = [None, None, None];
        for _ in 0..4000 {
            let build = &mut builds[roll(3)];
            let Some((which, partial)) = build else {
                let which = roll(contents.len());
                let digest = Digest::of(&contents[which]);
                *build = Some((which, cache.partial(&digest, 40).unwrap()));
                continue;
            };
            let at = usize::try_from(partial.written()).unwrap();
            match roll(12) {
                // A kill: the file stays as it is, and the lock is gone.
                0 => *build = None,
                1 => partial.write(b"wrong").unwrap(),
                2 => partial.restart().unwrap(),
                3 => cache.recheck(&Digest::of(&contents[*which])),
                4 => {
                    let _ = fs::remove_file(cache.path(&Digest::of(&contents[*which])));
                }
                5 => sweep::sweep(&cache, Duration::ZERO),
                _ if at < 40 => partial.write(&contents[*which][at..40.min(at + 10)]).unwrap(),
                _ => {
                    if partial.keep().is_ok() {
                        *build = None;
                    }
                }
            }
            for content in &contents {
                let digest = Digest::of(content);
                if let Ok(bytes) = fs::read(cache.path(&digest)) {
                    assert_eq!(Digest::of(bytes), digest);
                }
            }
        }
    }
}
