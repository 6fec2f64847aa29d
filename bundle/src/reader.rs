//! Reads a bundle as it streams, and lets no byte count that was not compared with the index.
//!
//! What may be wrong with an archive from outside, and where it is caught:
//! - a name that leads elsewhere, or that two file systems understand differently: `path.rs`, by construction
//! - links, devices, directories, sparse files, long names in two forms: `header.rs` knows none of them
//! - two members of one name, of twin names, not named, missing, in another order: `audit.rs`, against the index
//! - an index that is too large, contradicts itself, or could be read in two ways: `prologue.rs`, `index/validate.rs`
//! - other bytes, too many, too few: `audit.rs`; the last read of a member gives the error, so none can forget it
//! - a bomb: no more is ever unpacked than the index says, and the index has a limit
//! - anything after the end: `finish`

use std::collections::BTreeSet;
use std::io::{self, Read};
use std::sync::Arc;

use crate::audit::{Audit, Depth, Expected};
use crate::background::BUFFER;
use crate::digest::Digest;
use crate::error::ReadError;
use crate::index::{Index, Member};
use crate::path::MemberPath;
use crate::prologue::{self, Prologue};
use crate::source::{Beside, Source};
use crate::trust::{Found, Origin, Trust};
use crate::walk::Walk;

/// One pass over a bundle, from its beginning.
pub struct Reader {
    walk: Box<dyn Walk>,
    expected: Arc<Expected>,
    signature: Option<Vec<u8>>,
    origin: Origin,
    /// The position in the index of the member that must come next.
    next: usize,
    /// The member being read, and how many of its bytes are still to come.
    current: Option<(Audit, u64)>,
    /// The members to stop at; all where absent.
    wanted: Option<BTreeSet<MemberPath>>,
    /// No more members come, or an error has ended the pass.
    ended: Option<End>,
    /// What the whole file is compared with at the end.
    beside: Option<Beside>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Good,
    Bad,
}

impl Reader {
    /// Opens a bundle: reads its index, once it was judged.
    ///
    /// # Errors
    /// When it cannot be read, is bad, or is not what `trust` wants.
    pub fn open(source: Source, trust: &Trust) -> Result<Self, ReadError> {
        let beside = source.signatures();
        Self::over(source.walk()?, trust, beside)
    }

    /// Opens a bundle as [`Reader::open`] does, for a pass that proves all that [`crate::check()`] proves: a
    /// `FILE.sha256` beside the archive is compared with it when the pass is finished.
    pub fn open_to_prove(source: Source, trust: &Trust) -> Result<Self, ReadError> {
        let signatures = source.signatures();
        let (walk, beside) = source.walk_to_prove()?;
        let mut reader = Self::over(walk, trust, signatures)?;
        reader.beside = beside;
        Ok(reader)
    }

    fn over(mut walk: Box<dyn Walk>, trust: &Trust, beside: Vec<Found>) -> Result<Self, ReadError> {
        let Prologue {
            expected,
            signature,
            origin,
        } = prologue::read(walk.as_mut(), trust, beside)?;
        Ok(Self {
            walk,
            expected,
            signature,
            origin,
            next: 0,
            current: None,
            wanted: None,
            ended: None,
            beside: None,
        })
    }

    /// Stops only at these members, and passes over the others without reading more of them than it must. Only what
    /// is read is verified.
    #[must_use]
    pub fn only(mut self, wanted: BTreeSet<MemberPath>) -> Self {
        self.wanted = Some(wanted);
        self
    }

    /// Returns the index, which was judged and checked.
    pub fn index(&self) -> &Arc<Index> {
        &self.expected.index
    }

    /// Returns the identity of the bundle: the SHA-256 of its index.
    pub fn id(&self) -> Digest {
        self.expected.id
    }

    /// Returns what is known of who made it.
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// Returns the bytes of the member `bundle.json.sig`, as they are in the archive.
    pub(crate) fn signature(&self) -> Option<&[u8]> {
        self.signature.as_deref()
    }

    /// Goes to the next member; none at the end. What was not read of the one before is read and verified first.
    pub fn next_entry(&mut self) -> Result<Option<Entry<'_>>, ReadError> {
        match self.ended {
            Some(End::Good) => return Ok(None),
            Some(End::Bad) => return Err(ReadError::Ended),
            None => {}
        }
        // Until this has succeeded, the pass counts as failed.
        self.ended = Some(End::Bad);
        self.drain()?;
        if !self.advance()? {
            self.ended = Some(End::Good);
            return Ok(None);
        }
        self.ended = None;
        Ok(Some(Entry { reader: self }))
    }

    /// Reads and verifies what is left, and that nothing follows the archive. (After [`Reader::only`]: what is left
    /// of the members asked for.)
    pub fn finish(mut self) -> Result<(), ReadError> {
        while self.next_entry()?.is_some() {}
        if self.wanted.is_some() {
            return Ok(());
        }
        self.walk.finish()?;
        let Some(beside) = self.beside.take() else {
            return Ok(());
        };
        // The walk holds the feed; without it the hashing thread ends.
        drop(self.walk);
        beside.compare()?.map_or(Ok(()), Err)
    }

    /// Meets the next member that is wanted; false at the end.
    fn advance(&mut self) -> Result<bool, ReadError> {
        loop {
            if self.wanted.as_ref().is_some_and(BTreeSet::is_empty) {
                return Ok(false);
            }
            let next = self.expected.index.members.get(self.next);
            let met = self.walk.next();
            let Some(found) = met.map_err(|error| match next {
                Some(next) => error.within(&next.path),
                None => error,
            })?
            else {
                self.expected.end(self.next)?;
                return match self.wanted.iter().flatten().next() {
                    Some(member) => Err(ReadError::Missing {
                        member: member.clone(),
                    }),
                    None => Ok(false),
                };
            };
            self.expected.admit(self.next, &found)?;
            let at = self.next;
            self.next += 1;
            if self
                .wanted
                .as_mut()
                .is_none_or(|wanted| wanted.remove(&found.path))
            {
                self.current = Some((
                    Audit::new(Arc::clone(&self.expected), at, Depth::Bytes),
                    found.size,
                ));
                if found.size == 0 {
                    self.settle()?;
                }
                return Ok(true);
            }
        }
    }

    /// Reads the rest of the current member.
    fn drain(&mut self) -> Result<(), ReadError> {
        if self.current.is_some() {
            let mut buffer = vec![0; BUFFER];
            while self.pump(&mut buffer)? > 0 {}
        }
        Ok(())
    }

    /// Reads bytes of the current member; with its last bytes it is verified.
    fn pump(&mut self, buffer: &mut [u8]) -> Result<usize, ReadError> {
        let Some((audit, left)) = self.current.as_mut().filter(|_| !buffer.is_empty()) else {
            return Ok(0);
        };
        let member = &self.expected.index.members[self.next - 1].path;
        let read = self.walk.read(buffer).map_err(|error| error.within(member))?;
        audit.update(&buffer[..read]);
        *left -= u64::try_from(read).unwrap_or(*left).min(*left);
        if *left == 0 {
            self.settle()?;
        }
        Ok(read)
    }

    /// Verifies the current member, all of which has passed.
    fn settle(&mut self) -> Result<(), ReadError> {
        self.current.take().map_or(Ok(()), |(audit, _)| audit.finish())
    }
}

/// One member. Reading it gives its bytes; the read that gives the last of them gives an error instead if they are
/// not what the index names. [`ReadError::from_io`] takes that error out.
pub struct Entry<'a> {
    reader: &'a mut Reader,
}

impl Entry<'_> {
    /// Returns what the index says of the member.
    pub fn member(&self) -> &Member {
        &self.reader.expected.index.members[self.reader.next - 1]
    }
}

impl Read for Entry<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        read(self.reader, buffer)
    }
}

/// One member of a bundle, with the pass that was made for it. Reads like an [`Entry`].
pub struct MemberReader {
    reader: Reader,
}

impl MemberReader {
    /// Wraps a reader that stands at the member.
    pub(crate) fn new(reader: Reader) -> Self {
        Self { reader }
    }

    /// Returns what the index says of the member.
    pub fn member(&self) -> &Member {
        &self.reader.expected.index.members[self.reader.next - 1]
    }
}

impl Read for MemberReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        read(&mut self.reader, buffer)
    }
}

fn read(reader: &mut Reader, buffer: &mut [u8]) -> io::Result<usize> {
    if reader.ended == Some(End::Bad) {
        return Err(ReadError::Ended.into_io());
    }
    reader.pump(buffer).map_err(|error| {
        reader.ended = Some(End::Bad);
        error.into_io()
    })
}
