//! The archive while it is made. Every member has its place beforehand, and its bytes come from anywhere, in any order, each
//! written once.
//!
//! - A member counts as there when its bytes have the hash that the index names, and not before (`piece.rs`).
//! - How far each has come stands in the journal: a build after a kill goes on there, and hashes again what it finds.
//! - `front.rs` follows what is complete from the beginning on.

use std::fs::{self, File};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bundle::{Digest, LayerError, Places, Unpacking};

use crate::journal::{self, Journal};
use crate::sink::SinkError;
use crate::timings::{Stage, Timings};
use crate::workshop::{Workshop, WorkshopError};
use crate::writeback::Writeback;

mod piece;

pub(crate) use piece::Piece;

/// Members from this length on are worth a wait for the front.
const LARGE: u64 = 1 << 20;
/// So often a member that waits for the front looks whether that waits too.
const LOOK: Duration = Duration::from_millis(20);

/// How far a member is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Grown {
    /// So many of its bytes are there.
    pub(crate) written: u64,
    /// Its hash was compared, and is right.
    pub(crate) whole: bool,
    /// The hash of all its bytes, where the front has seen them before somebody else did.
    pub(crate) seen: Option<Digest>,
    /// How often its bytes turned out to be wrong, and it began anew.
    pub(crate) life: u32,
}

/// What layers unpack to, or why they do not.
type Proven = Vec<(Digest, Result<Unpacking, LayerError>)>;

/// The archive. All that write to it and read it share it.
pub(crate) struct Canvas {
    workshop: Arc<Workshop>,
    file: File,
    path: PathBuf,
    journal: Journal,
    /// What the journal says of an earlier build, until a member is taken up.
    begun: Vec<u64>,
    places: Places,
    state: Mutex<State>,
    changed: Condvar,
    writeback: Writeback,
    /// Whether the front hashes large members too, while it hashes the whole.
    judges: bool,
    proven: Mutex<Proven>,
    timings: Arc<Timings>,
}

#[derive(Default)]
struct State {
    members: Vec<Grown>,
    /// The member that the front waits for, and what it knows of it.
    waits: Option<(usize, Grown)>,
    /// Nothing comes any more.
    closed: bool,
}

impl Canvas {
    /// Begins the archive, or goes on with it where it was begun by the same plan. One of another plan is put aside.
    pub(crate) fn open(
        workshop: &Arc<Workshop>,
        places: Places,
        judges: bool,
        timings: &Arc<Timings>,
    ) -> Result<Self, WorkshopError> {
        let path = workshop.archive();
        let members = places.index().members.len();
        let (fingerprint, journal) = (places.fingerprint(), workshop.journal());
        let begun = Journal::open(&journal, &fingerprint, members);
        let begun = begun.and_then(|(journal, lengths)| {
            let file = journal::options().open(&path).ok()?;
            (file.metadata().ok()?.len() == places.size()).then_some((file, journal, lengths))
        });
        let (file, journal, begun) = if let Some(begun) = begun {
            begun
        } else {
            put_aside(workshop)?;
            let file = lay_out(&path, &places)?;
            let journal = Journal::create(journal, &fingerprint, members)?;
            (file, journal, vec![0; members])
        };
        let second = file.try_clone().map_err(WorkshopError::io("open", &path))?;
        Ok(Self {
            workshop: Arc::clone(workshop),
            writeback: Writeback::new(second).map_err(WorkshopError::io("start a thread for", &path))?,
            file,
            path,
            journal,
            begun,
            judges,
            places,
            state: Mutex::new(State {
                members: vec![Grown::default(); members],
                waits: None,
                closed: false,
            }),
            changed: Condvar::new(),
            proven: Mutex::default(),
            timings: Arc::clone(timings),
        })
    }

    pub(crate) const fn places(&self) -> &Places {
        &self.places
    }

    pub(crate) const fn file(&self) -> &File {
        &self.file
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn workshop(&self) -> &Workshop {
        &self.workshop
    }

    pub(crate) fn timings(&self) -> &Timings {
        &self.timings
    }

    /// Returns how many bytes an earlier build left, as its journal says.
    pub(crate) fn begun(&self) -> u64 {
        self.begun
            .iter()
            .fold(0, |sum, length| sum.saturating_add(*length))
    }

    /// Waits until more than `known` is there of a member, or it is whole, or has begun anew. None: nothing comes any more.
    pub(crate) fn wait(&self, member: usize, known: Grown) -> Option<Grown> {
        let _waiting = self.timings.measure(Stage::Wait);
        let mut state = self.state();
        loop {
            let grown = state.members[member];
            if grown.whole || grown.life != known.life || grown.written > known.written {
                state.waits = None;
                return Some(grown);
            }
            state.waits = Some((member, known));
            if state.closed {
                return None;
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Returns whether the front hashes members of this length while it hashes the whole.
    pub(crate) const fn judges(&self, size: u64) -> bool {
        self.judges && size >= LARGE
    }

    /// Notes the hash of a member that the front has seen all of, in this life of it. Where it is right the front goes on.
    pub(crate) fn see(&self, member: usize, life: u32, digest: Digest) {
        let expected = self.places.index().members[member].sha256;
        self.grow(member, |grown| {
            if grown.life == life {
                grown.seen = Some(digest);
                grown.whole = digest == expected;
            }
        });
    }

    /// Waits for the front to hash a member that is full. None: it waits itself, for another member, and whoever needs this
    /// hash has a processor to himself.
    fn seen(&self, member: usize) -> Result<Option<Digest>, SinkError> {
        let mut state = self.state();
        loop {
            if let Some(digest) = state.members[member].seen {
                return Ok(Some(digest));
            }
            if state.closed {
                return Err(SinkError::Closed);
            }
            let waits = state
                .waits
                .is_some_and(|(at, known)| known.written >= state.members[at].written);
            if waits {
                return Ok(None);
            }
            state = self
                .changed
                .wait_timeout(state, LOOK)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
    }

    /// Says that nothing comes any more: whoever waits ends.
    pub(crate) fn close(&self) {
        self.state().closed = true;
        self.changed.notify_all();
    }

    /// Returns whether nothing comes any more.
    pub(crate) fn is_closed(&self) -> bool {
        self.state().closed
    }

    /// Returns what was proven of layers, and forgets it.
    pub(crate) fn take_proven(&self) -> Proven {
        std::mem::take(&mut *self.proven.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Reads bytes of the archive whole.
    pub(crate) fn read_at(&self, buffer: &mut [u8], at: u64) -> Result<(), WorkshopError> {
        let read = self.file.read_exact_at(buffer, at);
        read.map_err(WorkshopError::io("read", &self.path))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn grow(&self, member: usize, change: impl FnOnce(&mut Grown)) {
        change(&mut self.state().members[member]);
        self.changed.notify_all();
    }
}

/// Puts aside what another plan had begun. The journal first: it must never stand beside an archive of another plan.
fn put_aside(workshop: &Workshop) -> Result<(), WorkshopError> {
    for (from, to) in [
        (workshop.journal(), workshop.earlier_journal()),
        (workshop.archive(), workshop.earlier()),
    ] {
        journal::if_there(fs::rename(&from, to)).map_err(WorkshopError::io("rename", &from))?;
    }
    Ok(())
}

/// Makes the file of an archive, with everything in it but the members of the index.
fn lay_out(path: &Path, places: &Places) -> Result<File, WorkshopError> {
    let file = journal::options().create_new(true).open(path);
    let file = file.map_err(WorkshopError::io("create", path))?;
    let sized = file.set_len(places.size());
    sized.map_err(WorkshopError::io("set the length of", path))?;
    let framed = places.frame(|at, bytes| file.write_all_at(bytes, at));
    framed.map_err(WorkshopError::io("write", path))?;
    Ok(file)
}
