//! Sizes and durations with units, as clap value parsers.

use std::time::Duration;

/// Parses a size in bytes: `4GiB`, `700 MB`, `4294967295`.
pub fn size(text: &str) -> Result<u64, String> {
    match text.parse::<bytesize::ByteSize>() {
        Ok(size) if size.as_u64() > 0 => Ok(size.as_u64()),
        _ => Err(format!(
            "{text:?} is not a size such as 4GiB, 700MB or 4294967295"
        )),
    }
}

/// Parses a duration: `90s`, `10m`, `1h 30m`.
pub fn duration(text: &str) -> Result<Duration, String> {
    let error = || format!("{text:?} is not a time such as 90s, 10m or 1h30m");
    let duration = text.parse::<jiff::SignedDuration>().map_err(|_| error())?;
    match Duration::try_from(duration) {
        Ok(duration) if !duration.is_zero() => Ok(duration),
        _ => Err(error()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_read_and_nonsense_is_refused() {
        assert_eq!(size("4GiB"), Ok(4 << 30));
        assert_eq!(size("4294967295"), Ok(4_294_967_295));
        assert!(size("many").is_err() && size("0").is_err() && size("-1").is_err());
        assert_eq!(duration("90s"), Ok(Duration::from_secs(90)));
        assert_eq!(duration("1h30m"), Ok(Duration::from_mins(90)));
        assert!(duration("soon").is_err() && duration("-1s").is_err() && duration("0s").is_err());
    }
}
