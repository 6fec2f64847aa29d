//! The socket of a container runtime: how it is found and connected to, how a refusal of gRPC reads. What containerd's
//! own API and the CRI share.
//!
//! The runtime is the kubelet's own, for it starts the pods: what another one holds or says is worth nothing. Only where no
//! kubelet names one are the usual places tried, and there two that answer are one too many.

use std::io::ErrorKind;
use std::time::Duration;

use tonic::transport::{Channel, Endpoint};

use super::grpc;
use super::kubelet::kubelet;
use crate::distribution::SOCKETS;
use crate::protocol::RefusalKind;

/// How long a connection may take.
const CONNECT: Duration = Duration::from_secs(30);

/// The largest message that is accepted: what containerd itself accepts (its defaults.DefaultMaxRecvMsgSize).
pub(crate) const MESSAGE_LIMIT: usize = 16 << 20;

/// Why no runtime could be connected to.
#[derive(Debug, thiserror::Error)]
pub enum SocketError {
    /// None of the usual sockets is there.
    #[error("no socket of a container runtime is there: {}", tried.join(", "))]
    None {
        /// The paths that were tried.
        tried: Vec<String>,
    },
    /// Two answer, and nobody says which one starts the pods.
    #[error(
        "several container runtimes answer ({}) and no kubelet says which is its own; write `runtime: unix://PATH` of this host into the site file",
        answering.join(", ")
    )]
    Several {
        /// Their sockets.
        answering: Vec<String>,
    },
    /// A socket that does not answer.
    #[error("connect to {socket}")]
    Connect {
        /// The path of the socket.
        socket: String,
        /// What the system said.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl SocketError {
    /// Returns of what kind it is, where no error of the system below it tells.
    pub(crate) const fn kind(&self) -> Option<RefusalKind> {
        match self {
            Self::None { .. } => Some(RefusalKind::Absent),
            Self::Several { .. } => Some(RefusalKind::Failed),
            Self::Connect { .. } => None,
        }
    }
}

/// A refusal of a runtime in its own words, or the end of the connection to it.
#[derive(Debug, thiserror::Error)]
#[error("{}: {code}: {message}", if *gone { "the connection to containerd broke, as when it stops or is restarted" } else { "containerd answers" })]
pub struct Refused {
    /// The name of the gRPC code, for example `NotFound`.
    pub code: String,
    /// The message.
    pub message: String,
    /// Of what kind it is.
    pub kind: RefusalKind,
    /// Whether nobody answered: the connection broke.
    pub gone: bool,
}

impl From<tonic::Status> for Refused {
    fn from(status: tonic::Status) -> Self {
        Self {
            kind: grpc::kind(&status),
            gone: grpc::is_gone(&status),
            code: format!("{:?}", status.code()),
            message: status.message().to_owned(),
        }
    }
}

/// Connects to a runtime's socket and returns its path with the channel: the one that is named, else the kubelet's.
pub(crate) async fn dial(socket: Option<&str>) -> Result<(String, Channel), SocketError> {
    let named = match socket {
        Some(socket) => Some(socket.to_owned()),
        // A scan of /proc, which may take long on a large host.
        None => tokio::task::spawn_blocking(kubelet)
            .await
            .ok()
            .flatten()
            .and_then(|kubelet| kubelet.runtime),
    };
    let Some(named) = named else {
        return only(SOCKETS).await;
    };
    let path = named.strip_prefix("unix://").unwrap_or(&named).to_owned();
    match connect(&path).await {
        Ok(channel) => Ok((path, channel)),
        Err(error) if is(&error, ErrorKind::NotFound) => Err(SocketError::None { tried: vec![path] }),
        Err(error) => Err(error),
    }
}

/// Connects to the only one of these sockets that answers. One that nobody serves is left over from a runtime that is gone.
async fn only(candidates: &[&str]) -> Result<(String, Channel), SocketError> {
    let mut found: Vec<(String, Channel)> = Vec::new();
    let mut failed = None;
    for path in candidates {
        match connect(path).await {
            Ok(channel) => found.push(((*path).to_owned(), channel)),
            Err(error) if is(&error, ErrorKind::NotFound) => {}
            Err(error) => failed = failed.or(Some(error)),
        }
    }
    if found.len() > 1 {
        let answering = found.into_iter().map(|(path, _)| path).collect();
        return Err(SocketError::Several { answering });
    }
    let tried = || candidates.iter().map(|path| (*path).to_owned()).collect();
    let none = || failed.unwrap_or_else(|| SocketError::None { tried: tried() });
    found.pop().ok_or_else(none)
}

async fn connect(path: &str) -> Result<Channel, SocketError> {
    let failed = |source| SocketError::Connect {
        socket: path.to_owned(),
        source,
    };
    // Asked first, because the channel hides what the system says. A socket that nobody serves is refused.
    let probe = tokio::net::UnixStream::connect(path);
    match tokio::time::timeout(CONNECT, probe).await {
        Ok(Ok(_)) => {}
        Ok(Err(error)) => return Err(failed(error.into())),
        Err(late) => return Err(failed(std::io::Error::from(late).into())),
    }
    Endpoint::from_shared(format!("unix://{path}"))
        .map_err(|error| failed(error.into()))?
        .connect_timeout(CONNECT)
        .connect()
        .await
        .map_err(|error| failed(error.into()))
}

fn is(error: &SocketError, kind: ErrorKind) -> bool {
    let SocketError::Connect { source, .. } = error else {
        return false;
    };
    let found = source.downcast_ref::<std::io::Error>().map(std::io::Error::kind);
    found == Some(kind)
}

#[cfg(test)]
mod tests {
    use tokio::net::UnixListener;

    use super::*;

    #[tokio::test]
    async fn the_only_socket_that_answers_is_taken_and_of_two_none() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name).display().to_string();
        let (absent, stale, first, second) = (path("absent"), path("stale"), path("first"), path("second"));
        drop(UnixListener::bind(&stale).unwrap());
        let _first = UnixListener::bind(&first).unwrap();
        let (socket, _) = only(&[&absent, &stale, &first, &second]).await.unwrap();
        assert_eq!(socket, first);
        let _second = UnixListener::bind(&second).unwrap();
        let error = only(&[&absent, &stale, &first, &second]).await.unwrap_err();
        let SocketError::Several { answering } = error else {
            panic!("{error}");
        };
        assert_eq!(answering, [first, second]);
    }

    #[tokio::test]
    async fn a_socket_that_nobody_serves_is_told_apart_from_none() {
        let directory = tempfile::tempdir().unwrap();
        let stale = directory.path().join("stale").display().to_string();
        assert!(matches!(only(&[&stale]).await, Err(SocketError::None { .. })));
        drop(UnixListener::bind(&stale).unwrap());
        assert!(matches!(only(&[&stale]).await, Err(SocketError::Connect { .. })));
    }
}
