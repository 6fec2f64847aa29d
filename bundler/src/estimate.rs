//! How long layers are when unpacked, told from the ends of their blobs in the cache: room that a node will need.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, ErrorKind};
use std::os::unix::fs::FileExt as _;

use bundle::Digest;

use crate::cache::Cache;
use crate::error::Reason;

/// What a tar of layers rarely exceeds; gzip counts modulo 2^32 (RFC 1952, ISIZE).
const GZIP_MODULUS: u64 = 1 << 32;
/// The longest zstd frame header (RFC 8878, 3.1.1.1).
const HEAD: usize = 18;
/// A frame has at most so many blocks: of 128 KiB each they are 128 GiB, of nothing each they would be an endless walk.
const BLOCKS: usize = 1 << 20;

/// Returns the lengths that can be told; a layer whose length cannot is left out.
pub(crate) fn unpacked(cache: &Cache, layers: &BTreeSet<Digest>) -> Result<BTreeMap<Digest, u64>, Reason> {
    let mut found = BTreeMap::new();
    for digest in layers {
        let path = cache.path(digest);
        match File::open(&path).and_then(|file| estimate(&file)) {
            Ok(said) => found.extend(said.map(|size| (*digest, size))),
            // A frame that is cut says nothing; a blob that another build removed is missed when it is sealed.
            Err(error) if matches!(error.kind(), ErrorKind::UnexpectedEof | ErrorKind::InvalidData) => {}
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            // Left out, it would be another archive of the same spec, silently.
            Err(source) => return Err(Reason::Read { path, source }),
        }
    }
    Ok(found)
}

pub(crate) fn estimate(file: &File) -> io::Result<Option<u64>> {
    let size = file.metadata()?.len();
    let mut magic = [0; 4];
    let read = read_at(file, &mut magic, 0)?;
    match magic[..read] {
        [0x1f, 0x8b, ..] if size >= 4 => {
            let mut tail = [0; 4];
            file.read_exact_at(&mut tail, size - 4)?;
            Ok(gzip(u64::from(u32::from_le_bytes(tail)), size))
        }
        [0x28, 0xb5, 0x2f, 0xfd] => zstd(file, size),
        [0x50..=0x5f, 0x2a, 0x4d, 0x18] => Ok(None),
        _ => Ok(Some(size)),
    }
}

/// Returns the length that a zstd stream says, if it has one frame of data. Of several (zstd:chunked has one a file)
/// the first says nothing of the others.
fn zstd(file: &File, size: u64) -> io::Result<Option<u64>> {
    let (mut at, mut said) = (0, None);
    for _ in 0..BLOCKS {
        if at >= size {
            return Ok(said.flatten());
        }
        let mut head = vec![0; HEAD];
        let read = read_at(file, &mut head, at)?;
        head.truncate(read);
        match head.as_slice() {
            [0x28, 0xb5, 0x2f, 0xfd, descriptor, ..] if said.is_none() => {
                said = Some(::zstd::zstd_safe::get_frame_content_size(&head).ok().flatten());
                at = frame_end(file, at + frame_head(*descriptor), *descriptor)?;
            }
            [0x50..=0x5f, 0x2a, 0x4d, 0x18, a, b, c, d, ..] => {
                at += 8 + u64::from(u32::from_le_bytes([*a, *b, *c, *d]));
            }
            _ => return Ok(None),
        }
    }
    Ok(None)
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

/// Returns where a frame ends whose first block is at `at` (RFC 8878, 3.1.1.2).
fn frame_end(file: &File, mut at: u64, descriptor: u8) -> io::Result<u64> {
    for _ in 0..BLOCKS {
        let mut block = [0; 4];
        file.read_exact_at(&mut block[..3], at)?;
        let header = u32::from_le_bytes(block);
        let is_repeated = header >> 1 & 3 == 1;
        at += 3 + if is_repeated { 1 } else { u64::from(header >> 3) };
        if header & 1 == 1 {
            return Ok(at + if descriptor & 4 == 0 { 0 } else { 4 });
        }
    }
    Err(io::ErrorKind::InvalidData.into())
}

/// Returns the likely length behind gzip's counter. A tar does not grow when it is compressed, so a counter below the
/// compressed length has wrapped around, or counts only the last of several members: then nothing can be said.
fn gzip(counter: u64, compressed: u64) -> Option<u64> {
    match counter {
        _ if counter >= compressed => Some(counter),
        _ if compressed < GZIP_MODULUS / 4 => None,
        _ => Some(counter + (compressed - counter).div_ceil(GZIP_MODULUS) * GZIP_MODULUS),
    }
}

/// Reads what there is at a place; a read that a signal ended is done again.
fn read_at(file: &File, buffer: &mut [u8], at: u64) -> io::Result<usize> {
    loop {
        match file.read_at(buffer, at) {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            read => return read,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn told(bytes: &[u8]) -> Option<u64> {
        let directory = tempfile::tempdir().unwrap();
        let cache = Cache::open(directory.path()).unwrap();
        let digest = cache.put(bytes).unwrap();
        unpacked(&cache, &BTreeSet::from([digest]))
            .unwrap()
            .get(&digest)
            .copied()
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
        assert_eq!(gzip(5, 2_000_000_000), Some(5 + GZIP_MODULUS));
        assert_eq!(gzip(5, 5_000_000_000), Some(5 + 2 * GZIP_MODULUS));
    }
}
