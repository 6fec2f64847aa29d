//! The cache: blobs by their digest, shared by builds that run at the same time.
//!
//! A blob appears under its name only whole and with its hash checked (temporary file, then rename), so a name that
//! is there can be trusted as far as the disk can. What was begun lies in `partial/` under the digest it will have,
//! locked by the build that writes it, and is continued by the next.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use bundle::Digest;
use sha2::{Digest as _, Sha256};

/// The directory of the cache.
#[derive(Clone, Debug)]
pub(crate) struct Cache {
    root: PathBuf,
}

/// What goes wrong with the cache, with the path.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CacheError {
    #[error("cannot {operation} {path} in the cache", path = path.display())]
    Io {
        operation: &'static str,
        path: PathBuf,
        source: io::Error,
    },
    #[error("{found} instead of {expected}")]
    Mismatch { expected: Digest, found: Digest },
}

impl CacheError {
    /// Returns whether the disk is full.
    pub(crate) fn is_full(&self) -> bool {
        matches!(self, Self::Io { source, .. }
            if matches!(source.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded))
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
    /// Opens the cache in `root`, making its directories.
    pub(crate) fn open(root: &Path) -> Result<Self, CacheError> {
        let cache = Self {
            root: root.to_owned(),
        };
        for part in ["blobs/sha256", "partial", "tmp"] {
            let path = root.join(part);
            fs::create_dir_all(&path).map_err(CacheError::io("make", &path))?;
        }
        Ok(cache)
    }

    /// Returns how many bytes an ordinary user may still write; none where the file system does not say it.
    pub(crate) fn room(&self) -> Option<u64> {
        let room = rustix::fs::statvfs(&self.root).ok()?;
        Some(room.f_bavail.saturating_mul(room.f_frsize))
    }

    /// Returns where a blob of that digest lies or would lie.
    pub(crate) fn path(&self, digest: &Digest) -> PathBuf {
        self.root.join("blobs/sha256").join(digest.hex())
    }

    /// Returns whether the blob is there with the right length. One of a wrong length is removed.
    pub(crate) fn has(&self, digest: &Digest, size: u64) -> bool {
        let path = self.path(digest);
        match fs::metadata(&path) {
            Ok(metadata) if metadata.len() == size => true,
            Ok(_) => {
                // Whoever damaged it, the next build must not trip over it again.
                let _ = fs::remove_file(&path);
                false
            }
            Err(_) => false,
        }
    }

    /// Removes a blob that turned out to be damaged.
    pub(crate) fn forget(&self, digest: &Digest) {
        let _ = fs::remove_file(self.path(digest));
    }

    /// Reads a small blob, at most `limit` bytes, and checks its hash. A damaged one is removed and not given.
    pub(crate) fn read(&self, digest: &Digest, limit: u64) -> Option<Vec<u8>> {
        let mut bytes = Vec::new();
        File::open(self.path(digest))
            .ok()?
            .take(limit + 1)
            .read_to_end(&mut bytes)
            .ok()?;
        if bytes.len() as u64 <= limit && Digest::of(&bytes) == *digest {
            return Some(bytes);
        }
        self.forget(digest);
        None
    }

    /// Stores a small blob and returns its digest.
    pub(crate) fn put(&self, bytes: &[u8]) -> Result<Digest, CacheError> {
        let mut incoming = self.incoming()?;
        incoming.write(bytes)?;
        let (digest, _) = incoming.keep()?;
        Ok(digest)
    }

    /// Begins a blob whose digest is not known beforehand.
    pub(crate) fn incoming(&self) -> Result<Incoming, CacheError> {
        let directory = self.root.join("tmp");
        let file =
            tempfile::NamedTempFile::new_in(&directory).map_err(CacheError::io("write to", &directory))?;
        Ok(Incoming {
            cache: self.clone(),
            file,
            hasher: Sha256::new(),
            written: 0,
        })
    }

    /// Begins or continues the blob of that digest.
    pub(crate) fn partial(&self, digest: &Digest, size: u64) -> Result<Partial, CacheError> {
        let mut path = self.root.join("partial").join(digest.hex());
        let open = |path: &Path| {
            let mut options = OpenOptions::new();
            options
                .read(true)
                .write(true)
                .create(true)
                .truncate(false)
                .open(path)
        };
        let mut file = open(&path).map_err(CacheError::io("open", &path))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                // Another build is at it. A copy of our own ends sooner than waiting for a line of unknown speed.
                path.set_extension(std::process::id().to_string());
                file = open(&path).map_err(CacheError::io("open", &path))?;
            }
            Err(TryLockError::Error(source)) => return Err(CacheError::io("lock", &path)(source)),
        }
        let mut partial = Partial {
            cache: self.clone(),
            expected: *digest,
            path,
            file,
            hasher: Sha256::new(),
            written: 0,
        };
        partial.take_over(size)?;
        Ok(partial)
    }
}

/// A blob that is being written, its digest unknown until the end.
pub(crate) struct Incoming {
    cache: Cache,
    file: tempfile::NamedTempFile,
    hasher: Sha256,
    written: u64,
}

impl Incoming {
    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<(), CacheError> {
        self.hasher.update(bytes);
        self.written += bytes.len() as u64;
        self.file
            .write_all(bytes)
            .map_err(CacheError::io("write to", self.file.path()))
    }

    /// Returns the digest of what was written so far.
    pub(crate) fn digest(&self) -> Digest {
        Digest::from_bytes(self.hasher.clone().finalize().into())
    }

    /// Gives the blob its name; returns its digest and length.
    pub(crate) fn keep(self) -> Result<(Digest, u64), CacheError> {
        let digest = Digest::from_bytes(self.hasher.finalize().into());
        let path = self.cache.path(&digest);
        let kept = self.file.persist(&path).map_err(|error| error.error);
        kept.map_err(CacheError::io("rename to", &path))?;
        Ok((digest, self.written))
    }
}

/// A blob that is being written under a digest known beforehand.
pub(crate) struct Partial {
    cache: Cache,
    expected: Digest,
    path: PathBuf,
    file: File,
    hasher: Sha256,
    written: u64,
}

impl Partial {
    /// Returns how many bytes are there.
    pub(crate) const fn written(&self) -> u64 {
        self.written
    }

    /// Hashes what an earlier build left; more than the whole is thrown away.
    fn take_over(&mut self, size: u64) -> Result<(), CacheError> {
        let length = self
            .file
            .metadata()
            .map_err(CacheError::io("look at", &self.path))?
            .len();
        if length > size {
            return self.restart();
        }
        let mut buffer = vec![0; 1 << 20];
        loop {
            let count = self
                .file
                .read(&mut buffer)
                .map_err(CacheError::io("read", &self.path))?;
            if count == 0 {
                return Ok(());
            }
            self.hasher.update(&buffer[..count]);
            self.written += count as u64;
        }
    }

    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<(), CacheError> {
        self.file
            .write_all(bytes)
            .map_err(CacheError::io("write to", &self.path))?;
        self.hasher.update(bytes);
        self.written += bytes.len() as u64;
        Ok(())
    }

    /// Throws away what is there.
    pub(crate) fn restart(&mut self) -> Result<(), CacheError> {
        self.hasher = Sha256::new();
        self.written = 0;
        let emptied = self
            .file
            .set_len(0)
            .and_then(|()| self.file.seek(SeekFrom::Start(0)));
        emptied.map_err(CacheError::io("empty", &self.path))?;
        Ok(())
    }

    /// Checks the hash of the whole and gives the blob its name; bytes of a wrong hash are thrown away.
    pub(crate) fn keep(&mut self) -> Result<(), CacheError> {
        let found = Digest::from_bytes(self.hasher.clone().finalize().into());
        if found != self.expected {
            self.restart()?;
            return Err(CacheError::Mismatch {
                expected: self.expected,
                found,
            });
        }
        let path = self.cache.path(&self.expected);
        match fs::rename(&self.path, &path) {
            // Another build finished this very file between our opening and our locking it.
            Err(error) if error.kind() == io::ErrorKind::NotFound && path.exists() => Ok(()),
            renamed => renamed.map_err(CacheError::io("rename to", &path)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
        assert!(matches!(partial.keep(), Err(CacheError::Mismatch { .. })));
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
        fs::write(cache.path(&digest), b"manifesT").unwrap();
        assert!(cache.read(&digest, 100).is_none());
        assert!(!cache.path(&digest).exists());
        cache.put(b"manifest").unwrap();
        assert!(!cache.has(&digest, 9) && !cache.path(&digest).exists());
    }
}
