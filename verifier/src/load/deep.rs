//! The proof of a load by reading: every blob and every file of every image on a host, compared with the layers. What is found
//! damaged is loaded once more and proven again.

use std::collections::BTreeSet;
use std::time::Duration;

use bundle::{BundleFile, Digest, Index, Kind, Layer};
use futures::StreamExt as _;

use super::ask::{Due, plan_of};
use super::{HostError, LoadEvent, LoadHost, LoadOptions};
use crate::protocol::{Blob, LoadPlan, MissingReply, PlannedImage, Proof, Unpacked};

/// How long one image may take: its layers are inflated and read from the disk.
const IMAGE: Duration = Duration::from_hours(2);
/// Hosts that are read at once.
const PARALLEL: usize = 32;

/// What was found on a host.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Found {
    /// How many files were compared.
    pub(super) files: u64,
    /// Layers whose files are not what they should be.
    hollow: BTreeSet<Digest>,
    /// Blobs that are gone or not what their names say.
    spoilt: BTreeSet<Digest>,
    /// Layers of which nothing is known.
    unproven: BTreeSet<Digest>,
    /// The first thing that is wrong, in words.
    first: Option<String>,
}

impl Found {
    /// Returns whether all was proven.
    pub(super) fn is_whole(&self) -> bool {
        self.damaged().next().is_none() && self.unproven.is_empty()
    }

    /// Returns the layers that are to be loaded again.
    fn damaged(&self) -> impl Iterator<Item = Digest> + '_ {
        self.hollow.union(&self.spoilt).copied()
    }

    /// Returns why a host is not proven.
    pub(super) fn error(&self) -> HostError {
        let unproven = || {
            let layers: Vec<String> = self.unproven.iter().map(Digest::to_string).collect();
            format!("nothing is known of {}", layers.join(", "))
        };
        HostError::Damaged {
            reason: self.first.clone().unwrap_or_else(unproven),
        }
    }
}

/// Reads all images of a bundle on some hosts.
pub(super) async fn prove(
    bundle: &BundleFile,
    hosts: Vec<LoadHost>,
    options: &LoadOptions,
) -> Vec<(LoadHost, Result<Found, HostError>)> {
    let asking = hosts.into_iter().map(|host| async move {
        let found = prove_one(bundle.index(), &host, options).await;
        (host, found)
    });
    futures::stream::iter(asking).buffered(PARALLEL).collect().await
}

async fn prove_one(index: &Index, host: &LoadHost, options: &LoadOptions) -> Result<Found, HostError> {
    let plan = plan_of(index, host, options)?;
    let mut found = Found::default();
    let mut seen = BTreeSet::new();
    for image in &plan.images {
        // Twins are read once.
        if !seen.insert(image.chain_ids()) || image.layers.is_empty() {
            continue;
        }
        let ask = Unpacked {
            socket: host.socket.clone(),
            layers: layers(image),
            proof: Proof::Contents,
        };
        let reply = host.agent.ask(ask, IMAGE).await;
        let reply = reply.map_err(|source| HostError::Ask { source })?;
        found.files += reply.compared;
        let name = &image.name;
        if let Some(hollow) = reply.hollow.first() {
            let words = format!(
                "{name}: {} files of a layer are not what they should be, such as {}",
                hollow.files, hollow.first
            );
            found.first.get_or_insert(words);
        } else if let Some(digest) = reply.spoilt.first() {
            let words = format!("{name}: blob {digest} is gone or not what its name says");
            found.first.get_or_insert(words);
        }
        found
            .hollow
            .extend(reply.hollow.iter().map(|hollow| hollow.layer));
        found.spoilt.extend(&reply.spoilt);
        found.unproven.extend(&reply.unproven);
        if !reply.present {
            found
                .unproven
                .extend(image.layers.iter().map(|layer| layer.blob.digest));
        }
    }
    (options.say)(LoadEvent::Read {
        host: &host.name,
        files: found.files,
        damaged: found.damaged().count(),
    });
    Ok(found)
}

fn layers(image: &PlannedImage) -> Vec<Layer> {
    let layer = |layer: &crate::protocol::PlannedLayer| Layer {
        digest: layer.blob.digest,
        diff_id: layer.diff_id,
        unpacked: layer.unpacked,
    };
    image.layers.iter().map(layer).collect()
}

/// Returns what a host is to be sent so that it is whole again: the images with damaged layers, and the blobs that it cannot use.
pub(super) fn again(
    index: &Index,
    host: LoadHost,
    found: &Found,
    options: &LoadOptions,
) -> Result<Due, HostError> {
    let damaged: BTreeSet<Digest> = found.damaged().collect();
    let plan = plan_of(index, &host, options)?;
    let touched = |image: &PlannedImage| {
        image
            .layers
            .iter()
            .any(|layer| damaged.contains(&layer.blob.digest))
    };
    let images: Vec<PlannedImage> = plan.images.into_iter().filter(touched).collect();
    let members = index.members.iter().filter(|member| member.kind == Kind::Blob);
    let send = members
        .filter(|member| found.spoilt.contains(&member.sha256))
        .map(|member| Blob {
            digest: member.sha256,
            size: member.size,
        });
    let send: Vec<Blob> = send.collect();
    if let Some(digest) = found
        .spoilt
        .iter()
        .find(|digest| send.iter().all(|blob| blob.digest != **digest))
    {
        return Err(HostError::Base { digest: *digest });
    }
    let missing = MissingReply {
        images: images.iter().map(|image| image.name.clone()).collect(),
        blobs: send.iter().map(|blob| blob.digest).collect(),
        ..MissingReply::default()
    };
    Ok(Due {
        plan: LoadPlan {
            images,
            redo: damaged.into_iter().collect(),
            ..plan
        },
        host,
        send,
        missing,
    })
}
