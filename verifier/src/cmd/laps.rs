//! Where a run's time goes: laps of one clock, in order, each with its name.

use std::fmt;
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// The laps so far.
pub(super) struct Laps(Mutex<State>);

struct State {
    since: Instant,
    laps: Vec<(&'static str, Duration)>,
}

impl Laps {
    /// Starts the clock.
    pub(super) fn start() -> Self {
        let state = State {
            since: Instant::now(),
            laps: Vec::new(),
        };
        Self(Mutex::new(state))
    }

    /// Ends a lap; the next begins.
    pub(super) fn end(&self, name: &'static str) {
        if let Ok(mut state) = self.0.lock() {
            let took = state.since.elapsed();
            state.since += took;
            state.laps.push((name, took));
        }
    }
}

impl fmt::Display for Laps {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Ok(state) = self.0.lock() else { return Ok(()) };
        let laps: Vec<String> = state.laps.iter().map(|(name, took)| lap(name, *took)).collect();
        f.write_str(&laps.join(", "))
    }
}

/// Returns a lap in words.
pub(super) fn lap(name: &str, took: Duration) -> String {
    format!("{name} {:.1} s", took.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn laps_are_said_in_order() {
        let laps = Laps::start();
        laps.end("connections");
        laps.end("checks");
        assert_eq!(laps.to_string(), "connections 0.0 s, checks 0.0 s");
    }
}
