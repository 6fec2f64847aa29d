//! Loading through containerd's own API, and what the CRI says. The only home of their gRPC types.

use bundle::Digest;
use serde::{Deserialize, Serialize};

/// What a host's containerd should hold in the end. Made from the bundle's index and manifests, pure.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoadPlan {
    /// The socket of containerd; absent: the usual ones in turn.
    pub socket: Option<String>,
    /// Whether the images are pinned, so that no kubelet collects them.
    pub pin: bool,
    /// Every image that is to be there.
    pub images: Vec<PlannedImage>,
}

/// A blob with what containerd must know to store it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Blob {
    /// Its digest.
    pub digest: Digest,
    /// Its length in bytes.
    pub size: u64,
    /// Its media type.
    pub media_type: String,
}

/// An image with all that hangs from it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedImage {
    /// The full reference under which it is loaded.
    pub name: String,
    /// What the name stands for: an index or a manifest.
    pub target: Blob,
    /// The manifest for the host's platform; the same as `target` where that is no index.
    pub manifest: Blob,
    /// The configuration: the image id.
    pub config: Blob,
    /// The layers, bottom first.
    pub layers: Vec<PlannedLayer>,
}

/// A layer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedLayer {
    /// The blob as the registry serves it.
    pub blob: Blob,
    /// The digest of the uncompressed tar.
    pub diff_id: Digest,
    /// An estimate of the uncompressed length in bytes.
    pub unpacked: Option<u64>,
}

/// What of a plan a host lacks.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MissingReply {
    /// The blobs that must be sent.
    pub blobs: Vec<Digest>,
    /// The images whose record is absent, points elsewhere or is not pinned though it should be.
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
