//! A request on its way over a connection, and its answer.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio::time::timeout;

use super::error::AskError;
use crate::carrier::budget::Budget;
use crate::carrier::record::Record;
use crate::gathered::{self, Answer, Reading};
use crate::protocol::wire::{self, Envelope, MessageError, Stream};
use crate::protocol::{Ask, Clock, Refusal, Request};

/// What one write of an upload hands over at most.
const CHUNK: usize = 256 * 1024;

/// A request on its way: its name, how long its answer may be, and itself.
pub(super) type Question = (&'static str, u32, Request);

/// Where streams come from.
#[derive(Clone)]
pub(super) struct Wanted {
    pub streams: mpsc::Sender<oneshot::Sender<Stream>>,
    /// More requests than these wait for their turn.
    pub slots: Arc<Semaphore>,
    /// What the host may still answer.
    pub budget: Arc<Budget>,
    /// What was asked; absent: a sign of life, which asks nothing.
    pub record: Option<Arc<Record>>,
}

pub(super) async fn ask<A: Ask>(
    wanted: &Wanted,
    request: A,
    deadline: Duration,
) -> Result<A::Reply, AskError> {
    let work = async {
        let limit = request.limit();
        let (mut stream, _permit) = start(wanted, (A::NAME, limit, request.into()), deadline).await?;
        reply::<A>(wanted, &mut stream, limit).await
    };
    timeout(deadline, work)
        .await
        .map_err(|_| AskError::Deadline(deadline))?
}

/// Returns the answer to a request as a reading keeps it; where it has none the agent is asked, if there is one.
pub(super) async fn kept(
    wanted: Option<&Wanted>,
    reading: &Reading,
    (ask, limit, request): Question,
    deadline: Duration,
) -> Result<Arc<str>, AskError> {
    let Some(wanted) = wanted else {
        return gathered::answer(reading, &request).ok_or(AskError::Unkept { ask });
    };
    let key = Reading::key(&request);
    // An earlier reading's answer is none to what is asked now.
    if let Some(answer) = reading.own(&key) {
        return Ok(answer);
    }
    let work = async {
        let (mut stream, _permit) = start(wanted, (ask, limit, request), deadline).await?;
        let length = announced(wanted, &mut stream, ask, limit).await?;
        wire::read_bytes(&mut stream, length).await.map_err(failed(ask))
    };
    let lost = |error: &AskError| Answer::<()>::Lost(cli::chain(error));
    let unsaid = match timeout(deadline, work).await {
        Ok(Ok(bytes)) => match String::from_utf8(bytes) {
            Ok(answer) => return Ok(reading.keep(key, answer)),
            Err(_) => Answer::Lost("it is not UTF-8".to_owned()),
        },
        Ok(Err(error)) => lost(&error),
        Err(_) => Answer::Late(u64::try_from(deadline.as_millis()).unwrap_or(u64::MAX)),
    };
    let answer = serde_json::to_string(&unsaid).map_err(|_| AskError::Gone)?;
    Ok(reading.keep(key, answer))
}

/// Says now and then that we live, until the connection ends: where the network was cut, nothing else tells the agent that
/// nobody is there any more.
pub(super) async fn beat(
    streams: mpsc::WeakSender<oneshot::Sender<Stream>>,
    budget: Arc<Budget>,
    every: Duration,
) {
    loop {
        tokio::time::sleep(every).await;
        let Some(streams) = streams.upgrade() else { return };
        // It waits for no other request's end.
        let slots = Arc::new(Semaphore::new(1));
        let wanted = Wanted {
            streams,
            slots,
            budget: Arc::clone(&budget),
            record: None,
        };
        // Whoever asks something notices by himself that it is gone.
        let _ = ask(&wanted, Clock {}, every).await;
    }
}

/// Opens a stream and sends the request. The permit lasts as long as the request.
pub(super) async fn start(
    wanted: &Wanted,
    (ask, reply_limit, request): Question,
    deadline: Duration,
) -> Result<(Stream, OwnedSemaphorePermit), AskError> {
    if let Some(record) = &wanted.record {
        record.ask(ask);
    }
    let permit = Arc::clone(&wanted.slots)
        .acquire_owned()
        .await
        .map_err(|_| AskError::Gone)?;
    let (sender, receiver) = oneshot::channel();
    wanted.streams.send(sender).await.map_err(|_| AskError::Gone)?;
    let mut stream = receiver.await.map_err(|_| AskError::Gone)?;
    let deadline_millis = u64::try_from(deadline.as_millis()).unwrap_or(u64::MAX);
    let envelope = Envelope {
        deadline_millis,
        reply_limit,
        request,
    };
    wire::write_json(&mut stream, &envelope).await.map_err(broken)?;
    Ok((stream, permit))
}

pub(super) async fn send(
    mut body: impl AsyncRead + Unpin,
    writer: &mut (impl AsyncWrite + Unpin),
    record: Option<&Record>,
) -> Result<(), AskError> {
    let mut chunk = vec![0; CHUNK];
    loop {
        let read = body.read(&mut chunk).await.map_err(AskError::Source)?;
        if read == 0 {
            return writer.shutdown().await.map_err(broken);
        }
        writer.write_all(&chunk[..read]).await.map_err(broken)?;
        if let Some(record) = record {
            record.sent(read);
        }
    }
}

/// Reads the reply to `A`, no longer than `limit` and than what is left of the host's budget.
pub(super) async fn reply<A: Ask>(
    wanted: &Wanted,
    stream: &mut (impl AsyncRead + Unpin),
    limit: u32,
) -> Result<A::Reply, AskError> {
    let length = announced(wanted, stream, A::NAME, limit).await?;
    let read = wire::read_value(stream, length).await;
    let answer: Result<A::Reply, Refusal> = read.map_err(failed(A::NAME))?;
    Ok(answer?)
}

/// Reads how long an answer is: no longer than `limit` and than what is left of the host's budget.
async fn announced(
    wanted: &Wanted,
    stream: &mut (impl AsyncRead + Unpin),
    ask: &'static str,
    limit: u32,
) -> Result<u32, AskError> {
    let length = wire::read_length(stream, limit).await.map_err(failed(ask))?;
    if !wanted.budget.take(length) {
        let limit = Budget::OF_A_RUN;
        return Err(AskError::Spent { ask, limit });
    }
    Ok(length)
}

fn failed(ask: &'static str) -> impl Fn(MessageError) -> AskError {
    move |error| match error {
        MessageError::TooLong { length, limit } => AskError::TooLong { ask, length, limit },
        MessageError::Broken(error) => broken(error),
    }
}

fn broken(error: io::Error) -> AskError {
    match error.kind() {
        io::ErrorKind::UnexpectedEof | io::ErrorKind::WriteZero | io::ErrorKind::BrokenPipe => AskError::Gone,
        _ => AskError::Broken(error),
    }
}
