//! What the container runtime says of itself, its images and its pods, over the CRI. The only home of its gRPC types.
//! Reads only.

mod config;
mod crictl;
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
use crate::protocol::Refusal;
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

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        Self::of(&error)
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
