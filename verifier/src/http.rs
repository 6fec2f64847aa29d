//! One HTTP/1.1 request and its answer over a byte stream that stands already, read with limits. No proxy, no redirect.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use http_body_util::{BodyExt as _, Empty};
use hyper::body::{Bytes, Incoming};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use secrets::Masked;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;

use crate::protocol::{HttpProbe, HttpReply, KEPT_BODY};

/// The longest that a request may take, whatever it asks for.
const LONGEST: Duration = Duration::from_mins(5);
/// The most of all headers that is kept, in bytes.
const HEADERS: usize = 16 * 1024;

/// The method or path is none of HTTP.
#[derive(Debug, thiserror::Error)]
#[error("{method} {path} is no HTTP request")]
pub(crate) struct RequestError {
    method: String,
    path: String,
    source: hyper::http::Error,
}

/// Returns how long a request may take.
pub(crate) fn limit(ask: &HttpProbe) -> Duration {
    Duration::from_millis(ask.timeout_millis).min(LONGEST)
}

/// Returns how many bytes of the body are kept.
pub(crate) fn kept(ask: &HttpProbe) -> usize {
    ask.keep_body.min(KEPT_BODY)
}

/// Returns the request as it goes out.
pub(crate) fn request(ask: &HttpProbe) -> Result<Request<Empty<Bytes>>, RequestError> {
    let wrong = |source| RequestError {
        method: ask.method.clone(),
        path: ask.path.clone(),
        source,
    };
    Request::builder()
        .method(ask.method.as_str())
        .uri(ask.path.as_str())
        .header("host", ask.to.to_string())
        .header("user-agent", "verifier")
        .header("connection", "close")
        .body(Empty::new())
        .map_err(wrong)
}

/// One request and one answer over a stream that stands already: a port-forward's.
pub(crate) async fn over(
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    ask: &HttpProbe,
) -> Result<HttpReply, RequestError> {
    let request = request(ask)?;
    let work = converse(stream, request, kept(ask), Instant::now());
    Ok(match timeout(limit(ask), work).await {
        Ok(Ok(answer)) => answer,
        Ok(Err(error)) => HttpReply::Broken { error: error.into() },
        Err(_) => HttpReply::Silent { connected: true },
    })
}

/// Sends the request and reads the answer; the error is in the system's own words.
pub(crate) async fn converse(
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    request: Request<Empty<Bytes>>,
    keep: usize,
    start: Instant,
) -> Result<HttpReply, String> {
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .map_err(|error| words(&error))?;
    let answer = async {
        let response = sender
            .send_request(request)
            .await
            .map_err(|error| words(&error))?;
        read(response, keep, start).await
    };
    tokio::pin!(answer, connection);
    let mut driving = true;
    loop {
        tokio::select! {
            biased;
            answer = &mut answer => return answer,
            _ = &mut connection, if driving => driving = false,
        }
    }
}

async fn read(response: Response<Incoming>, keep: usize, start: Instant) -> Result<HttpReply, String> {
    let (head, mut body) = response.into_parts();
    let mut headers = BTreeMap::new();
    let mut room = HEADERS;
    for (name, value) in &head.headers {
        let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
        let Some(left) = room.checked_sub(name.as_str().len() + value.len()) else {
            break;
        };
        room = left;
        let value = masked(name.as_str(), &value);
        headers.entry(name.as_str().to_owned()).or_insert(value);
    }
    let mut kept = Vec::new();
    let mut length = 0_u64;
    while let Some(frame) = body.frame().await {
        if let Ok(data) = frame.map_err(|error| words(&error))?.into_data() {
            length += data.len() as u64;
            kept.extend_from_slice(&data[..data.len().min(keep - kept.len())]);
        }
    }
    Ok(HttpReply::Answer {
        status: head.status.as_u16(),
        headers,
        body: String::from_utf8_lossy(&kept).into_owned().into(),
        length,
        millis: u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX),
    })
}

/// Masks a header's value; its name may say that all of it is a secret.
fn masked(name: &str, value: &str) -> Masked {
    let line = Masked::new(format!("{name}: {value}"));
    Masked::new(
        line.strip_prefix(name)
            .and_then(|rest| rest.strip_prefix(": "))
            .unwrap_or_default(),
    )
}

/// The innermost cause in the system's own words, without Rust's `(os error N)`.
pub(crate) fn words(error: &(dyn std::error::Error + 'static)) -> String {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    let text = innermost.to_string();
    let text = text.split(" (os error").next().unwrap_or_default();
    let mut letters = text.chars();
    letters
        .next()
        .map(|first| first.to_lowercase().chain(letters).collect())
        .unwrap_or_default()
}
