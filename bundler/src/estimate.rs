//! How long layers are when unpacked, told from the ends of their blobs in the cache: room that a node will need.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};

use bundle::Digest;

use crate::cache::Cache;

/// What a tar of layers rarely exceeds; gzip counts modulo 2^32 (RFC 1952, ISIZE).
const GZIP_MODULUS: u64 = 1 << 32;
/// The longest zstd frame header (RFC 8878, 3.1.1.1).
const HEAD: u64 = 18;

/// Returns the lengths that can be told; a layer whose length cannot is left out.
pub(crate) fn unpacked(cache: &Cache, layers: &BTreeSet<Digest>) -> BTreeMap<Digest, u64> {
    let of_layer = |digest: &Digest| {
        Some((
            *digest,
            ends(cache, digest).ok().and_then(|ends| estimate(&ends))?,
        ))
    };
    layers.iter().filter_map(of_layer).collect()
}

/// The beginning, the last four bytes and the length of a blob.
struct Ends {
    head: Vec<u8>,
    tail: [u8; 4],
    size: u64,
}

fn ends(cache: &Cache, digest: &Digest) -> io::Result<Ends> {
    let mut file = File::open(cache.path(digest))?;
    let size = file.metadata()?.len();
    let mut head = Vec::new();
    file.by_ref().take(HEAD).read_to_end(&mut head)?;
    let mut tail = [0; 4];
    if size >= 4 {
        file.seek(SeekFrom::End(-4))?;
        file.read_exact(&mut tail)?;
    }
    Ok(Ends { head, tail, size })
}

fn estimate(ends: &Ends) -> Option<u64> {
    match ends.head.as_slice() {
        [0x1f, 0x8b, ..] => gzip(u64::from(u32::from_le_bytes(ends.tail)), ends.size),
        [0x28, 0xb5, 0x2f, 0xfd, ..] => zstd::zstd_safe::get_frame_content_size(&ends.head).ok().flatten(),
        _ => Some(ends.size),
    }
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

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn told(bytes: &[u8]) -> Option<u64> {
        let directory = tempfile::tempdir().unwrap();
        let cache = Cache::open(directory.path()).unwrap();
        let digest = cache.put(bytes).unwrap();
        unpacked(&cache, &BTreeSet::from([digest])).get(&digest).copied()
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
        assert_eq!(told(&zstd::bulk::compress(&plain, 3).unwrap()), Some(100_000));
        // A stream does not know its length beforehand.
        let mut stream = zstd::Encoder::new(Vec::new(), 3).unwrap();
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
