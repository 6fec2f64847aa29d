//! Where a bundle is opened from: a file, a directory that somebody unpacked, a stream. What opens a bundle takes a source and
//! a [`Trust`](crate::Trust), and nothing else does.

use std::fmt;
use std::fs;
use std::io::{self, Read};
use std::os::unix::fs::FileTypeExt as _;
use std::path::{Path, PathBuf};

use crate::background::{self, Outcome};
use crate::checksum;
use crate::digest::Digest;
use crate::error::ReadError;
use crate::input::{self, Input};
use crate::trust::Found;
use crate::user_file::UserFile;
use crate::walk::{DirectoryWalk, TarWalk, Walk};

const SIGNATURE: UserFile = UserFile::new("a signature", signatures::SIGNATURE_LIMIT);

/// Where a bundle is.
pub enum Source {
    /// A file, a disk without a file system, a pipe, or a directory. (Volumes: whatever lies where this says.)
    Place(PathBuf),
    /// A stream, which is read once.
    Stream {
        /// What it is called.
        name: String,
        /// Its bytes.
        input: Box<dyn Read + Send>,
    },
}

impl Source {
    /// Returns what lies at a path.
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self::Place(path.into())
    }

    /// Returns a stream: a plain tar, or one compressed by gzip or zstd.
    pub fn stream(name: impl Into<String>, input: impl Read + Send + 'static) -> Self {
        Self::Stream {
            name: name.into(),
            input: Box::new(input),
        }
    }

    /// Returns where it is, as a person knows it.
    pub fn path(&self) -> PathBuf {
        match self {
            Self::Place(path) => path.clone(),
            Self::Stream { name, .. } => name.into(),
        }
    }

    /// Begins a pass over it.
    pub(crate) fn walk(self) -> Result<Box<dyn Walk>, ReadError> {
        Ok(match self {
            Self::Place(path) if path.is_dir() => Box::new(DirectoryWalk::new(&path)?),
            Self::Place(path) => Box::new(TarWalk::new(Input::file(input::open(&path)?)?.0)),
            Self::Stream { input, .. } => Box::new(TarWalk::new(Input::stream(input)?.0)),
        })
    }

    /// Begins a pass over it that hashes the file as a whole too, where a checksum file lies beside it.
    pub(crate) fn walk_to_prove(self) -> Result<(Box<dyn Walk>, Option<Beside>), ReadError> {
        let Self::Place(path) = self else {
            return Ok((self.walk()?, None));
        };
        let Some(expected) = checksum::beside(&path)? else {
            return Ok((Self::Place(path).walk()?, None));
        };
        let (feed, outcome) = background::start().map_err(|source| ReadError::Thread { source })?;
        let walk = TarWalk::new(Input::tapped(input::open(&path)?, feed)?.0);
        let beside = Beside {
            path,
            expected,
            outcome,
        };
        Ok((Box::new(walk), Some(beside)))
    }

    /// Returns the signatures that lie beside it; where it is reached by a link, beside that and beside the bundle itself.
    pub(crate) fn signatures(&self) -> Vec<Found> {
        let Self::Place(path) = self else {
            return Vec::new();
        };
        let found = |path: PathBuf| match SIGNATURE.read(&path) {
            Ok(bytes) => Some(Found::beside(&path, Ok(bytes))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => Some(Found::beside(&path, Err(error.to_string()))),
        };
        let places = checksum::names(path)
            .into_iter()
            .map(|name| signature_file(&name));
        places.filter_map(found).collect()
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Source").field(&self.path()).finish()
    }
}

/// A checksum file beside the archive, and the hash of all that is read of the archive.
pub(crate) struct Beside {
    path: PathBuf,
    expected: Digest,
    outcome: Outcome,
}

impl Beside {
    /// Compares the two. The walk that was given with this must be gone: it holds the feed of the hash.
    pub(crate) fn compare(self) -> Result<Option<ReadError>, ReadError> {
        let found = self
            .outcome
            .wait()
            .map_err(|source| ReadError::Thread { source })?;
        Ok((found != self.expected).then_some(ReadError::Beside {
            path: self.path,
            expected: self.expected,
            found,
        }))
    }
}

/// Returns whether what lies at a path can be read once only.
pub(crate) fn is_pipe(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|metadata| metadata.file_type().is_fifo())
}

/// Returns the name of the signature beside a bundle: `site.tar.sig` for `site.tar`, `site.sig` for a directory `site/`.
pub fn signature_file(bundle: &Path) -> PathBuf {
    // Components leave out a slash at the end.
    let mut name = bundle.components().as_path().as_os_str().to_owned();
    name.push(".sig");
    name.into()
}
