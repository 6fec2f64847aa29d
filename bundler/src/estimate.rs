//! How long layers are when unpacked, told from the ends of their blobs: room that a node will need. Wherever the blob
//! lies, the same is told of it.

use std::fs::File;
use std::io::{self, ErrorKind};
use std::os::unix::fs::FileExt as _;

/// What a tar of layers rarely exceeds; gzip counts modulo 2^32 (RFC 1952, ISIZE).
const GZIP_MODULUS: u64 = 1 << 32;
/// What deflate can do at most: 258 bytes for two bits, and some for the blocks' headers (zlib's FAQ says 1032).
const DEFLATE: u64 = 1032;
/// What layers do at most, but for sparse files.
const USUAL: u64 = 10;
/// So long a layer is looked through for members of gzip; a longer one with several is mostly seen by its counter.
const LOOKED_THROUGH: u64 = 4 << 20;
/// The longest zstd frame header (RFC 8878, 3.1.1.1).
const HEAD: usize = 18;
/// A frame has at most so many blocks: of 128 KiB each they are 128 GiB, of nothing each they would be an endless walk.
const BLOCKS: usize = 1 << 20;

/// Returns the unpacked length of a layer of `size` bytes that lies in a file from `start` on; none where it does not say it.
pub(crate) fn of_span(file: &File, start: u64, size: u64) -> io::Result<Option<u64>> {
    let span = Span { file, start, size };
    match span.estimate() {
        // A frame that is cut says nothing.
        Err(error) if matches!(error.kind(), ErrorKind::UnexpectedEof | ErrorKind::InvalidData) => Ok(None),
        told => told,
    }
}

/// Which end of a blob tells how long it is when unpacked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// The first bytes, at most so many.
    Head(u64),
    /// The last bytes: so many.
    Tail(u64),
}

/// gzip's ISIZE.
pub(crate) const TAIL: End = End::Tail(4);
/// The magic number, and the longest header of a zstd frame.
pub(crate) const HEAD_OF_BLOB: End = End::Head(HEAD as u64);

impl End {
    /// Returns the first byte and the last one of it, in a blob of `size` bytes; none where the blob is too short.
    pub(crate) fn range(self, size: u64) -> Option<(u64, u64)> {
        match self {
            Self::Head(length) => Some((0, length.min(size).checked_sub(1)?)),
            Self::Tail(length) => Some((size.checked_sub(length)?, size - 1)),
        }
    }
}

/// Returns what the last four bytes of a gzipped layer tell.
pub(crate) fn of_tail(tail: [u8; 4], size: u64) -> Option<u64> {
    gzip(u64::from(u32::from_le_bytes(tail)), size)
}

/// What the first bytes of a layer tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Head {
    /// The length, or that it is not known.
    Told(Option<u64>),
    /// That it is gzip, and the last bytes are to be asked.
    Gzip,
}

/// Reads the first bytes of a layer. Of zstd it believes that there is one frame of data: the rest is still to be seen.
pub(crate) fn of_head(head: &[u8], size: u64) -> Head {
    match head {
        [0x1f, 0x8b, ..] if size >= 4 => Head::Gzip,
        [0x28, 0xb5, 0x2f, 0xfd, ..] => {
            Head::Told(::zstd::zstd_safe::get_frame_content_size(head).ok().flatten())
        }
        [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Head::Told(None),
        _ => Head::Told(Some(size)),
    }
}

/// A blob in a file.
struct Span<'a> {
    file: &'a File,
    start: u64,
    size: u64,
}

impl Span<'_> {
    /// Reads all of it.
    fn all(&self) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; usize::try_from(self.size).unwrap_or(0)];
        let mut filled = 0;
        while filled < bytes.len() {
            match self.read_at(&mut bytes[filled..], filled as u64)? {
                0 => return Err(ErrorKind::UnexpectedEof.into()),
                read => filled += read,
            }
        }
        Ok(bytes)
    }

    fn estimate(&self) -> io::Result<Option<u64>> {
        let mut head = vec![0; HEAD];
        let read = self.read_at(&mut head, 0)?;
        match (of_head(&head[..read], self.size), &head[..read]) {
            (Head::Gzip, _) => {
                let mut tail = [0; 4];
                if self.read_at(&mut tail, self.size - 4)? < tail.len() {
                    return Ok(None);
                }
                let told = of_tail(tail, self.size);
                if told.is_some() && self.size <= LOOKED_THROUGH && has_second_member(&self.all()?) {
                    return Ok(None);
                }
                Ok(told)
            }
            (Head::Told(_), [0x28, 0xb5, 0x2f, 0xfd, ..]) => self.zstd(),
            (Head::Told(told), _) => Ok(told),
        }
    }

    /// Reads what there is at a place of the blob; a read that a signal ended is done again.
    fn read_at(&self, buffer: &mut [u8], at: u64) -> io::Result<usize> {
        let left = usize::try_from(self.size.saturating_sub(at)).unwrap_or(usize::MAX);
        let room = buffer.len().min(left);
        loop {
            match self.file.read_at(&mut buffer[..room], self.start + at) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                read => return read,
            }
        }
    }

    /// Returns the length that a zstd stream says, if it has one frame of data. Of several (zstd:chunked has one a file)
    /// the first says nothing of the others.
    fn zstd(&self) -> io::Result<Option<u64>> {
        let (mut at, mut said) = (0, None);
        for _ in 0..BLOCKS {
            if at >= self.size {
                return Ok(said.flatten());
            }
            let mut head = vec![0; HEAD];
            let read = self.read_at(&mut head, at)?;
            head.truncate(read);
            match head.as_slice() {
                [0x28, 0xb5, 0x2f, 0xfd, descriptor, ..] if said.is_none() => {
                    said = Some(::zstd::zstd_safe::get_frame_content_size(&head).ok().flatten());
                    at = self.frame_end(at + frame_head(*descriptor), *descriptor)?;
                }
                [0x50..=0x5f, 0x2a, 0x4d, 0x18, a, b, c, d, ..] => {
                    at += 8 + u64::from(u32::from_le_bytes([*a, *b, *c, *d]));
                }
                _ => return Ok(None),
            }
        }
        Ok(None)
    }

    /// Returns where a frame ends whose first block is at `at` (RFC 8878, 3.1.1.2).
    fn frame_end(&self, mut at: u64, descriptor: u8) -> io::Result<u64> {
        for _ in 0..BLOCKS {
            let mut block = [0; 4];
            if self.read_at(&mut block[..3], at)? < 3 {
                return Err(ErrorKind::UnexpectedEof.into());
            }
            let header = u32::from_le_bytes(block);
            let is_repeated = header >> 1 & 3 == 1;
            at += 3 + if is_repeated { 1 } else { u64::from(header >> 3) };
            if header & 1 == 1 {
                return Ok(at + if descriptor & 4 == 0 { 0 } else { 4 });
            }
        }
        Err(io::ErrorKind::InvalidData.into())
    }
}

/// Returns the length of a frame's header (RFC 8878, 3.1.1.1).
fn frame_head(descriptor: u8) -> u64 {
    let single_segment = descriptor & 0x20 != 0;
    let content_size = match descriptor >> 6 {
        0 => u64::from(single_segment),
        flag => 1 << flag,
    };
    5 + u64::from(!single_segment) + [0, 1, 2, 4][usize::from(descriptor & 3)] + content_size
}

/// Returns the length behind gzip's counter, where it can be told. A tar does not grow when it is compressed, so a counter below
/// the compressed length has wrapped around, or counts only the last of several members; one beyond what deflate can do is a
/// lie; and where a layer of the usual sort could be one turn of the counter longer, nobody knows how often it turned.
fn gzip(counter: u64, compressed: u64) -> Option<u64> {
    let possible = counter >= compressed && counter <= compressed.saturating_mul(DEFLATE);
    let turned = compressed.saturating_mul(DEFLATE) >= counter + GZIP_MODULUS
        && (counter > compressed.saturating_mul(USUAL)
            || compressed.saturating_mul(USUAL) >= counter + GZIP_MODULUS);
    (possible && !turned).then_some(counter)
}

/// Returns whether a second member of gzip may begin behind the first byte: its magic, deflate, no reserved flag, an extra
/// flag and a system that some compressor writes (RFC 1952, 2.3). By chance random bytes look so once in 100 GB.
fn has_second_member(bytes: &[u8]) -> bool {
    let is_header = |head: &[u8]| {
        head.starts_with(&[0x1f, 0x8b, 8])
            && head[3] < 32
            && matches!(head[8], 0 | 2 | 4)
            && matches!(head[9], 0..=13 | 255)
    };
    bytes.get(1..).is_some_and(|rest| rest.windows(10).any(is_header))
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn told(bytes: &[u8]) -> Option<u64> {
        let mut file = tempfile::tempfile().unwrap();
        // In the middle of other bytes.
        file.write_all(&[b"before", bytes, b"behind"].concat()).unwrap();
        of_span(&file, 6, bytes.len() as u64).unwrap()
    }

    fn gzipped(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn every_compression_tells_its_length() {
        let plain = vec![7; 100_000];
        assert_eq!(told(&plain), Some(100_000));
        assert_eq!(told(&gzipped(&plain)), Some(100_000));
        let frame = ::zstd::bulk::compress(&plain, 3).unwrap();
        assert_eq!(told(&frame), Some(100_000));
        let skipped = b"\x50\x2a\x4d\x18\x03\0\0\0abc";
        assert_eq!(told(&[frame.as_slice(), skipped].concat()), Some(100_000));
        for several in [
            [frame.as_slice(), &frame].concat(),
            [skipped, frame.as_slice()].concat(),
        ] {
            assert_eq!(told(&several), None);
        }
        // A stream does not know its length beforehand.
        let mut stream = ::zstd::Encoder::new(Vec::new(), 3).unwrap();
        stream.write_all(&plain).unwrap();
        stream.flush().unwrap();
        assert_eq!(told(&stream.finish().unwrap()), None);
    }

    #[test]
    fn a_counter_that_cannot_be_true_is_not_believed() {
        let mut two = gzipped(&vec![7; 100_000]);
        two.extend(gzipped(b""));
        assert_eq!(told(&two), None);
        // The last of two members is longer than both when they are compressed.
        let two = [gzipped(&vec![7; 100_000]), gzipped(&vec![8; 100_000])].concat();
        assert_eq!(told(&two), None);
        // Wrapped around, told falsely, and not to be told from one that has turned once.
        for (counter, compressed) in [
            (5, 2_000_000_000),
            (5, 5_000_000_000),
            (100_000_000, 50_000),
            (1 << 30, 5_300_000),
            (3_000_000_000, 1_500_000_000),
        ] {
            assert_eq!(gzip(counter, compressed), None, "{counter} of {compressed}");
        }
        for (counter, compressed) in [(1024, 32), (4_000_000_000, 4_100_000), (300_000_000, 100_000_000)] {
            assert_eq!(gzip(counter, compressed), Some(counter), "{compressed}");
        }
    }
}
