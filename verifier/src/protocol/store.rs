//! What a host holds of images: what the CRI lists and runs, and what containerd has below it, as it reads.

use std::collections::BTreeMap;

use secrets::Masked;
use serde::{Deserialize, Serialize};

use super::CriImage;

/// Asks what images a host holds.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ImageStore {
    /// As in [`CriStatus`](super::CriStatus).
    pub socket: Option<String>,
    /// How much is read.
    pub depth: StoreDepth,
}

/// How much of a store is read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StoreDepth {
    /// Documents whole, layers at both ends; the files of snapshots are counted.
    #[default]
    Ends,
    /// Every byte of every blob.
    Hashes,
}

/// What images a host holds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageStoreReply {
    /// The runtime, for example `containerd`.
    pub runtime: String,
    /// For example `v2.4.2`.
    pub version: String,
    /// The host's platform.
    pub platform: String,
    /// The image of the sandboxes; absent where the runtime does not say.
    pub sandbox_image: Option<String>,
    /// The images that the CRI lists, by id.
    pub images: Vec<CriImage>,
    /// The containers that run.
    pub running: Vec<RunningImage>,
    /// What containerd has; absent: the runtime is none.
    pub store: Option<Store>,
}

/// A container that runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunningImage {
    /// The image as the runtime refers to it: an id, or a reference.
    pub image: String,
    /// `namespace/name` of its pod.
    pub pod: String,
    /// Its name in the pod.
    pub container: String,
}

/// What containerd has.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Store {
    /// The CRI's snapshotter.
    pub snapshotter: String,
    /// Whether it is set to drop the blobs of layers once they are unpacked (`discard_unpacked_layers`).
    pub discards: bool,
    /// Bytes of all blobs in the CRI's namespace.
    pub blobs: u64,
    /// Bytes of all unpacked layers there.
    pub snapshots: u64,
    /// The images in the CRI's namespace, by what their names stand for.
    pub images: Vec<StoredImage>,
    /// Their layers, each once.
    pub layers: Vec<StoredLayer>,
    /// The records of other namespaces: name and digest, by namespace.
    pub others: BTreeMap<String, Vec<(String, String)>>,
    /// Why snapshots could not be read; absent where all could, or none had to be.
    pub unread: Option<Masked>,
}

/// What names stand for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredImage {
    /// The digest of the index or manifest.
    pub target: String,
    /// The records.
    pub names: Vec<String>,
    /// Its platform, as the configuration says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<String>,
    /// The platforms that the index offers, where none of them is for this host.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub offers: Vec<String>,
    /// The manifest for this host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub manifest: Option<String>,
    /// The image id: the digest of the configuration.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Bytes of index, manifest and configuration.
    pub documents: u64,
    /// Which of them could not be read as what they are.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lost: Vec<(String, BlobState)>,
    /// The layers, bottom first: their places in [`Store::layers`].
    pub layers: Vec<usize>,
}

/// A layer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredLayer {
    /// The blob.
    pub digest: String,
    /// Its bytes, as the manifest says.
    pub size: u64,
    /// Bytes that it took when it was unpacked, as the snapshotter wrote it down; 0 where it is not.
    pub unpacked: u64,
    /// How its blob is.
    #[serde(default, skip_serializing_if = "BlobState::is_whole")]
    pub blob: BlobState,
    /// How its snapshot is.
    #[serde(default, skip_serializing_if = "SnapshotState::is_whole")]
    pub snapshot: SnapshotState,
}

/// How a blob is, by reading it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BlobState {
    /// As far as it was read, it is what its name says.
    #[default]
    Whole,
    /// It is not there.
    Gone,
    /// It ends before its end.
    Cut,
    /// Its bytes are not those of its name, or cannot be read.
    Spoilt,
}

impl BlobState {
    /// Returns whether nothing is wrong with it.
    pub fn is_whole(&self) -> bool {
        *self == Self::Whole
    }
}

/// How a snapshot is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SnapshotState {
    /// It has as many files as when it was unpacked.
    #[default]
    Whole,
    /// There is a record of it; nothing more can be read with this snapshotter, or there was no time for more.
    Recorded,
    /// There is a record of it, and its directory could not be looked at.
    Unread,
    /// There is no record of it.
    Gone,
    /// There is a record of it, and no directory.
    Lost,
    /// It has fewer files than when it was unpacked.
    Hollow {
        /// How many there are.
        found: u64,
        /// How many there were.
        recorded: u64,
    },
    /// Only another snapshotter has it.
    Elsewhere {
        /// Which.
        snapshotter: String,
    },
}

impl SnapshotState {
    /// Returns whether nothing is wrong with it.
    pub fn is_whole(&self) -> bool {
        *self == Self::Whole
    }
}
