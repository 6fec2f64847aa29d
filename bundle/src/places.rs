//! Where every byte of a plain archive lies. It follows from the index and the time, so that members can be written in any
//! order, each to its place, and be found again in an archive that is there.

use std::fs::File;
use std::io;
use std::sync::Arc;

use crate::digest::Digest;
use crate::error::ReadError;
use crate::header::{self, BLOCK};
use crate::index::Index;
use crate::input::Input;
use crate::order;
use crate::output::Compression;
use crate::path::MemberPath;
use crate::prologue::{self, Prologue, SIGNATURE_LIMIT};
use crate::trust::Trust;
use crate::walk::TarWalk;
use crate::writing::{WriteError, WriteOptions};

/// The places of a plain archive's members.
#[derive(Clone, Debug)]
pub struct Places {
    index: Arc<Index>,
    id: Digest,
    mtime: u64,
    signature: Option<Vec<u8>>,
    /// Where the bytes of each member begin.
    starts: Vec<u64>,
    size: u64,
}

impl Places {
    /// Checks an index and lays out its archive, which is plain whatever compression is asked for.
    pub fn new(index: impl Into<Arc<Index>>, options: WriteOptions) -> Result<Self, WriteError> {
        let index = index.into();
        index.validate().map_err(|source| WriteError::Index { source })?;
        let WriteOptions { mtime, signature, .. } = options;
        if mtime >= 1 << 33 {
            return Err(WriteError::Time { mtime });
        }
        let size = signature.as_ref().map_or(0, Vec::len);
        if length(size) > SIGNATURE_LIMIT {
            return Err(WriteError::Signature { size });
        }
        let id = Digest::of(index.to_json());
        Ok(Self::of(index, id, mtime, signature))
    }

    /// Finds the places in an archive that is there; none where it is compressed, and nothing has a place.
    pub fn read(file: File) -> Result<Option<Self>, ReadError> {
        let (input, compression) = Input::file(file)?;
        if compression != Compression::None {
            return Ok(None);
        }
        let mut walk = TarWalk::new(input);
        // Whoever made it: what is taken from it is named by its hash.
        let Prologue {
            expected, signature, ..
        } = prologue::read(&mut walk, &Trust::any(), Vec::new())?;
        let mtime = walk.time().unwrap_or_default();
        let index = Arc::clone(&expected.index);
        Ok(Some(Self::of(index, expected.id, mtime, signature)))
    }

    fn of(index: Arc<Index>, id: Digest, mtime: u64, signature: Option<Vec<u8>>) -> Self {
        let mut places = Self {
            index,
            id,
            mtime,
            signature,
            starts: Vec::new(),
            size: 0,
        };
        let mut at = length(places.head().len());
        for member in &places.index.members {
            at += length(header::encode(&member.path, member.size, member.mode, mtime).len());
            places.starts.push(at);
            at += member.size + length(header::padding(member.size));
        }
        places.size = at + length(2 * BLOCK);
        places
    }

    /// Returns the members before all others, with their headers.
    pub(crate) fn head(&self) -> Vec<u8> {
        let mut head = own(order::INDEX, &self.index.to_json(), self.mtime);
        if let Some(signature) = &self.signature {
            head.extend(own(order::SIGNATURE, signature, self.mtime));
        }
        head.extend(own(order::SUMS, self.index.sha256sums().as_bytes(), self.mtime));
        head
    }

    /// Returns the index.
    pub const fn index(&self) -> &Arc<Index> {
        &self.index
    }

    /// Returns the identity of the bundle: the SHA-256 of its index.
    pub const fn id(&self) -> Digest {
        self.id
    }

    /// Returns the time of every member, in seconds since 1970.
    pub const fn mtime(&self) -> u64 {
        self.mtime
    }

    /// Returns the length of the archive in bytes.
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// Returns where the bytes of a member begin, by its position in the index.
    pub fn start(&self, member: usize) -> u64 {
        self.starts[member]
    }

    /// Returns a hash of what lies where: in two archives of one hash every member of the index has the same place.
    pub fn fingerprint(&self) -> Digest {
        let mut text = self.id.as_bytes().to_vec();
        text.extend(self.mtime.to_le_bytes());
        text.extend(self.starts.first().unwrap_or(&0).to_le_bytes());
        text.extend(self.size.to_le_bytes());
        Digest::of(text)
    }

    /// Gives all bytes that belong to no member of the index, each piece with its place: headers, and the format's own
    /// members. The bytes that fill a member's last block are zero, and are not given.
    pub fn frame(&self, mut put: impl FnMut(u64, &[u8]) -> io::Result<()>) -> io::Result<()> {
        put(0, &self.head())?;
        for (member, start) in self.index.members.iter().zip(&self.starts) {
            let header = header::encode(&member.path, member.size, member.mode, self.mtime);
            put(start - length(header.len()), &header)?;
        }
        put(self.size - length(2 * BLOCK), &[0; 2 * BLOCK])
    }
}

/// Returns a member of the format's own with its header and its filling.
fn own(name: &'static str, bytes: &[u8], mtime: u64) -> Vec<u8> {
    let size = length(bytes.len());
    let mut member = header::encode(&MemberPath::known(name), size, 0o644, mtime);
    member.extend_from_slice(bytes);
    member.resize(member.len() + header::padding(size), 0);
    member
}

fn length(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}
