//! A thread that hashes buffers while the next are read or written. Memory is bounded: its queue is.

use std::io;
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::thread::{self, JoinHandle};

use crate::digest::{Digest, Hasher};

/// The length of a buffer in bytes.
pub(crate) const BUFFER: usize = 1 << 20;

/// How many buffers may wait.
pub(crate) const QUEUE: usize = 4;

/// Where buffers go in, and come back empty. Dropping it ends the thread.
pub(crate) struct Feed {
    full: SyncSender<Vec<u8>>,
    empty: Receiver<Vec<u8>>,
}

/// Where the digest comes out.
pub(crate) struct Outcome(JoinHandle<Digest>);

/// Starts a hashing thread.
pub(crate) fn start() -> io::Result<(Feed, Outcome)> {
    let (full, work) = sync_channel::<Vec<u8>>(QUEUE);
    let (done, empty) = channel();
    let thread = thread::Builder::new()
        .name("hash".to_owned())
        .spawn(move || run(&work, &done))?;
    Ok((Feed { full, empty }, Outcome(thread)))
}

impl Feed {
    /// Returns an empty buffer of [`BUFFER`] bytes: a used one, or a new one while few are about.
    pub(crate) fn buffer(&self) -> Vec<u8> {
        self.empty
            .try_recv()
            .unwrap_or_else(|_| Vec::with_capacity(BUFFER))
    }

    /// Hands over the next bytes, waiting while the queue is full.
    pub(crate) fn hash(&self, bytes: Vec<u8>) {
        // A thread that is gone has panicked: `Outcome::wait` says so.
        let _ = self.full.send(bytes);
    }
}

impl Outcome {
    /// Waits, after the [`Feed`] was dropped, and returns the digest of all bytes.
    pub(crate) fn wait(self) -> io::Result<Digest> {
        self.0
            .join()
            .map_err(|_| io::Error::other("the hashing thread panicked"))
    }
}

/// A member shorter than this is hashed sooner than a thread is started.
const SHORT: u64 = 4 << 20;

/// The hash of one member: of a short one where it is, of a long one beside, because the archive as a whole is hashed
/// too and both together are slower than a disk.
pub(crate) enum Sum {
    Here(Hasher),
    Beside(Feed, Outcome),
}

impl Sum {
    /// Starts with a member of `size` bytes.
    pub(crate) fn start(size: u64) -> Self {
        let beside = (size >= SHORT).then(start).and_then(Result::ok);
        beside.map_or_else(
            || Self::Here(Hasher::new()),
            |(feed, outcome)| Self::Beside(feed, outcome),
        )
    }

    /// Takes in the next bytes, at most [`BUFFER`].
    pub(crate) fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Here(hasher) => hasher.update(bytes),
            Self::Beside(feed, _) => {
                let mut buffer = feed.buffer();
                buffer.extend_from_slice(bytes);
                feed.hash(buffer);
            }
        }
    }

    /// Returns the digest of all bytes.
    pub(crate) fn finish(self) -> io::Result<Digest> {
        match self {
            Self::Here(hasher) => Ok(hasher.finish()),
            Self::Beside(feed, outcome) => {
                drop(feed);
                outcome.wait()
            }
        }
    }
}

fn run(work: &Receiver<Vec<u8>>, done: &Sender<Vec<u8>>) -> Digest {
    let mut hasher = Hasher::new();
    for mut buffer in work {
        hasher.update(&buffer);
        buffer.clear();
        // Nobody takes buffers back once the last was handed over.
        let _ = done.send(buffer);
    }
    hasher.finish()
}
