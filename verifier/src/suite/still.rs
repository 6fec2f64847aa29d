//! Checks that read what must stand still meanwhile (a node's containers, its bridge), and those that move it: these wait
//! until the others have read.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::timeout;

/// How many readings are not made yet.
pub(super) struct Stillness {
    left: watch::Sender<usize>,
    moves: AtomicBool,
}

impl Default for Stillness {
    fn default() -> Self {
        Self {
            left: watch::Sender::new(0),
            moves: AtomicBool::new(false),
        }
    }
}

/// A reading that is not made yet. It is made when this is dropped, whichever way.
pub(super) struct Still(Arc<Stillness>);

impl Stillness {
    /// Returns a reading that others wait for.
    pub(super) fn reading(self: &Arc<Self>) -> Still {
        self.left.send_modify(|left| *left += 1);
        Still(Arc::clone(self))
    }

    /// Says that something is to be moved.
    pub(super) fn will_move(&self) {
        self.moves.store(true, Ordering::Relaxed);
    }

    /// Returns whether something is to be moved.
    pub(super) fn is_to_move(&self) -> bool {
        self.moves.load(Ordering::Relaxed)
    }

    /// Waits until all readings are made, no longer than `most`.
    pub(super) async fn over(&self, most: Duration) {
        let mut left = self.left.subscribe();
        // Who reads for longer reads again, and counts what lasts.
        let _ = timeout(most, left.wait_for(|left| *left == 0)).await;
    }
}

impl Drop for Still {
    fn drop(&mut self) {
        self.0.left.send_modify(|left| *left = left.saturating_sub(1));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn who_moves_things_waits_for_all_readings_and_not_for_ever() {
        let (long, short) = (Duration::from_mins(1), Duration::from_millis(20));
        let still = Arc::new(Stillness::default());
        still.over(long).await;
        let (one, other) = (still.reading(), still.reading());
        drop(one);
        still.over(short).await;
        let left = *still.left.borrow();
        assert_eq!(left, 1);
        tokio::spawn(async move {
            tokio::time::sleep(short).await;
            drop(other);
        });
        still.over(long).await;
        let left = *still.left.borrow();
        assert_eq!(left, 0);
    }
}
