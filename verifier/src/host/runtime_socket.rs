//! The socket of a container runtime: how it is found and connected to, how a refusal of gRPC reads. What containerd's
//! own API and the CRI share.

use std::io::ErrorKind;
use std::time::Duration;

use tonic::transport::{Channel, Endpoint};

use super::grpc;
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

/// Connects to a runtime's socket and returns its path with the channel.
pub(crate) async fn dial(socket: Option<&str>) -> Result<(String, Channel), SocketError> {
    let candidates: Vec<String> = match socket {
        Some(path) => vec![path.strip_prefix("unix://").unwrap_or(path).to_owned()],
        None => SOCKETS.iter().map(|path| (*path).to_owned()).collect(),
    };
    for path in &candidates {
        match connect(path).await {
            Err(error) if is_absent(&error) => {}
            answer => return answer.map(|channel| (path.clone(), channel)),
        }
    }
    Err(SocketError::None { tried: candidates })
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

fn is_absent(error: &SocketError) -> bool {
    let SocketError::Connect { source, .. } = error else {
        return false;
    };
    let kind = source.downcast_ref::<std::io::Error>().map(std::io::Error::kind);
    kind == Some(ErrorKind::NotFound)
}
