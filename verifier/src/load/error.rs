//! Why a host, or nothing at all, could be loaded.

use std::time::Duration;

use bundle::{Digest, ReadError};

use super::plan::PlanError;
use crate::carrier::AskError;

/// Why a host could not be loaded.
#[derive(Debug, thiserror::Error)]
pub enum HostError {
    /// Its agent calls a platform what is none.
    #[error("the agent's platform {platform:?} is none")]
    Platform {
        /// What it said.
        platform: String,
    },
    /// The bundle does not fit the host.
    #[error("the bundle cannot be loaded on this host")]
    Plan {
        /// Why not.
        #[source]
        source: PlanError,
    },
    /// It could not say what it lacks.
    #[error("cannot tell what is missing")]
    Ask {
        /// Why not.
        #[source]
        source: AskError,
    },
    /// The load would fill the file system so far that the kubelet deletes images or evicts pods.
    #[error("too little room: {need} bytes are needed, {room} may be used, {short} are missing ({why})")]
    Room {
        /// Bytes that are needed.
        need: u64,
        /// Bytes that may be used.
        room: u64,
        /// The difference.
        short: u64,
        /// How `room` came about.
        why: String,
    },
    /// A blob of a base bundle that was not loaded here.
    #[error("blob {digest} of a base bundle is not here: load the base first")]
    Base {
        /// The blob.
        digest: Digest,
    },
    /// It did not finish.
    #[error("the load failed")]
    Load {
        /// Why.
        #[source]
        source: AskError,
    },
    /// It took no byte for too long and was left behind.
    #[error("the host took no data for {} s and was left behind", stall.as_secs())]
    Stalled {
        /// How long.
        stall: Duration,
    },
    /// It took so little that the others had to wait for it, and was left behind.
    #[error("the host took {} a second while the others waited for it, and was left behind; load it alone", bytesize::ByteSize(*bytes_a_second).display().iec())]
    Slow {
        /// What it took.
        bytes_a_second: u64,
    },
    /// What is there is not what it should be, also after it was loaded once more.
    #[error(
        "what is on the disk is not what was loaded: {reason}; where containers or other images stand on it, remove those first (crictl rm, crictl rmi) and load again"
    )]
    Damaged {
        /// What is wrong.
        reason: String,
    },
    /// It did not unpack the rest in time.
    #[error("the host did not finish within {} s after the last byte", finish.as_secs())]
    Late {
        /// How long.
        finish: Duration,
    },
}

/// Why nothing could be loaded anywhere.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The archive is bad or cannot be read. No host keeps anything of it.
    #[error("the bundle cannot be loaded, no host keeps anything of it")]
    Bundle {
        /// In what.
        #[source]
        source: ReadError,
    },
    /// The thread that reads the archive came to no end.
    #[error("the archive's reader has stopped")]
    Reader,
}
