//! When a bundle was made, as its maker says: whole seconds of UTC, in one form.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

/// The last second that the header of a tar can say, in the year 2242.
const LAST: i64 = (1 << 33) - 1;

/// A time in whole seconds, written as `2026-11-30T09:00:00Z` and in no other way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Created(Timestamp);

/// What is no time that a bundle can have.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is no time such as 2026-11-30T09:00:00Z, from 1970 to 2242")]
pub struct CreatedError {
    /// What it says.
    pub text: String,
}

impl Created {
    /// Returns the time so many seconds after 1970; none beyond the year 2242.
    pub fn from_seconds(seconds: u64) -> Option<Self> {
        let seconds = i64::try_from(seconds).ok().filter(|seconds| *seconds <= LAST)?;
        Timestamp::from_second(seconds).ok().map(Self)
    }

    /// Returns the seconds since 1970.
    pub fn seconds(self) -> u64 {
        self.0.as_second().unsigned_abs()
    }
}

impl fmt::Display for Created {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for Created {
    type Err = CreatedError;

    fn from_str(text: &str) -> Result<Self, CreatedError> {
        let read = || {
            let seconds = text.parse::<Timestamp>().ok()?.as_second();
            Self::from_seconds(u64::try_from(seconds).ok()?)
        };
        read()
            .filter(|created| created.to_string() == text)
            .ok_or_else(|| CreatedError {
                text: text.to_owned(),
            })
    }
}

impl Serialize for Created {
    fn serialize<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        out.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Created {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        String::deserialize(input)?.parse().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_has_one_form() {
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (1_796_029_200, "2026-11-30T09:00:00Z"),
            (8_589_934_591, "2242-03-16T12:56:31Z"),
        ] {
            let created = Created::from_seconds(seconds).unwrap();
            assert_eq!(created.to_string(), text);
            assert_eq!(text.parse(), Ok(created));
            assert_eq!(created.seconds(), seconds);
        }
        assert_eq!(Created::from_seconds(8_589_934_592), None);
        assert_eq!(Created::from_seconds(u64::MAX), None);
    }

    #[test]
    fn other_forms_are_refused() {
        for text in [
            "",
            "2026-11-30",
            "2026-11-30T09:00:00",
            "2026-11-30t09:00:00z",
            "2026-11-30 09:00:00Z",
            "2026-11-30T09:00:00.5Z",
            "2026-11-30T09:00:00.0Z",
            "2026-11-30T18:00:00+09:00",
            "2026-02-30T09:00:00Z",
            "1969-12-31T23:59:59Z",
            "+002026-11-30T09:00:00Z",
            " 2026-11-30T09:00:00Z",
        ] {
            assert!(text.parse::<Created>().is_err(), "{text}");
        }
    }
}
