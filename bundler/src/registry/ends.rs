//! A few bytes of a blob, by a request for a range.

use std::time::Instant;

use bundle::Digest;
use reqwest::StatusCode;
use reqwest::header::CONTENT_RANGE;
use tokio::time::timeout;

use super::attempt::Attempt;
use super::endpoint::{Endpoint, Request};
use super::error::RegistryError;
use super::retry::Retry;
use super::transfer::too_slow;
use super::{Course, Host, Registries};
use crate::estimate::End;
use crate::reference::Reference;

impl Registries {
    /// Gets one end of a blob; none where a registry gives only whole blobs, or will not give this one.
    pub(crate) async fn end(
        &self,
        image: &Reference,
        blob: (Digest, u64),
        end: End,
    ) -> Result<Option<Vec<u8>>, RegistryError> {
        let (mirror, itself) = self.hosts(image).await?;
        if let Some(mirror) = mirror
            && let Ok(Some(bytes)) = self.end_of(&mirror, image, blob, end).await
        {
            return Ok(Some(bytes));
        }
        self.end_of(&itself, image, blob, end).await
    }

    async fn end_of(
        &self,
        host: &Host,
        image: &Reference,
        (digest, size): (Digest, u64),
        end: End,
    ) -> Result<Option<Vec<u8>>, RegistryError> {
        let Some((first, last)) = end.range(size) else {
            return Ok(None);
        };
        let what = format!("blob {digest} of {}/{}", image.registry(), image.repository());
        let request = Request {
            repository: image.repository(),
            login: &host.login,
            path: &format!("blobs/{digest}"),
            accept: None,
            offset: first,
            last: Some(last),
            what: &what,
        };
        let mut course = Course::new(0);
        loop {
            let left = course.pace.left(Instant::now());
            let read = timeout(left, read(&host.endpoint, &request, size)).await;
            let slow = || too_slow(host.endpoint.host(), &what, 0);
            match read.map_err(|_| slow())? {
                Ok(bytes) => return Ok(bytes),
                // What is wrong with the blob itself shows when all of it is pulled.
                Err(attempt) if attempt.retry == Retry::Never => return Ok(None),
                Err(attempt) => self.rest(attempt, &mut course).await?,
            }
        }
    }
}

/// Asks for the range of a request, which must have a last byte. None where the answer is anything else.
async fn read(endpoint: &Endpoint, request: &Request<'_>, size: u64) -> Result<Option<Vec<u8>>, Attempt> {
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
