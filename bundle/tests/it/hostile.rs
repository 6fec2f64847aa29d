//! Archives made to do harm. Each is refused with the name and the reason, and nothing is left on disk.

use std::fs;
use std::io::{Cursor, Read as _, Write as _};
use std::os::unix::fs::symlink;

use bundle::{Kind, ReadError};
use flate2::write::GzEncoder;

use crate::forged::{Raw, archive, assert_refused, honest, members, refused};

/// Puts a member after all others.
fn with(extra: Raw) -> Vec<Raw> {
    let (_, mut members) = honest();
    members.push(extra);
    members
}

#[test]
fn the_honest_archive_is_accepted() {
    let (sample, members) = honest();
    let reader = crate::reader(Cursor::new(archive(&members))).unwrap();
    assert_eq!(reader.id(), sample.index.id());
    reader.finish().unwrap();
}

#[test]
fn names_that_lead_elsewhere_are_refused() {
    for (name, reason) in [
        ("/etc/passwd", "an absolute path"),
        ("../evil", "leaves its directory"),
        ("files/../../evil", "leaves its directory"),
        ("files/./x", "\".\" component"),
        ("files//x", "empty"),
        ("files/x/", "empty"),
        ("files\\..\\x", "a backslash"),
        ("files/a\nb", "a control character"),
        ("files/\u{202e}txt.exe", "hides or turns text"),
    ] {
        assert_refused(&with(Raw::file(name, b"evil")), name, reason);
    }
    let mut latin1 = Raw::file("files/?", b"");
    latin1.name[6] = 0xe9;
    assert_refused(&with(latin1), "files/\u{fffd}", "not UTF-8");
}

#[test]
fn links_devices_and_directories_are_refused() {
    for (kind, reason) in [
        (b'1', "a hard link"),
        (b'2', "a symbolic link"),
        (b'3', "a character device"),
        (b'4', "a block device"),
        (b'5', "a directory"),
        (b'6', "a FIFO"),
        (b'7', "tar type '7'"),
        (b'g', "global pax records"),
        (b'L', "a GNU long name"),
        (b'S', "a GNU sparse file"),
    ] {
        assert_refused(&with(Raw::of_kind("files/x", kind)), "files/x", reason);
    }
    // Also in the place of a member that the index names.
    let (_, mut members) = honest();
    let place = members
        .iter()
        .position(|m| m.name == b"config/crictl.yaml")
        .unwrap();
    members[place] = Raw {
        link: b"/etc/passwd",
        ..Raw::of_kind("config/crictl.yaml", b'2')
    };
    assert_refused(&members, "config/crictl.yaml", "a symbolic link");
    members[place].kind = b'0';
    assert_refused(&members, "config/crictl.yaml", "a link's target");
}

#[test]
fn gnu_headers_are_refused() {
    let gnu = Raw {
        gnu: true,
        ..Raw::file("files/x", b"")
    };
    assert_refused(&with(gnu), "files/x", "not POSIX ustar");
}

#[test]
fn a_header_that_says_the_same_in_another_form_is_refused() {
    // Of the second member: an owner with its last two bytes swapped (found by fuzzing: the sum stays), another owner, a
    // name for it, another time, spaces in place of zeros.
    let (_, members) = honest();
    let archive = archive(&members);
    let second = 512 + members[0].bytes.len().next_multiple_of(512);
    for change in [
        (114, b"\x000".as_slice()),
        (108, b"0001750"),
        (265, b"root"),
        (136, b"00000000001"),
        (108, b"      0"),
    ] {
        let mut altered = archive.clone();
        let header = &mut altered[second..second + 512];
        header[change.0..change.0 + change.1.len()].copy_from_slice(change.1);
        let mut sealed = tar::Header::from_byte_slice(header).clone();
        sealed.set_cksum();
        header.copy_from_slice(sealed.as_bytes());
        let text = refused(&altered).to_string();
        assert!(
            text.contains("not in the form in which bundles are written"),
            "{text}"
        );
    }
}

#[test]
fn a_second_member_of_a_name_is_refused() {
    for name in [
        "config/crictl.yaml",
        "bundle.json",
        "SHA256SUMS",
        "bundle.json.sig",
    ] {
        assert_refused(
            &with(Raw::file(name, b"timeout: 99\n")),
            name,
            "a second member of this name",
        );
    }
    let (_, mut members) = honest();
    let index = members[0].clone();
    members.insert(1, index);
    assert_refused(&members, "SHA256SUMS", "bundle.json");
}

#[test]
fn names_that_differ_only_in_case_or_unicode_form_are_refused() {
    assert_refused(
        &with(Raw::file("config/CRICTL.yaml", b"")),
        "config/CRICTL.yaml",
        "only in case or Unicode form",
    );
    assert_refused(
        &with(Raw::file("Bundle.json", b"")),
        "Bundle.json",
        "only in case or Unicode form",
    );
    let decomposed = "files/\u{1112}\u{1161}\u{11ab}\u{1100}\u{116e}\u{11a8}.txt";
    assert_refused(
        &with(Raw::file(decomposed, b"")),
        decomposed,
        "composed form (NFC)",
    );
    // And when the index itself names them.
    for twin in [
        "config/CRICTL.YAML",
        "Config/crictl.yaml",
        "config/\u{17f}",
        "bundle.JSON",
        "config/crictl.yaml/x",
    ] {
        let (mut sample, _) = honest();
        sample.put("config/s", Kind::Config, 0o644, b"");
        sample.put(twin, Kind::Config, 0o644, b"");
        let error = refused(&archive(&members(&sample.sealed())));
        let ReadError::Index { source } = &error else {
            panic!("{twin}: {error}")
        };
        let text = source.to_string();
        assert!(
            text.contains(twin) || twin == "Config/crictl.yaml" || twin.starts_with("bundle"),
            "{text}"
        );
    }
}

#[test]
fn members_that_the_index_does_not_name_are_refused() {
    assert_refused(
        &with(Raw::file("files/extra", b"")),
        "files/extra",
        "does not name it",
    );
    let (_, mut members) = honest();
    members.insert(3, Raw::file("blobs/sha256/extra", b""));
    assert_refused(&members, "blobs/sha256/extra", "does not name it");
}

#[test]
fn missing_members_are_refused() {
    let (sample, mut members) = honest();
    let last = sample.index.members.last().unwrap().path.as_str().to_owned();
    members.pop();
    assert_refused(&members, &last, "missing");
    let (_, mut members) = honest();
    members.retain(|member| member.name != b"config/crictl.yaml");
    assert_refused(&members, "config/crictl.yaml", "missing");
    let (_, mut members) = honest();
    members.remove(1);
    assert_refused(&members, "SHA256SUMS", "missing");
    members.truncate(1);
    assert_refused(&members, "SHA256SUMS", "missing");
}

#[test]
fn another_order_is_refused() {
    let (_, mut members) = honest();
    members.swap(2, 3);
    assert_refused(&members, "README.txt", "out of order");
}

#[test]
fn another_length_is_refused_before_the_bytes_are_read() {
    let (_, mut members) = honest();
    members[2].bytes.push(b'!');
    assert_refused(&members, "README.txt", "9 bytes long, the index says 8");
    members[2].size = Some(1 << 32);
    assert_refused(&members, "README.txt", "4294967296 bytes long, the index says 8");
}

#[test]
fn another_mode_is_refused() {
    let (_, mut members) = honest();
    let place = members
        .iter()
        .position(|m| m.name == b"verifier-linux-amd64")
        .unwrap();
    members[place].mode = 0o4755;
    assert_refused(&members, "verifier-linux-amd64", "mode 4755, the index says 0755");
}

#[test]
fn all_members_of_wrong_bytes_are_named() {
    let (_, mut members) = honest();
    for name in ["README.txt", "config/crictl.yaml"] {
        let place = members.iter().position(|m| m.name == name.as_bytes()).unwrap();
        members[place].bytes[0] ^= 1;
    }
    let error = refused(&archive(&members));
    let names: Vec<_> = error.problems().iter().filter_map(ReadError::member).collect();
    assert_eq!(names, ["README.txt", "config/crictl.yaml"]);
    assert!(
        error
            .problems()
            .iter()
            .all(|problem| matches!(problem, ReadError::Hash { .. }))
    );
}

#[test]
fn an_index_above_its_limit_is_refused_unread() {
    let (_, mut members) = honest();
    members[0].size = Some((16 << 20) + 1);
    assert_refused(&members, "bundle.json", "at most 16777216");
}

#[test]
fn what_the_index_says_must_be_in_the_one_form() {
    let alter = |from: &str, to: &str| {
        let (_, mut members) = honest();
        let text = String::from_utf8(members[0].bytes.clone()).unwrap();
        assert!(text.contains(from));
        members[0].bytes = text.replacen(from, to, 1).into_bytes();
        refused(&archive(&members))
    };
    assert!(matches!(
        alter("{\"format\"", "{ \"format\""),
        ReadError::NotCanonical
    ));
    assert!(matches!(
        alter("\"name\":\"sample\"", "\"name\":\"s\\u0061mple\""),
        ReadError::NotCanonical
    ));
    assert!(matches!(
        alter("\"name\":", "\"more\":1,\"name\":"),
        ReadError::IndexSyntax { .. }
    ));
    assert!(matches!(
        alter("\"tool\":", "\"name\":\"x\",\"tool\":"),
        ReadError::IndexSyntax { .. }
    ));
    assert!(matches!(
        alter("README.txt", "../README.txt"),
        ReadError::IndexSyntax { .. }
    ));
    assert!(matches!(
        alter("README.txt", "/README.txt"),
        ReadError::IndexSyntax { .. }
    ));
    assert!(matches!(
        alter("\"0644\"", "\"4755\""),
        ReadError::IndexSyntax { .. }
    ));
    let version = alter("{\"format\":1,", "{\"format\":2,\"new\":0,");
    assert!(matches!(
        version,
        ReadError::Index {
            source: bundle::IndexError::Format { found: 2 }
        }
    ));
    // A good index of other contents does not match the checksums.
    assert!(matches!(
        alter("\"tool\":\"test 1\"", "\"tool\":\"test 2\""),
        ReadError::Sums
    ));
}

#[test]
fn checksums_that_the_index_does_not_imply_are_refused() {
    let (_, mut members) = honest();
    members[1].bytes[0] ^= 1;
    assert_refused(&members, "SHA256SUMS", "does not say what the index says");
    members[1].bytes.clear();
    assert_refused(&members, "SHA256SUMS", "does not say what the index says");
}

#[test]
fn pax_records_say_path_and_size_and_nothing_else() {
    let pax = |records: &[u8]| {
        let mut members = with(Raw {
            kind: b'x',
            ..Raw::file("PaxHeaders/x", records)
        });
        members.push(Raw::file("files/x", b""));
        refused(&archive(&members)).to_string()
    };
    let record = |text: &str| format!("{} {text}\n", text.len() + 4).into_bytes();
    assert!(
        pax(&record("path=../../evil")).contains("member \"../../evil\": a path that leaves its directory")
    );
    assert!(pax(&record("linkpath=/etc")).contains("pax key \"linkpath\""));
    assert!(pax(&record("GNU.sparse.size=10")).contains("only path and size"));
    let twice = [record("path=files/x"), record("path=files/y")].concat();
    assert!(pax(&twice).contains("malformed"));
    for broken in [
        "path=x\n",
        "99 path=a\n",
        "5 path=a\n",
        "9 path=ab",
        "12 size=-12\n",
        "+9 path=a\n",
    ] {
        assert!(pax(broken.as_bytes()).contains("malformed"), "{broken:?}");
    }
    // What old readers would see must be harmless too.
    let mut members = with(Raw {
        kind: b'x',
        ..Raw::file("PaxHeaders/x", &record("path=files/x"))
    });
    members.push(Raw::file("../evil", b""));
    assert_refused(&members, "../evil", "leaves its directory");
    // Records without a file, and records of a size that no honest archive has.
    let alone = with(Raw {
        kind: b'x',
        ..Raw::file("PaxHeaders/x", &record("path=files/x"))
    });
    assert!(
        refused(&archive(&alone))
            .to_string()
            .contains("no regular file follows")
    );
    let huge = with(Raw {
        kind: b'x',
        size: Some(1 << 32),
        ..Raw::file("PaxHeaders/x", b"")
    });
    assert!(
        refused(&archive(&huge))
            .to_string()
            .contains("bytes of pax records")
    );
}

#[test]
fn a_bomb_is_refused_without_being_unpacked() {
    // 256 MiB of zeros after the end, 260 kB as gzip.
    let (_, members) = honest();
    let mut gzip = GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&archive(&members)).unwrap();
    for _ in 0..256 {
        gzip.write_all(&vec![0; 1 << 20]).unwrap();
    }
    let bomb = gzip.finish().unwrap();
    assert!(matches!(refused(&bomb), ReadError::Trailing));
    // A member that is longer than the index says.
    let (_, mut members) = honest();
    members[2].bytes = vec![0; 64 << 20];
    let mut gzip = GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&archive(&members)).unwrap();
    assert!(matches!(
        refused(&gzip.finish().unwrap()),
        ReadError::Length { .. }
    ));
    // A zstd frame that asks for 128 MiB of memory.
    let mut zstd = zstd::Encoder::new(Vec::new(), 1).unwrap();
    zstd.window_log(27).unwrap();
    zstd.include_contentsize(false).unwrap();
    zstd.write_all(&archive(&honest().1)).unwrap();
    assert!(matches!(
        refused(&zstd.finish().unwrap()),
        ReadError::Compressed { .. }
    ));
}

#[test]
fn a_directory_is_held_to_the_same_rules() {
    let directory = tempfile::tempdir().unwrap();
    let archive = directory.path().join("site.tar");
    fs::write(&archive, crate::forged::archive(&honest().1)).unwrap();
    let refused = |alter: &dyn Fn(&std::path::Path)| {
        let target = tempfile::tempdir().unwrap();
        let target = target.path().join("unpacked");
        crate::unpack(&archive, &target, &mut |_| ()).unwrap();
        alter(&target);
        let error = crate::check(&target, &mut |_| ()).unwrap_err();
        assert!(error.is_contents());
        error.to_string()
    };
    let link = refused(&|root| {
        fs::rename(root.join("README.txt"), root.with_extension("kept")).unwrap();
        symlink(root.with_extension("kept"), root.join("README.txt")).unwrap();
    });
    assert!(link.contains("\"README.txt\": a symbolic link"), "{link}");
    let linked_directory = refused(&|root| symlink("/etc", root.join("files/etc")).unwrap());
    assert!(
        linked_directory.contains("\"files/etc\": a symbolic link"),
        "{linked_directory}"
    );
    let extra = refused(&|root| fs::write(root.join("files/extra"), "").unwrap());
    assert!(
        extra.contains("\"files/extra\": the index does not name it"),
        "{extra}"
    );
    let twin = refused(&|root| fs::write(root.join("config/Crictl.yaml"), "").unwrap());
    assert!(twin.contains("only in case"), "{twin}");
    let gone = refused(&|root| fs::remove_file(root.join("index.json")).unwrap());
    assert!(gone.contains("\"index.json\": missing"), "{gone}");
    let other = refused(&|root| fs::write(root.join("README.txt"), "READ me\n").unwrap());
    assert!(other.contains("\"README.txt\": its hash is"), "{other}");
    let longer = refused(&|root| fs::write(root.join("README.txt"), "read me, please\n").unwrap());
    assert!(longer.contains("16 bytes long"), "{longer}");
}

#[test]
fn the_read_that_gives_the_last_byte_gives_the_error() {
    let (_, mut members) = honest();
    members[2].bytes[0] ^= 1;
    let mut reader = crate::reader(Cursor::new(archive(&members))).unwrap();
    let mut entry = reader.next_entry().unwrap().unwrap();
    // Exactly as many as there are: whoever counts and never reads to the end is told too.
    let error = entry.read_exact(&mut [0; 8]).unwrap_err();
    assert!(matches!(ReadError::from_io(error), Ok(ReadError::Hash { .. })));
    assert!(reader.next_entry().is_err());
    assert!(reader.finish().is_err());
}
