//! Archives that the way has damaged: cut, lengthened, one bit flipped, on media that give errors.

use std::fs;
use std::io::{self, Cursor, Read};

use bundle::{Compression, ReadError, Reader, checksum_file};

use crate::sample::Sample;

fn read(archive: &[u8]) -> Result<(), ReadError> {
    crate::reader(Cursor::new(archive.to_vec())).and_then(Reader::finish)
}

#[test]
fn a_flipped_bit_anywhere_is_noticed() {
    // Every byte of a small archive, some of one that has everything.
    for (sample, step) in [(Sample::empty(), 1), (Sample::full(), 29)] {
        let (archive, _) = sample.write(Compression::None);
        for at in (0..archive.len()).step_by(step) {
            let mut damaged = archive.clone();
            damaged[at] ^= 1 << (at % 8);
            let error = read(&damaged).expect_err(&format!("byte {at}"));
            assert!(error.is_contents(), "byte {at}: {error}");
        }
    }
}

#[test]
fn a_cut_anywhere_is_noticed() {
    for compression in [Compression::None, Compression::Gzip, Compression::Zstd] {
        let (archive, _) = Sample::empty().write(compression);
        for length in 0..archive.len() {
            let error = read(&archive[..length]).expect_err(&format!("{compression:?} cut to {length}"));
            assert!(error.is_contents(), "{compression:?} cut to {length}: {error}");
        }
    }
}

/// Pseudorandom numbers, the same in each run (xorshift64*).
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let number = self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33;
        usize::try_from(number).unwrap() % limit
    }

    /// Returns the archive with one to three alterations of any kind.
    fn alter(&mut self, archive: &[u8], other: &[u8]) -> Vec<u8> {
        let mut altered = archive.to_vec();
        for _ in 0..=self.below(3) {
            let (at, length) = (self.below(altered.len()), 1 + self.below(600));
            let end = (at + length).min(altered.len());
            // Half of them in a header of the tar, where there is most to be got wrong.
            let at_header = at / 512 * 512 + self.below(512);
            match self.below(10) {
                0 => altered[at] ^= 1 << self.below(8),
                1 => altered[at] = u8::try_from(self.below(256)).unwrap(),
                2 | 3 => {
                    // The sum of a header's bytes stays what it was.
                    let near = (at_header + 1 + self.below(12)).min(altered.len() - 1);
                    altered.swap(at_header.min(near), near);
                }
                4 => altered.truncate(at.max(1)),
                5 => drop(altered.drain(at..end)),
                6 => altered.extend_from_within(at..end),
                7 => {
                    let copy = altered[at..end].to_vec();
                    altered.splice(at..at, copy);
                }
                8 => {
                    let (one, two) = (at / 512 * 512, self.below(altered.len()) / 512 * 512);
                    let block: Vec<u8> = altered[one..].iter().take(512).copied().collect();
                    altered.splice(two..(two + block.len()).min(altered.len()), block);
                }
                _ => {
                    let from = self.below(other.len());
                    let piece: Vec<u8> = other[from..].iter().take(length).copied().collect();
                    altered.splice(at..end, piece);
                }
            }
            if altered.is_empty() {
                altered.push(0);
            }
        }
        altered
    }
}

#[test]
fn of_ten_thousand_alterations_none_is_accepted() {
    let (archive, _) = Sample::full().write(Compression::None);
    let (other, _) = Sample::empty().write(Compression::None);
    let mut dice = Dice(0x9e37_79b9_7f4a_7c15);
    let mut refused = 0;
    while refused < 10_000 {
        let altered = dice.alter(&archive, &other);
        // Two alterations may undo each other.
        if altered != archive && altered != other {
            let error = read(&altered).expect_err("an altered archive was accepted");
            assert!(error.is_contents(), "{error}");
            refused += 1;
        }
    }
}

#[test]
fn an_altered_wrapping_gives_the_same_bundle_or_an_error() {
    let sample = Sample::full();
    let mut dice = Dice(0x2545_f491_4f6c_dd1d);
    for compression in [Compression::Gzip, Compression::Zstd] {
        let (archive, sealed) = sample.write(compression);
        for _ in 0..1_000 {
            let altered = dice.alter(&archive, b"\x1f\x8b\x28\xb5");
            // A compressor's own fields (times, unused bits) may say anything; what comes out may not.
            if let Ok(reader) = crate::reader(Cursor::new(altered)) {
                let id = reader.id();
                if reader.finish().is_ok() {
                    assert_eq!(id, sealed.bundle, "another bundle came out");
                }
            }
        }
    }
}

#[test]
fn a_cut_file_names_the_member_that_is_cut() {
    let sample = Sample::full();
    let (archive, _) = sample.write(Compression::None);
    let last = sample.index.members.last().unwrap().path.as_str().to_owned();
    let error = read(&archive[..archive.len() - 1024 - 1]).unwrap_err();
    assert_eq!(error.to_string(), format!("the archive is cut off in {last}"));
    // Members that are not read are passed over, and so is the hole in the file; the next header is missing.
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("site.tar");
    fs::write(&file, &archive[..archive.len() - 1024 - 1]).unwrap();
    let first = sample.index.members[0].path.clone();
    let bundle = crate::open(&file).unwrap();
    let mut text = String::new();
    bundle.member(&first).unwrap().read_to_string(&mut text).unwrap();
    assert_eq!(text, "read me\n");
    assert!(crate::check(&file, &mut |_| ()).unwrap_err().is_contents());
}

#[test]
fn anything_after_the_end_is_noticed() {
    for compression in [Compression::None, Compression::Gzip, Compression::Zstd] {
        let (archive, _) = Sample::empty().write(compression);
        let (second, _) = Sample::empty().write(compression);
        for tail in [b"\0".as_slice(), b"x", &[0; 10240], &second] {
            let whole = [&archive, tail].concat();
            assert!(
                matches!(read(&whole), Err(ReadError::Trailing)),
                "{compression:?}"
            );
        }
    }
}

#[test]
fn what_is_no_bundle_is_called_so() {
    for (bytes, reason) in [
        (b"".to_vec(), "it is empty"),
        (b"short".to_vec(), "too short"),
        (vec![b'x'; 4096], "no tar archive"),
        (vec![0; 4096], "without members"),
    ] {
        let error = read(&bytes).unwrap_err();
        assert!(
            matches!(error, ReadError::NoBundle { .. }) && error.to_string().contains(reason),
            "{error}"
        );
    }
}

#[test]
fn the_checksum_beside_an_archive_is_compared() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("site.tar.zst");
    let (archive, sealed) = Sample::full().write(Compression::Zstd);
    fs::write(&file, &archive).unwrap();
    assert!(!crate::check(&file, &mut |_| ()).unwrap().beside);
    let sums = checksum_file(&file);
    fs::write(&sums, format!("{}  site.tar.zst\n", sealed.sha256.hex())).unwrap();
    assert!(crate::check(&file, &mut |_| ()).unwrap().beside);
    let prove = || crate::open(&file)?.proving_reader()?.finish();
    prove().unwrap();
    fs::write(&sums, format!("{}  site.tar.zst\n", "0".repeat(64))).unwrap();
    assert!(matches!(prove(), Err(ReadError::Beside { .. })));
    let error = crate::check(&file, &mut |_| ()).unwrap_err();
    assert!(
        matches!(&error, ReadError::Beside { found, .. } if *found == sealed.sha256) && error.is_contents()
    );
    fs::write(&sums, "nonsense\n").unwrap();
    assert!(matches!(
        crate::check(&file, &mut |_| ()),
        Err(ReadError::BesideSyntax { .. })
    ));
}

/// A medium that gives an error after some bytes.
struct Broken(Cursor<Vec<u8>>);

impl Read for Broken {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.0.read(buffer)? {
            0 => Err(io::Error::other("medium error")),
            read => Ok(read),
        }
    }
}

#[test]
fn an_error_of_the_medium_is_no_bad_content() {
    for compression in [Compression::None, Compression::Gzip, Compression::Zstd] {
        let (archive, _) = Sample::full().write(compression);
        let medium = Broken(Cursor::new(archive[..archive.len() / 2].to_vec()));
        let error = crate::reader(medium).and_then(Reader::finish).unwrap_err();
        assert!(
            matches!(error, ReadError::Read { .. }) && !error.is_contents(),
            "{compression:?}: {error}"
        );
    }
    let error = crate::check("/nonexistent/site.tar".as_ref(), &mut |_| ()).unwrap_err();
    assert!(matches!(error, ReadError::Open { .. }) && !error.is_contents());
}

/// Returns where the header of a member lies in a plain archive: its name stands at the beginning of a block.
fn header_of(archive: &[u8], member: &str) -> usize {
    let named = |block: &&[u8]| block.starts_with(member.as_bytes()) && block[member.len()] == 0;
    archive.chunks(512).position(|block| named(&block)).unwrap() * 512
}

/// Checks a damaged archive as a file, with and without its checksum beside it, and returns the members that are named.
fn named(archive: &[u8]) -> Vec<String> {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("site.tar");
    fs::write(&file, archive).unwrap();
    let members = || -> Vec<String> {
        let error = crate::check(&file, &mut |_| ()).unwrap_err();
        let named = error.problems().iter().filter_map(ReadError::member);
        named.map(str::to_owned).collect()
    };
    let plain = members();
    fs::write(checksum_file(&file), format!("{}  site.tar\n", "0".repeat(64))).unwrap();
    assert_eq!(members(), plain);
    plain
}

#[test]
fn every_damaged_member_is_named_in_one_pass_headers_too() {
    let sample = Sample::full();
    let (archive, _) = sample.write(Compression::None);
    let plain = |member: &&bundle::Member| member.path.as_str().len() < 100 && member.size > 0;
    let members: Vec<String> = sample
        .index
        .members
        .iter()
        .filter(plain)
        .map(|member| member.path.as_str().to_owned())
        .collect();
    assert!(members.len() > 4, "{members:?}");
    let mut damaged = archive.clone();
    let mut expected = Vec::new();
    // One by its bytes, the next by its header, the third by a header that a copying program left empty.
    for (at, member) in members.iter().enumerate().take(members.len() - 1) {
        let header = header_of(&archive, member);
        match at % 4 {
            0 => damaged[header + 512] ^= 1,
            1 => damaged[header + 100] ^= 1,
            2 => damaged[header..header + 512].fill(0),
            _ => continue,
        }
        expected.push(member.clone());
    }
    let found = named(&damaged);
    assert_eq!(found, expected);
}

#[test]
fn what_follows_from_a_place_that_is_lost_is_not_told_as_damage() {
    let sample = Sample::full();
    let (archive, _) = sample.write(Compression::None);
    let first = sample.index.members[0].path.as_str().to_owned();
    // A block went missing in the copy: every header behind it lies elsewhere.
    let mut short = archive.clone();
    let header = header_of(&archive, &first);
    short.drain(header..header + 512);
    assert_eq!(named(&short).len(), 1, "{:?}", named(&short));
    // An archive that ends where its first member should come.
    let ended = [&archive[..header], &[0; 1024][..]].concat();
    assert_eq!(named(&ended), [first]);
}

#[test]
fn every_damaged_and_every_missing_file_of_a_directory_is_named() {
    let home = tempfile::tempdir().unwrap();
    let (file, unpacked) = (home.path().join("site.tar"), home.path().join("site"));
    let (archive, _) = Sample::full().write(Compression::None);
    fs::write(&file, &archive).unwrap();
    crate::unpack(&file, &unpacked, &mut |_| ()).unwrap();
    let members: Vec<String> = Sample::full()
        .index
        .members
        .iter()
        .filter(|member| member.size > 0)
        .map(|member| member.path.as_str().to_owned())
        .collect();
    fs::write(unpacked.join(&members[0]), "longer than it was, or shorter").unwrap();
    fs::remove_file(unpacked.join(&members[1])).unwrap();
    let mut bytes = fs::read(unpacked.join(&members[2])).unwrap();
    bytes[0] ^= 1;
    fs::write(unpacked.join(&members[2]), bytes).unwrap();
    fs::remove_file(unpacked.join(members.last().unwrap())).unwrap();
    fs::write(unpacked.join("zzz"), "stranger").unwrap();
    let error = crate::check(&unpacked, &mut |_| ()).unwrap_err();
    let mut found: Vec<&str> = error.problems().iter().filter_map(ReadError::member).collect();
    found.sort_unstable();
    let mut expected = vec![
        &*members[0],
        &*members[1],
        &*members[2],
        members.last().unwrap(),
        "zzz",
    ];
    expected.sort_unstable();
    assert_eq!(found, expected);
}
