//! What a host lacks of a plan, and whether there is room for it. Changes nothing.

use super::client::Containerd;
use super::error::Error;
use super::room::room;
use super::runtime::runtime;
use super::snapshots::Snapshots;
use super::survey::{Survey, due_blobs, due_layers, survey};
use crate::protocol::{Blob, LoadPlan, MissingReply, PlannedLayer};

/// What a layer of unknown length is taken to unpack to: so many times its compressed length.
const GROWTH: u64 = 3;

/// Compares the plan with this host.
pub async fn missing(plan: &LoadPlan) -> Result<MissingReply, Error> {
    let containerd = Containerd::connect(plan.socket.as_deref()).await?;
    let runtime = runtime(&containerd).await?;
    let snapshots = Snapshots {
        containerd,
        snapshotter: runtime.snapshotter,
    };
    let found = survey(plan, &snapshots).await?;
    let (room, room_why) = room(runtime.directory.as_deref())?;
    let absent = due_blobs(plan, &found.due).into_values();
    let absent = absent.filter(|blob| !found.blobs.contains(&blob.digest));
    Ok(MissingReply {
        blobs: absent.map(|blob| blob.digest).collect(),
        images: found
            .due
            .iter()
            .map(|place| plan.images[*place].name.clone())
            .collect(),
        need: need(plan, &found),
        room,
        room_why,
    })
}

/// Estimates the bytes that the load will take: the blobs and the files of the layers.
pub(super) fn need(plan: &LoadPlan, found: &Survey) -> u64 {
    let blobs = due_blobs(plan, &found.due);
    let blobs = blobs.values().filter(|blob| !found.blobs.contains(&blob.digest));
    let layers = due_layers(plan, &found.due);
    let layers = layers
        .iter()
        .filter(|(chain, _)| !found.snapshots.contains(chain));
    let blobs = blobs.map(|blob| blob.size);
    let layers = layers.map(|(_, layer)| unpacked(*layer));
    blobs.chain(layers).fold(0, u64::saturating_add)
}

/// Estimates what a layer unpacks to: what the index says of it, and no less than its blob. It is an estimate, made by who
/// made the bundle; that it is not exceeded is watched while it is unpacked ([`super::room::Guard`]).
fn unpacked(layer: PlannedLayer) -> u64 {
    let Blob { size, .. } = layer.blob;
    layer.unpacked.unwrap_or(size.saturating_mul(GROWTH)).max(size)
}

#[cfg(test)]
mod tests {
    use bundle::Digest;

    use super::*;
    use crate::protocol::PlannedImage;

    #[test]
    fn the_need_counts_every_absent_blob_and_layer_once() {
        let blob = |text: &str, size| Blob {
            digest: Digest::of(text),
            size,
        };
        let layer = |text: &str, unpacked| PlannedLayer {
            blob: blob(text, 100),
            diff_id: Digest::of(text),
            unpacked,
        };
        let image = |name: &str, top| PlannedImage {
            name: name.into(),
            target: blob(name, 1),
            media_type: String::new(),
            manifest: blob(name, 1),
            config: blob("config", 10),
            layers: vec![layer("base layer", Some(1000)), top],
        };
        let images = vec![
            image("a", layer("a layer", None)),
            image("b", layer("b layer", Some(2000))),
        ];
        let plan = LoadPlan {
            socket: None,
            pin: true,
            redo: Vec::new(),
            images,
        };
        let mut found = Survey {
            due: vec![0, 1],
            ..Survey::default()
        };
        assert_eq!(need(&plan, &found), (1 + 1 + 10 + 300) + (1000 + 300 + 2000));
        found.blobs.insert(Digest::of("base layer"));
        found.snapshots.insert(Digest::of("base layer"));
        assert_eq!(need(&plan, &found), (1 + 1 + 10 + 200) + (300 + 2000));
        found.due = Vec::new();
        assert_eq!(need(&plan, &found), 0);
    }

    #[test]
    fn what_an_index_claims_neither_wraps_nor_goes_below_the_blob() {
        let layer = |size, unpacked| PlannedLayer {
            blob: Blob {
                digest: Digest::of("layer"),
                size,
            },
            diff_id: Digest::of("layer"),
            unpacked,
        };
        assert_eq!(unpacked(layer(1000, Some(0))), 1000);
        assert_eq!(unpacked(layer(u64::MAX, None)), u64::MAX);
        let image = |text: &str| PlannedImage {
            name: text.into(),
            target: layer(1, None).blob,
            media_type: String::new(),
            manifest: layer(1, None).blob,
            config: layer(1, None).blob,
            layers: vec![PlannedLayer {
                diff_id: Digest::of(text),
                ..layer(1, Some(u64::MAX))
            }],
        };
        let plan = LoadPlan {
            socket: None,
            pin: true,
            redo: Vec::new(),
            images: vec![image("a"), image("b")],
        };
        let found = Survey {
            due: vec![0, 1],
            ..Survey::default()
        };
        assert_eq!(need(&plan, &found), u64::MAX);
    }
}
