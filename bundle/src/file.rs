//! A bundle on disk, read as often as needed: its index once, then members of choice, each verified.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::digest::Digest;
use crate::error::ReadError;
use crate::index::Index;
use crate::nodes::{EVERYWHERE, ImageNodes, NODES, NODES_LIMIT};
use crate::path::MemberPath;
use crate::reader::{MemberReader, Reader};
use crate::source::Source;
use crate::tape;
use crate::trust::{Origin, Trust};

/// A bundle in a file or a directory. Opening it reads and checks the index alone.
#[derive(Clone, Debug)]
pub struct BundleFile {
    /// As a person knows it.
    path: PathBuf,
    /// Where it is opened.
    place: PathBuf,
    /// What keeps the place, where it has no name.
    _kept: Option<Arc<File>>,
    trust: Trust,
    index: Arc<Index>,
    id: Digest,
    origin: Origin,
}

impl BundleFile {
    /// Opens a bundle: reads its index, once it was judged. One that can be read once only (a stream, a pipe) is copied
    /// into a file that `keep` makes.
    ///
    /// # Errors
    /// When it cannot be read or kept, is bad, or is not what `trust` wants.
    pub fn open(
        source: Source,
        trust: &Trust,
        keep: impl FnOnce() -> io::Result<File>,
    ) -> Result<Self, ReadError> {
        let path = source.path();
        let (place, kept) = tape::kept(source, trust, keep)?;
        let reader = Reader::open(Source::at(&place), trust)?;
        Ok(Self {
            index: Arc::clone(reader.index()),
            id: reader.id(),
            origin: reader.origin().clone(),
            trust: trust.clone(),
            _kept: kept,
            place,
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

    /// Returns what is known of who made it.
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// Starts a pass over all members. The file must still be the same bundle.
    pub fn reader(&self) -> Result<Reader, ReadError> {
        self.same(Reader::open(Source::at(&self.place), &self.trust)?)
    }

    /// Starts a pass over all members that proves all that [`crate::check()`] proves, once it is finished. The file must
    /// still be the same bundle.
    pub fn proving_reader(&self) -> Result<Reader, ReadError> {
        self.same(Reader::open_to_prove(Source::at(&self.place), &self.trust)?)
    }

    fn same(&self, reader: Reader) -> Result<Reader, ReadError> {
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

    /// Returns which images are for some nodes only.
    ///
    /// # Errors
    /// When the bundle says it in a way that cannot be read.
    pub fn image_nodes(&self) -> Result<ImageNodes, ReadError> {
        let named = self
            .index
            .members
            .iter()
            .find(|member| member.path.as_str() == NODES);
        let Some(member) = named else {
            return Ok(EVERYWHERE.clone());
        };
        let bad = |reason: String| ReadError::Document {
            member: member.path.clone(),
            reason,
        };
        if member.size > NODES_LIMIT {
            return Err(bad(format!(
                "it has {} bytes, {NODES_LIMIT} are read",
                member.size
            )));
        }
        let mut bytes = Vec::new();
        let read = self.member(&member.path)?.read_to_end(&mut bytes);
        read.map_err(|error| {
            ReadError::from_io(error).unwrap_or_else(|source| ReadError::Read {
                during: format!("member {:?}", member.path),
                member: Some(member.path.clone()),
                offset: None,
                source,
            })
        })?;
        ImageNodes::parse(&bytes).map_err(bad)
    }

    /// Opens one blob.
    pub fn blob(&self, digest: &Digest) -> Result<MemberReader, ReadError> {
        self.member(&MemberPath::blob(digest))
    }
}
