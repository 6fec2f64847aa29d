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
