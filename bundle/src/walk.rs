//! Goes through the files of a bundle in their order, without judging them against the index.

mod directory;
mod tarball;

pub(crate) use directory::DirectoryWalk;
pub(crate) use tarball::TarWalk;

use crate::error::ReadError;
use crate::index::Member;
use crate::path::MemberPath;

/// A file that was met.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) path: MemberPath,
    pub(crate) size: u64,
    /// Absent in a directory: media that carry files may keep no modes.
    pub(crate) mode: Option<u32>,
}

/// Where a pass goes on after an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Resumed {
    /// Nowhere.
    Never,
    /// At the file: what could not be read lies before it.
    At,
    /// Behind the file.
    Behind,
}

/// One pass over the files.
pub(crate) trait Walk: Send {
    /// Goes to the next file, passing over what was not read of the one before; none at the end.
    fn next(&mut self) -> Result<Option<Found>, ReadError>;

    /// Reads bytes of the file; 0 once all were read.
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, ReadError>;

    /// Goes on after an error, at `next` or behind it, by what the index says of it. That the place is right the next file must
    /// show.
    fn resume(&mut self, next: &Member, error: &ReadError) -> Result<Resumed, ReadError>;

    /// Returns whether each file can be judged by itself, whatever is wrong with the others.
    fn is_loose(&self) -> bool;

    /// Checks, after the end, that nothing follows.
    fn finish(&mut self) -> Result<(), ReadError>;
}
