//! A request that failed, and whether it may be repeated.

use std::time::{SystemTime, UNIX_EPOCH};

use reqwest::Response;
use reqwest::header::RETRY_AFTER;

use super::error::RegistryError;
use super::retry::{Retry, retry_after};

/// A failed request and whether it may be repeated.
pub(super) struct Attempt {
    pub(super) error: RegistryError,
    pub(super) retry: Retry,
}

impl From<RegistryError> for Attempt {
    fn from(error: RegistryError) -> Self {
        let retry = if error.is_passing() {
            Retry::Soon
        } else {
            Retry::Never
        };
        Self { error, retry }
    }
}

/// Returns whether and when a refused request may be repeated.
pub(super) fn retry_of(response: &Response) -> Retry {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs());
    let asked = response
        .headers()
        .get(RETRY_AFTER)
        .and_then(|value| value.to_str().ok());
    let asked = asked.and_then(|value| retry_after(value, i64::try_from(now).unwrap_or(i64::MAX)));
    Retry::of_status(response.status().as_u16(), asked)
}
