//! A blob that is being written, its digest unknown until the end.

use std::fs::File;
use std::io::Write as _;
use std::os::unix::fs::FileExt as _;

use bundle::Digest;
use sha2::{Digest as _, Sha256};
use tempfile::NamedTempFile;

use super::{BUFFER, Cache, CacheError, claim};

/// A blob that is being written.
pub(crate) struct Incoming {
    cache: Cache,
    file: NamedTempFile,
    hasher: Sha256,
    written: u64,
}

/// A sweep may meet a file between its making and its lock so often.
const TRIES: usize = 100;

impl Incoming {
    pub(super) fn begin(cache: &Cache) -> Result<Self, CacheError> {
        Ok(Self {
            cache: cache.clone(),
            file: locked_file(&cache.root.join("tmp"), "incoming-")?,
            hasher: Sha256::new(),
            written: 0,
        })
    }

    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<(), CacheError> {
        self.hasher.update(bytes);
        self.written += bytes.len() as u64;
        self.file
            .write_all(bytes)
            .map_err(CacheError::io("write to", self.file.path()))
    }

    /// Copies a blob that lies in a file and has this digest, and gives it its name.
    pub(super) fn fill(
        mut self,
        digest: &Digest,
        file: &File,
        (start, size): (u64, u64),
    ) -> Result<(), CacheError> {
        let mut buffer = vec![0; usize::try_from(size).map_or(BUFFER, |size| size.min(BUFFER))];
        while self.written < size {
            let count = usize::try_from(size - self.written).map_or(BUFFER, |left| left.min(BUFFER));
            let read = file.read_exact_at(&mut buffer[..count], start + self.written);
            read.and_then(|()| self.file.write_all(&buffer[..count]))
                .map_err(CacheError::io("write to", self.file.path()))?;
            self.written += count as u64;
        }
        let path = self.cache.path(digest);
        let kept = self.file.persist(&path).map_err(|error| error.error);
        kept.map_err(CacheError::io("rename to", &path))?;
        Ok(())
    }

    /// Returns the digest of what was written so far.
    pub(crate) fn digest(&self) -> Digest {
        Digest::from_bytes(self.hasher.clone().finalize().into())
    }

    /// Gives the blob its name; returns its digest and length.
    pub(crate) fn keep(self) -> Result<(Digest, u64), CacheError> {
        let digest = self.digest();
        let path = self.cache.path(&digest);
        let kept = self.file.persist(&path).map_err(|error| error.error);
        kept.map_err(CacheError::io("rename to", &path))?;
        Ok((digest, self.written))
    }
}

/// Makes a file under a name of its own, locked so that no sweep takes it for a dead build's.
pub(super) fn locked_file(directory: &std::path::Path, prefix: &str) -> Result<NamedTempFile, CacheError> {
    for _ in 0..TRIES {
        let file = tempfile::Builder::new().prefix(prefix).tempfile_in(directory);
        let file = file.map_err(CacheError::io("write to", directory))?;
        // Where there are no locks, there are no sweeps either.
        let locked = !matches!(file.as_file().try_lock(), Err(std::fs::TryLockError::WouldBlock));
        if locked && claim::is_named(file.as_file(), file.path()) {
            return Ok(file);
        }
    }
    Err(CacheError::Busy {
        path: directory.to_owned(),
        user: "build",
    })
}
