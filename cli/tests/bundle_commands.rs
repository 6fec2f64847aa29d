//! `check` and `inspect` on the stored bundle of version 1, good and damaged.

use std::fs;
use std::path::Path;

use bundle::{Depth, Trust};
use cli::{Check, Failure, Form, Inspect, Kind, Progress};

const FIXTURE: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../bundle/tests/fixtures/version-1.tar"
);

fn check(path: &Path, form: Form) -> (Result<u8, Failure>, String) {
    let mut out = Vec::new();
    let check = Check {
        path,
        trust: &Trust::any(),
        depth: Depth::Bytes,
        form,
        words: None,
    };
    let result = check.run(&Progress::stderr(true), &mut out);
    (result, String::from_utf8_lossy(&out).into_owned())
}

fn inspect_bundle(path: &Path, form: Form, out: &mut Vec<u8>) -> Result<u8, Failure> {
    let trust = &Trust::any();
    Inspect { path, trust, form }.run(out)
}

#[test]
fn a_good_bundle_is_called_good() {
    let (result, text) = check(FIXTURE.as_ref(), Form::Text);
    assert_eq!(result.unwrap(), 0);
    assert!(
        text.contains(": good. 15 members, ") && text.contains("\nbundle sha256:"),
        "{text}"
    );
    let (result, text) = check(FIXTURE.as_ref(), Form::Json);
    assert_eq!(result.unwrap(), 0);
    let report: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!((&report["version"], &report["ok"]), (&1.into(), &true.into()));
    assert_eq!(report["problems"], serde_json::json!([]));
}

#[test]
fn a_flipped_bit_names_the_member_and_the_next_step() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("site.tar");
    let mut bytes = fs::read(FIXTURE).unwrap();
    let at = bytes
        .windows(8)
        .position(|window| window == b"read me\n")
        .unwrap();
    bytes[at] ^= 1;
    fs::write(&file, bytes).unwrap();
    let (result, text) = check(&file, Form::Text);
    let failure = result.unwrap_err();
    assert_eq!(failure.kind(), Kind::BadBundle);
    assert!(
        failure.to_string().contains("member \"README.txt\": its hash is"),
        "{failure}"
    );
    assert!(failure.hints()[0].starts_with("copy the archive again from the medium, and compare"));
    assert_eq!(text, "");
    let (result, text) = check(&file, Form::Json);
    assert_eq!(result.unwrap_err().kind(), Kind::BadBundle);
    let report: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(
        (&report["ok"], &report["problems"][0]["member"]),
        (&false.into(), &"README.txt".into())
    );
}

#[test]
fn a_file_that_cannot_be_read_is_no_bad_bundle() {
    let (result, _) = check("/nonexistent/site.tar".as_ref(), Form::Text);
    let failure = result.unwrap_err();
    assert_eq!(failure.kind(), Kind::Error);
    assert_eq!(failure.to_string(), "cannot open /nonexistent/site.tar");
    let failure = inspect_bundle("/nonexistent".as_ref(), Form::Text, &mut Vec::new()).unwrap_err();
    assert_eq!(failure.kind(), Kind::Error);
}

#[test]
fn what_is_no_bundle_is_bad_contents() {
    let failure = inspect_bundle(
        file!().trim_start_matches("cli/").as_ref(),
        Form::Text,
        &mut Vec::new(),
    )
    .unwrap_err();
    assert_eq!(failure.kind(), Kind::BadBundle);
    assert!(failure.to_string().contains("not a bundle"), "{failure}");
}

#[test]
fn inspect_says_what_is_in_a_bundle() {
    let mut out = Vec::new();
    assert_eq!(inspect_bundle(FIXTURE.as_ref(), Form::Text, &mut out).unwrap(), 0);
    insta::assert_snapshot!(String::from_utf8(out).unwrap());
    let mut out = Vec::new();
    inspect_bundle(FIXTURE.as_ref(), Form::Json, &mut out).unwrap();
    let report: serde_json::Value = serde_json::from_slice(&out).unwrap();
    assert_eq!(report["index"]["images"][0]["name"], "docker.io/library/alone:1");
    assert_eq!(
        (&report["signed"], &report["verified"]),
        (&false.into(), &false.into())
    );
    assert_eq!(report["signature"], "none");
}
