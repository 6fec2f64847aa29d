//! A member on its way into the archive: written to its place piece by piece, and hashed, by itself or by the front.

use std::os::unix::fs::FileExt as _;
use std::sync::{Arc, PoisonError};

use bundle::{Digest, Hasher};

use super::Canvas;
use crate::prove::Proof;
use crate::sink::{SinkError, Vessel};
use crate::timings::{Stage, Timings};
use crate::workshop::WorkshopError;

const BUFFER: usize = 1 << 20;
/// So many bytes are lost at most to a kill: then the journal is written.
const NOTED: u64 = 128 << 10;

/// A member that is being written. Nobody else writes it.
pub(crate) struct Piece {
    canvas: Arc<Canvas>,
    member: usize,
    size: u64,
    expected: Digest,
    start: u64,
    /// None where the front hashes it.
    hasher: Option<Hasher>,
    written: u64,
    noted: u64,
    /// Where the layer is to be proven too.
    proof: Option<Proof>,
    proves: bool,
}

impl Piece {
    /// Takes up a member where an earlier build left it. `proves`: it is a layer, and is unpacked as it comes.
    pub(crate) fn begin(canvas: &Arc<Canvas>, member: usize, proves: bool) -> Result<Self, SinkError> {
        let entry = &canvas.places.index().members[member];
        let mut piece = Self {
            size: entry.size,
            expected: entry.sha256,
            start: canvas.places.start(member),
            hasher: (!canvas.judges(entry.size)).then(Hasher::new),
            written: 0,
            noted: 0,
            proof: None,
            proves,
            member,
            canvas: Arc::clone(canvas),
        };
        piece.begin_proof()?;
        let begun = canvas.begun[member].min(piece.size);
        piece.noted = begun;
        if piece.hasher.is_none() && piece.proof.is_none() {
            // The front reads what is there.
            piece.arrived(begun);
            return Ok(piece);
        }
        let mut buffer = vec![0; usize::try_from(begun).unwrap_or(BUFFER).min(BUFFER)];
        while piece.written < begun {
            let count = usize::try_from(begun - piece.written).map_or(BUFFER, |left| left.min(BUFFER));
            {
                let _reading = canvas.timings.measure(Stage::Read);
                canvas.read_at(&mut buffer[..count], piece.start + piece.written)?;
            }
            piece.take_in(&buffer[..count]);
        }
        Ok(piece)
    }

    pub(crate) fn timings(&self) -> &Timings {
        self.canvas.timings()
    }

    /// Returns the position of the member in the index.
    pub(crate) const fn member(&self) -> usize {
        self.member
    }

    /// Returns whether all bytes are there, right or not.
    pub(crate) const fn is_full(&self) -> bool {
        self.written == self.size
    }

    fn begin_proof(&mut self) -> Result<(), SinkError> {
        self.proof = None;
        if self.proves {
            let proof = Proof::start().map_err(WorkshopError::io("start a thread for", &self.canvas.path))?;
            self.proof = Some(proof);
        }
        Ok(())
    }

    /// Hashes bytes that are in their place.
    fn take_in(&mut self, bytes: &[u8]) {
        if let Some(hasher) = &mut self.hasher {
            let _hashing = self.canvas.timings.measure(Stage::Hash);
            hasher.update(bytes);
        }
        if let Some(proof) = &self.proof {
            let _proving = self.canvas.timings.measure(Stage::Prove);
            proof.update(bytes);
        }
        self.arrived(bytes.len() as u64);
    }

    /// Tells the front of bytes that are in their place.
    fn arrived(&mut self, count: u64) {
        self.written += count;
        let written = self.written;
        self.canvas.grow(self.member, |grown| grown.written = written);
    }

    /// Returns the hash of the whole, all of which is there.
    fn digest(&self) -> Result<Digest, SinkError> {
        if let Some(hasher) = &self.hasher {
            return Ok(hasher.clone().finish());
        }
        if self.is_full()
            && let Some(digest) = self.canvas.seen(self.member)?
        {
            return Ok(digest);
        }
        let _hashing = self.canvas.timings.measure(Stage::Hash);
        let (mut hasher, mut at) = (Hasher::new(), 0);
        let mut buffer = vec![0; BUFFER];
        while at < self.written {
            let count = usize::try_from(self.written - at).map_or(BUFFER, |left| left.min(BUFFER));
            self.canvas.read_at(&mut buffer[..count], self.start + at)?;
            hasher.update(&buffer[..count]);
            at += count as u64;
        }
        Ok(hasher.finish())
    }
}

impl Vessel for Piece {
    fn written(&self) -> u64 {
        self.written
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), SinkError> {
        // No source may write into its neighbour.
        let room = usize::try_from(self.size - self.written).unwrap_or(usize::MAX);
        if bytes.len() > room {
            self.restart()?;
            return Err(SinkError::TooLong { size: self.size });
        }
        {
            let _writing = self.canvas.timings.measure(Stage::Write);
            let written = self.canvas.file.write_all_at(bytes, self.start + self.written);
            written.map_err(WorkshopError::io("write", &self.canvas.path))?;
        }
        self.take_in(bytes);
        if self.written - self.noted >= NOTED || self.is_full() {
            self.canvas.journal.note(self.member, self.written)?;
            self.noted = self.written;
        }
        self.canvas.writeback.wrote(bytes.len());
        Ok(())
    }

    fn restart(&mut self) -> Result<(), SinkError> {
        self.canvas.journal.note(self.member, 0)?;
        (self.written, self.noted) = (0, 0);
        self.hasher = self.hasher.take().map(|_| Hasher::new());
        self.begin_proof()?;
        self.canvas.grow(self.member, |grown| {
            grown.written = 0;
            (grown.seen, grown.whole) = (None, false);
            grown.life += 1;
        });
        Ok(())
    }

    fn keep(&mut self) -> Result<(), SinkError> {
        let found = self.digest()?;
        if found != self.expected {
            let expected = self.expected;
            self.restart()?;
            return Err(SinkError::Mismatch { expected, found });
        }
        if let Some(proof) = self.proof.take() {
            let outcome = {
                let _proving = self.canvas.timings.measure(Stage::Prove);
                proof.finish()
            };
            let mut proven = self.canvas.proven.lock().unwrap_or_else(PoisonError::into_inner);
            proven.push((self.expected, outcome));
        }
        self.canvas.grow(self.member, |grown| grown.whole = true);
        Ok(())
    }
}
