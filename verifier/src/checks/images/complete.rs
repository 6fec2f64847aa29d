//! `images.complete`: every blob and every unpacked layer of the images in the CRI's namespace is there, by reading.

use std::collections::BTreeSet;

use super::held::{self, Held, Note, Said, stored_name};
use crate::findings::{Evidence, Finding, Judged, Unjudged, cause, phrase};
use crate::protocol::{BlobState, ImageStoreReply, SnapshotState, Store, StoredImage, StoredLayer};
use crate::suite::{Check, Ctx, Expect, Member, Probe, Scope};

pub(super) const CHECK: Check = Check::of::<Complete>("images.complete", Scope::Worker).on_demand();

struct Complete;

impl Probe for Complete {
    type Facts = ImageStoreReply;

    async fn gather(ctx: &Ctx, member: &Member) -> Result<ImageStoreReply, Unjudged> {
        held::gather(ctx, member).await
    }

    fn judge(facts: &ImageStoreReply, expect: &Expect<'_>) -> Judged {
        if facts.store.is_none() {
            let runtime = &facts.runtime;
            return Err(Unjudged::skip(cause::ImageStoreUnseen { runtime }));
        }
        Ok(held::counting(said(&Held::new(facts, expect)), expect))
    }

    fn evidence(facts: &ImageStoreReply, expect: &Expect<'_>) -> Vec<Evidence> {
        let held = Held::new(facts, expect);
        let notes = held::notes(&said(&held), expect);
        let read = facts.store.as_ref().map(read);
        notes.into_iter().chain(read.flatten()).collect()
    }
}

/// Returns how much was read, and what stands as its record says.
fn read(store: &Store) -> Option<Evidence> {
    let count = |is: fn(&StoredLayer) -> bool| store.layers.iter().filter(|layer| is(layer)).count();
    let line = phrase::ImageLayersLine {
        layers: &store.layers.len(),
        blobs: &count(|layer| layer.blob == BlobState::Whole),
        snapshots: &count(|layer| layer.snapshot == SnapshotState::Whole),
        recorded: &count(|layer| layer.snapshot == SnapshotState::Recorded),
        snapshotter: &store.snapshotter,
    };
    Evidence::lines(phrase::ImageLayers, [crate::findings::Line::said(line)])
}

/// Returns what is to be said of the images that are not whole.
pub(super) fn said(held: &Held<'_>) -> Vec<Said> {
    let Some(store) = &held.reply.store else {
        return Vec::new();
    };
    let mut said = Vec::new();
    for image in &store.images {
        let name = stored_name(image);
        // What nobody uses and no bundle has may well be in pieces: an image of which only one platform was taken, one that
        // was never unpacked.
        let note = if matters(held, image) {
            Note::Never
        } else {
            Note::Always
        };
        let findings = findings(store, image, name).into_iter();
        said.extend(findings.map(|finding| Said::of(name, note, finding)));
    }
    said
}

/// Returns whether somebody counts on an image: a container, a bundle, who pinned it.
fn matters(held: &Held<'_>, image: &StoredImage) -> bool {
    let wanted = held.wanted();
    let named = image.names.iter().any(|name| wanted.contains_key(name.as_str()));
    let id = image.id.as_deref().unwrap_or_default();
    let digests = [Some(image.target.as_str()), image.manifest.as_deref()];
    let digests: Vec<&str> = digests.into_iter().flatten().collect();
    let listed = held.listed(image);
    let used = listed.is_some_and(|listed| listed.pinned || !held.users(listed).is_empty());
    named || used || held.is_bundled(id, &digests)
}

/// Returns what an image lacks, each kind once.
fn findings(store: &Store, image: &StoredImage, name: &str) -> Vec<Finding> {
    let layers: Vec<&StoredLayer> = image
        .layers
        .iter()
        .filter_map(|place| store.layers.get(*place))
        .collect();
    let mut found = blobs(store, image, name, &layers);
    // Where the configuration cannot be read nobody knows which snapshots are its own.
    if image.lost.is_empty() {
        found.extend(snapshots(store, name, &layers));
    }
    found
}

fn blobs(store: &Store, image: &StoredImage, name: &str, layers: &[&StoredLayer]) -> Vec<Finding> {
    let documents = image.lost.iter().map(|(digest, state)| (digest.as_str(), *state));
    let blobs = layers.iter().map(|layer| (layer.digest.as_str(), layer.blob));
    // Dropped on purpose.
    let blobs = blobs.filter(|(_, state)| !(store.discards && *state == BlobState::Gone));
    let all: BTreeSet<(BlobState, &str)> = documents
        .chain(blobs)
        .map(|(digest, state)| (state, digest))
        .collect();
    let of = |is: fn(BlobState) -> bool| {
        let mut found = all.iter().filter(move |(state, _)| is(*state));
        found.next().map(|(_, blob)| (*blob, found.count() + 1))
    };
    let gone = of(|state| state == BlobState::Gone).map(|(blob, count)| {
        Finding::fail(cause::ImageBlobGone {
            image: &name,
            blob: &blob,
            count: &count,
        })
    });
    let spoilt = of(|state| matches!(state, BlobState::Cut | BlobState::Spoilt)).map(|(blob, count)| {
        Finding::fail(cause::ImageBlobSpoilt {
            image: &name,
            blob: &blob,
            count: &count,
        })
    });
    gone.into_iter().chain(spoilt).collect()
}

fn snapshots(store: &Store, name: &str, layers: &[&StoredLayer]) -> Vec<Finding> {
    let (image, snapshotter) = (&name, &store.snapshotter);
    let first = |is: fn(&SnapshotState) -> bool| layers.iter().find(|layer| is(&layer.snapshot));
    let mut found = Vec::new();
    if let Some(layer) = first(|state| matches!(state, SnapshotState::Gone | SnapshotState::Lost)) {
        found.push(Finding::fail(cause::ImageSnapshotGone {
            image,
            layer: &layer.digest,
            snapshotter,
        }));
    }
    if let Some(layer) = first(|state| matches!(state, SnapshotState::Elsewhere { .. }))
        && let SnapshotState::Elsewhere { snapshotter: other } = &layer.snapshot
    {
        found.push(Finding::fail(cause::ImageSnapshotElsewhere {
            image,
            snapshotter,
            other,
        }));
    }
    if let Some(layer) = first(|state| matches!(state, SnapshotState::Hollow { .. }))
        && let SnapshotState::Hollow {
            found: there,
            recorded,
        } = &layer.snapshot
    {
        found.push(Finding::fail(cause::ImageSnapshotHollow {
            image,
            layer: &layer.digest,
            found: there,
            recorded,
        }));
    }
    if first(|state| *state == SnapshotState::Unread).is_some() {
        let reason = store.unread.as_ref().map(ToString::to_string).unwrap_or_default();
        found.push(Finding::error(cause::ImageSnapshotUnread {
            image,
            reason: &reason,
        }));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::images::testing::{index, reply};
    use crate::checks::testing::{expect, site};
    use crate::findings::Outcome;

    fn judged(change: impl FnOnce(&mut ImageStoreReply)) -> Vec<(&'static str, Outcome)> {
        let (site, index) = (site(), index());
        let mut facts = reply();
        change(&mut facts);
        let expect = Expect {
            index: Some(&index),
            ..expect(&site, "node-0")
        };
        let findings = Complete::judge(&facts, &expect).unwrap();
        findings
            .iter()
            .map(|finding| (finding.cause.id().name(), finding.severity.outcome()))
            .collect()
    }

    fn store(facts: &mut ImageStoreReply) -> &mut Store {
        facts.store.as_mut().unwrap()
    }

    #[test]
    fn what_is_whole_passes_and_each_thing_that_is_gone_is_named() {
        assert_eq!(judged(|_| {}), []);
        let fail = |cause| vec![(cause, Outcome::Fail)];
        let layer = |change: fn(&mut StoredLayer)| judged(|facts| change(&mut store(facts).layers[0]));
        assert_eq!(
            layer(|layer| layer.blob = BlobState::Gone),
            fail("image-blob-gone")
        );
        assert_eq!(
            layer(|layer| layer.blob = BlobState::Cut),
            fail("image-blob-spoilt")
        );
        assert_eq!(
            layer(|layer| layer.blob = BlobState::Spoilt),
            fail("image-blob-spoilt")
        );
        assert_eq!(
            layer(|layer| layer.snapshot = SnapshotState::Gone),
            fail("image-snapshot-gone")
        );
        assert_eq!(
            layer(|layer| layer.snapshot = SnapshotState::Lost),
            fail("image-snapshot-gone")
        );
        assert_eq!(
            layer(|layer| layer.snapshot = SnapshotState::Hollow {
                found: 1,
                recorded: 9
            }),
            fail("image-snapshot-hollow")
        );
        assert_eq!(
            layer(|layer| layer.snapshot = SnapshotState::Elsewhere {
                snapshotter: "native".to_owned()
            }),
            fail("image-snapshot-elsewhere")
        );
        assert_eq!(
            layer(|layer| layer.snapshot = SnapshotState::Unread),
            [("image-snapshot-unread", Outcome::Error)]
        );
        let document = judged(|facts| {
            let image = &mut store(facts).images[0];
            image.lost.push((image.target.clone(), BlobState::Gone));
        });
        assert_eq!(document, fail("image-blob-gone"));
    }

    #[test]
    fn blobs_that_the_runtime_drops_on_purpose_are_not_missed() {
        let dropped = |facts: &mut ImageStoreReply| {
            store(facts).discards = true;
            store(facts)
                .layers
                .iter_mut()
                .for_each(|layer| layer.blob = BlobState::Gone);
        };
        assert_eq!(judged(dropped), []);
    }

    #[test]
    fn what_another_kind_of_snapshotter_records_is_no_alarm() {
        assert_eq!(
            judged(|facts| store(facts).layers[0].snapshot = SnapshotState::Recorded),
            []
        );
    }

    #[test]
    fn what_nobody_counts_on_is_worth_a_note() {
        let other = |facts: &mut ImageStoreReply| {
            let image = &mut store(facts).images[1];
            assert_eq!(image.names, ["example.org/other:1"]);
            image.lost.push((image.target.clone(), BlobState::Gone));
        };
        assert_eq!(judged(other), []);
        let used = |facts: &mut ImageStoreReply| {
            other(facts);
            facts.running.push(crate::protocol::RunningImage {
                image: facts.images[1].id.clone(),
                pod: "default/other".to_owned(),
                container: "other".to_owned(),
            });
        };
        assert_eq!(judged(used), [("image-blob-gone", Outcome::Fail)]);
    }

    #[test]
    fn a_runtime_without_containerd_is_skipped_with_its_name() {
        let site = site();
        let facts = ImageStoreReply {
            runtime: "cri-o".to_owned(),
            store: None,
            ..reply()
        };
        let skipped = Complete::judge(&facts, &expect(&site, "node-0")).unwrap_err();
        assert_eq!(skipped.cause().id().name(), "image-store-unseen");
        assert!(matches!(skipped, Unjudged::Skip(_)));
    }
}
