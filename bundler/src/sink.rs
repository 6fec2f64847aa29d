//! A blob on its way into the cache: hashed and written on a thread of its own while the next bytes arrive.

use std::io;

use bundle::Digest;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio_util::bytes::Bytes;

use crate::cache::{Cache, CacheError};

/// How many pieces may wait for the disk: a piece is at most some hundred KiB, so a blob holds a few MiB at most.
const WAITING: usize = 8;

enum Command {
    Write(Bytes),
    Restart,
    Keep(oneshot::Sender<Result<(), CacheError>>),
}

/// The async end of a blob in the cache.
pub(crate) struct Sink<'a> {
    commands: mpsc::Sender<Command>,
    thread: Option<JoinHandle<Result<(), CacheError>>>,
    offset: u64,
    arrived: Box<dyn Fn(u64) + Send + Sync + 'a>,
}

impl<'a> Sink<'a> {
    /// Begins or continues a blob; `arrived` is told of the bytes that are there already and of all that come.
    pub(crate) async fn open(
        cache: &Cache,
        (digest, size): (Digest, u64),
        arrived: impl Fn(u64) + Send + Sync + 'a,
    ) -> Result<Self, CacheError> {
        let (commands, mut inbox) = mpsc::channel(WAITING);
        let (ready, opened) = oneshot::channel();
        let cache = cache.clone();
        let thread = tokio::task::spawn_blocking(move || {
            let mut partial = cache.partial(&digest, size)?;
            // Nobody waits any more: the build was ended.
            let _ = ready.send(partial.written());
            while let Some(command) = inbox.blocking_recv() {
                match command {
                    Command::Write(bytes) => partial.write(&bytes)?,
                    Command::Restart => partial.restart()?,
                    Command::Keep(reply) => {
                        let _ = reply.send(partial.keep());
                    }
                }
            }
            Ok(())
        });
        let mut sink = Self {
            commands,
            thread: Some(thread),
            offset: 0,
            arrived: Box::new(arrived),
        };
        match opened.await {
            Ok(offset) => sink.offset = offset,
            Err(_) => return Err(sink.failure().await),
        }
        (sink.arrived)(sink.offset);
        Ok(sink)
    }

    /// Returns how many bytes the blob has so far.
    pub(crate) const fn offset(&self) -> u64 {
        self.offset
    }

    /// Adds bytes at the end.
    pub(crate) async fn write(&mut self, bytes: Bytes) -> Result<(), CacheError> {
        let count = bytes.len() as u64;
        self.offset += count;
        (self.arrived)(count);
        self.send(Command::Write(bytes)).await
    }

    /// Throws away what is there.
    pub(crate) async fn restart(&mut self) -> Result<(), CacheError> {
        self.offset = 0;
        self.send(Command::Restart).await
    }

    /// Checks the hash of the whole; a wrong one leaves the blob empty.
    pub(crate) async fn keep(&mut self) -> Result<(), CacheError> {
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

    async fn send(&mut self, command: Command) -> Result<(), CacheError> {
        if self.commands.send(command).await.is_ok() {
            return Ok(());
        }
        Err(self.failure().await)
    }

    /// Returns why the thread ended.
    async fn failure(&mut self) -> CacheError {
        let ended = match self.thread.take() {
            Some(thread) => thread.await.ok(),
            None => None,
        };
        match ended {
            Some(Err(error)) => error,
            _ => CacheError::Io {
                operation: "write to",
                path: "partial".into(),
                source: io::Error::other("the writing thread ended"),
            },
        }
    }
}
