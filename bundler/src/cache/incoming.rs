//! A blob that is being written, its digest unknown until the end.

use std::io::Write as _;

use bundle::Digest;
use sha2::{Digest as _, Sha256};
use tempfile::NamedTempFile;

use super::{Cache, CacheError, claim};

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
