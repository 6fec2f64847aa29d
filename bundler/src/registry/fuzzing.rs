//! The doors of `fuzz/` into what registries say of logins, and what docker's files say.

use reqwest::header::{HeaderMap, HeaderValue, WWW_AUTHENTICATE};

use super::challenge::Challenge;
use super::login::DockerConfig;
use crate::json;

/// Lines of `WWW-Authenticate`, one a line of the input; and the same bytes as docker's configuration.
pub(crate) fn challenge(bytes: &[u8]) {
    let mut headers = HeaderMap::new();
    for line in bytes.split(|byte| *byte == b'\n').take(100) {
        if let Ok(value) = HeaderValue::from_bytes(line) {
            headers.append(WWW_AUTHENTICATE, value);
        }
    }
    if let Some(Challenge::Bearer { realm, .. }) = Challenge::of(&headers) {
        assert!(!realm.is_empty(), "nowhere to ask");
    }
    let _ = json::read::<DockerConfig>(bytes);
}
