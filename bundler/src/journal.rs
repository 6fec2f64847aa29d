//! How far an archive is that is being made: for each member, how many of its bytes are there. Written after the bytes
//! themselves, so that after a kill they are there; whether they are right, only their hash tells.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use bundle::Digest;
use rustix::fs::OFlags;

use crate::workshop::WorkshopError;

const MAGIC: &[u8; 32] = b"bundler journal, version 1\n\0\0\0\0\0";
const HEAD: u64 = 64;

/// The journal of an archive.
#[derive(Debug)]
pub(crate) struct Journal {
    file: File,
    path: PathBuf,
}

impl Journal {
    /// Begins a journal for an archive of this fingerprint.
    pub(crate) fn create(path: PathBuf, fingerprint: &Digest, members: usize) -> Result<Self, WorkshopError> {
        let make = || {
            let file = options().create(true).open(&path)?;
            file.set_len(0)?;
            file.set_len(HEAD + 8 * members as u64)?;
            file.write_all_at(MAGIC, 0)?;
            file.write_all_at(fingerprint.as_bytes(), 32)?;
            Ok(file)
        };
        match make() {
            Ok(file) => Ok(Self { file, path }),
            Err(error) => Err(WorkshopError::io("write", &path)(error)),
        }
    }

    /// Opens a journal and reads it; none where there is none for an archive of this fingerprint.
    pub(crate) fn open(path: &Path, fingerprint: &Digest, members: usize) -> Option<(Self, Vec<u64>)> {
        let file = options().open(path).ok()?;
        let mut bytes = vec![0; 64 + 8 * members];
        if file.metadata().ok()?.len() != bytes.len() as u64 {
            return None;
        }
        file.read_exact_at(&mut bytes, 0).ok()?;
        let (head, lengths) = bytes.split_at(64);
        if &head[..32] != MAGIC || &head[32..] != fingerprint.as_bytes() {
            return None;
        }
        let lengths = lengths.chunks_exact(8);
        let lengths = lengths.map(|length| u64::from_le_bytes(length.try_into().unwrap_or_default()));
        let lengths = lengths.collect();
        Some((
            Self {
                file,
                path: path.to_owned(),
            },
            lengths,
        ))
    }

    /// Notes that so many bytes of a member are there.
    pub(crate) fn note(&self, member: usize, length: u64) -> Result<(), WorkshopError> {
        let noted = self
            .file
            .write_all_at(&length.to_le_bytes(), HEAD + 8 * member as u64);
        noted.map_err(WorkshopError::io("write", &self.path))
    }
}

/// Files are opened for reading and writing, and never through a link.
pub(crate) fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options
        .read(true)
        .write(true)
        .custom_flags(OFlags::NOFOLLOW.bits().cast_signed());
    options
}

/// Reads `io::Result`s of a file that may not be there.
pub(crate) fn if_there<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}
