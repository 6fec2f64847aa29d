//! What an index may not say.

use bundle::{Digest, IndexError, Kind, Requirement, Smoke, WriteError, WriteOptions, Writer};

use crate::sample::{Sample, path};

/// Alters a good index; it must be refused, by the writer too.
fn refused(alter: impl FnOnce(&mut Sample)) -> IndexError {
    let mut sample = Sample::full();
    assert_eq!(sample.index.validate(), Ok(()));
    alter(&mut sample);
    let error = sample.index.validate().unwrap_err();
    let written = Writer::new(Vec::new(), sample.index, WriteOptions::default());
    assert!(matches!(written.err(), Some(WriteError::Index { source }) if source == error));
    error
}

#[test]
fn lists_out_of_order_and_double_entries_are_refused() {
    assert!(matches!(
        refused(|s| s.index.members.reverse()),
        IndexError::Unsorted { .. }
    ));
    assert!(matches!(
        refused(|s| s.index.images.reverse()),
        IndexError::Unsorted { .. }
    ));
    assert!(matches!(
        refused(|s| s.index.members.push(s.index.members.last().unwrap().clone())),
        IndexError::Twice { .. }
    ));
    assert!(matches!(
        refused(|s| s.index.images.push(s.index.images.last().unwrap().clone())),
        IndexError::Twice { .. }
    ));
    assert!(matches!(
        refused(|s| s.index.platforms.push("linux/amd64".parse().unwrap())),
        IndexError::Twice { .. }
    ));
}

#[test]
fn members_have_their_place_kind_and_mode() {
    let place = |name: &'static str, kind, mode| {
        refused(move |s| {
            s.put(name, kind, mode, b"x");
            s.index.sort();
        })
    };
    for (name, kind) in [
        ("elsewhere", Kind::File),
        ("bundle.json.sig", Kind::File),
        ("config/x", Kind::File),
        ("files", Kind::File),
        ("verifier-x/y", Kind::Verifier),
        ("blobs/sha256/short", Kind::Blob),
        ("blobs/sha512/x", Kind::Blob),
    ] {
        assert_eq!(
            place(name, kind, 0o644),
            IndexError::Place {
                member: path(name),
                kind
            }
        );
    }
    assert!(matches!(
        place("files/x", Kind::File, 0o4755),
        IndexError::Mode { .. }
    ));
    assert!(matches!(
        place("config/x", Kind::Config, 0o755),
        IndexError::Mode { .. }
    ));
    assert!(matches!(
        place("verifier-linux-arm64", Kind::Verifier, 0o644),
        IndexError::Mode { .. }
    ));
}

#[test]
fn blobs_are_named_by_their_hash() {
    let error = refused(|s| {
        let blob = s.index.members.iter_mut().find(|m| m.kind == Kind::Blob).unwrap();
        blob.sha256 = Digest::of("other");
    });
    assert!(matches!(error, IndexError::BlobName { .. }));
}

#[test]
fn lengths_that_no_file_has_are_refused() {
    let error = refused(|s| s.index.members.iter_mut().for_each(|m| m.size = u64::MAX / 2));
    assert_eq!(error, IndexError::TooLarge);
    let error = refused(|s| {
        let config = s.index.images[0].platforms[0].config;
        let config = bundle::MemberPath::blob(&config);
        s.index
            .members
            .iter_mut()
            .find(|m| m.path == config)
            .unwrap()
            .size = 1 << 30;
    });
    assert!(matches!(error, IndexError::DocumentTooLarge { .. }));
}

#[test]
fn every_blob_of_an_image_is_held_or_required() {
    let layer = Digest::of("layer one");
    let without = move |s: &mut Sample| {
        let blob = bundle::MemberPath::blob(&layer);
        s.index.members.retain(|member| member.path != blob);
    };
    let error = refused(without);
    assert!(matches!(error, IndexError::NoBlob { role: "layer", digest, .. } if digest == layer));
    let mut delta = Sample::full();
    without(&mut delta);
    delta.index.requires.push(Requirement {
        bundle: Digest::of("base"),
        blobs: vec![layer],
    });
    assert_eq!(delta.index.validate(), Ok(()));
    // Documents are never left out: the OCI layout could not say their length.
    let error = refused(|s| {
        let manifest = bundle::MemberPath::blob(&s.index.images[0].digest);
        s.index.members.retain(|member| member.path != manifest);
    });
    assert!(matches!(error, IndexError::NoBlob { .. }));
}

#[test]
fn the_layout_follows_from_the_images() {
    let error = refused(|s| s.index.images[0].name = "docker.io/library/aaaa:1".to_owned());
    assert_eq!(error, IndexError::Layout { member: "index.json" });
    let error = refused(|s| s.index.members.retain(|member| member.path != path("oci-layout")));
    assert_eq!(error, IndexError::Layout { member: "oci-layout" });
}

#[test]
fn names_are_names() {
    for name in ["", "a/b", "a\n"] {
        assert!(matches!(
            refused(|s| s.index.name = name.to_owned()),
            IndexError::Name { .. }
        ));
    }
    let smoke = |s: &mut Sample| {
        s.index.smoke = Some(Smoke {
            image: "none".to_owned(),
        });
    };
    assert!(matches!(refused(smoke), IndexError::Smoke { .. }));
    assert!(matches!(
        refused(|s| s.index.images[0].platforms.clear()),
        IndexError::Image { .. }
    ));
    assert!(matches!(
        refused(|s| s.index.images[0].name = "a b".to_owned()),
        IndexError::Image { .. }
    ));
}

#[test]
fn directories_that_are_twins_of_others_are_refused_however_deep() {
    let pair = |one: &str, two: &str| {
        refused(|s| {
            s.put(one, Kind::File, 0o644, b"x");
            s.put(two, Kind::File, 0o644, b"x");
            s.index.sort();
        })
    };
    for (one, two) in [
        ("files/a/B/c/one", "files/a/b/c/two"),
        ("files/STRASSE/x", "files/straße/y"),
        ("files/a", "files/A/b"),
        ("files/é/x", "files/É/z/y"),
    ] {
        let error = pair(one, two);
        assert!(
            matches!(
                error,
                IndexError::Twin { .. } | IndexError::FileAndDirectory { .. }
            ),
            "{one} and {two}: {error}"
        );
    }
}

#[test]
fn a_name_that_only_begins_like_another_is_no_twin_of_it() {
    let mut sample = Sample::full();
    for name in ["files/a", "files/a-b/x", "files/a.b/x", "files/a b", "files/ab/x"] {
        sample.put(name, Kind::File, 0o644, b"x");
    }
    assert_eq!(sample.sealed().index.validate(), Ok(()));
}

#[test]
fn there_is_a_limit_to_members_and_to_the_depth_of_their_directories() {
    let deep = |components: usize| format!("files/{}x", "a/".repeat(components - 2));
    assert!(bundle::MemberPath::new(deep(32)).is_ok());
    let error = bundle::MemberPath::new(deep(33)).unwrap_err();
    assert_eq!(error.reason, "a path of more than 32 components");
    let mut sample = Sample::empty();
    let member = sample.index.members[0].clone();
    sample.index.members = vec![member; bundle::MEMBER_LIMIT + 1];
    let count = bundle::MEMBER_LIMIT + 1;
    assert_eq!(sample.index.validate(), Err(IndexError::Members { count }));
}

/// The archive that cost 5.2 GB and 108 s: 13,500 files, each in directories of its own; here as deep as they may be.
#[test]
fn the_deepest_index_is_judged_in_moments() {
    let mut sample = Sample::empty();
    let mut member = sample.index.members[0].clone();
    (member.kind, member.mode) = (Kind::File, 0o644);
    for number in 0..13_500 {
        member.path = path(&format!("files/{number:05}/{}a", "a/".repeat(29)));
        sample.index.members.push(member.clone());
    }
    sample.index.sort();
    let start = std::time::Instant::now();
    assert_eq!(sample.index.validate(), Ok(()));
    assert!(start.elapsed().as_secs() < 20, "{:?}", start.elapsed());
}

/// 75,000 empty members took minutes, because each was given a buffer of a MiB.
#[test]
fn many_small_members_are_checked_in_moments() {
    let directory = tempfile::tempdir().unwrap();
    let mut sample = Sample::empty();
    let empty = sample.index.members[0].clone();
    for number in 0..20_000 {
        let name = path(&format!("files/{number:05}/a"));
        let bytes = if number % 2 == 0 {
            b"x".to_vec()
        } else {
            Vec::new()
        };
        sample.index.members.push(bundle::Member {
            path: name.clone(),
            kind: Kind::File,
            size: bytes.len() as u64,
            sha256: Digest::of(&bytes),
            ..empty.clone()
        });
        sample.bytes.insert(name, bytes);
    }
    sample.index.sort();
    let file = directory.path().join("site.tar");
    std::fs::write(&file, sample.write(bundle::Compression::None).0).unwrap();
    let start = std::time::Instant::now();
    assert!(crate::check(&file, &mut |_| ()).is_ok());
    assert!(start.elapsed().as_secs() < 15, "{:?}", start.elapsed());
}
