//! This machine: the same agent, inside this process.

use std::time::Duration;

use super::connection::{Agent, OpenError};
use crate::host;
#[cfg(test)]
pub(crate) use crate::host::certificates_of;
use crate::protocol::{HttpProbe, HttpReply, Refusal};

/// Starts an agent inside this process, for this machine.
///
/// # Errors
/// As [`Agent::open`].
pub async fn agent() -> Result<Agent, OpenError> {
    let (ours, theirs) = tokio::io::duplex(1024 * 1024);
    let (reader, writer) = tokio::io::split(theirs);
    tokio::spawn(host::serve(reader, writer));
    let (reader, writer) = tokio::io::split(ours);
    Agent::open(reader, writer, (), Duration::from_secs(10)).await
}

/// Makes an HTTP request from this machine.
///
/// # Errors
/// When the request cannot even be tried.
pub async fn probe(ask: HttpProbe) -> Result<HttpReply, Refusal> {
    host::probe(ask).await.map_err(Refusal::from)
}
