//! When to ask a registry again. Pure: time and chance are arguments.

use std::time::Duration;

/// After this many failures in a row without a byte of progress the registry is given up.
pub(super) const ATTEMPTS: u32 = 6;
/// A registry that asks for more patience than this, in all its answers together, is not waited for: with what a download
/// may take without gaining that is less than two minutes.
pub(super) const PATIENCE: Duration = Duration::from_secs(65);

const FIRST: Duration = Duration::from_millis(250);
const LONGEST: Duration = Duration::from_secs(15);

/// Whether and when a failed request may be repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Retry {
    /// The answer would be the same.
    Never,
    /// After the usual pause.
    Soon,
    /// After the pause that the registry asked for.
    After(Duration),
}

impl Retry {
    /// Returns what a status code says about repeating (RFC 9110; distribution answers 429 with TOOMANYREQUESTS).
    pub(super) fn of_status(status: u16, retry_after: Option<Duration>) -> Self {
        match (status, retry_after) {
            (429 | 503, Some(pause)) if pause > PATIENCE => Self::Never,
            (429 | 503, Some(pause)) => Self::After(pause),
            (408 | 425 | 429 | 500 | 502 | 503 | 504, _) => Self::Soon,
            _ => Self::Never,
        }
    }

    /// Returns the pause before the next attempt after `failures` in a row; `chance` is between 0 and 1 and spreads
    /// clients that failed together.
    pub(super) fn pause(self, failures: u32, chance: f64) -> Duration {
        let usual = FIRST
            .saturating_mul(1 << failures.saturating_sub(1).min(10))
            .min(LONGEST);
        let spread = usual.mul_f64(0.5 + chance.clamp(0.0, 1.0) / 2.0);
        match self {
            Self::After(asked) => asked + spread.min(FIRST),
            Self::Never | Self::Soon => spread,
        }
    }
}

/// Reads a `Retry-After` header: seconds, or an HTTP date against `now` (seconds since 1970).
pub(super) fn retry_after(value: &str, now: i64) -> Option<Duration> {
    if let Ok(seconds) = value.trim().parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = jiff::fmt::rfc2822::parse(value.trim()).ok()?;
    let seconds = date.timestamp().as_second().saturating_sub(now);
    Some(Duration::from_secs(u64::try_from(seconds).unwrap_or(0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_registry_that_names_a_pause_gets_it() {
        let asked = Retry::of_status(429, Some(Duration::from_secs(7)));
        assert_eq!(asked, Retry::After(Duration::from_secs(7)));
        assert!(asked.pause(1, 0.0) >= Duration::from_secs(7));
        assert_eq!(Retry::of_status(429, Some(Duration::from_hours(1))), Retry::Never);
    }

    #[test]
    fn servers_in_trouble_are_asked_again_and_refusals_are_not() {
        for status in [408, 429, 500, 502, 503, 504] {
            assert_eq!(Retry::of_status(status, None), Retry::Soon);
        }
        for status in [400, 401, 403, 404, 416, 501] {
            assert_eq!(Retry::of_status(status, None), Retry::Never);
        }
    }

    #[test]
    fn pauses_grow_and_stay_bounded() {
        let pauses: Vec<Duration> = (1..20).map(|failures| Retry::Soon.pause(failures, 1.0)).collect();
        assert!(pauses.is_sorted() && pauses[18] == LONGEST);
        assert!(Retry::Soon.pause(1, 0.0) >= FIRST / 2);
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        assert_eq!(retry_after("120", 0), Some(Duration::from_mins(2)));
        let date = "Wed, 21 Oct 2015 07:28:00 GMT";
        assert_eq!(retry_after(date, 1_445_412_450), Some(Duration::from_secs(30)));
        assert_eq!(retry_after(date, 1_445_412_500), Some(Duration::ZERO));
        assert_eq!(retry_after("soon", 0), None);
    }
}
