//! A bundle on disk, read as often as needed: its index once, then members of choice, each verified.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::digest::Digest;
use crate::error::ReadError;
use crate::index::Index;
use crate::path::MemberPath;
use crate::reader::{MemberReader, Reader};

/// A bundle in a file or a directory. Opening it reads and checks the index alone.
#[derive(Clone, Debug)]
pub struct BundleFile {
    path: PathBuf,
    index: Arc<Index>,
    id: Digest,
    signature: Option<Vec<u8>>,
}

impl BundleFile {
    /// Reads the index of the archive or directory at `path`.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self, ReadError> {
        let path = path.into();
        let reader = Reader::open(&path)?;
        Ok(Self {
            index: Arc::clone(reader.index()),
            id: reader.id(),
            signature: reader.signature().map(<[u8]>::to_vec),
            path,
        })
    }

    /// Returns the path that was opened.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the index, which was checked.
    pub fn index(&self) -> &Arc<Index> {
        &self.index
    }

    /// Returns the identity of the bundle: the SHA-256 of its index.
    pub fn id(&self) -> Digest {
        self.id
    }

    /// Returns the bytes of `bundle.json.sig`, which were not checked.
    pub fn signature(&self) -> Option<&[u8]> {
        self.signature.as_deref()
    }

    /// Starts a pass over all members. The file must still be the same bundle.
    pub fn reader(&self) -> Result<Reader, ReadError> {
        let reader = Reader::open(&self.path)?;
        if reader.id() == self.id {
            Ok(reader)
        } else {
            Err(ReadError::Changed {
                path: self.path.clone(),
            })
        }
    }

    /// Starts a pass over some members, in the order of the archive. In a plain archive and in a directory the
    /// others are not read at all; a compressed archive must be unpacked up to the last one asked for.
    pub fn members(&self, wanted: BTreeSet<MemberPath>) -> Result<Reader, ReadError> {
        if let Some(stranger) = wanted.iter().find(|path| self.index.member(path).is_none()) {
            return Err(ReadError::NotNamed {
                member: stranger.clone(),
            });
        }
        Ok(self.reader()?.only(wanted))
    }

    /// Opens one member.
    pub fn member(&self, path: &MemberPath) -> Result<MemberReader, ReadError> {
        let mut reader = self.members(BTreeSet::from([path.clone()]))?;
        if reader.next_entry()?.is_some() {
            Ok(MemberReader::new(reader))
        } else {
            Err(ReadError::Missing { member: path.clone() })
        }
    }

    /// Opens one blob.
    pub fn blob(&self, digest: &Digest) -> Result<MemberReader, ReadError> {
        self.member(&MemberPath::blob(digest))
    }
}
