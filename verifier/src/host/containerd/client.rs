//! The connection to containerd: its socket, its headers, a deadline for every call.

use std::future::Future;
use std::time::Duration;

use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::Channel;
use tonic::{Code, Request, Response, Status};

use super::error::Error;
use crate::host::runtime_socket::dial;

/// The namespace of containerd that the CRI uses.
pub(super) const NAMESPACE: &str = "k8s.io";

/// How long a small call may take.
pub(super) const CALL: Duration = Duration::from_secs(30);

/// containerd as one host has it. Cheap to clone.
#[derive(Clone)]
pub(super) struct Containerd {
    pub(super) channel: Channel,
    pub(super) socket: String,
    namespace: MetadataValue<Ascii>,
    lease: Option<MetadataValue<Ascii>>,
}

impl Containerd {
    /// Connects to `socket`, or to the first of the usual ones that is there.
    pub(super) async fn connect(socket: Option<&str>) -> Result<Self, Error> {
        let (socket, channel) = dial(socket).await?;
        Ok(Self {
            channel,
            socket,
            namespace: MetadataValue::from_static(NAMESPACE),
            lease: None,
        })
    }

    /// Returns the same connection, for what stands in another namespace; none for a name that is none.
    pub(super) fn in_namespace(&self, name: &str) -> Option<Self> {
        Some(Self {
            namespace: name.parse().ok()?,
            ..self.clone()
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
        headers.insert("containerd-namespace", self.namespace.clone());
        if let Some(lease) = &self.lease {
            headers.insert("containerd-lease", lease.clone());
        }
        request
    }
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
    /// Returns whether nobody answered: the connection to containerd broke.
    pub(super) fn is_gone(&self) -> bool {
        matches!(self, Self::Call { source, .. } if source.gone)
    }

    /// Returns whether containerd answered with this code.
    pub(super) fn has_code(&self, code: Code) -> bool {
        matches!(self, Self::Call { source, .. } if source.code == format!("{code:?}"))
    }
}
