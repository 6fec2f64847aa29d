//! How long a registry is waited for: a download that gains too little in a while is given up, however often it begins
//! anew. Pure: time is an argument.

use std::time::{Duration, Instant};

/// In each such while ...
pub(super) const WHILE: Duration = Duration::from_secs(50);
/// ... a download gains at least so many bytes, or ends. Four on a line of 400 kbit/s do.
pub(super) const LEAST: u64 = 512 << 10;

/// The course of one download. What was there already does not count as gained again.
#[derive(Clone, Debug)]
pub(super) struct Pace {
    since: Instant,
    /// What was there when the while began, and the most that was there so far.
    began: u64,
    most: u64,
}

impl Pace {
    /// Begins with what is there.
    pub(super) const fn new(offset: u64, now: Instant) -> Self {
        Self {
            since: now,
            began: offset,
            most: offset,
        }
    }

    /// Notes how far the download is.
    pub(super) fn note(&mut self, offset: u64, now: Instant) {
        self.most = self.most.max(offset);
        if self.most - self.began >= LEAST {
            *self = Self::new(self.most, now);
        }
    }

    /// Leaves out a pause that the registry asked for.
    pub(super) fn pause(&mut self, pause: Duration) {
        self.since += pause;
    }

    /// Returns how long the download may go on without gaining.
    pub(super) fn left(&self, now: Instant) -> Duration {
        WHILE.saturating_sub(now.saturating_duration_since(self.since))
    }

    /// Returns what was gained since the while began.
    pub(super) const fn gained(&self) -> u64 {
        self.most - self.began
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_new_counts_as_gained() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut pace = Pace::new(100, start);
        for second in 1..50 {
            // One byte and a cut each time; or the whole again and again, with a wrong end.
            pace.note(if second % 2 == 0 { 0 } else { LEAST + 99 }, at(second));
        }
        assert_eq!(pace.left(at(49)), Duration::from_secs(1));
        assert_eq!((pace.left(at(51)), pace.gained()), (Duration::ZERO, LEAST - 1));
        pace.note(LEAST + 100, at(49));
        assert_eq!(pace.left(at(50)), Duration::from_secs(49));
        pace.pause(Duration::from_secs(30));
        assert_eq!(pace.left(at(80)), Duration::from_secs(49));
    }
}
