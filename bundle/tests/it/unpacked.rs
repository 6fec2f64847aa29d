//! Unpacking: all or nothing.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};

use bundle::{Compression, Event, ReadError};

use crate::forged::listing;
use crate::sample::Sample;

#[test]
fn every_member_is_there_with_its_bytes_and_mode() {
    let sample = Sample::full();
    let directory = tempfile::tempdir().unwrap();
    for (number, compression) in [Compression::None, Compression::Gzip, Compression::Zstd]
        .into_iter()
        .enumerate()
    {
        let file = directory.path().join("site");
        fs::write(&file, sample.write(compression).0).unwrap();
        let target = directory.path().join(number.to_string());
        let mut bytes = 0;
        let done = crate::unpack(&file, &target, &mut |event| {
            if let Event::Bytes(more) = event {
                bytes += more;
            }
        })
        .unwrap();
        assert_eq!(
            (done.bytes, bytes),
            (sample.index.total_size(), sample.index.total_size())
        );
        for member in &sample.index.members {
            let path = target.join(member.path.as_str());
            assert_eq!(fs::read(&path).unwrap(), sample.bytes[&member.path]);
            let mode = fs::metadata(&path).unwrap().permissions().mode();
            assert_eq!(mode & 0o100, member.mode & 0o100, "{}", member.path);
        }
    }
}

#[test]
fn what_is_there_already_is_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path();
    let file = root.join("site.tar");
    fs::write(&file, Sample::full().write(Compression::None).0).unwrap();
    fs::create_dir_all(root.join("full/kept")).unwrap();
    fs::create_dir(root.join("empty")).unwrap();
    symlink(root.join("empty"), root.join("link")).unwrap();
    // What a killed run has left.
    fs::create_dir(root.join(".new.AbCdEf.tmp")).unwrap();
    let before = listing(root);
    for (target, reason) in [
        ("full", "is not empty"),
        ("site.tar", "not a directory"),
        ("link", "not a directory"),
        ("none/new", "parent is not a directory"),
        ("full/..", "is no name"),
    ] {
        let error = crate::unpack(&file, &root.join(target), &mut |_| ()).unwrap_err();
        assert!(matches!(error, ReadError::Target { .. }) && !error.is_contents());
        assert!(error.to_string().contains(reason), "{error}");
        assert_eq!(listing(root), before);
    }
    crate::unpack(&file, &root.join("empty"), &mut |_| ()).unwrap();
    crate::unpack(&file, &root.join("new"), &mut |_| ()).unwrap();
    assert!(root.join("new/bundle.json").is_file() && root.join("empty/bundle.json").is_file());
    assert!(root.join(".new.AbCdEf.tmp").is_dir());
}

#[test]
fn a_bundle_that_does_not_fit_is_refused_before_it_is_written() {
    let directory = tempfile::tempdir().unwrap();
    let mut sample = Sample::empty();
    sample.put("files/huge", bundle::Kind::File, 0o644, b"");
    let huge = sample
        .index
        .members
        .iter_mut()
        .find(|member| member.path.as_str() == "files/huge")
        .unwrap();
    huge.size = 1 << 60;
    let sample = sample.sealed();
    let file = directory.path().join("site.tar");
    fs::write(&file, crate::forged::archive(&crate::forged::members(&sample))).unwrap();
    let before = listing(directory.path());
    let error = crate::unpack(&file, &directory.path().join("target"), &mut |_| ()).unwrap_err();
    assert!(matches!(error, ReadError::Room { needed, .. } if needed > 1 << 60) && !error.is_contents());
    assert_eq!(listing(directory.path()), before);
}

#[test]
fn a_link_that_takes_a_files_place_leads_nowhere() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("site.tar");
    fs::write(&file, Sample::full().write(Compression::None).0).unwrap();
    for name in ["README.txt", "config", "blobs"] {
        let root = directory.path().join(name.to_lowercase());
        let aside = directory.path().join(format!("{name}.aside"));
        crate::unpack(&file, &root, &mut |_| ()).unwrap();
        // The files behind the link are the right ones: that it is a link is enough.
        let error = crate::check(&root, &mut |event| {
            if let Event::Start { .. } = event {
                fs::rename(root.join(name), &aside).unwrap();
                symlink(&aside, root.join(name)).unwrap();
            }
        })
        .unwrap_err();
        assert!(
            matches!(&error, ReadError::Changed { path } if path.starts_with(&root)),
            "{name}: {error}"
        );
        let error = crate::check(&root, &mut |_| ()).unwrap_err().to_string();
        assert!(error.contains(&format!("{name:?}: a symbolic link")), "{error}");
    }
}

#[test]
fn what_belongs_in_no_bundle_is_named_beside_what_is_damaged_and_missing() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("site.tar");
    fs::write(&file, Sample::full().write(Compression::None).0).unwrap();
    let root = directory.path().join("site");
    crate::unpack(&file, &root, &mut |_| ()).unwrap();
    fs::write(root.join("README.txt"), "read ME\n").unwrap();
    fs::remove_file(root.join("config/crictl.yaml")).unwrap();
    fs::write(root.join("files/more.txt"), "more").unwrap();
    symlink("/etc/passwd", root.join("files/passwd")).unwrap();
    fs::write(root.join("files/\u{202e}txt"), "").unwrap();
    let error = crate::check(&root, &mut |_| ()).unwrap_err();
    let said: Vec<String> = error.problems().iter().map(ToString::to_string).collect();
    for part in [
        "\"README.txt\": its hash is",
        "\"config/crictl.yaml\": missing",
        "\"files/more.txt\"",
        "\"files/passwd\": a symbolic link",
        "\\u{202e}txt",
    ] {
        assert!(said.iter().any(|said| said.contains(part)), "{part}: {said:?}");
    }
    assert_eq!(said.len(), 5, "{said:?}");
    assert!(crate::unpack(&root, &directory.path().join("again"), &mut |_| ()).is_err());
}
