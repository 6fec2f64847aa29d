//! The connection to containerd: its socket, its headers, a deadline for every call.

use std::future::Future;
use std::io::ErrorKind;
use std::time::Duration;

use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Response, Status};

use super::error::Error;

/// Where container runtimes listen, in the order in which they are tried.
const SOCKETS: &[&str] = &[
    "/run/containerd/containerd.sock",
    "/run/k3s/containerd/containerd.sock",
    "/run/k0s/containerd.sock",
    "/var/snap/microk8s/common/run/containerd.sock",
    "/run/dockershim.sock",
    "/run/crio/crio.sock",
];

/// The namespace of containerd that the CRI uses.
const NAMESPACE: &str = "k8s.io";

/// How long a small call may take.
pub(super) const CALL: Duration = Duration::from_secs(30);

/// The largest message that is accepted: what containerd itself accepts (its defaults.DefaultMaxRecvMsgSize).
pub(crate) const MESSAGE_LIMIT: usize = 16 << 20;

/// containerd as one host has it. Cheap to clone.
#[derive(Clone)]
pub(super) struct Containerd {
    pub(super) channel: Channel,
    pub(super) socket: String,
    lease: Option<MetadataValue<Ascii>>,
}

impl Containerd {
    /// Connects to `socket`, or to the first of the usual ones that is there.
    pub(super) async fn connect(socket: Option<&str>) -> Result<Self, Error> {
        let (socket, channel) = dial(socket).await?;
        Ok(Self {
            channel,
            socket,
            lease: None,
        })
    }

    /// Returns the same connection under a lease: what is written is kept as long as it lives.
    pub(super) fn leased(&self, id: &str) -> Self {
        Self {
            lease: id.parse().ok(),
            ..self.clone()
        }
    }

    /// Returns a message with the headers that containerd wants.
    pub(super) fn request<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        let headers = request.metadata_mut();
        headers.insert("containerd-namespace", MetadataValue::from_static(NAMESPACE));
        if let Some(lease) = &self.lease {
            headers.insert("containerd-lease", lease.clone());
        }
        request
    }
}

/// Connects to a runtime's socket and returns its path with the channel.
pub(crate) async fn dial(socket: Option<&str>) -> Result<(String, Channel), Error> {
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
    Err(Error::NoSocket { tried: candidates })
}

async fn connect(path: &str) -> Result<Channel, Error> {
    let failed = |source| Error::Connect {
        socket: path.to_owned(),
        source,
    };
    // Asked first, because the channel hides what the system says. A socket that nobody serves is refused.
    let probe = tokio::net::UnixStream::connect(path);
    match tokio::time::timeout(CALL, probe).await {
        Ok(Ok(_)) => {}
        Ok(Err(error)) => return Err(failed(error.into())),
        Err(late) => return Err(failed(late.into())),
    }
    Endpoint::from_shared(format!("unix://{path}"))
        .map_err(|error| failed(error.into()))?
        .connect_timeout(CALL)
        .connect()
        .await
        .map_err(|error| failed(error.into()))
}

fn is_absent(error: &Error) -> bool {
    let Error::Connect { source, .. } = error else {
        return false;
    };
    let kind = source.downcast_ref::<std::io::Error>().map(std::io::Error::kind);
    kind == Some(ErrorKind::NotFound)
}

/// Waits for an answer, at most `limit`.
pub(super) async fn within<T>(
    limit: Duration,
    operation: impl Fn() -> String,
    call: impl Future<Output = Result<Response<T>, Status>>,
) -> Result<T, Error> {
    match tokio::time::timeout(limit, call).await {
        Ok(Ok(response)) => Ok(response.into_inner()),
        Ok(Err(status)) => Err(Error::Call {
            operation: operation(),
            source: Box::new(status.into()),
        }),
        Err(_) => Err(Error::Silent {
            operation: operation(),
            limit,
        }),
    }
}

/// Waits for the answer of a small call.
pub(super) async fn answer<T>(
    operation: impl Fn() -> String,
    call: impl Future<Output = Result<Response<T>, Status>>,
) -> Result<T, Error> {
    within(CALL, operation, call).await
}

/// Turns "there is no such thing" into `None`.
pub(super) fn or_none<T>(answer: Result<T, Error>) -> Result<Option<T>, Error> {
    match answer {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.has_code(Code::NotFound) => Ok(None),
        Err(error) => Err(error),
    }
}

impl Error {
    /// Returns whether containerd answered with this code.
    pub(super) fn has_code(&self, code: Code) -> bool {
        matches!(self, Self::Call { source, .. } if source.code == format!("{code:?}"))
    }
}
