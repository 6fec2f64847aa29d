//! HTTP probes from the host or from inside a pod's network namespace. Plain TCP, no proxy, no redirect, no tool in
//! any image. Over TLS only the host's own components are asked, for signs of life.

mod peek;
mod tls;

use std::time::Instant;

use tokio::net::TcpStream;
use tokio::time::timeout;

use super::netns::{self, NetnsError, Sandboxes};
use crate::http;
pub(crate) use peek::peek;

use crate::protocol::{HttpProbe, HttpReply, Place, Refusal, RefusalKind};

/// Why a probe could not even start.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ProbeError {
    /// It is no HTTP request.
    #[error(transparent)]
    Request(#[from] http::RequestError),
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

impl ProbeError {
    /// Returns of what kind it is, where no error of the system below it tells.
    fn kind(&self) -> Option<RefusalKind> {
        match self {
            Self::Netns(source) => source.kind(),
            Self::Request(_) | Self::Elsewhere { .. } | Self::Tls(_) => None,
        }
    }
}

impl From<ProbeError> for Refusal {
    fn from(error: ProbeError) -> Self {
        let told = Self::of(&error);
        Self {
            kind: error.kind().unwrap_or(told.kind),
            ..told
        }
    }
}

/// Does one probe from the machine that this runs on.
pub(crate) async fn from_here(ask: HttpProbe) -> Result<HttpReply, ProbeError> {
    exchange(&ask, None).await
}

/// Does one probe, from the host or from inside one of its sandboxes.
pub(crate) async fn http(ask: HttpProbe, sandboxes: &Sandboxes) -> Result<HttpReply, ProbeError> {
    // A request that cannot be is refused before anything is connected.
    http::request(&ask)?;
    let id = match &ask.from {
        Place::Host => return from_here(ask).await,
        Place::Sandbox(id) => id,
    };
    let namespace = sandboxes.namespace(id).await?;
    netns::within(namespace, move || async move { exchange(&ask, None).await }).await?
}

/// Does one probe of the host's own component over TLS whose certificate is not checked: see [`tls`].
pub(crate) async fn https(ask: HttpProbe) -> Result<HttpReply, ProbeError> {
    http::request(&ask)?;
    if ask.from != Place::Host || !tls::is_here(ask.to).await {
        return Err(ProbeError::Elsewhere { to: ask.to });
    }
    let connector = tls::connector().map_err(ProbeError::Tls)?;
    exchange(&ask, Some(connector)).await
}

/// One connection, one request, one answer, all within the probe's time.
async fn exchange(ask: &HttpProbe, tls: Option<tokio_rustls::TlsConnector>) -> Result<HttpReply, ProbeError> {
    let request = http::request(ask)?;
    let start = Instant::now();
    let limit = http::limit(ask);
    let mut connected = false;
    let work = async {
        let stream = TcpStream::connect(ask.to)
            .await
            .map_err(|error| http::words(&error))?;
        connected = true;
        let keep = http::kept(ask);
        match tls {
            None => http::converse(stream, request, keep, start).await,
            Some(connector) => {
                let stream = connector.connect(ask.to.ip().into(), stream).await;
                http::converse(stream.map_err(|error| http::words(&error))?, request, keep, start).await
            }
        }
    };
    Ok(match timeout(limit, work).await {
        Ok(Ok(answer)) => answer,
        Ok(Err(error)) => HttpReply::Broken { error: error.into() },
        Err(_) => HttpReply::Silent { connected },
    })
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
        } = from_here(probe(to, 5000)).await.unwrap()
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
        let reply = from_here(probe(to, 5000)).await.unwrap();
        assert_eq!(
            reply,
            HttpReply::Broken {
                error: "connection refused".into()
            }
        );
    }

    #[tokio::test]
    async fn a_server_that_says_nothing_is_silent_though_connected() {
        let to = server(None).await;
        assert_eq!(
            from_here(probe(to, 100)).await.unwrap(),
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
            from_here(probe(to, 5000)).await.unwrap(),
            HttpReply::Broken { .. }
        ));
    }
}
