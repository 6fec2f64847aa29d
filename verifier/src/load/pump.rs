//! One pass over the archive, for all hosts. Runs on a thread that may block; every byte is verified on its way.
//!
//! Chunks are shared between hosts and the queues are short, so that memory does not grow with bundle or hosts. A
//! full queue makes the pass wait: the slowest host sets the pace, until it takes nothing for too long.

use std::collections::BTreeSet;
use std::io::Read as _;
use std::pin::Pin;
use std::time::Duration;

use bundle::{BundleFile, Digest, Entry, Kind, ReadError};
use tokio::runtime::Handle;
use tokio::sync::mpsc::{Receiver, Sender, channel as queue, error::SendTimeoutError};
use tokio_util::bytes::{Bytes, BytesMut};
use tokio_util::io::StreamReader;
use tokio_util::sync::CancellationToken;

use super::LoadEvent;
use super::ask::Due;
use crate::protocol::COMMIT;

/// The length of a chunk in bytes.
const CHUNK: usize = 1 << 20;
/// Chunks that wait for a host.
const QUEUE: usize = 8;

type Chunks = Pin<Box<dyn futures::Stream<Item = std::io::Result<Bytes>> + Send>>;

/// What is sent to a host, as an `AsyncRead`.
pub(super) type Body = StreamReader<Chunks, Bytes>;

/// The other end: takes the blobs that one host lacks.
pub(super) struct Sink {
    wanted: BTreeSet<Digest>,
    chunks: Sender<Bytes>,
    /// Is cancelled when the host takes nothing for too long.
    pub(super) stalled: CancellationToken,
}

/// How the pass waits.
pub(super) struct Pace {
    pub(super) runtime: Handle,
    pub(super) stall: Duration,
}

/// Returns both ends of a host's queue.
pub(super) fn channel(due: &Due) -> (Sink, Body) {
    let (chunks, receiver) = queue(QUEUE);
    let sink = Sink {
        wanted: due.send.iter().map(|blob| blob.digest).collect(),
        chunks,
        stalled: CancellationToken::new(),
    };
    let next = |mut receiver: Receiver<Bytes>| async move {
        let chunk = receiver.recv().await?;
        Some((Ok(chunk), receiver))
    };
    let stream = futures::stream::unfold(receiver, next);
    (sink, StreamReader::new(Box::pin(stream)))
}

/// Reads and verifies the whole archive, and confirms it to the hosts that took everything until then. After an error
/// nobody gets a confirmation, and so nobody keeps anything.
pub(super) fn run(
    bundle: &BundleFile,
    sinks: Vec<Sink>,
    pace: &Pace,
    say: &(dyn Fn(LoadEvent<'_>) + Send + Sync),
) -> Result<(), ReadError> {
    let mut pump = Pump { sinks, pace, say };
    let mut reader = bundle.reader()?;
    while let Some(mut entry) = reader.next_entry()? {
        if pump.sinks.is_empty() {
            return Ok(());
        }
        pump.member(&mut entry)?;
    }
    reader.finish()?;
    pump.send(None, &Bytes::from_static(&[COMMIT]));
    Ok(())
}

struct Pump<'a> {
    sinks: Vec<Sink>,
    pace: &'a Pace,
    say: &'a (dyn Fn(LoadEvent<'_>) + Send + Sync),
}

impl Pump<'_> {
    fn member(&mut self, entry: &mut Entry<'_>) -> Result<(), ReadError> {
        let member = entry.member().clone();
        let (blob, mut left) = (member.sha256, member.size);
        let wanted = member.kind == Kind::Blob && self.sinks.iter().any(|sink| sink.wanted.contains(&blob));
        let mut chunk = BytesMut::new();
        while left > 0 {
            let length = usize::try_from(left).unwrap_or(CHUNK).min(CHUNK);
            chunk.resize(length, 0);
            let read = entry.read_exact(&mut chunk);
            read.map_err(|error| {
                let during = format!("member {:?}", member.path);
                ReadError::from_io(error).unwrap_or_else(|source| ReadError::Read { during, source })
            })?;
            left -= length as u64;
            if wanted {
                self.send(Some(blob), &chunk.split().freeze());
            }
            (self.say)(LoadEvent::Bytes(length as u64));
        }
        Ok(())
    }

    /// Sends a chunk to the hosts that want its blob, or to all. Who does not take it is left out from here on.
    fn send(&mut self, blob: Option<Digest>, chunk: &Bytes) {
        let Pace { runtime, stall } = self.pace;
        self.sinks.retain(|sink| {
            if blob.is_some_and(|blob| !sink.wanted.contains(&blob)) {
                return true;
            }
            match runtime.block_on(sink.chunks.send_timeout(chunk.clone(), *stall)) {
                Ok(()) => true,
                // It has failed by itself, and says why.
                Err(SendTimeoutError::Closed(_)) => false,
                Err(SendTimeoutError::Timeout(_)) => {
                    sink.stalled.cancel();
                    false
                }
            }
        });
    }
}
