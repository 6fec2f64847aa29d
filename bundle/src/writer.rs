//! Writes a bundle: the index first, then its members in its order, each compared with what the index says.
//!
//! Writes to the `Write` that it is given, nothing else; the same index, members and time give the same bytes.

use std::io::{self, Read, Write};
use std::sync::Arc;

use crate::background::{BUFFER, Sum};
use crate::digest::Digest;
use crate::index::{Index, Member};
use crate::output::Output;
use crate::path::MemberPath;
use crate::places::Places;
use crate::writing::{WriteError, WriteOptions};
use crate::{header, order};

/// What was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sealed {
    /// The identity of the bundle: the SHA-256 of its index.
    pub bundle: Digest,
    /// The SHA-256 of the archive as it was written, compressed if so.
    pub sha256: Digest,
    /// The length of the archive in bytes.
    pub size: u64,
}

/// Writes one bundle.
pub struct Writer<W: Write> {
    out: Output<W>,
    index: Arc<Index>,
    id: Digest,
    mtime: u64,
    next: usize,
    buffer: Vec<u8>,
    spoilt: bool,
}

impl<W: Write> Writer<W> {
    /// Checks the index and writes it, with SHA256SUMS, to `out`.
    pub fn new(out: W, index: impl Into<Arc<Index>>, options: WriteOptions) -> Result<Self, WriteError> {
        let compression = options.compression;
        let places = Places::new(index, options)?;
        let out = Output::new(out, compression).map_err(|source| WriteError::Write {
            during: order::INDEX.to_owned(),
            source,
        })?;
        let mut writer = Self {
            out,
            id: places.id(),
            index: Arc::clone(places.index()),
            mtime: places.mtime(),
            next: 0,
            buffer: vec![0; BUFFER],
            spoilt: false,
        };
        writer.put(order::INDEX, &places.head())?;
        Ok(writer)
    }

    /// Returns the index.
    pub fn index(&self) -> &Arc<Index> {
        &self.index
    }

    /// Returns the member whose bytes [`Writer::append`] wants next; none when all are written.
    pub fn next_member(&self) -> Option<&Member> {
        self.index.members.get(self.next)
    }

    /// Writes the next member from `data`, which must give exactly the bytes that the index names.
    pub fn append(&mut self, path: &MemberPath, data: &mut dyn Read) -> Result<(), WriteError> {
        if self.spoilt {
            return Err(WriteError::Spoilt);
        }
        self.spoilt = true;
        let index = Arc::clone(&self.index);
        match index.members.get(self.next) {
            Some(member) if member.path == *path => self.member(member, data)?,
            next => {
                return Err(WriteError::Order {
                    member: path.clone(),
                    expected: next.map_or("the end".to_owned(), |member| format!("{:?}", member.path)),
                });
            }
        }
        self.next += 1;
        self.spoilt = false;
        Ok(())
    }

    /// Ends the archive; returns what was given to [`Writer::new`], and what was written. Does not sync.
    pub fn finish(mut self) -> Result<(W, Sealed), WriteError> {
        if self.spoilt {
            return Err(WriteError::Spoilt);
        }
        if let Some(member) = self.next_member() {
            return Err(WriteError::Unfinished {
                member: member.path.clone(),
            });
        }
        let failed = |source| WriteError::Write {
            during: "its end".to_owned(),
            source,
        };
        self.out.write_all(&[0; 2 * header::BLOCK]).map_err(failed)?;
        let (out, sha256, size) = self.out.finish().map_err(failed)?;
        let sealed = Sealed {
            bundle: self.id,
            sha256,
            size,
        };
        Ok((out, sealed))
    }

    fn member(&mut self, member: &Member, data: &mut dyn Read) -> Result<(), WriteError> {
        let Member { path, size, mode, .. } = member;
        self.put(path.as_str(), &header::encode(path, *size, *mode, self.mtime))?;
        let mut sum = Sum::start(*size);
        let mut written = 0;
        let length = |found| WriteError::Length {
            member: path.clone(),
            expected: *size,
            found,
        };
        loop {
            // One byte more than expected is asked for, so that what is too long shows.
            let room =
                usize::try_from(size - written).map_or(BUFFER, |left| BUFFER.min(left.saturating_add(1)));
            let read = read(data, &mut self.buffer[..room]).map_err(|source| WriteError::Source {
                member: path.clone(),
                source,
            })?;
            let amount = u64::try_from(read).unwrap_or(u64::MAX);
            if amount > size - written {
                return Err(length(size.saturating_add(1)));
            }
            if read == 0 {
                break;
            }
            sum.update(&self.buffer[..read]);
            let put = self.out.write_all(&self.buffer[..read]);
            put.map_err(|source| write_error(path.as_str(), source))?;
            written += amount;
        }
        if written != *size {
            return Err(length(written));
        }
        let found = sum.finish();
        compare(
            member,
            found.map_err(|source| write_error(path.as_str(), source))?,
        )?;
        self.put(path.as_str(), &[0; header::BLOCK][..header::padding(*size)])
    }

    fn put(&mut self, member: &str, bytes: &[u8]) -> Result<(), WriteError> {
        self.out
            .write_all(bytes)
            .map_err(|source| write_error(member, source))
    }
}

/// Compares a member's hash with the one that the index names.
fn compare(member: &Member, found: Digest) -> Result<(), WriteError> {
    if found == member.sha256 {
        return Ok(());
    }
    Err(WriteError::Hash {
        member: member.path.clone(),
        expected: member.sha256,
        found,
    })
}

fn write_error(member: &str, source: io::Error) -> WriteError {
    WriteError::Write {
        during: format!("member {member:?}"),
        source,
    }
}

/// Reads once, again when interrupted.
fn read(data: &mut dyn Read, buffer: &mut [u8]) -> io::Result<usize> {
    loop {
        match data.read(buffer) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            other => return other,
        }
    }
}
