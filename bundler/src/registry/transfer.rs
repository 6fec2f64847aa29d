//! The bytes of a blob over one connection, from where the sink is to where the connection carries.

use std::time::Instant;

use reqwest::StatusCode;
use reqwest::header::CONTENT_RANGE;
use tokio::time::timeout;
use tokio_util::bytes::Bytes;

use super::attempt::Attempt;
use super::endpoint::{Endpoint, Request};
use super::error::RegistryError;
use super::message::says_page;
use super::pace::{Pace, WHILE};
use super::retry::Retry;
use crate::sink::{Sink, SinkError};

/// Why a transfer stopped before its end.
pub(super) enum Stopped {
    Attempt(Attempt),
    Disk(SinkError),
}

impl From<RegistryError> for Stopped {
    fn from(error: RegistryError) -> Self {
        Self::Attempt(error.into())
    }
}

/// Moves bytes from the offset of `sink` on, as far as this one connection carries and `pace` allows.
pub(super) async fn transfer(
    endpoint: &Endpoint,
    request: &Request<'_>,
    size: u64,
    (sink, pace): (&mut Sink<'_>, &mut Pace),
) -> Result<(), Stopped> {
    let slow = |pace: &Pace| too_slow(endpoint.host(), request.what, pace.gained());
    let answered = timeout(pace.left(Instant::now()), endpoint.get(request)).await;
    let mut response = match answered.map_err(|_| slow(pace))? {
        Ok(response) => response,
        Err(attempt) => return Err(unanswered(attempt, request.offset, sink).await),
    };
    if request.offset > 0 && !continues(&response, request.offset, size) {
        sink.restart().await.map_err(Stopped::Disk)?;
        if response.status() == StatusCode::PARTIAL_CONTENT {
            // It sends another part than the one asked for: only the whole will do.
            return Err(short(endpoint, request, size, 0).into());
        }
    }
    let is_page = says_page(response.headers());
    let announced = response
        .content_length()
        .map(|length| length.saturating_add(sink.offset()));
    if let Some(found) = announced.filter(|found| *found != size) {
        return Err(other(endpoint, request, is_page, (size, found)).into());
    }
    loop {
        let chunk = timeout(pace.left(Instant::now()), response.chunk()).await;
        let chunk = chunk.map_err(|_| slow(pace))?;
        let chunk = chunk.map_err(|source| RegistryError::http(endpoint.host(), request.what, source))?;
        let Some(bytes) = chunk else { break };
        receive(endpoint, request, size, sink, bytes).await?;
        pace.note(sink.offset(), Instant::now());
    }
    if sink.offset() < size {
        if is_page {
            return Err(other(endpoint, request, is_page, (size, sink.offset())).into());
        }
        return Err(short(endpoint, request, size, sink.offset()).into());
    }
    Ok(())
}

/// Sorts a request that was not answered by bytes.
async fn unanswered(attempt: Attempt, offset: u64, sink: &mut Sink<'_>) -> Stopped {
    // A registry that cannot continue here (416, or an error of its own) is asked for the whole next time.
    if offset > 0 && matches!(attempt.error, RegistryError::Status { status: 416, .. }) {
        if let Err(error) = sink.restart().await {
            return Stopped::Disk(error);
        }
        return Stopped::Attempt(Attempt {
            retry: Retry::Soon,
            ..attempt
        });
    }
    Stopped::Attempt(attempt)
}

/// Says that a registry is given up because it gave too little in a while.
pub(super) fn too_slow(host: &str, what: &str, gained: u64) -> RegistryError {
    RegistryError::TooSlow {
        host: host.to_owned(),
        what: what.to_owned(),
        gained,
        seconds: WHILE.as_secs(),
    }
}

/// Says that a registry gives something else than the blob: a page for people, or a blob of another length.
fn other(
    endpoint: &Endpoint,
    request: &Request<'_>,
    is_page: bool,
    (expected, found): (u64, u64),
) -> RegistryError {
    let (host, what) = (endpoint.host().to_owned(), request.what.to_owned());
    if is_page {
        return RegistryError::Page { host, what };
    }
    RegistryError::OtherLength {
        host,
        what,
        expected,
        found,
    }
}

fn short(endpoint: &Endpoint, request: &Request<'_>, expected: u64, found: u64) -> RegistryError {
    RegistryError::Short {
        host: endpoint.host().to_owned(),
        what: request.what.to_owned(),
        expected,
        found,
    }
}

async fn receive(
    endpoint: &Endpoint,
    request: &Request<'_>,
    size: u64,
    sink: &mut Sink<'_>,
    bytes: Bytes,
) -> Result<(), Stopped> {
    let count = bytes.len() as u64;
    if sink.offset().saturating_add(count) > size {
        sink.restart().await.map_err(Stopped::Disk)?;
        return Err(RegistryError::TooLong {
            host: endpoint.host().to_owned(),
            what: request.what.to_owned(),
            limit: size,
        }
        .into());
    }
    sink.write(bytes).await.map_err(Stopped::Disk)?;
    Ok(())
}

/// Returns whether an answer is the rest of the blob from `offset` on (RFC 9110, Content-Range).
fn continues(response: &reqwest::Response, offset: u64, size: u64) -> bool {
    let range = response
        .headers()
        .get(CONTENT_RANGE)
        .and_then(|value| value.to_str().ok());
    response.status() == StatusCode::PARTIAL_CONTENT
        && range.is_some_and(|range| is_rest(range, offset, size))
}

/// Reads `bytes FIRST-LAST/LENGTH`.
fn is_rest(range: &str, offset: u64, size: u64) -> bool {
    let parts = range
        .strip_prefix("bytes ")
        .and_then(|range| range.split_once('/'));
    let Some((span, length)) = parts else {
        return false;
    };
    let first = span
        .split_once('-')
        .and_then(|(first, _)| first.parse::<u64>().ok());
    first == Some(offset) && (length == "*" || length.parse() == Ok(size))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_rest_of_this_blob_continues_it() {
        assert!(is_rest("bytes 10-99/100", 10, 100));
        assert!(is_rest("bytes 10-99/*", 10, 100));
        assert!(!is_rest("bytes 0-99/100", 10, 100));
        assert!(!is_rest("bytes 10-99/200", 10, 100));
        assert!(!is_rest("10-99", 10, 100));
    }
}
