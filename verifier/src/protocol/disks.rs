//! The file systems that the programs of a node write to, and what the kubelet minds about them.

use serde::{Deserialize, Serialize};

use super::Left;

/// Asks for them.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Disks {
    /// The path of the container runtime's socket; absent: the usual ones are tried.
    pub socket: Option<String>,
}

/// The file systems.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DisksReply {
    /// The directories, each with its file system.
    pub places: Vec<DiskPlace>,
    /// What the kubelet minds; absent where none runs.
    pub kubelet: Option<DiskLimits>,
}

/// What lies somewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Purpose {
    /// The kubelet's own directory: volumes, what pods write.
    Kubelet,
    /// The runtime's unpacked images and the writable layers of containers.
    Images,
    /// The runtime's blobs.
    Content,
    /// etcd's data.
    Etcd,
    /// Logs.
    Logs,
}

impl Purpose {
    /// Returns the word of evidence.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Kubelet => "kubelet",
            Self::Images => "images",
            Self::Content => "content",
            Self::Etcd => "etcd",
            Self::Logs => "logs",
        }
    }
}

/// A directory with what its file system has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DiskPlace {
    /// What lies there.
    pub purpose: Purpose,
    /// The directory.
    pub path: String,
    /// The number of its file system: places with the same share it.
    pub device: u64,
    /// Whether nothing can be written there.
    pub read_only: bool,
    /// Its bytes.
    pub bytes: Left,
    /// Its inodes; a capacity of 0 where the file system does not count them.
    pub inodes: Left,
    /// With fewer bytes than these available the kubelet evicts pods; 0 where it does not mind.
    pub evicts_bytes: u64,
    /// The same of inodes.
    pub evicts_inodes: u64,
}

/// What the kubelet minds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DiskLimits {
    /// From this use of the images' file system on, in percent, it deletes images.
    pub image_gc_percent: u64,
    /// Where its figures come from.
    pub source: String,
    /// A file of its configuration that could not be read: the figures may be others.
    pub unread: Option<String>,
}
