//! Goes through the files of a bundle in their order, without judging them against the index.

mod directory;
mod tarball;

pub(crate) use directory::DirectoryWalk;
pub(crate) use tarball::TarWalk;

use crate::error::ReadError;
use crate::path::MemberPath;

/// A file that was met.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) path: MemberPath,
    pub(crate) size: u64,
    /// Absent in a directory: media that carry files may keep no modes.
    pub(crate) mode: Option<u32>,
}

/// One pass over the files.
pub(crate) trait Walk: Send {
    /// Goes to the next file, passing over what was not read of the one before; none at the end.
    fn next(&mut self) -> Result<Option<Found>, ReadError>;

    /// Reads bytes of the file; 0 once all were read.
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, ReadError>;

    /// Checks, after the end, that nothing follows.
    fn finish(&mut self) -> Result<(), ReadError>;
}
