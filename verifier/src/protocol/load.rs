//! What a load brings to a host: the plan, what of it is missing, what was done.

use std::collections::BTreeMap;

use bundle::{Digest, Layer};
use secrets::Masked;
use serde::{Deserialize, Serialize};

/// The byte after the last blob of a load: the sender has verified the whole archive. Anything else, or the end of the
/// stream, and nothing of the load is kept.
pub const COMMIT: u8 = 1;

/// What a host's containerd should hold in the end. Made from the bundle's index, pure.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoadPlan {
    /// The socket of containerd; absent: the usual ones in turn.
    pub socket: Option<String>,
    /// Whether the images are pinned, so that no kubelet collects them.
    pub pin: bool,
    /// Every image that is to be there.
    pub images: Vec<PlannedImage>,
    /// Layers whose snapshots are there and damaged: they and those above them are removed first. Of those that are sent the
    /// blob is damaged too, and replaced.
    #[serde(default)]
    pub redo: Vec<Digest>,
}

/// A blob: all that containerd must know to store it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Blob {
    /// Its digest.
    pub digest: Digest,
    /// Its length in bytes.
    pub size: u64,
}

/// An image with all that hangs from it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedImage {
    /// The full reference under which it is loaded.
    pub name: String,
    /// What the name stands for: an index or a manifest.
    pub target: Blob,
    /// The media type of `target`.
    pub media_type: String,
    /// The manifest for the host's platform; the same as `target` where that is no index.
    pub manifest: Blob,
    /// The configuration: the image id.
    pub config: Blob,
    /// The layers, bottom first.
    pub layers: Vec<PlannedLayer>,
}

/// A layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedLayer {
    /// The blob as the registry serves it.
    pub blob: Blob,
    /// The digest of the uncompressed tar.
    pub diff_id: Digest,
    /// An estimate of the uncompressed length in bytes.
    pub unpacked: Option<u64>,
}

/// Asks whether an image's snapshots still hold what its layers have.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Unpacked {
    /// As in [`LoadPlan`].
    pub socket: Option<String>,
    /// The layers, bottom first.
    pub layers: Vec<Layer>,
    /// How much is compared.
    #[serde(default)]
    pub proof: Proof,
}

/// How much of a snapshot is compared with its layer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Proof {
    /// Each regular file by its length; none is read.
    #[default]
    Lengths,
    /// Each blob and each regular file, byte for byte.
    Contents,
}

/// What of an image's layers is in its snapshots.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnpackedReply {
    /// Whether there are snapshots of these layers at all.
    pub present: bool,
    /// How many files were compared.
    pub compared: u64,
    /// Layers of which files are missing or have another length.
    pub hollow: Vec<HollowLayer>,
    /// Layers whose blob is gone, or whose directory the snapshotter does not say: nothing is known of them.
    pub unproven: Vec<Digest>,
    /// Blobs that are gone or not what their names say; looked for where contents are compared.
    #[serde(default)]
    pub spoilt: Vec<Digest>,
}

/// A layer whose snapshot lacks some of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HollowLayer {
    /// The blob.
    pub layer: Digest,
    /// How many files are missing or have another length.
    pub files: u64,
    /// One of them.
    pub first: Masked,
}

/// What of a plan a host lacks.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MissingReply {
    /// The blobs that must be sent.
    pub blobs: Vec<Digest>,
    /// The images whose record is absent, points elsewhere or is not pinned though it should be, or whose content or
    /// snapshot is not there.
    pub images: Vec<String>,
    /// Bytes that the load will take on the file system of the images, estimated.
    pub need: u64,
    /// Bytes that may still be used there before the kubelet starts to collect images or to evict pods.
    pub room: u64,
    /// How `room` came about: path, capacity, available, thresholds.
    pub room_why: String,
}

/// What a load did.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoadReply {
    /// Blobs that were written.
    pub blobs_written: usize,
    /// Bytes that were written.
    pub bytes_written: u64,
    /// Layers that were unpacked.
    pub layers_unpacked: usize,
    /// Images whose record was created or changed.
    pub images_written: Vec<String>,
    /// Images that the runtime does not report as pinned though the load pinned them.
    pub not_pinned: Vec<String>,
}

impl LoadPlan {
    /// Returns every blob of the plan, each once, by digest.
    pub fn blobs(&self) -> BTreeMap<Digest, Blob> {
        let blobs = self.images.iter().flat_map(PlannedImage::blobs);
        blobs.map(|blob| (blob.digest, blob)).collect()
    }

    /// Returns the longest reply about this plan that is taken: every blob and every image may be named, images twice.
    pub(super) fn reply_limit(&self) -> u32 {
        /// `"sha256:` and 64 digits, a quote and a comma.
        const DIGEST: usize = 80;
        let blobs = self
            .images
            .iter()
            .map(|image| image.layers.len() + 3)
            .sum::<usize>();
        let names = self.images.iter().map(|image| &image.name);
        let names = super::listed(names).saturating_mul(2);
        u32::try_from(blobs.saturating_mul(DIGEST))
            .unwrap_or(u32::MAX)
            .saturating_add(names)
            .saturating_add(64 << 10)
    }
}

impl Unpacked {
    /// Returns the longest reply that is taken: a path for each layer.
    pub(super) fn reply_limit(&self) -> u32 {
        u32::try_from(self.layers.len() + 1)
            .unwrap_or(u32::MAX)
            .saturating_mul(32 << 10)
    }
}

/// Returns the chain id of every layer, bottom first, from their diff ids (OCI image spec, config.md, "Layer ChainID").
pub(crate) fn chain_ids(diff_ids: impl IntoIterator<Item = Digest>) -> Vec<Digest> {
    let mut chain: Vec<Digest> = Vec::new();
    for diff_id in diff_ids {
        let below = chain.last();
        chain.push(below.map_or(diff_id, |below| Digest::of(format!("{below} {diff_id}"))));
    }
    chain
}

impl PlannedImage {
    /// Returns the blobs of the image: target, manifest, configuration, layers. One may come twice.
    pub fn blobs(&self) -> impl Iterator<Item = Blob> + '_ {
        let layers = self.layers.iter().map(|layer| layer.blob);
        [self.target, self.manifest, self.config]
            .into_iter()
            .chain(layers)
    }

    /// Returns the chain id of every layer, bottom first.
    pub fn chain_ids(&self) -> Vec<Digest> {
        chain_ids(self.layers.iter().map(|layer| layer.diff_id))
    }
}

/// Splits `NAME@DIGEST`.
pub(crate) fn split_digest(name: &str) -> (&str, Option<&str>) {
    match name.split_once('@') {
        Some((name, digest)) => (name, Some(digest)),
        None => (name, None),
    }
}

/// Returns the reference without tag and digest.
pub(crate) fn repository(name: &str) -> &str {
    let (name, _) = split_digest(name);
    let last = name.rfind('/').map_or(0, |slash| slash + 1);
    match name[last..].find(':') {
        Some(colon) => &name[..last + colon],
        None => name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layer(diff_id: Digest) -> PlannedLayer {
        let blob = Blob {
            digest: Digest::of("blob"),
            size: 4,
        };
        PlannedLayer {
            blob,
            diff_id,
            unpacked: None,
        }
    }

    #[test]
    fn chain_ids_follow_the_image_spec() {
        let (a, b, c) = (Digest::of("a"), Digest::of("b"), Digest::of("c"));
        let blob = layer(a).blob;
        let image = PlannedImage {
            name: "example.org/a:1".into(),
            target: blob,
            media_type: String::new(),
            manifest: blob,
            config: blob,
            layers: [a, b, c].map(layer).to_vec(),
        };
        let second = Digest::of(format!("{a} {b}"));
        let third = Digest::of(format!("{second} {c}"));
        assert_eq!(image.chain_ids(), [a, second, third]);
    }
}
