//! Which lock file needs which blobs: a note for each, renewed by every build with it. By these `cache prune` knows what
//! is still in use, without reading lock files that may lie on another machine's disk by now.

use std::collections::BTreeSet;
use std::error::Error as _;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use bundle::{AtomicFile, Digest};
use serde::{Deserialize, Serialize};

use super::{Cache, CacheError};
use crate::json;

const VERSION: u32 = 1;
/// A note is at most this long.
const LIMIT: u64 = 64 << 20;

/// What a build with a lock file needs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Note {
    version: u32,
    /// The lock file.
    pub(crate) lock: String,
    /// The names of its images.
    pub(crate) images: Vec<String>,
    pub(crate) blobs: BTreeSet<Digest>,
}

impl Note {
    pub(crate) fn new(lock: &Path, images: Vec<String>, blobs: BTreeSet<Digest>) -> Self {
        let lock = fs::canonicalize(lock).unwrap_or_else(|_| lock.to_owned());
        Self {
            version: VERSION,
            lock: lock.display().to_string(),
            images,
            blobs,
        }
    }
}

impl Cache {
    /// Notes what a build needs, in place of what was noted for its lock file before.
    pub(crate) fn note(&self, note: &Note) -> Result<(), CacheError> {
        let directory = self.notes();
        fs::create_dir_all(&directory).map_err(CacheError::io("make", &directory))?;
        let path = self
            .notes()
            .join(format!("{}.json", Digest::of(&note.lock).hex()));
        // Strings and numbers always serialise.
        let text = serde_json::to_vec(note).unwrap_or_default();
        AtomicFile::write(&path, &text).map_err(|error| {
            let kind = error
                .source()
                .and_then(|source| source.downcast_ref::<io::Error>());
            let kind = kind.map_or(io::ErrorKind::Other, io::Error::kind);
            CacheError::io("write", &path)(io::Error::new(kind, error))
        })
    }

    pub(super) fn notes(&self) -> PathBuf {
        self.root.join("notes")
    }
}

/// Reads a note and when it was written; none where it cannot be read as one.
pub(super) fn read(path: &Path) -> Option<(Note, SystemTime)> {
    let file = File::open(path).ok()?;
    let metadata = file.metadata().ok()?;
    let mut bytes = Vec::new();
    file.take(LIMIT).read_to_end(&mut bytes).ok()?;
    let note: Note = json::read(&bytes).ok()?;
    (note.version == VERSION).then_some((note, metadata.modified().ok()?))
}
