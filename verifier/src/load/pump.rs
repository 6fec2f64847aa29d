//! One pass over the archive, for all hosts. Runs on a thread that may block; every byte is verified on its way.
//!
//! Chunks are shared between hosts and the queues are short, so that memory does not grow with bundle or hosts. A
//! full queue makes the pass wait: the slowest host sets the pace, until it takes nothing for too long, or so little that
//! it holds up the others ([`Turns`]).

use std::collections::BTreeSet;
use std::io::Read as _;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use bundle::{BundleFile, Digest, Entry, Kind, MemberPath, ReadError};
use tokio::runtime::Handle;
use tokio::sync::mpsc::{Receiver, Sender, channel as queue, error::SendTimeoutError};
use tokio_util::bytes::{Bytes, BytesMut};
use tokio_util::io::StreamReader;
use tokio_util::sync::CancellationToken;

use super::ask::Due;
use super::turns::{Behind, Turns};
use super::{Kept, LoadEvent, Reading};
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
    /// How the host takes it.
    turns: Turns,
    /// It takes nothing any more.
    gone: bool,
    /// Is left when the host takes nothing for too long, or too little.
    pub(super) left: Left,
}

/// That a host is left behind, and why.
#[derive(Clone, Default)]
pub(super) struct Left {
    over: CancellationToken,
    why: Arc<OnceLock<Behind>>,
}

impl Left {
    fn behind(&self, why: Behind) {
        let _ = self.why.set(why);
        self.over.cancel();
    }

    /// Waits until the host is left behind; returns why.
    pub(super) async fn left(&self) -> Behind {
        self.over.cancelled().await;
        self.why.get().copied().unwrap_or(Behind::Stalled)
    }
}

/// How the pass waits.
pub(super) struct Pace {
    pub(super) runtime: Handle,
    pub(super) stall: Duration,
    pub(super) reading: Reading,
    /// Members that are kept.
    pub(super) keep: BTreeSet<MemberPath>,
}

/// What the pass came to.
pub(super) struct Read {
    /// Whether all of it was read.
    pub(super) verified: bool,
    /// The members that were to be kept, as far as it was read.
    pub(super) kept: Kept,
}

/// Returns both ends of a host's queue.
pub(super) fn channel(due: &Due) -> (Sink, Body) {
    let (chunks, receiver) = queue(QUEUE);
    let sink = Sink {
        wanted: due.send.iter().map(|blob| blob.digest).collect(),
        chunks,
        turns: Turns::default(),
        gone: false,
        left: Left::default(),
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
) -> Result<Read, ReadError> {
    let mut pump = Pump {
        sinks,
        pace,
        say,
        since: Instant::now(),
        kept: Kept::new(),
    };
    let mut reader = match pace.reading {
        Reading::AsNeeded => bundle.reader()?,
        Reading::ToTheEnd => bundle.proving_reader()?,
    };
    while let Some(mut entry) = reader.next_entry()? {
        if pump.sinks.is_empty() && pace.reading == Reading::AsNeeded {
            return Ok(Read {
                verified: false,
                kept: pump.kept,
            });
        }
        pump.member(&mut entry)?;
    }
    reader.finish()?;
    pump.send(None, &Bytes::from_static(&[COMMIT]));
    Ok(Read {
        verified: true,
        kept: pump.kept,
    })
}

struct Pump<'a> {
    kept: Kept,
    /// When the turns began that are being counted.
    since: Instant,
    sinks: Vec<Sink>,
    pace: &'a Pace,
    say: &'a (dyn Fn(LoadEvent<'_>) + Send + Sync),
}

impl Pump<'_> {
    fn member(&mut self, entry: &mut Entry<'_>) -> Result<(), ReadError> {
        let member = entry.member().clone();
        let (blob, mut left) = (member.sha256, member.size);
        let wanted = member.kind == Kind::Blob && self.sinks.iter().any(|sink| sink.wanted.contains(&blob));
        let keeps = self.pace.keep.contains(&member.path);
        let mut kept = keeps.then(Vec::new);
        let mut chunk = BytesMut::new();
        while left > 0 {
            let length = usize::try_from(left).unwrap_or(CHUNK).min(CHUNK);
            chunk.resize(length, 0);
            let read = entry.read_exact(&mut chunk);
            read.map_err(|error| {
                let during = format!("member {:?}", member.path);
                ReadError::from_io(error).unwrap_or_else(|source| ReadError::Read {
                    during,
                    member: Some(member.path.clone()),
                    offset: None,
                    source,
                })
            })?;
            left -= length as u64;
            if let Some(kept) = &mut kept {
                kept.extend_from_slice(&chunk);
            }
            if wanted {
                self.send(Some(blob), &chunk.split().freeze());
            }
            (self.say)(LoadEvent::Bytes(length as u64));
        }
        self.kept.extend(kept.map(|kept| (member.path, kept)));
        Ok(())
    }

    /// Sends a chunk to the hosts that want its blob, or to all; those that are busy are waited for together. Who does not
    /// take it is left out from here on.
    fn send(&mut self, blob: Option<Digest>, chunk: &Bytes) {
        let Pace { runtime, stall, .. } = self.pace;
        let wants = |sink: &&mut Sink| blob.is_none_or(|blob| sink.wanted.contains(&blob));
        let offers = self.sinks.iter_mut().filter(wants).map(|sink| async {
            let since = Instant::now();
            match sink.chunks.send_timeout(chunk.clone(), *stall).await {
                Ok(()) => sink.turns.took(chunk.len(), since.elapsed()),
                // It has failed by itself, and says why.
                Err(SendTimeoutError::Closed(_)) => sink.gone = true,
                Err(SendTimeoutError::Timeout(_)) => {
                    sink.left.behind(Behind::Stalled);
                    sink.gone = true;
                }
            }
        });
        runtime.block_on(futures::future::join_all(offers));
        self.sinks.retain(|sink| !sink.gone);
        self.leave_behind();
    }

    /// Leaves behind who held up the others in the time that is over.
    fn leave_behind(&mut self) {
        let window = self.since.elapsed();
        if window < Turns::WINDOW {
            return;
        }
        let turns: Vec<Turns> = self.sinks.iter().map(|sink| sink.turns).collect();
        let slow = Turns::slow(&turns, window);
        let mut places = slow.into_iter();
        self.sinks.retain_mut(|sink| {
            sink.turns = Turns::default();
            let Some(bytes_a_second) = places.next().flatten() else {
                return true;
            };
            sink.left.behind(Behind::Slow { bytes_a_second });
            false
        });
        self.since = Instant::now();
    }
}
