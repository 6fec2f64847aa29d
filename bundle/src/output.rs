//! The bytes of the archive on their way out: compressed if asked for, hashed in a thread beside, counted.

use std::io::{self, Write};
use std::num::NonZero;
use std::thread;

use flate2::write::GzEncoder;

use crate::background::{self, Feed, Outcome};
use crate::digest::Digest;

/// The compression of the whole archive. Layers are compressed already, so `None` is the default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Compression {
    /// A plain tar.
    #[default]
    None,
    /// gzip, level 6, on one core.
    Gzip,
    /// zstd, level 3, on all cores; the bytes do not depend on how many there are.
    Zstd,
}

/// The bytes of an archive on their way: through a compressor where asked for, hashed and counted.
pub struct Output<W: Write>(Way<W>);

/// The compressor, over the counting writer.
enum Way<W: Write> {
    Plain(Hashed<W>),
    Gzip(Box<GzEncoder<Hashed<W>>>),
    Zstd(zstd::Encoder<'static, Hashed<W>>),
}

impl<W: Write> Output<W> {
    /// Starts over `out`.
    pub fn new(out: W, compression: Compression) -> io::Result<Self> {
        let out = Hashed::new(out)?;
        Ok(Self(match compression {
            Compression::None => Way::Plain(out),
            // flate2 writes no time and no name: the same bytes every time.
            Compression::Gzip => Way::Gzip(Box::new(GzEncoder::new(out, flate2::Compression::new(6)))),
            Compression::Zstd => {
                let mut encoder = zstd::Encoder::new(out, 3)?;
                let cores = thread::available_parallelism().map_or(1, NonZero::get);
                encoder.multithread(u32::try_from(cores).unwrap_or(1).clamp(1, 8))?;
                encoder.include_checksum(true)?;
                Way::Zstd(encoder)
            }
        }))
    }

    /// Ends the compressed stream; returns the writer beneath, the digest of what reached it, and its length.
    pub fn finish(self) -> io::Result<(W, Digest, u64)> {
        match self.0 {
            Way::Plain(out) => out,
            Way::Gzip(encoder) => encoder.finish()?,
            Way::Zstd(encoder) => encoder.finish()?,
        }
        .finish()
    }
}

impl<W: Write> Write for Output<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.0 {
            Way::Plain(out) => out.write(bytes),
            Way::Gzip(out) => out.write(bytes),
            Way::Zstd(out) => out.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match &mut self.0 {
            Way::Plain(out) => out.flush(),
            Way::Gzip(out) => out.flush(),
            Way::Zstd(out) => out.flush(),
        }
    }
}

/// Buffers, writes and then hashes what was written, in a thread beside.
struct Hashed<W: Write> {
    out: W,
    buffer: Vec<u8>,
    feed: Feed,
    outcome: Outcome,
    size: u64,
}

impl<W: Write> Hashed<W> {
    fn new(out: W) -> io::Result<Self> {
        let (feed, outcome) = background::start()?;
        Ok(Self {
            out,
            buffer: feed.buffer(),
            feed,
            outcome,
            size: 0,
        })
    }

    /// Writes the buffer out and hands it to the hasher.
    fn spill(&mut self) -> io::Result<()> {
        self.out.write_all(&self.buffer)?;
        self.size += u64::try_from(self.buffer.len()).unwrap_or(u64::MAX);
        let next = self.feed.buffer();
        self.feed.hash(std::mem::replace(&mut self.buffer, next));
        Ok(())
    }

    fn finish(mut self) -> io::Result<(W, Digest, u64)> {
        self.spill()?;
        self.out.flush()?;
        drop(self.feed);
        Ok((self.out, self.outcome.wait()?, self.size))
    }
}

impl<W: Write> Write for Hashed<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.buffer.len() == self.buffer.capacity() {
            self.spill()?;
        }
        let room = self.buffer.capacity() - self.buffer.len();
        let taken = bytes.len().min(room);
        self.buffer.extend_from_slice(&bytes[..taken]);
        Ok(taken)
    }

    /// Does nothing: small members would otherwise become small writes. `finish` writes all.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
