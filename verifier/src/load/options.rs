//! How to load, and what is told while it happens.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use bundle::MemberPath;

use super::error::HostError;
use crate::protocol::{LoadReply, MissingReply};

/// How to load.
#[derive(Clone)]
pub struct LoadOptions {
    /// Whether the images are pinned, so that no kubelet collects them.
    pub pin: bool,
    /// How much of the archive is read.
    pub reading: Reading,
    /// How much is proven afterwards.
    pub depth: Depth,
    /// Members that are wanted here too: small ones, for they are kept in memory.
    pub keep: BTreeSet<MemberPath>,
    /// How long to wait for what.
    pub patience: Patience,
    /// Is told what happens.
    pub say: Say,
}

/// How much of the archive a load reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reading {
    /// Nothing where nobody lacks anything, and no more once nobody takes it.
    AsNeeded,
    /// All of it, whoever takes it: the pass is the check of the bundle.
    ToTheEnd,
}

/// How much of what is on the hosts is proven after a load.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Depth {
    /// Nothing more: containerd's records say it.
    #[default]
    Records,
    /// Every blob and every file of every image is read; what is damaged is loaded once more.
    Contents,
}

/// Is told what happens, from any thread.
pub type Say = Arc<dyn Fn(LoadEvent<'_>) + Send + Sync>;

/// How long to wait for what.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// For the answer what is missing.
    pub ask: Duration,
    /// For a host that takes no byte; it is left behind then.
    pub stall: Duration,
    /// For a host to unpack the rest after the last byte.
    pub finish: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            ask: Duration::from_mins(1),
            stall: Duration::from_mins(2),
            finish: Duration::from_hours(1),
        }
    }
}

/// What happens during a load.
#[derive(Clone, Copy, Debug)]
pub enum LoadEvent<'a> {
    /// A host has said what it lacks; there is room for it.
    Asked {
        /// The host.
        host: &'a str,
        /// What it lacks.
        missing: &'a MissingReply,
    },
    /// The archive is about to be read.
    Start {
        /// Bytes of its members.
        bytes: u64,
        /// Hosts that lack something.
        hosts: usize,
    },
    /// So many more bytes of members were read, and sent to every host that lacks them.
    Bytes(u64),
    /// A host has all images.
    Done {
        /// The host.
        host: &'a str,
        /// What was written.
        reply: &'a LoadReply,
    },
    /// All images of a host were read.
    Read {
        /// The host.
        host: &'a str,
        /// How many files were compared.
        files: u64,
        /// How many layers are damaged.
        damaged: usize,
    },
    /// A host could not be loaded.
    Failed {
        /// The host.
        host: &'a str,
        /// Why not.
        error: &'a HostError,
    },
}
