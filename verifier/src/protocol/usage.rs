//! How much of the kernel's limits is in use on a host, and whether it swaps.

use serde::{Deserialize, Serialize};

use super::Left;

/// Asks for it. Processes are those that the agent sees: its own pid namespace's.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Usage {}

/// How much is in use.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UsageReply {
    /// Devices and files that are swapped to.
    pub swaps: Vec<String>,
    /// What the kubelet makes of them; absent where none runs.
    pub swap_rule: Option<SwapRule>,
    /// Of process ids, threads counted.
    pub tasks: Left,
    /// Of inotify, by user.
    pub inotify: Vec<InotifyUse>,
    /// Of open files, by process: those that serve a cluster.
    pub files: Vec<OpenFiles>,
    /// Packets that the kernel dropped because they came in by an interface that does not lead back (`rp_filter`).
    #[serde(default)]
    pub reverse_path_drops: u64,
    /// Processes whose open files were counted.
    pub seen: u64,
    /// Processes whose open files the agent may not see.
    pub unseen: u64,
}

/// What the kubelet makes of swap.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SwapRule {
    /// Whether it does not start while there is some.
    pub refused: bool,
    /// A file of its configuration that could not be read: the rule may be another.
    pub unread: Option<String>,
}

/// What the processes of a user have of inotify.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InotifyUse {
    /// The user's id.
    pub uid: u32,
    /// Instances, each a descriptor.
    pub instances: u64,
    /// Watches in them.
    pub watches: u64,
}

/// The open files of a process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenFiles {
    /// Its id.
    pub pid: i32,
    /// Its name.
    pub name: String,
    /// How many there are.
    pub open: u64,
    /// How many there may be (the soft limit).
    pub limit: u64,
}
