//! How often, and how much later each time, something is tried again.

use std::hash::{BuildHasher as _, RandomState};
use std::time::Duration;

/// The longest pause before each further try, in milliseconds. Each is cut at random, to half of it at most: those who
/// were sent away together do not come back together.
const PAUSES: [u64; 8] = [100, 200, 400, 800, 1500, 2500, 4000, 4000];

/// The pauses between tries of one thing.
#[derive(Debug, Default)]
pub(super) struct Patience {
    taken: usize,
}

impl Patience {
    /// Returns how often it was tried.
    pub(super) fn taken(&self) -> usize {
        self.taken
    }
}

impl Iterator for Patience {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        let longest = PAUSES.get(self.taken).copied();
        self.taken += 1;
        let longest = longest?;
        let cut = RandomState::new().hash_one(self.taken) % (longest / 2 + 1);
        Some(Duration::from_millis(longest - cut))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patience_grows_differs_and_ends() {
        let pauses: Vec<u64> = Patience::default()
            .map(|pause| u64::try_from(pause.as_millis()).unwrap())
            .collect();
        assert_eq!(pauses.len(), PAUSES.len());
        for (pause, longest) in pauses.iter().zip(PAUSES) {
            assert!((longest / 2..=longest).contains(pause), "{pauses:?}");
        }
        let others: Vec<Vec<Duration>> = (0..8).map(|_| Patience::default().collect()).collect();
        assert!(others.iter().any(|other| *other != others[0]), "{others:?}");
    }
}
