//! Where a run's time goes: laps of one clock, in order, each with its name.

use std::time::{Duration, Instant};

/// The laps so far.
pub(super) struct Laps {
    since: Instant,
    laps: Vec<(&'static str, Duration)>,
}

impl Laps {
    /// Starts the clock.
    pub(super) fn start() -> Self {
        Self {
            since: Instant::now(),
            laps: Vec::new(),
        }
    }

    /// Ends a lap; the next begins.
    pub(super) fn end(&mut self, name: &'static str) {
        let took = self.since.elapsed();
        self.since += took;
        self.laps.push((name, took));
    }

    /// Adds times that lie inside the laps.
    pub(super) fn add(&mut self, inside: impl IntoIterator<Item = (&'static str, Duration)>) {
        self.laps.extend(inside);
    }

    /// Returns the laps in order.
    pub(super) fn all(&self) -> &[(&'static str, Duration)] {
        &self.laps
    }
}
