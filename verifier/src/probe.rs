//! HTTP probes from the host or from inside a pod's network namespace. Plain TCP, no proxy, no redirect, no tool in
//! any image. Over TLS only the host's own components are asked, for signs of life.

mod tls;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use http_body_util::{BodyExt as _, Empty};
use hyper::body::{Bytes, Incoming};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::agent::protocol::{HttpProbe, HttpReply, Place, Refusal};
use crate::netns::{self, NetnsError};

/// The longest that a probe may wait, whatever it asks for.
const LONGEST: Duration = Duration::from_mins(5);
/// The most of a body that is kept.
const KEEP: usize = 256 * 1024;

/// Why a probe could not even start.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ProbeError {
    /// The method or path is none of HTTP.
    #[error("{method} {path} is no HTTP request")]
    Request {
        /// The method.
        method: String,
        /// The path.
        path: String,
        /// Why.
        source: hyper::http::Error,
    },
    /// It could not be made from inside the sandbox.
    #[error(transparent)]
    Netns(#[from] NetnsError),
    /// TLS without verification is only for the host itself.
    #[error("{to} is not on this host, and its certificate would not be checked")]
    Elsewhere {
        /// The address.
        to: std::net::SocketAddr,
    },
    /// The library refuses its own defaults.
    #[error("TLS cannot be set up")]
    Tls(#[source] rustls::Error),
}

impl From<ProbeError> for Refusal {
    fn from(error: ProbeError) -> Self {
        Self::of(&error)
    }
}

/// Does one probe.
pub(crate) async fn http(ask: HttpProbe) -> Result<HttpReply, ProbeError> {
    // A request that cannot be is refused before anything is connected.
    request(&ask)?;
    let id = match &ask.from {
        Place::Host => return exchange(&ask, None).await,
        Place::Sandbox(id) => id,
    };
    let namespace = netns::of_sandbox(id).await?;
    netns::within(namespace, move || async move { exchange(&ask, None).await }).await?
}

/// Does one probe of the host's own component over TLS whose certificate is not checked: see [`tls`].
pub(crate) async fn https(ask: HttpProbe) -> Result<HttpReply, ProbeError> {
    request(&ask)?;
    if ask.from != Place::Host || !tls::is_here(ask.to).await {
        return Err(ProbeError::Elsewhere { to: ask.to });
    }
    let connector = tls::connector().map_err(ProbeError::Tls)?;
    exchange(&ask, Some(connector)).await
}

fn request(ask: &HttpProbe) -> Result<Request<Empty<Bytes>>, ProbeError> {
    let wrong = |source| ProbeError::Request {
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

/// One connection, one request, one answer, all within the probe's time.
async fn exchange(ask: &HttpProbe, tls: Option<tokio_rustls::TlsConnector>) -> Result<HttpReply, ProbeError> {
    let request = request(ask)?;
    let start = Instant::now();
    let limit = Duration::from_millis(ask.timeout_millis).min(LONGEST);
    let mut connected = false;
    let work = async {
        let stream = TcpStream::connect(ask.to).await.map_err(|error| words(&error))?;
        connected = true;
        let keep = ask.keep_body.min(KEEP);
        match tls {
            None => converse(stream, request, keep, start).await,
            Some(connector) => {
                let stream = connector.connect(ask.to.ip().into(), stream).await;
                converse(stream.map_err(|error| words(&error))?, request, keep, start).await
            }
        }
    };
    Ok(match timeout(limit, work).await {
        Ok(Ok(answer)) => answer,
        Ok(Err(error)) => HttpReply::Broken { error },
        Err(_) => HttpReply::Silent { connected },
    })
}

/// One request and one answer over a stream that stands already: a port-forward's.
pub(crate) async fn over(
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    ask: &HttpProbe,
) -> Result<HttpReply, ProbeError> {
    let request = request(ask)?;
    let limit = Duration::from_millis(ask.timeout_millis).min(LONGEST);
    let work = converse(stream, request, ask.keep_body.min(KEEP), Instant::now());
    Ok(match timeout(limit, work).await {
        Ok(Ok(answer)) => answer,
        Ok(Err(error)) => HttpReply::Broken { error },
        Err(_) => HttpReply::Silent { connected: true },
    })
}

async fn converse(
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
    for (name, value) in &head.headers {
        let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
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
        body: String::from_utf8_lossy(&kept).into_owned(),
        length,
        millis: u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX),
    })
}

/// The innermost cause in the system's own words, without Rust's `(os error N)`.
fn words(error: &(dyn std::error::Error + 'static)) -> String {
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

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;

    fn probe(to: std::net::SocketAddr, millis: u64) -> HttpProbe {
        HttpProbe {
            to,
            method: "GET".to_owned(),
            path: "/".to_owned(),
            from: Place::Host,
            timeout_millis: millis,
            keep_body: 5,
        }
    }

    async fn server(answer: Option<&'static str>) -> std::net::SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = [0; 1024];
            let _ = stream.read(&mut request).await.unwrap();
            match answer {
                Some(answer) => stream.write_all(answer.as_bytes()).await.unwrap(),
                None => std::future::pending().await,
            }
        });
        address
    }

    #[tokio::test]
    async fn an_answer_comes_with_its_headers_and_the_beginning_of_its_body() {
        let to = server(Some(
            "HTTP/1.1 200 OK\r\nServer: nginx\r\nContent-Length: 11\r\n\r\nhello world",
        ))
        .await;
        let HttpReply::Answer {
            status,
            headers,
            body,
            length,
            ..
        } = http(probe(to, 5000)).await.unwrap()
        else {
            panic!("no answer");
        };
        assert_eq!((status, body.as_str(), length), (200, "hello", 11));
        assert_eq!(headers["server"], "nginx");
    }

    #[tokio::test]
    async fn a_closed_port_is_broken_in_the_systems_words() {
        let to = TcpListener::bind("127.0.0.1:0")
            .await
            .unwrap()
            .local_addr()
            .unwrap();
        let reply = http(probe(to, 5000)).await.unwrap();
        assert_eq!(
            reply,
            HttpReply::Broken {
                error: "connection refused".to_owned()
            }
        );
    }

    #[tokio::test]
    async fn a_server_that_says_nothing_is_silent_though_connected() {
        let to = server(None).await;
        assert_eq!(
            http(probe(to, 100)).await.unwrap(),
            HttpReply::Silent { connected: true }
        );
    }

    #[tokio::test]
    async fn over_tls_a_certificate_of_anybodys_will_do_but_only_on_this_host() {
        let answer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
        let reply = https(probe(tls::testing::server(answer).await, 5000))
            .await
            .unwrap();
        assert!(
            matches!(&reply, HttpReply::Answer { status: 200, body, .. } if body == "ok"),
            "{reply:?}"
        );
        let error = https(probe("192.0.2.1:443".parse().unwrap(), 100))
            .await
            .unwrap_err();
        assert!(matches!(error, ProbeError::Elsewhere { .. }));
    }

    #[tokio::test]
    async fn a_plain_server_is_broken_over_tls() {
        let to = server(Some("HTTP/1.1 400 Bad Request\r\n\r\n")).await;
        let reply = https(probe(to, 5000)).await.unwrap();
        assert!(matches!(reply, HttpReply::Broken { .. }), "{reply:?}");
    }

    #[tokio::test]
    async fn half_an_answer_is_broken() {
        let to = server(Some("HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\nhell")).await;
        assert!(matches!(
            http(probe(to, 5000)).await.unwrap(),
            HttpReply::Broken { .. }
        ));
    }
}
