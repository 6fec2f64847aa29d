//! What the container runtime says of itself, its images and its pods, over the CRI. The only home of its gRPC types.
//! Reads only.

mod config;
mod crictl;
#[cfg(any(test, feature = "fuzzing"))]
pub(super) mod fuzzing;
mod images;
mod pods;
mod proto;
mod sandbox_image;
mod status;

use std::future::Future;
use std::time::Duration;

use tonic::transport::Channel;
use tonic::{Response, Status};

use super::runtime_socket::{MESSAGE_LIMIT, Refused, SocketError, dial};
use crate::protocol::{Refusal, RefusalKind};
use proto::image_service_client::ImageServiceClient;
use proto::runtime_service_client::RuntimeServiceClient;

pub(crate) use crictl::crictl;

/// How long a call may take.
const CALL: Duration = Duration::from_secs(30);

/// Why the CRI could not be asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No socket answers.
    #[error("reach the container runtime")]
    Connect {
        /// Why not.
        #[source]
        source: SocketError,
    },
    /// A call that was refused.
    #[error("{operation}")]
    Call {
        /// What was asked.
        operation: String,
        /// What the runtime answered.
        #[source]
        source: Box<Refused>,
    },
    /// A call without an answer.
    #[error("{operation}: no answer within {} s", CALL.as_secs())]
    Silent {
        /// What was asked.
        operation: String,
    },
    /// An answer without what was asked for.
    #[error("{operation}: the runtime's answer lacks {what}")]
    Lacks {
        /// What was asked.
        operation: String,
        /// What the answer should have.
        what: &'static str,
    },
}

impl Error {
    /// Returns of what kind it is, where no error of the system below it tells.
    pub(crate) fn kind(&self) -> Option<RefusalKind> {
        match self {
            Self::Connect { source } => source.kind(),
            Self::Call { source, .. } => Some(source.kind),
            Self::Silent { .. } => Some(RefusalKind::Late),
            Self::Lacks { .. } => None,
        }
    }
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        let told = Self::of(&error);
        Self {
            kind: error.kind().unwrap_or(told.kind),
            ..told
        }
    }
}

/// A connection to a container runtime.
#[derive(Clone)]
pub struct Cri {
    socket: String,
    channel: Channel,
}

impl Cri {
    /// Connects to `socket`, or to the first of the usual ones that is there.
    pub async fn connect(socket: Option<&str>) -> Result<Self, Error> {
        let (socket, channel) = dial(socket).await.map_err(|source| Error::Connect { source })?;
        Ok(Self::new(socket, channel))
    }

    /// Uses a connection that stands already.
    pub(crate) fn new(socket: String, channel: Channel) -> Self {
        Self { socket, channel }
    }

    fn runtime(&self) -> RuntimeServiceClient<Channel> {
        RuntimeServiceClient::new(self.channel.clone()).max_decoding_message_size(MESSAGE_LIMIT)
    }

    fn images_client(&self) -> ImageServiceClient<Channel> {
        ImageServiceClient::new(self.channel.clone()).max_decoding_message_size(MESSAGE_LIMIT)
    }
}

/// Waits for the answer of a call.
async fn answer<T>(
    operation: impl Fn() -> String,
    call: impl Future<Output = Result<Response<T>, Status>>,
) -> Result<T, Error> {
    match tokio::time::timeout(CALL, call).await {
        Ok(Ok(response)) => Ok(response.into_inner()),
        Ok(Err(status)) => Err(Error::Call {
            operation: operation(),
            source: Box::new(status.into()),
        }),
        Err(_) => Err(Error::Silent {
            operation: operation(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_of_the_kind_that_the_runtime_says() {
        let call = |status: Status| {
            let error = Error::Call {
                operation: "ask for its status".to_owned(),
                source: Box::new(status.into()),
            };
            Refusal::from(error).kind
        };
        assert_eq!(call(Status::unimplemented("x")), RefusalKind::NotImplemented);
        assert_eq!(call(Status::not_found("x")), RefusalKind::Absent);
        assert_eq!(call(Status::internal("x")), RefusalKind::Failed);
        let operation = "ask for its status".to_owned();
        assert_eq!(Refusal::from(Error::Silent { operation }).kind, RefusalKind::Late);
    }

    #[tokio::test]
    async fn a_socket_that_is_not_there_is_absent() {
        let error = Cri::connect(Some("/nowhere/containerd.sock"))
            .await
            .err()
            .unwrap();
        assert_eq!(Refusal::from(error).kind, RefusalKind::Absent);
    }
}
