//! Room for layers that are to be unpacked once more: the snapshots of damaged ones, and those above them, are removed, and
//! blobs that will be sent although they are there. What somebody uses stays: containerd removes no snapshot on which a container or another
//! image stands, and whoever proves the load afterwards says so.

use std::collections::BTreeMap;

use bundle::Digest;
use tonic::Code;

use super::error::Error;
use super::snapshots::Snapshots;
use super::{content, leases};
use crate::protocol::{Blob, LoadPlan, PlannedImage};

/// Removes what the plan wants done again.
pub(super) async fn clear(plan: &LoadPlan, send: &[Blob], snapshots: &Snapshots) -> Result<(), Error> {
    for chain in doomed(&plan.images, &plan.redo) {
        match snapshots.remove(&chain.to_string()).await {
            Err(error) if error.has_code(Code::FailedPrecondition) => {}
            removed => removed?,
        }
    }
    let spoilt: Vec<&Blob> = send
        .iter()
        .filter(|blob| plan.redo.contains(&blob.digest))
        .collect();
    if spoilt.is_empty() {
        return Ok(());
    }
    for blob in spoilt {
        content::delete(&snapshots.containerd, blob.digest).await?;
    }
    // What is deleted is only forgotten, and found again by whoever writes it, until containerd has collected its garbage: that it
    // does before it answers to the end of a lease.
    let lease = leases::create(&snapshots.containerd).await?;
    leases::delete(&snapshots.containerd, &lease).await
}

/// Returns the chain ids of these layers and of all that stand on them, the topmost first.
fn doomed(images: &[PlannedImage], layers: &[Digest]) -> Vec<Digest> {
    let mut found: BTreeMap<Digest, usize> = BTreeMap::new();
    for image in images {
        let damaged = image
            .layers
            .iter()
            .position(|layer| layers.contains(&layer.blob.digest));
        let Some(first) = damaged else { continue };
        found.extend(
            image
                .chain_ids()
                .into_iter()
                .enumerate()
                .skip(first)
                .map(|(depth, chain)| (chain, depth)),
        );
    }
    let mut chains: Vec<(usize, Digest)> = found.into_iter().map(|(chain, depth)| (depth, chain)).collect();
    chains.sort_by(|a, b| b.cmp(a));
    chains.into_iter().map(|(_, chain)| chain).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::PlannedLayer;

    #[test]
    fn what_stands_on_a_damaged_layer_goes_before_it_and_what_it_stands_on_stays() {
        let blob = |text: &str| Blob {
            digest: Digest::of(text),
            size: 1,
        };
        let image = |layers: &[&str]| PlannedImage {
            name: layers.join("+"),
            target: blob("t"),
            media_type: String::new(),
            manifest: blob("m"),
            config: blob("c"),
            layers: layers
                .iter()
                .map(|text| PlannedLayer {
                    blob: blob(text),
                    diff_id: Digest::of(text),
                    unpacked: None,
                })
                .collect(),
        };
        let images = [
            image(&["base", "a", "top"]),
            image(&["base", "a"]),
            image(&["other"]),
        ];
        let chains = images[0].chain_ids();
        assert_eq!(doomed(&images, &[Digest::of("a")]), [chains[2], chains[1]]);
        assert_eq!(doomed(&images, &[Digest::of("base")]).last(), Some(&chains[0]));
        assert_eq!(doomed(&images, &[]), []);
    }
}
