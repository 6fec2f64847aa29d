//! What is stored in the repository and must stay true: the schema, and a bundle of the first version.
//!
//! `BUNDLE_UPDATE=1 cargo test -p bundle` writes them anew. The bundle of version 1 is written once: bundles like it
//! lie on media that nobody can change.

use std::fs;
use std::io::Cursor;
use std::path::{Path, PathBuf};

use bundle::{Compression, Index};

use crate::sample::Sample;

fn compare(path: &Path, current: &[u8]) {
    if std::env::var_os("BUNDLE_UPDATE").is_some() {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, current).unwrap();
    }
    let stored = fs::read(path).unwrap();
    assert!(
        stored == current,
        "{} is not current: BUNDLE_UPDATE=1",
        path.display()
    );
}

fn fixture() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/version-1.tar")
}

fn schema() -> serde_json::Value {
    serde_json::to_value(schemars::schema_for!(Index)).unwrap()
}

#[test]
fn the_schema_is_current() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/bundle.schema.json");
    let text = serde_json::to_string_pretty(&schema()).unwrap() + "\n";
    compare(&path, text.as_bytes());
}

#[test]
fn the_schema_accepts_an_index_and_refuses_others() {
    let schema = jsonschema::validator_for(&schema()).unwrap();
    let index = serde_json::to_value(Sample::full().index).unwrap();
    assert!(schema.is_valid(&index));
    for (pointer, wrong) in [
        ("/format", serde_json::json!(2)),
        ("/platforms/0", serde_json::json!("linux")),
        ("/members/0/mode", serde_json::json!("4755")),
        ("/members/0/sha256", serde_json::json!("sha256:00")),
        ("/members/0/kind", serde_json::json!("device")),
        ("/images/0/digest", serde_json::json!("00")),
    ] {
        let mut other = index.clone();
        *other.pointer_mut(pointer).unwrap() = wrong;
        assert!(!schema.is_valid(&other), "{pointer}");
    }
    let mut other = index;
    other["more"] = serde_json::json!(1);
    assert!(!schema.is_valid(&other), "an unknown field");
}

#[test]
fn a_bundle_of_version_1_is_read_and_written_byte_for_byte() {
    let sample = Sample::full();
    compare(&fixture(), &sample.write(Compression::None).0);
    let reader = crate::reader(Cursor::new(fs::read(fixture()).unwrap())).unwrap();
    assert_eq!(**reader.index(), sample.index);
    reader.finish().unwrap();
}

#[test]
fn a_serial_and_a_time_stand_behind_the_name_and_cost_nothing_where_they_are_absent() {
    let mut sample = Sample::full();
    let without = String::from_utf8(sample.index.to_json()).unwrap();
    sample.index.serial = Some(7);
    sample.index.created = bundle::Created::from_seconds(1_796_029_200);
    let with = String::from_utf8(sample.index.to_json()).unwrap();
    let both = r#""name":"sample","serial":7,"created":"2026-11-30T09:00:00Z","tool""#;
    assert_eq!(with, without.replace(r#""name":"sample","tool""#, both));
    let written = sample.write(Compression::None).0;
    assert_eq!(
        **crate::reader(Cursor::new(written)).unwrap().index(),
        sample.index
    );
    sample.index.serial = Some(bundle::SERIAL_LIMIT + 1);
    assert!(sample.index.validate().is_err());
}

#[test]
fn an_index_looks_like_this() {
    insta::assert_json_snapshot!(Sample::full().index);
    insta::assert_snapshot!(Sample::full().index.sha256sums());
}
