//! The doors of `fuzz/` into this crate: a function for each parser of foreign bytes, with what must hold behind it
//! for any bytes at all. The unit test sends the seeds through, finds of earlier runs among them.

use std::io::{Cursor, Read as _};
use std::ops::Range;

use crate::header::{BLOCK, encode, padding};
use crate::path::MemberPath;
use crate::{Estimator, Index, LayerProof, Reader, Source, Trust, WriteOptions, Writer, documents, order};

/// What takes any bytes, and panics where something does not hold.
pub type Door = fn(&[u8]);

/// The parsers by the names of their seeds' folders.
pub const TARGETS: [(&str, Door); 4] = [
    ("archive", archive),
    ("index", index),
    ("layer", layer),
    ("documents", image_documents),
];

/// A layer that unpacks to more is a bomb: bounded elsewhere, slow here.
const LAYER: u64 = 64 << 20;

/// The walk over an archive: what is accepted is what the writer would have written, but for times.
fn archive(bytes: &[u8]) {
    let Ok((index, members)) = read(bytes) else {
        return;
    };
    assert!(index.validate().is_ok(), "accepted with an index that is none");
    // Compressed ones differ by their compressor.
    if !bytes.starts_with(b"bundle.json") {
        return;
    }
    let mut written = Vec::new();
    let mut writer =
        Writer::new(&mut written, index.clone(), WriteOptions::default()).expect("an index that was read");
    for (member, bytes) in index.members.iter().zip(&members) {
        let appended = writer.append(&member.path, &mut bytes.as_slice());
        appended.expect("a member that was read");
    }
    writer.finish().expect("nothing is missing");
    // A signature is carried and not checked; it has no place in what is written here.
    if !bytes
        .windows(order::SIGNATURE.len())
        .any(|name| name == order::SIGNATURE.as_bytes())
    {
        assert_eq!(timeless(bytes), timeless(&written), "accepted in another form");
    }
}

fn open(bytes: Vec<u8>) -> Result<Reader, crate::ReadError> {
    Reader::open(Source::stream("fuzz", Cursor::new(bytes)), &Trust::any())
}

fn read(bytes: &[u8]) -> Result<(Index, Vec<Vec<u8>>), crate::ReadError> {
    let mut reader = open(bytes.to_vec())?;
    let index = Index::clone(reader.index());
    let mut members = Vec::new();
    while let Some(mut entry) = reader.next_entry()? {
        let mut bytes = Vec::new();
        let read = entry.read_to_end(&mut bytes);
        members.push(read.map(|_| bytes).unwrap_or_default());
    }
    reader.finish()?;
    Ok((index, members))
}

/// Returns an archive with the times of its headers, and the checksums over them, blank.
fn timeless(bytes: &[u8]) -> Vec<u8> {
    const TIME_AND_SUM: Range<usize> = 136..156;
    let mut blank = bytes.to_vec();
    let mut at = 0;
    while let Some(header) = blank.get_mut(at..at + BLOCK) {
        let size = crate::tar_block::number(&header[124..136]).unwrap_or(0);
        header[TIME_AND_SUM].fill(0);
        let size = usize::try_from(size).unwrap_or(usize::MAX / 2);
        at = at.saturating_add(BLOCK + size + padding(size as u64));
    }
    blank
}

/// The index, in an archive that is right around it: what the reader accepts is valid, and is written as it was read.
fn index(bytes: &[u8]) {
    let mut archive = member(order::INDEX, bytes);
    let parsed = serde_json::from_slice::<Index>(bytes).ok();
    let valid = parsed.as_ref().is_some_and(|index| index.validate().is_ok());
    let sums = parsed
        .as_ref()
        .filter(|_| valid)
        .map(Index::sha256sums)
        .unwrap_or_default();
    archive.extend(member(order::SUMS, sums.as_bytes()));
    let Ok(reader) = open(archive) else {
        return;
    };
    assert!(valid, "an index that is none was accepted");
    assert_eq!(
        reader.index().to_json(),
        bytes,
        "an index in another form was accepted"
    );
    for member in &reader.index().members {
        assert!(MemberPath::new(member.path.as_str()).is_ok());
    }
}

fn member(name: &'static str, bytes: &[u8]) -> Vec<u8> {
    let size = bytes.len() as u64;
    let mut member = encode(&MemberPath::known(name), size, 0o644, 0);
    member.extend_from_slice(bytes);
    member.resize(member.len() + padding(size), 0);
    member
}

/// A layer and the length that its head and tail give: the same however its bytes are cut into pieces.
fn layer(bytes: &[u8]) {
    let whole = prove(&[bytes]);
    let (first, second) = bytes.split_at(bytes.len() / 3);
    let (second, third) = second.split_at(second.len().min(7));
    let pieces = prove(&[first, second, third]);
    assert_eq!(whole, pieces, "another layer when it comes in pieces");
}

fn prove(pieces: &[&[u8]]) -> (Option<crate::Unpacking>, Option<u64>) {
    let (mut proof, mut estimator) = (LayerProof::new(), Estimator::new());
    for piece in pieces {
        proof.update(piece);
        estimator.update(piece);
    }
    let unpacking = proof.finish().ok().filter(|unpacking| unpacking.size < LAYER);
    (unpacking, estimator.finish())
}

/// Manifests, indexes and configurations of images.
fn image_documents(bytes: &[u8]) {
    let quoted = |reason: String| assert!(reason.len() < 200, "a reason that quotes: {reason}");
    documents::Manifest::parse(bytes)
        .err()
        .map(quoted)
        .unwrap_or_default();
    documents::Target::parse(bytes)
        .err()
        .map(quoted)
        .unwrap_or_default();
    documents::Config::parse(bytes)
        .err()
        .map(quoted)
        .unwrap_or_default();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_must_hold_holds_for_every_seed() {
        for (name, target) in TARGETS {
            let folder = format!("{}/../fuzz/seeds/{name}", env!("CARGO_MANIFEST_DIR"));
            let seeds = std::fs::read_dir(&folder)
                .unwrap()
                .map(|seed| seed.unwrap().path());
            let seeds: Vec<_> = seeds.collect();
            assert!(!seeds.is_empty(), "{folder} is empty");
            for seed in seeds {
                target(&std::fs::read(seed).unwrap());
            }
        }
    }
}
