//! A few bytes of a blob, by a request for a range.

use reqwest::StatusCode;
use reqwest::header::CONTENT_RANGE;

use super::attempt::Attempt;
use super::endpoint::{Endpoint, Request};
use super::error::RegistryError;

/// Asks for the range of a request, which must have a last byte. None where the answer is anything else.
pub(super) async fn read(
    endpoint: &Endpoint,
    request: &Request<'_>,
    size: u64,
) -> Result<Option<Vec<u8>>, Attempt> {
    let Some(last) = request.last else {
        return Ok(None);
    };
    let mut response = endpoint.get(request).await?;
    let range = response.headers().get(CONTENT_RANGE);
    let range = range.and_then(|value| value.to_str().ok());
    let whole_range = range.is_some_and(|range| is_range(range, (request.offset, last), size));
    if response.status() != StatusCode::PARTIAL_CONTENT || !whole_range {
        return Ok(None);
    }
    let length = usize::try_from(last - request.offset + 1).unwrap_or(usize::MAX);
    let mut bytes = Vec::new();
    while bytes.len() < length {
        let chunk = response.chunk().await;
        match chunk.map_err(|source| RegistryError::http(endpoint.host(), request.what, source))? {
            Some(chunk) => bytes.extend_from_slice(&chunk),
            None => break,
        }
    }
    Ok((bytes.len() == length).then_some(bytes))
}

/// Reads `bytes FIRST-LAST/LENGTH` (RFC 9110, Content-Range).
fn is_range(range: &str, (first, last): (u64, u64), size: u64) -> bool {
    let told = [
        format!("bytes {first}-{last}/{size}"),
        format!("bytes {first}-{last}/*"),
    ];
    told.iter().any(|told| told == range)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_range_asked_for_is_taken() {
        assert!(is_range("bytes 96-99/100", (96, 99), 100));
        assert!(is_range("bytes 96-99/*", (96, 99), 100));
        for other in ["bytes 0-99/100", "bytes 96-99/200", "96-99/100", ""] {
            assert!(!is_range(other, (96, 99), 100), "{other}");
        }
    }
}
