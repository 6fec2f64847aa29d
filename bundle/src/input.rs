//! Where an archive's bytes come from: a file or a stream, plain or compressed, told by its first bytes.

use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Read, Seek, SeekFrom};
use std::path::Path;

use flate2::bufread::MultiGzDecoder;

use crate::background::{BUFFER, Feed};
use crate::error::ReadError;
use crate::output::Compression;
use crate::user_file;

/// The buffer before a file in which members are skipped: small, since each skip throws it away.
const SEEK_BUFFER: usize = 32 << 10;

/// The largest window that a zstd stream may ask for, as a power of two: 32 MiB. It bounds the memory.
const ZSTD_WINDOW_LOG: u32 = 25;

/// An error of the medium or of the operating system, marked so that no decoder's own error is taken for one, with where in
/// the file it came.
#[derive(Debug, thiserror::Error)]
#[error("{source}")]
struct RawError {
    source: io::Error,
    offset: u64,
}

/// Marks the errors of what is beneath, and counts its bytes.
pub(crate) struct Raw<R> {
    input: R,
    /// How far the input was read.
    offset: u64,
}

impl<R> Raw<R> {
    fn new(input: R) -> Self {
        Self { input, offset: 0 }
    }

    fn mark(&self, source: io::Error) -> io::Error {
        io::Error::other(RawError {
            source,
            offset: self.offset,
        })
    }
}

impl<R: Read> Read for Raw<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.input.read(buffer) {
            Ok(read) => {
                self.offset += u64::try_from(read).unwrap_or(0);
                Ok(read)
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Err(error),
            Err(error) => Err(self.mark(error)),
        }
    }
}

impl<R: Seek> Seek for Raw<R> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.offset = self.input.seek(to).map_err(|error| self.mark(error))?;
        Ok(self.offset)
    }
}

/// Hands a copy of all that is read to a hashing thread.
struct Tap<R> {
    input: R,
    feed: Feed,
    buffer: Vec<u8>,
}

impl<R: Read> Read for Tap<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.input.read(buffer)?;
        let mut rest = &buffer[..read];
        while !rest.is_empty() {
            let taken = rest.len().min(self.buffer.capacity() - self.buffer.len());
            self.buffer.extend_from_slice(&rest[..taken]);
            rest = &rest[taken..];
            if self.buffer.len() == self.buffer.capacity() {
                let next = self.feed.buffer();
                self.feed.hash(std::mem::replace(&mut self.buffer, next));
            }
        }
        Ok(read)
    }
}

impl<R> Drop for Tap<R> {
    fn drop(&mut self) {
        self.feed.hash(std::mem::take(&mut self.buffer));
    }
}

/// The bytes of the tar.
pub(crate) enum Input {
    /// A plain file, in which members can be skipped.
    File(BufReader<Raw<File>>),
    /// Anything else.
    Stream(Box<dyn Read + Send>),
}

impl Input {
    /// Takes a stream; its first bytes say how it is compressed.
    pub(crate) fn stream(input: impl Read + Send + 'static) -> Result<(Self, Compression), ReadError> {
        let mut input = BufReader::with_capacity(BUFFER, Raw::new(input));
        let compression = detect(&mut input)?;
        let failed = |source| ReadError::Compressed {
            during: "its beginning".to_owned(),
            source,
        };
        let stream: Box<dyn Read + Send> = match compression {
            Compression::None => Box::new(input),
            Compression::Gzip => Box::new(BufReader::with_capacity(BUFFER, MultiGzDecoder::new(input))),
            Compression::Zstd => {
                let mut decoder = zstd::Decoder::with_buffer(input).map_err(failed)?;
                decoder.window_log_max(ZSTD_WINDOW_LOG).map_err(failed)?;
                Box::new(BufReader::with_capacity(BUFFER, decoder))
            }
        };
        Ok((Self::Stream(stream), compression))
    }

    /// Takes an open file.
    pub(crate) fn file(file: File) -> Result<(Self, Compression), ReadError> {
        let mut input = BufReader::with_capacity(SEEK_BUFFER, Raw::new(file));
        match detect(&mut input)? {
            // A pipe under a file's name cannot be sought in.
            Compression::None if input.stream_position().is_ok() => {
                Ok((Self::File(input), Compression::None))
            }
            _ => {
                let ahead = io::Cursor::new(input.buffer().to_vec());
                Self::stream(ahead.chain(input.into_inner().input))
            }
        }
    }

    /// Takes an open file, and hashes all of it on its way.
    pub(crate) fn tapped(file: File, feed: Feed) -> Result<(Self, Compression), ReadError> {
        Self::stream(Tap {
            input: file,
            buffer: feed.buffer(),
            feed,
        })
    }

    /// Goes to a place of the tar, which lies ahead of `here`; false where that cannot be, after an error of the medium in a
    /// stream.
    pub(crate) fn go_to(&mut self, place: u64, here: u64, broken: bool) -> io::Result<bool> {
        match self {
            // What was read ahead is thrown away.
            Self::File(file) => file.seek(SeekFrom::Start(place)).map(|_| true),
            Self::Stream(_) if broken || place < here => Ok(false),
            Self::Stream(_) => self.skip(place - here).map(|()| true),
        }
    }

    /// Passes over `count` bytes. In a file that ends before, the next read will tell.
    pub(crate) fn skip(&mut self, count: u64) -> io::Result<()> {
        match self {
            Self::File(file) => {
                let count =
                    i64::try_from(count).map_err(|_| io::Error::from(io::ErrorKind::UnexpectedEof))?;
                file.seek_relative(count)
            }
            Self::Stream(stream) => {
                let skipped = io::copy(&mut stream.take(count), &mut io::sink())?;
                if skipped == count {
                    Ok(())
                } else {
                    Err(io::ErrorKind::UnexpectedEof.into())
                }
            }
        }
    }
}

impl Read for Input {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let read = match self {
                Self::File(file) => file.read(buffer),
                Self::Stream(stream) => stream.read(buffer),
            };
            match read {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                other => return other,
            }
        }
    }
}

/// Opens what `path` names.
pub(crate) fn open(path: &Path) -> Result<File, ReadError> {
    user_file::open_medium(path).map_err(|source| ReadError::Open {
        path: path.to_owned(),
        source,
    })
}

/// Tells what an error while reading means: the medium's, the end, or a damaged compressed stream.
pub(crate) fn error(error: io::Error, during: &str) -> ReadError {
    let during = during.to_owned();
    let error = match error.downcast::<RawError>() {
        Ok(RawError { source, offset }) => {
            return ReadError::Read {
                during,
                member: None,
                offset: Some(offset),
                source,
            };
        }
        Err(error) => error,
    };
    match error.kind() {
        io::ErrorKind::UnexpectedEof => ReadError::Truncated { during },
        _ => ReadError::Compressed {
            during,
            source: error,
        },
    }
}

fn detect<R: Read>(input: &mut BufReader<R>) -> Result<Compression, ReadError> {
    let start = loop {
        match input.fill_buf() {
            Ok(start) => break start,
            Err(failed) if failed.kind() == io::ErrorKind::Interrupted => {}
            Err(failed) => return Err(error(failed, "the beginning of the archive")),
        }
    };
    Ok(match start {
        [0x1f, 0x8b, ..] => Compression::Gzip,
        [0x28, 0xb5, 0x2f, 0xfd, ..] => Compression::Zstd,
        _ => Compression::None,
    })
}
