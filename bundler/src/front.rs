//! Follows an archive from its beginning as far as it is complete: hashes it as a whole while the rest still comes, and with
//! it each large member that it meets before its hash is known; or compresses it.

use std::io::{self, Write as _};
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use bundle::{AtomicFile, Compression, Digest, Output, Twin};

use crate::canvas::{Canvas, Grown};
use crate::timings::Stage;

/// So short that it is hashed before a processor's cache has forgotten it.
const BUFFER: usize = 256 << 10;

/// What the front made.
pub(crate) struct Followed {
    /// The hash and the length of the file that is the result.
    pub(crate) sha256: Digest,
    pub(crate) size: u64,
    /// The compressed archive, where that is the result.
    pub(crate) compressed: Option<AtomicFile>,
}

/// Why the front could not go on.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FrontError {
    #[error("the archive cannot be read")]
    Read { source: io::Error },
    #[error("the archive cannot be compressed")]
    Write { source: io::Error },
    /// No more bytes come.
    #[error("it was not completed")]
    Closed,
    #[error("its thread panicked")]
    Thread,
}

/// The thread that follows.
pub(crate) struct Front {
    canvas: Arc<Canvas>,
    thread: Option<JoinHandle<Result<Followed, FrontError>>>,
}

/// Where the bytes go.
enum Way {
    /// Into the hash alone. It can go back, so it follows bytes whose own hash is still to come.
    Plain(Twin),
    /// Through the compressor, which cannot: it takes only what is whole.
    Compressed(Box<Output<AtomicFile>>),
}

impl Front {
    /// Starts to follow. `out` and `compression` where the result is compressed.
    pub(crate) fn start(canvas: &Arc<Canvas>, out: Option<(AtomicFile, Compression)>) -> io::Result<Self> {
        let way = match out {
            Some((out, compression)) => Way::Compressed(Box::new(Output::new(out, compression)?)),
            None => Way::Plain(Twin::new()),
        };
        let shared = Arc::clone(canvas);
        let follow = move || {
            let mut ending = Ending {
                canvas: &shared,
                good: false,
            };
            let followed = Follower {
                canvas: &shared,
                way,
                at: 0,
            }
            .follow();
            ending.good = followed.is_ok();
            followed
        };
        let thread = thread::Builder::new().name("front".to_owned()).spawn(follow)?;
        Ok(Self {
            canvas: Arc::clone(canvas),
            thread: Some(thread),
        })
    }

    /// Waits until it has seen the last byte. Blocks.
    pub(crate) fn finish(mut self) -> Result<Followed, FrontError> {
        match self.thread.take().map(JoinHandle::join) {
            Some(Ok(followed)) => followed,
            _ => Err(FrontError::Thread),
        }
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        self.canvas.close();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Sees to it that nobody waits for a front that has ended too early, by an error or a panic.
struct Ending<'a> {
    canvas: &'a Canvas,
    good: bool,
}

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        if !self.good {
            self.canvas.close();
        }
    }
}

struct Follower<'a> {
    canvas: &'a Canvas,
    way: Way,
    /// So far it has come.
    at: u64,
}

impl Follower<'_> {
    fn follow(mut self) -> Result<Followed, FrontError> {
        let places = self.canvas.places();
        let mut buffer = vec![0; BUFFER];
        for (member, entry) in places.index().members.iter().enumerate() {
            self.pass(places.start(member), &mut buffer)?;
            self.member(member, entry.size, &mut buffer)?;
        }
        self.pass(places.size(), &mut buffer)?;
        match self.way {
            Way::Plain(twin) => Ok(Followed {
                sha256: twin.finish(),
                size: places.size(),
                compressed: None,
            }),
            Way::Compressed(output) => {
                let finished = output.finish();
                let (file, sha256, size) = finished.map_err(|source| FrontError::Write { source })?;
                Ok(Followed {
                    sha256,
                    size,
                    compressed: Some(file),
                })
            }
        }
    }

    /// Passes over a member as it grows; where it begins anew, back to its beginning.
    fn member(&mut self, member: usize, size: u64, buffer: &mut [u8]) -> Result<(), FrontError> {
        let start = self.at;
        let judges = self.canvas.judges(size);
        if let Way::Plain(twin) = &mut self.way
            && judges
        {
            twin.begin_part();
        }
        let before = match &self.way {
            Way::Plain(twin) => Some(twin.clone()),
            Way::Compressed(_) => None,
        };
        let mut seen = Grown::default();
        while !(seen.whole && self.at == start + size) {
            let grown = self.canvas.wait(member, seen).ok_or(FrontError::Closed)?;
            if grown.life != seen.life {
                self.at = start;
                if let Some(before) = &before {
                    self.way = Way::Plain(before.clone());
                }
            }
            seen = grown;
            if let Way::Plain(twin) = &mut self.way
                && grown.whole
            {
                // Its own hash is known.
                twin.end_part();
            }
            let ready = match &self.way {
                _ if grown.whole => size,
                Way::Plain(_) => grown.written,
                Way::Compressed(_) => 0,
            };
            self.pass(start + ready, buffer)?;
            if let Way::Plain(twin) = &mut self.way
                && self.at == start + size
                && let Some(digest) = twin.end_part()
            {
                self.canvas.see(member, seen.life, digest);
            }
        }
        Ok(())
    }

    /// Passes over all bytes up to `end`.
    fn pass(&mut self, end: u64, buffer: &mut [u8]) -> Result<(), FrontError> {
        let _busy = self.canvas.timings().measure(Stage::Front);
        while self.at < end {
            let count = usize::try_from(end - self.at).map_or(BUFFER, |left| left.min(BUFFER));
            let read = self.canvas.file().read_exact_at(&mut buffer[..count], self.at);
            read.map_err(|source| FrontError::Read { source })?;
            match &mut self.way {
                Way::Plain(twin) => twin.update(&buffer[..count]),
                Way::Compressed(output) => output
                    .write_all(&buffer[..count])
                    .map_err(|source| FrontError::Write { source })?,
            }
            self.at += count as u64;
        }
        Ok(())
    }
}
