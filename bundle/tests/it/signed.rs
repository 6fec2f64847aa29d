//! Trust: whom a bundle must come from, and that nothing of another one is used.

use std::fs;
use std::io::{self, Cursor, Read};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bundle::{
    BundleFile, Depth, Digest, NAMESPACE, Origin, ReadError, Reader, Signed, Source, Trust, WriteOptions,
    Writer, signature_file,
};
use signatures::{Keys, SigningKey};

use crate::sample::Sample;

const NOW: i64 = 1_796_029_200;
/// Private keys of minisign without a password, and their public halves: nothing is signed with them but samples.
const SECRET: &str = include_str!("../../../signatures/tests/minisign/secret.key");
const PUBLIC: &str = include_str!("../../../signatures/tests/minisign/public.pub");
/// The public key of somebody else.
const OTHER: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHMWy4UAWd3UE7JpZL4qNFWvW3oxhq1uBZV1Np1iE0fY other";

fn sign(bytes: &[u8]) -> Vec<u8> {
    let key = SigningKey::open(SECRET, None, None).unwrap();
    key.sign(NAMESPACE, "of a test", bytes).unwrap().into_bytes()
}

fn trust(keys: &str) -> Trust {
    Trust::any().signed_by(Keys::parse(keys.as_bytes()).unwrap(), NOW)
}

/// Returns the archive of a sample with a signature in it.
fn archive(sample: &Sample, signature: Option<Vec<u8>>) -> Vec<u8> {
    let options = WriteOptions {
        signature,
        ..WriteOptions::default()
    };
    let mut writer = Writer::new(Vec::new(), sample.index.clone(), options).unwrap();
    while let Some(member) = writer.next_member() {
        let path = member.path.clone();
        writer
            .append(&path, &mut Cursor::new(&sample.bytes[&path]))
            .unwrap();
    }
    writer.finish().unwrap().0
}

/// Opens a place in every way that there is; all must say the same.
fn open(path: &Path, trust: &Trust) -> Result<Origin, ReadError> {
    let quiet = &mut |_: bundle::Event<'_>| ();
    let checked = bundle::check(Source::at(path), trust, Depth::Bytes, quiet).map(|checked| checked.origin);
    let file = BundleFile::open(Source::at(path), trust, || Err(io::ErrorKind::Other.into()));
    let scratch = tempfile::tempdir().unwrap();
    let target = scratch.path().join("target");
    let unpacked = bundle::unpack(Source::at(path), trust, &target, quiet).map(|unpacked| unpacked.origin);
    assert_eq!(target.exists(), unpacked.is_ok());
    let words = |result: &Result<Origin, ReadError>| format!("{result:?}");
    assert_eq!(words(&checked), words(&file.map(|file| file.origin().clone())));
    assert_eq!(words(&checked), words(&unpacked));
    let proven = Reader::open_to_prove(Source::at(path), trust).map(|reader| reader.origin().clone());
    assert_eq!(words(&checked), words(&proven));
    checked
}

#[test]
fn a_signature_counts_as_a_member_and_beside_for_files_and_for_directories() {
    let directory = tempfile::tempdir().unwrap();
    let sample = Sample::full();
    let signature = sign(&sample.index.to_json());
    let (inside, beside) = (
        directory.path().join("inside.tar"),
        directory.path().join("beside.tar"),
    );
    fs::write(&inside, archive(&sample, Some(signature.clone()))).unwrap();
    fs::write(&beside, archive(&sample, None)).unwrap();
    fs::write(signature_file(&beside), &signature).unwrap();
    let unpacked = directory.path().join("unpacked");
    crate::unpack(&inside, &unpacked, &mut |_| ()).unwrap();
    let bare = directory.path().join("bare");
    crate::unpack(&beside, &bare, &mut |_| ()).unwrap();
    fs::write(directory.path().join("bare.sig"), &signature).unwrap();
    for place in [&inside, &beside, &unpacked, &bare, &bare.join("")] {
        let Signed::By(signer) = open(place, &trust(PUBLIC)).unwrap().signed else {
            panic!("{} is signed", place.display());
        };
        let unverified = open(place, &Trust::any()).unwrap();
        assert_eq!(unverified.signed, Signed::Unverified { key: signer.key });
        assert!(!unverified.is_proven());
        let error = open(place, &trust(OTHER)).unwrap_err();
        assert!(
            matches!(error, ReadError::Signatures { .. }) && error.is_contents(),
            "{error}"
        );
    }
    // One that is good beside one that is not is enough.
    fs::write(signature_file(&inside), b"abc").unwrap();
    assert!(open(&inside, &trust(PUBLIC)).is_ok());
}

#[test]
fn three_bytes_are_no_signature_and_nothing_is_unsigned() {
    let directory = tempfile::tempdir().unwrap();
    let sample = Sample::full();
    let place = directory.path().join("site.tar");
    fs::write(&place, archive(&sample, Some(b"abc".to_vec()))).unwrap();
    assert!(matches!(
        open(&place, &Trust::any()).unwrap().signed,
        Signed::Unknown { .. }
    ));
    assert!(matches!(
        open(&place, &trust(PUBLIC)),
        Err(ReadError::Signatures { .. })
    ));
    fs::write(&place, archive(&sample, None)).unwrap();
    assert_eq!(open(&place, &Trust::any()).unwrap().signed, Signed::Not);
    assert!(matches!(open(&place, &trust(PUBLIC)), Err(ReadError::Unsigned)));
}

#[test]
fn only_the_identity_that_is_expected_is_opened() {
    let directory = tempfile::tempdir().unwrap();
    let sample = Sample::full();
    let place = directory.path().join("site.tar");
    fs::write(&place, archive(&sample, None)).unwrap();
    let (id, other) = (sample.index.id(), Digest::of(b"other"));
    assert!(open(&place, &Trust::any().expect([id])).unwrap().is_proven());
    assert!(open(&place, &Trust::any().expect([other, id])).is_ok());
    for none in [vec![other], vec![]] {
        let error = open(&place, &Trust::any().expect(none)).unwrap_err();
        assert!(matches!(error, ReadError::Unexpected { .. }) && error.is_contents());
    }
    // Both are asked for.
    assert!(open(&place, &trust(PUBLIC).expect([id])).is_err());
}

/// Counts what is read.
struct Counted(Cursor<Vec<u8>>, Arc<AtomicUsize>);

impl Read for Counted {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        // As a slow pipe gives it.
        let room = buffer.len().min(512);
        let read = self.0.read(&mut buffer[..room])?;
        self.1.fetch_add(read, Ordering::Relaxed);
        Ok(read)
    }
}

#[test]
fn of_a_stream_that_is_not_trusted_no_more_is_read_than_tells_it() {
    let mut sample = Sample::full();
    sample.put("files/large", bundle::Kind::File, 0o644, &vec![7; 4 << 20]);
    let sample = sample.sealed();
    let archive = archive(&sample, None);
    let read = Arc::new(AtomicUsize::new(0));
    let stream = Source::stream("-", Counted(Cursor::new(archive.clone()), Arc::clone(&read)));
    let refused = BundleFile::open(stream, &trust(PUBLIC), tempfile::tempfile);
    assert!(matches!(refused, Err(ReadError::Unsigned)));
    assert!(read.load(Ordering::Relaxed) < 64 << 10, "{read:?}");
    // One that is may be read as often as a file.
    let stream = Source::stream("-", Counted(Cursor::new(archive), Arc::clone(&read)));
    let bundle = BundleFile::open(stream, &Trust::any(), tempfile::tempfile).unwrap();
    assert_eq!(bundle.path(), Path::new("-"));
    for _ in 0..2 {
        bundle.proving_reader().unwrap().finish().unwrap();
    }
}

/// A generator of numbers that are the same each time (xorshift64*).
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let number = self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33;
        usize::try_from(number).unwrap() % end
    }
}

#[test]
fn of_ten_thousand_alterations_of_the_index_and_its_signature_none_is_opened() {
    let sample = Sample::full();
    let signature = sign(&sample.index.to_json());
    let good = archive(&sample, Some(signature.clone()));
    let trust = trust(PUBLIC);
    let opened = |bytes: Vec<u8>| Reader::open(Source::stream("x", Cursor::new(bytes)), &trust).is_ok();
    assert!(opened(good.clone()));
    let index = sample.index.to_json().len();
    let behind = 512 + index.div_ceil(512) * 512 + 512;
    let mut numbers = Numbers(0x5eed);
    for _ in 0..10_000 {
        let mut altered = good.clone();
        // In the bytes of the index, or in those of the signature; their headers are held to one form anyway.
        let at = match numbers.below(2) {
            0 => 512 + numbers.below(index),
            _ => behind + numbers.below(signature.len()),
        };
        altered[at] ^= u8::try_from(1 + numbers.below(255)).unwrap();
        assert!(!opened(altered), "byte {at} was altered");
    }
    // Of another bundle, and for another purpose.
    let other = Sample::empty();
    assert!(!opened(archive(&other, Some(signature))));
}

#[test]
fn a_stream_without_end_is_kept_no_longer_than_its_index_says() {
    let archive = archive(&Sample::full(), None);
    let endless = Cursor::new(archive).chain(io::repeat(0));
    let refused = BundleFile::open(Source::stream("-", endless), &Trust::any(), tempfile::tempfile);
    assert!(matches!(refused, Err(ReadError::Trailing)));
}

#[test]
fn a_signature_beside_an_archive_is_unpacked_with_it() {
    let directory = tempfile::tempdir().unwrap();
    let sample = Sample::full();
    let index = sample.index.to_json();
    let place = directory.path().join("site.tar");
    fs::write(&place, archive(&sample, None)).unwrap();
    let unpacked = |name: &str, trust: &Trust| {
        let target = directory.path().join(name);
        bundle::unpack(Source::at(&place), trust, &target, &mut |_| ()).unwrap();
        let signature = fs::read(target.join("bundle.json.sig")).ok();
        // Whatever came along, the directory is the same bundle.
        assert!(open(&target, &Trust::any()).is_ok());
        signature
    };
    assert_eq!(unpacked("bare", &Trust::any()), None);
    fs::write(signature_file(&place), b"abc").unwrap();
    assert_eq!(unpacked("none", &Trust::any()), None);
    let good = sign(&index);
    fs::write(signature_file(&place), &good).unwrap();
    for (name, trust) in [("any", Trust::any()), ("verified", trust(PUBLIC))] {
        assert_eq!(unpacked(name, &trust).as_ref(), Some(&good));
    }
    let target = directory.path().join("verified");
    assert!(open(&target, &trust(PUBLIC)).unwrap().is_proven());
    // A member's own signature is not replaced.
    let other = sign(b"other");
    fs::write(&place, archive(&sample, Some(other.clone()))).unwrap();
    assert_eq!(unpacked("member", &trust(PUBLIC)), Some(other));
}
