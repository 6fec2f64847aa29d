//! Where the bytes of a member come from, if not from a registry: a file, or a part of one. Whoever it is, its bytes count only
//! by their hash.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bundle::{Digest, Places, ReadError};

use crate::cache::Cache;
use crate::journal::Journal;
use crate::resolved::Blob;
use crate::workshop::Workshop;

/// Whose bytes they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Holder {
    Cache,
    /// An earlier bundle.
    Bundle,
    /// An archive that an earlier build of this output began by another plan. Of the last blobs it has only the beginning.
    Begun,
    /// An archive of images, and the name of the file in it.
    Archive(String),
    /// A file that the spec names.
    File,
}

/// Bytes that lie in a file.
#[derive(Clone, Debug)]
pub(crate) struct Span {
    pub(crate) holder: Holder,
    /// The file; of an archive of images the archive.
    pub(crate) path: PathBuf,
    pub(crate) start: u64,
    pub(crate) size: u64,
    /// The file, where its name may come to another before it is read.
    open: Option<Arc<File>>,
}

impl Span {
    pub(crate) fn new(holder: Holder, path: PathBuf, start: u64, size: u64) -> Self {
        Self {
            holder,
            path,
            start,
            size,
            open: None,
        }
    }

    pub(crate) fn open(&self) -> io::Result<Arc<File>> {
        match &self.open {
            Some(file) => Ok(Arc::clone(file)),
            None => bundle::open_regular(&self.path).map(Arc::new),
        }
    }
}

/// An archive that is there, from which blobs are taken.
#[derive(Debug)]
pub(crate) struct Old {
    holder: Holder,
    path: PathBuf,
    file: Arc<File>,
    places: Places,
    /// How much of each member is there; absent where all is.
    lengths: Option<Vec<u64>>,
    blobs: BTreeMap<Digest, usize>,
}

/// Why nothing can be taken from an archive.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OldError {
    #[error("it cannot be opened")]
    Open { source: io::Error },
    #[error("it is no bundle")]
    Read { source: ReadError },
    #[error("it is compressed, and nothing in it has a place")]
    Compressed,
}

impl Old {
    /// Opens an earlier bundle.
    pub(crate) fn bundle(path: &Path) -> Result<Self, OldError> {
        Self::open(path, Holder::Bundle)
    }

    /// Opens what an earlier build began by another plan; none where there is nothing to take from it.
    pub(crate) fn begun(workshop: &Workshop) -> Option<Self> {
        let mut old = Self::open(&workshop.earlier(), Holder::Begun).ok()?;
        let members = old.places.index().members.len();
        let journal = Journal::open(&workshop.earlier_journal(), &old.places.fingerprint(), members);
        old.lengths = Some(journal?.1);
        Some(old)
    }

    fn open(path: &Path, holder: Holder) -> Result<Self, OldError> {
        let open = || bundle::open_regular(path).map_err(|source| OldError::Open { source });
        let places = Places::read(open()?).map_err(|source| OldError::Read { source })?;
        let places = places.ok_or(OldError::Compressed)?;
        let members = places.index().members.iter().enumerate();
        let blobs = members.filter_map(|(at, member)| Some((member.path.blob_digest()?, at)));
        Ok(Self {
            holder,
            path: path.to_owned(),
            file: Arc::new(open()?),
            blobs: blobs.collect(),
            lengths: None,
            places,
        })
    }

    fn span(&self, digest: &Digest) -> Option<Span> {
        let at = *self.blobs.get(digest)?;
        let whole = self.places.index().members[at].size;
        let size = self
            .lengths
            .as_ref()
            .map_or(whole, |lengths| lengths[at].min(whole));
        if size == 0 && whole > 0 {
            return None;
        }
        Some(Span {
            holder: self.holder.clone(),
            path: self.path.clone(),
            start: self.places.start(at),
            size,
            open: Some(Arc::clone(&self.file)),
        })
    }
}

/// All files in which blobs may lie.
pub(crate) struct Sources<'a> {
    pub(crate) cache: &'a Cache,
    pub(crate) old: &'a [Old],
    pub(crate) archives: &'a BTreeMap<Digest, Span>,
}

impl Sources<'_> {
    /// Returns where a blob lies, the nearest first.
    pub(crate) fn spans(&self, blob: Blob) -> Vec<Span> {
        let cached = self.cache.has(&blob.digest, blob.size);
        let cached = cached.then(|| Span::new(Holder::Cache, self.cache.path(&blob.digest), 0, blob.size));
        let old = self.old.iter().filter_map(|old| old.span(&blob.digest));
        let archive = self.archives.get(&blob.digest).cloned();
        cached.into_iter().chain(old).chain(archive).collect()
    }
}

/// Says in words where a span lies.
pub(crate) fn told(span: &Span) -> String {
    match span.holder {
        Holder::Cache => "cache".to_owned(),
        _ => span.path.display().to_string(),
    }
}
