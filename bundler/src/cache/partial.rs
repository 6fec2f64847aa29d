//! A blob that is being written under a digest known beforehand.

use std::fs::{self, File};
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use bundle::Digest;
use sha2::{Digest as _, Sha256};
use tempfile::TempPath;

use super::incoming::locked_file;
use super::{BUFFER, Cache, CacheError, claim};
use crate::sink::{SinkError, Vessel};

/// Where the bytes are written.
enum Place {
    /// Under the digest, for any build to continue.
    Shared(PathBuf),
    /// Beside it, because another build is at it: removed when this one gives up.
    Own(TempPath),
}

impl Place {
    fn path(&self) -> &Path {
        match self {
            Self::Shared(path) => path,
            Self::Own(path) => path,
        }
    }
}

/// A blob that is being written; it is locked as long as this lives.
pub(crate) struct Partial {
    cache: Cache,
    expected: Digest,
    place: Place,
    file: File,
    hasher: Sha256,
    written: u64,
}

impl Partial {
    pub(super) fn begin(cache: &Cache, digest: &Digest, size: u64) -> Result<Self, CacheError> {
        let directory = cache.root.join("partial");
        let path = directory.join(digest.hex());
        let claimed = claim::claim(&path, true).map_err(CacheError::io("lock", &path))?;
        let (file, place) = if let Some(file) = claimed {
            (file, Place::Shared(path))
        } else {
            // A copy of our own ends sooner than waiting for a line of unknown speed.
            let own = locked_file(&directory, &format!("{}.", digest.hex()))?;
            let (file, path) = own.into_parts();
            (file, Place::Own(path))
        };
        let mut partial = Self {
            cache: cache.clone(),
            expected: *digest,
            place,
            file,
            hasher: Sha256::new(),
            written: 0,
        };
        partial.take_over(size)?;
        Ok(partial)
    }

    /// Hashes what an earlier build left; more than the whole is thrown away.
    fn take_over(&mut self, size: u64) -> Result<(), CacheError> {
        let length = self
            .file
            .metadata()
            .map_err(CacheError::io("look at", self.place.path()))?
            .len();
        if length > size {
            return self.empty();
        }
        let mut buffer = vec![0; BUFFER];
        loop {
            let count = self
                .file
                .read(&mut buffer)
                .map_err(CacheError::io("read", self.place.path()))?;
            if count == 0 {
                return Ok(());
            }
            self.hasher.update(&buffer[..count]);
            self.written += count as u64;
        }
    }

    fn empty(&mut self) -> Result<(), CacheError> {
        self.hasher = Sha256::new();
        self.written = 0;
        let emptied = self
            .file
            .set_len(0)
            .and_then(|()| self.file.seek(SeekFrom::Start(0)));
        emptied.map_err(CacheError::io("empty", self.place.path()))?;
        Ok(())
    }
}

impl Vessel for Partial {
    fn written(&self) -> u64 {
        self.written
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), SinkError> {
        self.file
            .write_all(bytes)
            .map_err(CacheError::io("write to", self.place.path()))?;
        self.hasher.update(bytes);
        self.written += bytes.len() as u64;
        Ok(())
    }

    fn restart(&mut self) -> Result<(), SinkError> {
        Ok(self.empty()?)
    }

    /// Also gives the blob its name.
    fn keep(&mut self) -> Result<(), SinkError> {
        let found = Digest::from_bytes(self.hasher.clone().finalize().into());
        if found != self.expected {
            self.restart()?;
            return Err(SinkError::Mismatch {
                expected: self.expected,
                found,
            });
        }
        let path = self.cache.path(&self.expected);
        // The name is ours as long as the lock is: nobody else renames or removes it.
        fs::rename(self.place.path(), &path).map_err(CacheError::io("rename to", &path))?;
        Ok(())
    }
}
