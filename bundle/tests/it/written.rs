//! What the writer writes, read back by this library and by programs that know nothing of it.

use std::fs;
use std::io::{Cursor, Read as _};
use std::process::Command;

use bundle::{Compression, Digest, WriteError, WriteOptions, Writer};

use crate::sample::{Sample, path};

const ALL: [Compression; 3] = [Compression::None, Compression::Gzip, Compression::Zstd];

#[test]
fn what_is_written_is_read_back() {
    let sample = Sample::full();
    for compression in ALL {
        let (archive, sealed) = sample.write(compression);
        assert_eq!(
            (sealed.size, sealed.sha256),
            (archive.len() as u64, Digest::of(&archive))
        );
        let mut reader = crate::reader(Cursor::new(archive)).unwrap();
        assert_eq!(reader.id(), sealed.bundle);
        assert_eq!(**reader.index(), sample.index);
        let mut seen = 0;
        while let Some(mut entry) = reader.next_entry().unwrap() {
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes).unwrap();
            assert_eq!(bytes, sample.bytes[&entry.member().path]);
            seen += 1;
        }
        assert_eq!(seen, sample.index.members.len());
        reader.finish().unwrap();
    }
}

#[test]
fn the_same_input_gives_the_same_bytes() {
    for compression in ALL {
        assert_eq!(
            Sample::full().write(compression),
            Sample::full().write(compression)
        );
    }
}

#[test]
fn coreutils_and_tar_are_enough_to_check_a_bundle() {
    let sample = Sample::full();
    let directory = tempfile::tempdir().unwrap();
    let archive = directory.path().join("site.tar");
    fs::write(&archive, sample.write(Compression::None).0).unwrap();
    let list = Command::new("tar")
        .env("LC_ALL", "C.UTF-8")
        .arg("-tf")
        .arg(&archive)
        .output()
        .unwrap();
    assert!(list.status.success() && list.stderr.is_empty(), "{list:?}");
    let own = ["bundle.json", "SHA256SUMS"].map(str::to_owned);
    let members = sample
        .index
        .members
        .iter()
        .map(|member| member.path.as_str().to_owned());
    let expected: Vec<String> = own.into_iter().chain(members).collect();
    assert_eq!(
        String::from_utf8(list.stdout)
            .unwrap()
            .lines()
            .collect::<Vec<_>>(),
        expected
    );
    let run = |command: &mut Command| {
        let output = command.current_dir(directory.path()).output().unwrap();
        assert!(output.status.success(), "{output:?}");
    };
    run(Command::new("tar").arg("-xf").arg(&archive));
    run(Command::new("sha256sum").args(["--strict", "-c", "SHA256SUMS"]));
}

#[test]
fn skopeo_copies_every_image_out_of_the_archive() {
    let sample = Sample::full();
    let directory = tempfile::tempdir().unwrap();
    fs::write(
        directory.path().join("site.tar"),
        sample.write(Compression::None).0,
    )
    .unwrap();
    for image in &sample.index.images {
        // Raw: the bytes that the name stands for, as the registry served them.
        let output = Command::new("skopeo")
            .current_dir(directory.path())
            .args([
                "inspect",
                "--raw",
                &format!("oci-archive:site.tar:{}", image.name),
            ])
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        assert_eq!(Digest::of(&output.stdout), image.digest);
    }
}

#[test]
fn a_directory_that_tar_unpacked_is_a_bundle() {
    let sample = Sample::full();
    let directory = tempfile::tempdir().unwrap();
    let archive = directory.path().join("site.tar");
    let (bytes, sealed) = sample.write(Compression::None);
    fs::write(&archive, bytes).unwrap();
    let target = directory.path().join("unpacked");
    crate::unpack(&archive, &target, &mut |_| ()).unwrap();
    assert_eq!(crate::check(&target, &mut |_| ()).unwrap().id, sealed.bundle);
    assert_eq!(crate::open(&target).unwrap().id(), sealed.bundle);
    let again = directory.path().join("again");
    crate::unpack(&target, &again, &mut |_| ()).unwrap();
    assert_eq!(
        crate::check(&again, &mut |_| ()).unwrap().members,
        sample.index.members.len()
    );
}

#[test]
fn a_bundle_is_read_from_a_pipe_as_it_streams() {
    let directory = tempfile::tempdir().unwrap();
    let fifo = directory.path().join("fifo");
    assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    for compression in ALL {
        let (archive, sealed) = Sample::full().write(compression);
        let into = fifo.clone();
        let writer = std::thread::spawn(move || fs::write(into, archive));
        assert_eq!(crate::check(&fifo, &mut |_| ()).unwrap().id, sealed.bundle);
        writer.join().unwrap().unwrap();
    }
}

#[test]
fn members_of_choice_are_read_in_the_order_of_the_archive() {
    let sample = Sample::full();
    let directory = tempfile::tempdir().unwrap();
    let wanted = ["manifests/smoke.yaml", "config/crictl.yaml", "index.json"].map(path);
    for compression in ALL {
        let archive = directory.path().join("site");
        fs::write(&archive, sample.write(compression).0).unwrap();
        let file = crate::open(&archive).unwrap();
        let mut reader = file.members(wanted.iter().cloned().collect()).unwrap();
        let mut seen = Vec::new();
        while let Some(entry) = reader.next_entry().unwrap() {
            seen.push(entry.member().path.as_str().to_owned());
        }
        reader.finish().unwrap();
        assert_eq!(seen, ["config/crictl.yaml", "manifests/smoke.yaml", "index.json"]);
        let mut text = String::new();
        file.member(&wanted[0])
            .unwrap()
            .read_to_string(&mut text)
            .unwrap();
        assert_eq!(text, "kind: Deployment\n");
        assert!(file.member(&path("files/none")).is_err());
    }
}

#[test]
fn the_writer_refuses_other_bytes_than_the_index_says() {
    let sample = Sample::full();
    let start = || Writer::new(Vec::new(), sample.index.clone(), WriteOptions::default()).unwrap();
    let first = path("README.txt");
    let give = |bytes: &'static [u8]| {
        let mut writer = start();
        let error = writer.append(&first, &mut Cursor::new(bytes)).unwrap_err();
        let next = writer.append(&first, &mut Cursor::new(b"read me\n")).unwrap_err();
        assert!(matches!(next, WriteError::Spoilt));
        assert!(matches!(writer.finish().err(), Some(WriteError::Spoilt)));
        error
    };
    assert!(matches!(give(b"read me"), WriteError::Length { found: 7, .. }));
    assert!(matches!(
        give(b"read me\nmore"),
        WriteError::Length { found: 9, .. }
    ));
    assert!(matches!(give(b"read mE\n"), WriteError::Hash { .. }));
    let order = start().append(&path("index.json"), &mut Cursor::new(b""));
    assert!(matches!(order, Err(WriteError::Order { .. })));
    assert!(matches!(
        start().finish().err(),
        Some(WriteError::Unfinished { .. })
    ));
}
