//! When a certificate is about to end, and how close that may come.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::Certificate;

const DAY: i64 = 24 * 60 * 60;

/// How many days before its end a certificate warns and fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Days {
    /// From so many days on it warns.
    pub warn: i64,
    /// From so many days on it fails.
    pub fail: i64,
}

impl Default for Days {
    fn default() -> Self {
        Self { warn: 90, fail: 30 }
    }
}

/// When certificates are judged, and how close an end may come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// The time, in seconds since the epoch.
    pub now: i64,
    /// How close an end may come.
    pub days: Days,
}

/// How a certificate stands in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Age {
    /// Good, and not about to end.
    Good,
    /// It ends within the days of a warning.
    Near,
    /// It ends within the days of a failure.
    Close,
    /// It is not good yet.
    Early,
    /// It has ended.
    Over,
}

impl Days {
    /// Returns how a certificate stands at a time. One that lives no longer than the days of a warning is renewed by
    /// something, and so is one that `rotates`: it is near when less than a tenth of its life is left (kubelets ask for a new
    /// one when 10 to 30 % are left), and close at a twentieth.
    pub const fn age(&self, certificate: &Certificate, now: i64, rotates: bool) -> Age {
        let (from, until) = (certificate.not_before, certificate.not_after);
        if now > until {
            return Age::Over;
        }
        if now < from {
            return Age::Early;
        }
        let (life, left) = (until - from, until - now);
        let (warn, fail) = if rotates || life < self.warn * DAY {
            (life / 10, life / 20)
        } else {
            (self.warn * DAY, self.fail * DAY)
        };
        if left < fail {
            Age::Close
        } else if left < warn {
            Age::Near
        } else {
            Age::Good
        }
    }
}

impl Certificate {
    /// Returns how many whole days are left; a negative number where it has ended.
    pub const fn days_left(&self, now: i64) -> i64 {
        (self.not_after - now).div_euclid(DAY)
    }
}

/// Returns a time as people write it: `2027-03-01T12:00:00Z`. What no calendar has is written as seconds.
pub fn date(seconds: i64) -> String {
    Timestamp::from_second(seconds).map_or_else(|_| seconds.to_string(), |time| time.to_string())
}
