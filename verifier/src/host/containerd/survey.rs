//! What of a plan is there already. Reads only.

use std::collections::{BTreeMap, BTreeSet};

use bundle::Digest;
use futures::{StreamExt, TryStreamExt, stream};

use super::client::Containerd;
use super::error::Error;
use super::records::records;
use super::snapshots::Snapshots;
use super::{content, images};
use crate::protocol::{Blob, LoadPlan, PlannedImage, PlannedLayer};

/// Calls that run at once.
const PARALLEL: usize = 8;

/// What is there and what is due.
#[derive(Debug, Default)]
pub(super) struct Survey {
    /// The images, by their place in the plan, that are not whole: a record, a document or the snapshot is not there.
    pub(super) due: Vec<usize>,
    /// Of the blobs of those images, the ones that are there.
    pub(super) blobs: BTreeSet<Digest>,
    /// Of the chain ids of those images, the ones that are there.
    pub(super) snapshots: BTreeSet<Digest>,
}

/// Looks at the host.
pub(super) async fn survey(plan: &LoadPlan, snapshots: &Snapshots) -> Result<Survey, Error> {
    // Places and not references: a closure over borrowed items would make the future one that no task can take.
    let due = present(0..plan.images.len(), |place| async move {
        let whole = is_whole(plan, &plan.images[place], snapshots).await?;
        Ok(!whole)
    });
    let due: Vec<usize> = due.await?.into_iter().collect();
    let containerd = &snapshots.containerd;
    let blobs: BTreeSet<Digest> = due_blobs(plan, &due).into_keys().collect();
    let blobs = present(blobs, |digest| content::has(containerd, digest)).await?;
    let chains: BTreeSet<Digest> = due_layers(plan, &due).into_keys().collect();
    let found = present(chains, |chain| snapshots.has(chain)).await?;
    Ok(Survey {
        due,
        blobs,
        snapshots: found,
    })
}

/// Returns the blobs of the images that are due.
pub(super) fn due_blobs(plan: &LoadPlan, due: &[usize]) -> BTreeMap<Digest, Blob> {
    let blobs = due.iter().flat_map(|place| plan.images[*place].blobs());
    blobs.map(|blob| (blob.digest, blob)).collect()
}

/// Returns the layers of the images that are due, by chain id.
pub(super) fn due_layers(plan: &LoadPlan, due: &[usize]) -> BTreeMap<Digest, PlannedLayer> {
    let images = due.iter().map(|place| &plan.images[*place]);
    images
        .flat_map(|image| image.chain_ids().into_iter().zip(image.layers.iter().copied()))
        .collect()
}

/// Returns those of the items for which the answer is yes.
async fn present<T, F, A>(items: impl IntoIterator<Item = T>, ask: F) -> Result<BTreeSet<T>, Error>
where
    T: Copy + Ord,
    F: Fn(T) -> A,
    A: Future<Output = Result<bool, Error>>,
{
    stream::iter(items)
        .map(|item| {
            let answer = ask(item);
            async move { Ok(answer.await?.then_some(item)) }
        })
        .buffer_unordered(PARALLEL)
        .try_filter_map(|found| async move { Ok(found) })
        .try_collect()
        .await
}

/// Whether nothing of an image is missing. Layers' blobs are not asked for: once unpacked they may be discarded
/// (containerd's `discard_unpacked_layers`), and the image runs all the same.
async fn is_whole(plan: &LoadPlan, image: &PlannedImage, snapshots: &Snapshots) -> Result<bool, Error> {
    let containerd: &Containerd = &snapshots.containerd;
    for name in records(image) {
        if !images::is_right(containerd, &name, image, plan).await? {
            return Ok(false);
        }
    }
    for blob in [image.target, image.manifest, image.config] {
        if !content::has(containerd, blob.digest).await? {
            return Ok(false);
        }
    }
    match image.chain_ids().last() {
        Some(top) => snapshots.has(*top).await,
        None => Ok(true),
    }
}
