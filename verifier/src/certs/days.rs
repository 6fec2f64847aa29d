//! When a certificate is about to end, and how close that may come.

use jiff::civil::{DateTime, datetime};
use jiff::{SignedDuration, Timestamp};
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

    /// Returns how many whole days ago it ended.
    pub const fn days_over(&self, now: i64) -> i64 {
        (now - self.not_after).div_euclid(DAY)
    }
}

/// Where seconds begin.
const EPOCH: DateTime = datetime(1970, 1, 1, 0, 0, 0, 0);

/// Returns a time as people write it: `2027-03-01T12:00:00Z`. The last that certificates have is the end of the year 9999,
/// for those that are to have no end (RFC 5280, 4.1.2.5): timestamps end a day before. What no calendar has is written as
/// seconds.
pub fn date(seconds: i64) -> String {
    if let Ok(time) = Timestamp::from_second(seconds) {
        return time.to_string();
    }
    let time = EPOCH.checked_add(SignedDuration::from_secs(seconds));
    time.map_or_else(|_| seconds.to_string(), |time| format!("{time}Z"))
}

/// Returns the seconds of a time that [`date`] wrote.
pub fn seconds(date: &str) -> Option<i64> {
    let time: DateTime = date.strip_suffix('Z')?.parse().ok()?;
    Some(time.duration_since(EPOCH).as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_what_has_none_is_a_date_too() {
        for (second, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (1_803_902_400, "2027-03-01T12:00:00Z"),
            (253_402_300_799, "9999-12-31T23:59:59Z"),
            (-1, "1969-12-31T23:59:59Z"),
        ] {
            assert_eq!(date(second), text);
            assert_eq!(seconds(text), Some(second));
        }
        assert_eq!(date(i64::MAX), i64::MAX.to_string());
        assert_eq!(seconds("9"), None);
    }
}
