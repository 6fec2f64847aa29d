//! What one host may answer in a run, all its replies together.

use std::sync::atomic::{AtomicU64, Ordering};

/// Bytes that may still be taken from a host.
#[derive(Debug)]
pub(super) struct Budget(AtomicU64);

impl Budget {
    /// What is taken from a host in a run. A busy one sends some megabytes: lists of its processes, pods and images.
    pub(super) const OF_A_RUN: u64 = 64 << 20;

    /// Takes so many bytes from what is left; returns whether there were so many.
    pub(super) fn take(&self, bytes: u32) -> bool {
        let take = |left: u64| left.checked_sub(bytes.into());
        self.0
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, take)
            .is_ok()
    }
}

impl Default for Budget {
    fn default() -> Self {
        Self(AtomicU64::new(Self::OF_A_RUN))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_spent_does_not_come_back() {
        let budget = Budget::default();
        let quarter = u32::try_from(Budget::OF_A_RUN / 4).unwrap();
        assert!((0..4).all(|_| budget.take(quarter)));
        assert!(!budget.take(1));
        assert!(budget.take(0));
    }
}
