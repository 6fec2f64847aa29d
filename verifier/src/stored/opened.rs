//! A snapshot as it lies on a disk, read piece by piece: as it is, or compressed.

use std::io::{self, BufRead, BufReader, Read};

use flate2::read::MultiGzDecoder;

use super::{Reader, Wanted};
use crate::protocol::{SnapshotFacts, SnapshotPacked};

/// How much is read at once.
const PIECE: usize = 1 << 20;
/// A window of zstd may take so much memory: 128 MiB, which `zstd --long` asks for.
const WINDOW: u32 = 27;

/// Reads a snapshot to its end. `each` is told how many bytes came since it was told last; it ends the reading by an error.
///
/// # Errors
/// When it cannot be read, or what packed it is broken.
pub(crate) fn read(
    input: impl Read,
    wanted: Wanted,
    each: &mut dyn FnMut(usize) -> io::Result<()>,
) -> io::Result<(SnapshotPacked, SnapshotFacts)> {
    let mut input = BufReader::with_capacity(PIECE, input);
    let head = input.fill_buf()?;
    let packed = if head.starts_with(&[0x1f, 0x8b]) {
        SnapshotPacked::Gzip
    } else if head.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]) {
        SnapshotPacked::Zstd
    } else {
        SnapshotPacked::No
    };
    let mut reader = Reader::new(wanted);
    match packed {
        SnapshotPacked::No => pump(&mut input, &mut reader, each)?,
        SnapshotPacked::Gzip => pump(&mut MultiGzDecoder::new(input), &mut reader, each)?,
        SnapshotPacked::Zstd => {
            let mut decoder = zstd::stream::read::Decoder::with_buffer(input)?;
            decoder.window_log_max(WINDOW)?;
            pump(&mut decoder, &mut reader, each)?;
        }
    }
    Ok((packed, reader.finish()))
}

fn pump(
    input: &mut dyn Read,
    reader: &mut Reader,
    each: &mut dyn FnMut(usize) -> io::Result<()>,
) -> io::Result<()> {
    let mut piece = vec![0; PIECE];
    loop {
        match input.read(&mut piece) {
            Ok(0) => return Ok(()),
            Ok(length) => {
                reader.feed(&piece[..length]);
                each(length)?;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}
