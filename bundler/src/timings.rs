//! Where the time of a build goes: seconds by stage, summed over all that work at once.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use serde::Serialize;

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Pulling, from a request to the blob's hash.
    Network,
    /// Reading the cache, earlier bundles, archives and files.
    Read,
    /// Hashing members.
    Hash,
    /// Unpacking layers in memory (`--deep`).
    Prove,
    /// Handing bytes to the file system.
    Write,
    /// Hashing the archive as a whole, and large members with it; or compressing it.
    Front,
    /// The front, waiting for bytes.
    Wait,
    /// The last sync, and the final name.
    Sync,
}

/// The sums, in nanoseconds.
#[derive(Debug, Default)]
pub(crate) struct Timings([AtomicU64; 8]);

/// A measurement; it ends when it is dropped.
pub(crate) struct Measured<'a> {
    sum: &'a AtomicU64,
    begun: Instant,
}

impl Timings {
    pub(crate) fn measure(&self, stage: Stage) -> Measured<'_> {
        Measured {
            sum: &self.0[stage as usize],
            begun: Instant::now(),
        }
    }

    fn seconds(&self, stage: Stage) -> f64 {
        let nanoseconds = self.0[stage as usize].load(Ordering::Relaxed);
        // To the millisecond.
        f64::from(u32::try_from(nanoseconds / 1_000_000).unwrap_or(u32::MAX)) / 1000.0
    }
}

impl Drop for Measured<'_> {
    fn drop(&mut self) {
        let spent = u64::try_from(self.begun.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.sum.fetch_add(spent, Ordering::Relaxed);
    }
}

/// Where the time went, in seconds. What works beside each other is counted each for itself, so the sum may be more than the total.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Seconds {
    /// From the start of packing to the end.
    pub total: f64,
    /// Pulling, from a request to the blob's hash, all connections together; what is written meanwhile counts there too.
    pub network: f64,
    /// Reading the cache, earlier bundles, archives and files.
    pub read: f64,
    /// Hashing members.
    pub hash: f64,
    /// Unpacking layers in memory (`--deep`).
    pub prove: f64,
    /// Handing bytes to the file system.
    pub write: f64,
    /// Hashing the archive as a whole, and large members with it; or compressing it.
    pub front: f64,
    /// That front, waiting for bytes.
    pub wait: f64,
    /// The last sync, and the final name.
    pub sync: f64,
}

impl Timings {
    /// Returns the sums so far.
    pub(crate) fn so_far(&self, begun: Instant) -> Seconds {
        Seconds {
            total: (begun.elapsed().as_secs_f64() * 1000.0).round() / 1000.0,
            network: self.seconds(Stage::Network),
            read: self.seconds(Stage::Read),
            hash: self.seconds(Stage::Hash),
            prove: self.seconds(Stage::Prove),
            write: self.seconds(Stage::Write),
            front: self.seconds(Stage::Front),
            wait: self.seconds(Stage::Wait),
            sync: self.seconds(Stage::Sync),
        }
    }
}
