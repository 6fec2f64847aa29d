//! A medium with bad places: the kernel's EIO, put into the program's own reads by `strace -e inject`, so that what the
//! program does with it is what it does with a disc that is scratched.

use std::fs;
use std::io::Cursor;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use bundle::{
    Compression, Digest, FORMAT, Index, Kind, Member, MemberPath, Source, Trust, WriteOptions, Writer, layout,
};

/// Each member is this long: several reads.
const LENGTH: usize = 300_000;

/// Writes an archive of ten files; returns it, and where the bytes of each lie.
fn archive(home: &Path, compression: Compression) -> (PathBuf, Vec<(String, Range<u64>)>) {
    let files: Vec<(String, Vec<u8>)> = (0..10_u8)
        .map(|at| (format!("files/{at}.bin"), noise(at)))
        .chain([
            ("oci-layout".to_owned(), layout::OCI_LAYOUT.to_vec()),
            ("index.json".to_owned(), layout::index_json(&[], &[])),
        ])
        .collect();
    let member = |(path, bytes): &(String, Vec<u8>)| Member {
        path: MemberPath::new(path).expect("a name of ours"),
        kind: if path.starts_with("files/") {
            Kind::File
        } else {
            Kind::Layout
        },
        mode: 0o644,
        size: bytes.len() as u64,
        sha256: Digest::of(bytes),
    };
    let mut index = Index {
        format: FORMAT,
        name: "site".to_owned(),
        serial: None,
        created: None,
        tool: "test 1".to_owned(),
        platforms: vec!["linux/amd64".parse().expect("a platform")],
        requires: Vec::new(),
        smoke: None,
        images: Vec::new(),
        members: files.iter().map(member).collect(),
    };
    index.sort();
    let options = WriteOptions {
        mtime: 0,
        compression,
        signature: None,
    };
    let mut writer = Writer::new(Vec::new(), index, options).expect("write the index");
    let bytes_of = |path: &MemberPath| {
        &files
            .iter()
            .find(|(name, _)| name == path.as_str())
            .expect("it is there")
            .1
    };
    while let Some(member) = writer.next_member() {
        let path = member.path.clone();
        writer
            .append(&path, &mut Cursor::new(bytes_of(&path)))
            .expect("write a member");
    }
    let (bytes, _) = writer.finish().expect("finish the archive");
    let file = home.join("site.tar");
    fs::write(&file, &bytes).expect("keep the archive");
    let place = |name: &str| {
        let header = bytes
            .chunks(512)
            .position(|block| block.starts_with(name.as_bytes()))? as u64
            * 512;
        Some(header..header + 512 + LENGTH as u64 + 512)
    };
    let places = files
        .iter()
        .filter_map(|(name, _)| Some((name.clone(), place(name)?)));
    (file, places.collect())
}

/// Bytes that no compressor shortens.
fn noise(seed: u8) -> Vec<u8> {
    let mut state = u64::from(seed) + 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[0]
    };
    (0..LENGTH).map(|_| next()).collect()
}

/// Runs the verifier with every read of the archive that `when` chooses (of strace: FIRST+STEP) ending in EIO.
fn scratched(file: &Path, when: &str, arguments: &[&str]) -> Output {
    let mut command = Command::new("strace");
    command
        .args(["-f", "-qq", "-o", "/dev/null", "-e", "trace=read"])
        .arg(format!("--trace-path={}", file.display()))
        .arg(format!("--inject=read:error=EIO:when={when}"))
        .arg(env!("CARGO_BIN_EXE_verifier"))
        .args(arguments)
        .env("LC_ALL", "C");
    command.output().expect("strace is there: apt-get install strace")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn every_member_on_a_bad_place_is_named_with_its_offset_in_one_pass() {
    for beside in [false, true] {
        let home = tempfile::tempdir().unwrap();
        let (file, places) = archive(home.path(), Compression::None);
        if beside {
            let sum = Digest::of(fs::read(&file).unwrap()).hex();
            fs::write(home.path().join("site.tar.sha256"), format!("{sum}  site.tar\n")).unwrap();
        }
        let path = file.display().to_string();
        let checked = scratched(&file, "4+5", &["check", &path, "--json"]);
        let said = text(&checked.stdout);
        assert_eq!(checked.status.code(), Some(2), "{said} {}", text(&checked.stderr));
        let report: serde_json::Value = serde_json::from_str(&said).unwrap();
        let problems = report["problems"].as_array().unwrap();
        assert!(problems.len() > 2, "{said}");
        let mut names: Vec<&str> = Vec::new();
        for problem in problems {
            // Behind the last member there is only the end.
            if problem["member"].is_null() {
                assert!(
                    problem["offset"].as_u64()
                        > places
                            .iter()
                            .map(|(_, place)| Some(place.end - 1024))
                            .max()
                            .unwrap(),
                    "{said}"
                );
                continue;
            }
            let (name, offset) = (
                problem["member"].as_str().unwrap(),
                problem["offset"].as_u64().unwrap(),
            );
            let (_, place) = places.iter().find(|(member, _)| member == name).unwrap();
            assert!(place.contains(&offset), "{name} at {offset}, not in {place:?}");
            assert!(
                problem["text"].as_str().unwrap().contains("Input/output error"),
                "{problem}"
            );
            names.push(name);
        }
        let told = names.len();
        names.dedup();
        assert_eq!(names.len(), told, "{said}");
        let shown = text(&scratched(&file, "4+5", &["check", &path]).stderr);
        for name in names {
            assert!(shown.contains(name), "{shown}");
        }
        assert!(shown.contains("at byte") && shown.contains("dmesg"), "{shown}");
    }
}

#[test]
fn unpack_and_a_compressed_archive_name_member_and_offset_and_leave_nothing() {
    for compression in [Compression::None, Compression::Zstd] {
        let home = tempfile::tempdir().unwrap();
        let (file, _) = archive(home.path(), compression);
        let (path, target) = (file.display().to_string(), home.path().join("site"));
        let when = if compression == Compression::None {
            "7"
        } else {
            "3"
        };
        let unpacked = scratched(&file, when, &["unpack", &path, &target.display().to_string()]);
        let said = text(&unpacked.stderr);
        assert_eq!(unpacked.status.code(), Some(2), "{said}");
        assert!(
            said.contains("member \"files/")
                && said.contains("at byte")
                && said.contains("Input/output error"),
            "{said}"
        );
        assert_eq!(fs::read_dir(home.path()).unwrap().count(), 1, "{said}");
    }
}

#[test]
fn bad_files_of_a_directory_are_named_and_the_others_are_judged() {
    let home = tempfile::tempdir().unwrap();
    let (file, _) = archive(home.path(), Compression::None);
    let site = home.path().join("site");
    bundle::unpack(Source::at(&file), &Trust::any(), &site, &mut |_| ()).unwrap();
    let bad = site.join("files/3.bin");
    fs::write(site.join("files/7.bin"), vec![0; LENGTH]).unwrap();
    let checked = scratched(&bad, "1", &["check", &site.display().to_string(), "--json"]);
    let report: serde_json::Value = serde_json::from_slice(&checked.stdout).unwrap();
    // One of them is bad by its contents.
    assert_eq!(checked.status.code(), Some(3), "{report}");
    let problems = report["problems"].as_array().unwrap();
    let mut named: Vec<&str> = problems
        .iter()
        .filter_map(|problem| problem["member"].as_str())
        .collect();
    named.sort_unstable();
    assert_eq!(named, ["files/3.bin", "files/7.bin"], "{report}");
}

/// Runs the verifier; returns its exit code and what it said.
fn verifier(arguments: &[&str], input: Option<&Path>) -> (Option<i32>, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_verifier"));
    command.args(arguments).env("LC_ALL", "C");
    if let Some(path) = input {
        // A pipe, and no file that could be sought in.
        let mut cat = Command::new("cat");
        let cat = cat.arg(path).stdout(std::process::Stdio::piped()).spawn();
        command.stdin(
            cat.expect("cat is there")
                .stdout
                .take()
                .expect("its end of the pipe"),
        );
    }
    let output = command.output().expect("the program of this test");
    (output.status.code(), text(&output.stdout) + &text(&output.stderr))
}

#[test]
fn whom_a_bundle_must_come_from_is_asked_for_files_directories_and_pipes_alike() {
    let home = tempfile::tempdir().unwrap();
    let (file, _) = archive(home.path(), Compression::None);
    let name = |path: &Path| path.display().to_string();
    let (site, key) = (home.path().join("site"), home.path().join("maker.pub"));
    let (code, said) = verifier(&["unpack", "-", &name(&site)], Some(&file));
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("not signed"), "{said}");
    fs::write(
        &key,
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHMWy4UAWd3UE7JpZL4qNFWvW3oxhq1uBZV1Np1iE0fY maker\n",
    )
    .unwrap();
    let (_, said) = verifier(&["check", &name(&file), "--json"], None);
    let report: serde_json::Value = serde_json::from_str(&said).unwrap();
    assert_eq!(report["signature"], "none");
    let id = report["bundle"].as_str().unwrap().to_owned();
    let other = Digest::of("other").to_string();
    let words = home.path().join("words");
    fs::write(&words, "no key at all\n").unwrap();
    for (place, input) in [
        (name(&file), None),
        (name(&site), None),
        ("-".to_owned(), Some(&*file)),
    ] {
        let check = |more: &[&str]| verifier(&[&["check", &place], more].concat(), input);
        assert_eq!(check(&["--expect", &id]).0, Some(0), "{place}");
        let (code, said) = check(&["--expect", &other]);
        assert_eq!(code, Some(3), "{place}: {said}");
        assert!(said.contains(&other) && said.contains(&id), "{said}");
        let (code, said) = check(&["--key", &name(&key)]);
        assert_eq!(code, Some(3), "{place}: {said}");
        assert!(said.contains("it is not signed"), "{said}");
    }
    assert_eq!(
        verifier(&["check", &name(&file), "--expect", "abc"], None).0,
        Some(64)
    );
    assert_eq!(
        verifier(&["check", &name(&file), "--key", &name(&words)], None).0,
        Some(64)
    );
    assert_eq!(
        verifier(&["check", &name(&file), "--key", "/nonexistent"], None).0,
        Some(2)
    );
}

#[test]
fn an_older_bundle_is_refused_before_anything_is_reached() {
    let home = tempfile::tempdir().unwrap();
    let (file, _) = archive(home.path(), Compression::None);
    let (site, record) = (
        home.path().join("site.yaml"),
        home.path().join("site.yaml.loaded"),
    );
    // Nobody listens there.
    let ssh = "ssh: {user: root, identity: none, knownHosts: none}";
    fs::write(
        &site,
        format!("apiVersion: site/v1\nkubeconfig: none\n{ssh}\nhosts:\n  - {{name: a, address: 127.0.0.1, roles: [worker], ssh: {{port: 1}}}}\n"),
    )
    .unwrap();
    let (file, site) = (file.display().to_string(), site.display().to_string());
    let load = |more: &[&str]| verifier(&[&["load", &file, "--site", &site], more].concat(), None);
    let last = format!("{{\"serial\":7,\"bundle\":\"{}\"}}", Digest::of("newer"));
    let whole = format!("{{\"version\":1,\"bundles\":{{\"site\":{{\"any\":{last},\"proven\":null}}}}}}");
    for (text, code, word) in [
        (whole.as_str(), 3, "--allow-older"),
        ("{", 2, "move it away"),
        ("{\"version\":1,\"bundles\":{}}", 2, "a:"),
    ] {
        fs::write(&record, text).unwrap();
        let (found, said) = load(&[]);
        assert_eq!(found, Some(code), "{text}: {said}");
        assert!(said.contains(word), "{text}: {said}");
        // It goes on, and fails for want of the host.
        let (found, said) = load(&["--allow-older"]);
        assert_eq!(found, Some(2), "{text}: {said}");
        assert!(!said.contains("serial"), "{said}");
        // Nothing was loaded, so nothing was written down.
        assert_eq!(fs::read_to_string(&record).unwrap(), text);
    }
}
