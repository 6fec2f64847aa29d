use super::testing::{Made, Put, hashed};
use super::*;

const KEY1: &[u8] = b"k8s:enc:aescbc:v1:key1:\x01\x02\x03";
const KEY2: &[u8] = b"k8s:enc:aescbc:v1:key2:\x01\x02\x03";

fn read(bytes: &[u8], form: Form, keys: &[&str]) -> SnapshotFacts {
    let mut reader = Reader::new(Wanted {
        form,
        prefix: "/registry".to_owned(),
        keys: keys.iter().map(|key| (*key).to_owned()).collect(),
    });
    // Pieces that end nowhere in particular.
    for piece in bytes.chunks(777) {
        reader.feed(piece);
    }
    reader.finish()
}

fn snapshot(puts: &[Put<'_>]) -> SnapshotFacts {
    read(&hashed(&Made::default().database(puts)), Form::Snapshot, &[])
}

/// Enough for three levels of pages, with one object that goes on over several.
fn many() -> Vec<(String, Vec<u8>)> {
    let object = |at: usize| {
        let length = if at == 77 { 5000 } else { 10 + at % 50 };
        let value = [KEY1, &vec![u8::try_from(at % 256).unwrap(); length]].concat();
        (format!("/registry/secrets/default/secret-{at:04}"), value)
    };
    (0..600).map(object).collect()
}

fn puts(many: &[(String, Vec<u8>)]) -> Vec<Put<'_>> {
    many.iter()
        .map(|(key, value)| (key.as_str(), Some(value.as_slice())))
        .collect()
}

#[test]
fn what_an_older_key_of_a_kms_encrypted_is_not_as_the_newest_is() {
    let of = |key: &str| format!("k8s:enc:kms:v2:lab:\x0a\x01a\x12\x05{key}\x1a\x01d").into_bytes();
    let (old, new) = (of("kek-1"), of("kek-2"));
    let facts = snapshot(&[
        ("/registry/secrets/a/old", Some(&old)),
        ("/registry/configmaps/a/old", Some(&old)),
        ("/registry/secrets/a/rewritten", Some(&old)),
        ("/registry/secrets/a/rewritten", Some(&new)),
    ]);
    let told: Vec<(&str, &str, bool)> = facts
        .groups
        .iter()
        .map(|group| (group.path.as_str(), group.writer.as_str(), group.usual))
        .collect();
    assert_eq!(
        told,
        [
            ("configmaps", "k8s:enc:kms:v2:lab:kek-1", false),
            ("secrets", "k8s:enc:kms:v2:lab:kek-1", false),
            ("secrets", "k8s:enc:kms:v2:lab:kek-2", true),
        ]
    );
}

#[test]
fn what_is_in_a_snapshot_is_counted_as_it_is_now() {
    let facts = snapshot(&[
        ("/registry/secrets/a/rewritten", Some(b"k8s\0plain")),
        ("/registry/secrets/a/plain", Some(b"k8s\0plain")),
        ("/registry/secrets/a/removed", Some(b"k8s\0plain")),
        ("/registry/secrets/a/rewritten", Some(KEY1)),
        ("/registry/secrets/a/removed", None),
        ("/registry/secrets/a/old", Some(KEY1)),
        ("/registry/secrets/a/new", Some(KEY2)),
        ("/registry/pods/a/x", Some(b"k8s\0plain")),
        ("compact_rev_key", Some(b"7")),
    ]);
    assert!(facts.is_whole(), "{facts:?}");
    assert_eq!(
        (facts.keys, facts.others, facts.revisions, facts.revision),
        (6, 1, 9, 10)
    );
    assert_eq!((facts.compacted, facts.version.as_deref()), (2, Some("3.7.0")));
    let groups: Vec<(&str, &str, u64, Vec<&str>)> = facts
        .groups
        .iter()
        .map(|group| {
            let named = group.named.iter().map(String::as_str).collect();
            (group.path.as_str(), group.writer.as_str(), group.count, named)
        })
        .collect();
    assert_eq!(
        groups,
        [
            ("pods", "", 1, vec!["pods/a/x"]),
            ("secrets", "", 1, vec!["secrets/a/plain"]),
            (
                "secrets",
                "k8s:enc:aescbc:v1:key1:",
                2,
                vec!["secrets/a/old", "secrets/a/rewritten"]
            ),
            ("secrets", "k8s:enc:aescbc:v1:key2:", 1, vec!["secrets/a/new"]),
        ]
    );
}

#[test]
fn keys_that_are_asked_for_are_told_by_what_encrypted_them() {
    let database = Made::default().database(&[
        ("/registry/secrets/a/x", Some(KEY1)),
        ("/registry/secrets/a/y", Some(b"k8s\0")),
        ("/registry/secrets/a/z", Some(KEY1)),
        ("/registry/secrets/a/z", None),
    ]);
    let keys = ["x", "y", "z", "none"].map(|name| format!("/registry/secrets/a/{name}"));
    let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
    let facts = read(&hashed(&database), Form::Snapshot, &keys);
    let found: Vec<Option<&str>> = facts.found.iter().map(Option::as_deref).collect();
    assert_eq!(found, [Some("k8s:enc:aescbc:v1:key1:"), Some(""), None, None]);
}

#[test]
fn trees_of_any_depth_and_pages_of_any_size_are_read() {
    let many = many();
    let mut digests = Vec::new();
    for page_size in [1024, 4096, 16384, 65536] {
        for freelist in [false, true] {
            let database = Made { page_size, freelist }.database(&puts(&many));
            let facts = read(&hashed(&database), Form::Snapshot, &[]);
            assert!(facts.is_whole(), "{page_size} {freelist}: {facts:?}");
            assert_eq!((facts.keys, facts.page_size), (600, page_size as u64));
            digests.push(facts.digest);
            let facts = read(&[database, vec![0; 10 * page_size]].concat(), Form::Database, &[]);
            assert!(facts.is_whole() && facts.hash == SnapshotHash::None, "{facts:?}");
        }
    }
    digests.dedup();
    assert_eq!(digests.len(), 1);
    let mut other = many;
    other[5].1[30] ^= 1;
    assert_ne!(snapshot(&puts(&other)).digest, digests[0]);
}

/// The same numbers in every run.
fn numbers() -> impl FnMut(usize) -> usize {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    move |below| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state % below as u64).unwrap()
    }
}

#[test]
fn each_of_a_thousand_flips_and_cuts_is_caught() {
    let whole = hashed(&Made::default().database(&puts(&many())));
    let mut number = numbers();
    for turn in 0..1000 {
        let mut bytes = whole.clone();
        match turn % 4 {
            0..=1 => {
                let at = number(bytes.len());
                bytes[at] ^= 1 << number(8);
            }
            2 => bytes.truncate(number(whole.len())),
            _ => {
                let (from, length) = (number(bytes.len()), 1 + number(2000));
                bytes.drain(from..(from + length).min(whole.len()));
            }
        }
        let facts = read(&bytes, Form::Snapshot, &[]);
        assert!(!facts.is_whole(), "turn {turn}: {facts:?}");
    }
}

#[test]
fn a_page_that_is_not_what_it_should_be_is_found_though_the_hash_is_right() {
    let database = Made {
        freelist: true,
        ..Made::default()
    }
    .database(&puts(&many()));
    let size = 1024;
    let of = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = database.clone();
        change(&mut bytes);
        let facts = read(&hashed(&bytes), Form::Snapshot, &[]);
        assert_eq!(facts.hash, SnapshotHash::Right);
        assert!(!facts.is_whole(), "{facts:?}");
        facts.problems[0]
    };
    let problem = |change: &dyn Fn(&mut Vec<u8>)| of(change).problem;
    // A leaf is the fourth page: two say where everything is, one is old.
    let leaf = 3 * size;
    assert_eq!(problem(&|bytes| bytes[16] ^= 1), PageProblem::Meta);
    assert_eq!(problem(&|bytes| bytes[16 + 40] ^= 1), PageProblem::Meta);
    assert_eq!(problem(&|bytes| bytes[size + 16 + 48] ^= 1), PageProblem::Meta);
    assert_eq!(problem(&|bytes| bytes[leaf] ^= 8), PageProblem::Kind);
    assert_eq!(problem(&|bytes| bytes[leaf + 8] = 1), PageProblem::Bounds);
    assert_eq!(problem(&|bytes| bytes[leaf + 11] = 0x7f), PageProblem::Bounds);
    assert_eq!(problem(&|bytes| bytes[leaf + 12] = 1), PageProblem::Twice);
    assert_eq!(problem(&|bytes| bytes[leaf + 16 + 6] = 1), PageProblem::Bounds);
    assert_eq!(problem(&|bytes| bytes.truncate(30 * size)), PageProblem::Length);
    assert_eq!(
        problem(&|bytes| bytes.resize(bytes.len() + size, 0)),
        PageProblem::Length
    );
    let first_key = |bytes: &[u8]| {
        leaf + 16 + u32::from_le_bytes(bytes[leaf + 20..leaf + 24].try_into().unwrap()) as usize
    };
    assert_eq!(
        of(&|bytes| {
            let at = first_key(bytes);
            bytes[at + 7] = 200;
        }),
        SnapshotProblem {
            problem: PageProblem::Order,
            page: 3
        }
    );
    assert_eq!(
        problem(&|bytes| {
            let at = first_key(bytes);
            bytes[at + 7] = 1;
        }),
        PageProblem::Range
    );
    assert_eq!(
        problem(&|bytes| {
            let at = first_key(bytes);
            bytes[at + 8] = b'z';
        }),
        PageProblem::Object
    );
    assert_eq!(
        problem(&|bytes| {
            let at = first_key(bytes);
            bytes[at + 17] ^= 1;
        }),
        PageProblem::Object
    );
    let freelist = database.len() - size;
    assert_eq!(problem(&|bytes| bytes[freelist + 16] = 3), PageProblem::Twice);
    assert_eq!(problem(&|bytes| bytes[freelist + 10] = 0), PageProblem::Lost);
}

#[test]
fn what_is_no_snapshot_is_told_and_nothing_breaks() {
    for bytes in [
        &b""[..],
        b"x",
        &[0; 31],
        &[0; 32],
        &[0; 5000],
        b"\x1f\x8b\x08 no database",
        &vec![0xff; 100_000],
    ] {
        let facts = read(bytes, Form::Snapshot, &[]);
        assert!(!facts.is_whole() && facts.page_size == 0, "{facts:?}");
        assert!(!read(bytes, Form::Database, &[]).is_whole());
    }
    let facts = read(&hashed(b"no database"), Form::Snapshot, &[]);
    assert_eq!((facts.hash, facts.is_whole()), (SnapshotHash::Right, false));
}

#[test]
fn a_raw_database_is_no_snapshot() {
    let database = Made::default().database(&puts(&many()));
    let facts = read(&database, Form::Snapshot, &[]);
    assert_eq!((facts.hash, facts.is_whole()), (SnapshotHash::Wrong, false));
}
