//! What a run touched on a host, as its connection saw it.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock};

/// The record of a connection.
#[derive(Debug, Default)]
pub struct Record {
    asked: Mutex<BTreeMap<&'static str, u64>>,
    sent: AtomicU64,
    placed: OnceLock<Placed>,
}

/// Where the agent's program was, for the moment in which it started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placed {
    /// The directory.
    pub directory: String,
    /// The length of the program, in bytes.
    pub bytes: u64,
}

impl Record {
    pub(super) fn ask(&self, name: &'static str) {
        if let Ok(mut asked) = self.asked.lock() {
            *asked.entry(name).or_default() += 1;
        }
    }

    pub(super) fn sent(&self, bytes: usize) {
        let bytes = u64::try_from(bytes).unwrap_or_default();
        self.sent.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(super) fn placed(&self, placed: Placed) {
        let _ = self.placed.set(placed);
    }

    /// Returns how often each request was made.
    pub fn asked(&self) -> BTreeMap<&'static str, u64> {
        self.asked.lock().map(|asked| asked.clone()).unwrap_or_default()
    }

    /// Returns how many bytes were loaded.
    pub fn bytes(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    /// Returns where the agent's program was; none where none was brought.
    pub fn place(&self) -> Option<&Placed> {
        self.placed.get()
    }
}
