//! What a server shows of itself before anything is said: the certificates of a TLS handshake. Nothing is believed of them,
//! nothing is sent over the connection, and it is closed.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls::Error;
use rustls::pki_types::{CertificateDer, ServerName};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::tls::{Look, looking};
use crate::protocol::{Der, Refusal, RefusalKind, TlsPeek, TlsPeekReply};

/// More certificates than this no server sends.
const MOST: usize = 32;

/// Keeps what a server shows, and ends the handshake there: a server that wants a client's certificate has shown its own
/// before it asks.
#[derive(Debug, Default)]
struct Witness {
    seen: Mutex<Vec<Vec<u8>>>,
}

impl Look for Witness {
    fn look(&self, leaf: &CertificateDer<'_>, beside: &[CertificateDer<'_>]) -> Result<(), Error> {
        if let Ok(mut seen) = self.seen.lock() {
            *seen = [leaf]
                .into_iter()
                .chain(beside)
                .take(MOST)
                .map(|der| der.to_vec())
                .collect();
        }
        Err(Error::General("seen".to_owned()))
    }
}

/// Returns the certificates that a server shows, its own first.
pub(crate) async fn peek(ask: TlsPeek) -> Result<TlsPeekReply, Refusal> {
    let limit = Duration::from_millis(ask.timeout_millis);
    timeout(limit, shown(ask.to, ask.name))
        .await
        .unwrap_or_else(|_| Err(refusal(RefusalKind::Late, ask.to, &"no handshake in time")))
}

async fn shown(to: SocketAddr, name: Option<String>) -> Result<TlsPeekReply, Refusal> {
    let witness = Arc::new(Witness::default());
    let connector =
        looking(Arc::clone(&witness)).map_err(|error| refusal(RefusalKind::Failed, to, &error))?;
    let stream = TcpStream::connect(to)
        .await
        .map_err(|error| refusal(RefusalKind::of(error.kind()), to, &error))?;
    let name = name.and_then(|name| ServerName::try_from(name).ok());
    let name = name.unwrap_or_else(|| ServerName::IpAddress(to.ip().into()));
    let failed = connector.connect(name, stream).await.err();
    let seen = witness.seen.lock().map(|seen| seen.clone()).unwrap_or_default();
    if seen.is_empty() {
        let why = failed.map_or_else(
            || "no certificate was shown".to_owned(),
            |error| error.to_string(),
        );
        return Err(refusal(RefusalKind::Failed, to, &why));
    }
    let certificates = seen.iter().map(|der| Der {
        der: STANDARD.encode(der),
    });
    Ok(TlsPeekReply {
        certificates: certificates.collect(),
    })
}

fn refusal(kind: RefusalKind, to: SocketAddr, why: &dyn std::fmt::Display) -> Refusal {
    Refusal {
        kind,
        text: format!("{to}: {why}").into(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::tls::testing::server;
    use super::*;

    #[tokio::test]
    async fn what_a_server_shows_is_seen_and_nothing_else_is_said() {
        let to = server("HTTP/1.1 200 OK\r\n\r\n").await;
        let reply = peek(TlsPeek {
            to,
            name: None,
            timeout_millis: 5000,
        })
        .await
        .unwrap();
        assert_eq!(reply.certificates.len(), 1);
        let certificate =
            crate::certs::Certificate::parse(&STANDARD.decode(&reply.certificates[0].der).unwrap());
        assert_eq!(certificate.unwrap().dns, ["elsewhere"]);
    }

    #[tokio::test]
    async fn where_nobody_listens_nothing_is_shown() {
        let to = "127.0.0.1:1".parse().unwrap();
        assert!(
            peek(TlsPeek {
                to,
                name: Some("nobody".to_owned()),
                timeout_millis: 5000
            })
            .await
            .is_err()
        );
    }
}
