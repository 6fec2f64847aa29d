//! A blob on its way to its place: hashed and written on a thread of its own while the next bytes arrive.

use std::io;
use std::sync::Arc;

use bundle::Digest;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio_util::bytes::Bytes;

use crate::cache_error::CacheError;
use crate::workshop::WorkshopError;

/// So many bytes of a blob may wait for the disk; a single piece may have more. It bounds what a kill costs.
const WAITING: usize = 256 << 10;

/// Where a blob is put together.
pub(crate) trait Vessel: Send {
    /// Returns how many bytes are there.
    fn written(&self) -> u64;

    /// Adds bytes at the end.
    fn write(&mut self, bytes: &[u8]) -> Result<(), SinkError>;

    /// Throws away what is there.
    fn restart(&mut self) -> Result<(), SinkError>;

    /// Compares the hash of the whole; wrong bytes are thrown away. Nothing may be written after it has succeeded.
    fn keep(&mut self) -> Result<(), SinkError>;
}

/// Why a blob could not be put in its place.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SinkError {
    #[error("{found} instead of {expected}")]
    Mismatch { expected: Digest, found: Digest },
    #[error("more than {size} bytes")]
    TooLong { size: u64 },
    #[error(transparent)]
    Cache(#[from] CacheError),
    #[error(transparent)]
    Workshop(#[from] WorkshopError),
    #[error("the build was ended")]
    Closed,
    #[error("the writing thread ended")]
    Thread { source: io::Error },
}

enum Command {
    Write(Bytes, OwnedSemaphorePermit),
    Restart,
    Keep(oneshot::Sender<Result<(), SinkError>>),
}

/// The async end of a vessel.
pub(crate) struct Sink<'a> {
    commands: mpsc::UnboundedSender<Command>,
    room: Arc<Semaphore>,
    thread: Option<JoinHandle<Result<(), SinkError>>>,
    offset: u64,
    arrived: Box<dyn Fn(u64) + Send + Sync + 'a>,
}

impl<'a> Sink<'a> {
    /// Begins over a vessel; `arrived` is told of all bytes that come.
    pub(crate) fn new(mut vessel: impl Vessel + 'static, arrived: impl Fn(u64) + Send + Sync + 'a) -> Self {
        // Bounded by the bytes that may wait; restarts and ends are few.
        let (commands, mut inbox) = mpsc::unbounded_channel();
        let offset = vessel.written();
        let thread = tokio::task::spawn_blocking(move || {
            while let Some(command) = inbox.blocking_recv() {
                match command {
                    Command::Write(bytes, _room) => vessel.write(&bytes)?,
                    Command::Restart => vessel.restart()?,
                    Command::Keep(reply) => {
                        let _ = reply.send(vessel.keep());
                    }
                }
            }
            Ok(())
        });
        Self {
            commands,
            room: Arc::new(Semaphore::new(WAITING)),
            thread: Some(thread),
            offset,
            arrived: Box::new(arrived),
        }
    }

    /// Returns how many bytes the blob has so far.
    pub(crate) const fn offset(&self) -> u64 {
        self.offset
    }

    /// Adds bytes at the end.
    pub(crate) async fn write(&mut self, bytes: Bytes) -> Result<(), SinkError> {
        let count = bytes.len();
        self.offset += count as u64;
        (self.arrived)(count as u64);
        let wanted = u32::try_from(count.min(WAITING)).unwrap_or(u32::MAX);
        // It is never closed.
        let Ok(room) = Arc::clone(&self.room).acquire_many_owned(wanted).await else {
            return Err(self.failure().await);
        };
        self.send(Command::Write(bytes, room)).await
    }

    /// Throws away what is there.
    pub(crate) async fn restart(&mut self) -> Result<(), SinkError> {
        self.offset = 0;
        self.send(Command::Restart).await
    }

    /// Checks the hash of the whole; a wrong one leaves the blob empty.
    pub(crate) async fn keep(&mut self) -> Result<(), SinkError> {
        let (reply, answer) = oneshot::channel();
        self.send(Command::Keep(reply)).await?;
        let Ok(kept) = answer.await else {
            return Err(self.failure().await);
        };
        if kept.is_err() {
            self.offset = 0;
        }
        kept
    }

    async fn send(&mut self, command: Command) -> Result<(), SinkError> {
        if self.commands.send(command).is_ok() {
            return Ok(());
        }
        Err(self.failure().await)
    }

    /// Returns why the thread ended.
    async fn failure(&mut self) -> SinkError {
        let ended = match self.thread.take() {
            Some(thread) => thread.await.ok(),
            None => None,
        };
        match ended {
            Some(Err(error)) => error,
            _ => SinkError::Thread {
                source: io::Error::other("the writing thread ended"),
            },
        }
    }
}
