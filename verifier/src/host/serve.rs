//! The agent's loop: each stream of the connection is one request, answered in a task of its own, until the
//! connection ends.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::compat::TokioAsyncReadCompatExt as _;

use super::answer;
use super::netns::Sandboxes;
use crate::protocol::Request;
use crate::protocol::wire::{self, Envelope, Greeting, Stream};

/// How long loads that the end of the connection cut off may take to clean up after themselves.
const LAST: Duration = Duration::from_secs(20);

/// Serves one connection until it ends.
///
/// # Errors
/// When the other end is no verifier of this protocol, or cannot be written to.
pub async fn serve<R, W>(reader: R, writer: W) -> io::Result<()>
where
    R: AsyncRead + Unpin + Send + 'static,
    W: AsyncWrite + Unpin + Send + 'static,
{
    let mut stream = wire::buffered(reader, writer);
    wire::greet(&mut stream, wire::AGENT).await?;
    // Another version reads ours from our greeting and goes; what it sent is never told, it may be a password.
    let Greeting::Version(_) = wire::find_greeting(stream.reader_mut(), wire::CLIENT).await? else {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "no verifier greeted"));
    };
    let mut connection = yamux::Connection::new(
        stream.compat(),
        wire::settings(yamux::Mode::Server),
        yamux::Mode::Server,
    );
    let mut tasks = JoinSet::new();
    let sandboxes = Arc::new(Sandboxes::default());
    while let Some(stream) = wire::accept(&mut connection).await {
        tasks.spawn(handle(stream, Arc::clone(&sandboxes)));
        while tasks.try_join_next().is_some() {}
    }
    drop(connection);
    let _ = timeout(LAST, async { while tasks.join_next().await.is_some() {} }).await;
    Ok(())
}

/// Answers one request. A stream that breaks needs no answer.
async fn handle(mut stream: Stream, sandboxes: Arc<Sandboxes>) {
    let Ok(Envelope {
        deadline_millis,
        reply_limit,
        request,
    }) = wire::read_json(&mut stream, wire::REQUEST).await
    else {
        return;
    };
    let deadline = Duration::from_millis(deadline_millis);
    let answer = match request {
        Request::Dial(dial) => return answer::dial(dial, &sandboxes, stream, deadline).await,
        Request::EtcdSnapshot(ask) => return answer::snapshot(ask, stream, deadline).await,
        Request::Load(load) => answer::in_time(deadline, answer::load(load, &mut stream)).await,
        other => {
            // Whoever asked may go away: then the work stops.
            tokio::select! {
                answer = answer::in_time(deadline, answer::answer(other, &sandboxes)) => answer,
                () = gone(&mut stream) => return,
            }
        }
    };
    let answer = answer::within(reply_limit, answer);
    let _ = wire::write_message(&mut stream, &answer).await;
    let _ = stream.shutdown().await;
}

/// Waits until the other end closes or drops the stream. Nothing is to come behind a request.
async fn gone(stream: &mut Stream) {
    let mut byte = [0];
    while stream.read(&mut byte).await.is_ok_and(|read| read > 0) {}
}
