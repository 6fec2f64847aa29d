//! Reads every byte of a bundle against its index, as fast as the machine can hash.
//!
//! This thread reads and unpacks the tar, two threads hash members, a third the file itself where a `.sha256`
//! lies beside it. Queues between them are bounded: memory does not grow with the bundle.

mod pool;

use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};
use std::thread;

use crate::audit::{Audit, Depth, Expected};
use crate::background::BUFFER;
use crate::digest::Digest;
use crate::error::ReadError;
use crate::index::Index;
use crate::path::MemberPath;
use crate::prologue::{self, Prologue};
use crate::source::Source;
use crate::trust::{Origin, Trust};
use crate::walk::{Found, Resumed, Walk};
use pool::{Job, Pool};

/// What happens while a bundle is read.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Event<'a> {
    /// The index was read and is good.
    Start {
        /// The index.
        index: &'a Index,
        /// The identity of the bundle.
        id: Digest,
        /// How many bytes of members will come.
        bytes: u64,
    },
    /// A member begins.
    Member(&'a MemberPath),
    /// So many more bytes of members were read.
    Bytes(u64),
}

/// A bundle in which nothing is wrong.
#[derive(Clone, Debug)]
pub struct Checked {
    /// The identity of the bundle: the SHA-256 of its index.
    pub id: Digest,
    /// The index.
    pub index: Arc<Index>,
    /// How many members were read; the index, its signature and SHA256SUMS not counted.
    pub members: usize,
    /// Their length in bytes.
    pub bytes: u64,
    /// Whether a `.sha256` beside the file was compared.
    pub beside: bool,
    /// What is known of who made it.
    pub origin: Origin,
}

/// Reads the whole of a bundle, to a depth. All members that are damaged or cannot be read are reported, as
/// [`ReadError::Several`]; an archive that cannot be followed any more ends the pass there. A `FILE.sha256` beside the
/// archive is compared with it.
///
/// # Errors
/// When it cannot be read, is bad, or is not what `trust` wants.
pub fn check(
    source: Source,
    trust: &Trust,
    depth: Depth,
    on_event: &mut dyn FnMut(Event<'_>),
) -> Result<Checked, ReadError> {
    let path = match &source {
        Source::Place(path) => Some(path.clone()),
        Source::Stream { .. } => None,
    };
    let prologue = |walk: &mut dyn Walk| {
        prologue::read(
            walk,
            trust,
            path.clone()
                .map(Source::at)
                .map_or_else(Vec::new, |place| place.signatures()),
        )
    };
    let (mut walk, beside) = source.walk_to_prove()?;
    let read = prologue(walk.as_mut()).and_then(|prologue| members(walk.as_mut(), prologue, depth, on_event));
    // The walk holds the feed; without it the hashing thread ends.
    drop(walk);
    let (mut checked, mut problems) = match (read, &path) {
        // A file that has bad places has no hash; without hashing it as a whole they can be passed over, to name all.
        (Err(error), Some(path))
            if beside.is_some() && error.problems().iter().any(|problem| problem.offset().is_some()) =>
        {
            let mut walk = Source::at(path).walk()?;
            let prologue = prologue(walk.as_mut())?;
            let (_, problems) = members(walk.as_mut(), prologue, depth, &mut |_| ())?;
            return Err(ReadError::all(problems).err().unwrap_or(error));
        }
        (read, _) => read?,
    };
    if let Some(beside) = beside {
        checked.beside = true;
        problems.extend(beside.compare()?);
    }
    ReadError::all(problems).map(|()| checked)
}

/// Reads all members; returns also those with wrong bytes. An error ends the pass and holds them too.
fn members(
    walk: &mut dyn Walk,
    Prologue { expected, origin, .. }: Prologue,
    depth: Depth,
    on_event: &mut dyn FnMut(Event<'_>),
) -> Result<(Checked, Vec<ReadError>), ReadError> {
    let index = &expected.index;
    let checked = Checked {
        id: expected.id,
        index: Arc::clone(index),
        members: index.members.len(),
        bytes: index.total_size(),
        beside: false,
        origin,
    };
    on_event(Event::Start {
        index,
        id: expected.id,
        bytes: checked.bytes,
    });
    let (report, reports) = channel();
    let read = thread::scope(|scope| {
        let pool = Pool::start(scope, &report).map_err(|source| ReadError::Thread { source })?;
        let pass = Pass {
            walk,
            expected: &expected,
            depth,
            pool: &pool,
            report: &report,
            on_event,
            next: 0,
            passed: Vec::new(),
        };
        pass.run()
    });
    drop(report);
    let mut problems: Vec<(usize, ReadError)> = reports.into_iter().collect();
    problems.sort_by_key(|(at, _)| *at);
    let mut problems: Vec<ReadError> = problems.into_iter().map(|(_, problem)| problem).collect();
    match read {
        Ok(()) => Ok((checked, problems)),
        Err(error) => {
            problems.push(error);
            Err(ReadError::all(problems).err().unwrap_or(ReadError::Ended))
        }
    }
}

/// The way through a bundle: hands the bytes of its members to the pool, and goes on behind what cannot be read.
struct Pass<'a> {
    walk: &'a mut dyn Walk,
    expected: &'a Arc<Expected>,
    depth: Depth,
    pool: &'a Pool,
    report: &'a Sender<(usize, ReadError)>,
    on_event: &'a mut dyn FnMut(Event<'_>),
    /// The position in the index of the member that must come next.
    next: usize,
    /// What was passed over since the last file that stood where the index says. Until another one does, only the first of it is
    /// sure: the others may only be what follows from a place that is wrong.
    passed: Vec<(usize, ReadError)>,
}

impl Pass<'_> {
    fn run(mut self) -> Result<(), ReadError> {
        loop {
            let met = self.walk.next().and_then(|found| self.admit(found));
            let done = match met {
                Ok(Met::End) => {
                    self.sure();
                    return self.walk.finish();
                }
                Ok(Met::Passed) => Ok(()),
                Ok(Met::File(found)) => {
                    self.sure();
                    self.member(&found)
                }
                Err(error) => Err(error),
            };
            if let Err(error) = done {
                self.pass_over(error)?;
            }
        }
    }

    /// Compares what was met with the member that must come next. Files of a directory are judged each by itself.
    fn admit(&mut self, found: Option<Found>) -> Result<Met, ReadError> {
        let loose = self.walk.is_loose();
        let Some(found) = found else {
            while loose && let Err(missing) = self.expected.end(self.next) {
                self.tell(missing);
                self.next += 1;
            }
            return self.expected.end(self.next).map(|()| Met::End);
        };
        let place = self.expected.index.position(&found.path);
        while loose && place.is_some_and(|place| place > self.next) {
            if let Err(missing) = self.expected.end(self.next) {
                self.tell(missing);
            }
            self.next += 1;
        }
        match self.expected.admit(self.next, &found) {
            Ok(()) => Ok(Met::File(found)),
            Err(error) if loose => {
                self.tell(error);
                self.next += usize::from(place.is_some());
                Ok(Met::Passed)
            }
            Err(error) => Err(error),
        }
    }

    fn member(&mut self, found: &Found) -> Result<(), ReadError> {
        (self.on_event)(Event::Member(&found.path));
        let worker = self.pool.idlest();
        let audit = Audit::new(Arc::clone(self.expected), self.next, self.depth);
        worker.send(Job::Begin(self.next, Box::new(audit)));
        let mut left = found.size;
        while left > 0 {
            let mut buffer = self.pool.buffer();
            // As long as what comes: a hundred thousand members of some bytes are not a hundred thousand whole buffers.
            buffer.resize(usize::try_from(left).map_or(BUFFER, |left| left.min(BUFFER)), 0);
            if let Err(error) = fill(self.walk, &mut buffer) {
                worker.send(Job::Abandon);
                return Err(error);
            }
            let filled = u64::try_from(buffer.len()).unwrap_or(0);
            if filled == 0 {
                break;
            }
            left -= filled.min(left);
            worker.send(Job::Bytes(buffer));
            (self.on_event)(Event::Bytes(filled));
        }
        worker.send(Job::End);
        self.next += 1;
        Ok(())
    }

    /// Goes on after an error, where that can be; else the pass ends with it.
    fn pass_over(&mut self, error: ReadError) -> Result<(), ReadError> {
        let Some(member) = self.expected.index.members.get(self.next) else {
            return Err(self.last(error));
        };
        let resumed = self.walk.resume(member, &error).unwrap_or(Resumed::Never);
        // What lies before a file is the end of the last block of the one before.
        let before = self.next.checked_sub(1).filter(|_| resumed == Resumed::At);
        let of = before.map_or(member, |before| &self.expected.index.members[before]);
        let error = error.within(&of.path);
        match resumed {
            Resumed::Never => return Err(self.last(error)),
            Resumed::At => self.passed.push((self.next, error)),
            Resumed::Behind => {
                self.passed.push((self.next, error));
                self.next += 1;
            }
        }
        if self.walk.is_loose() {
            self.sure();
        }
        Ok(())
    }

    /// Returns the error that ends the pass: the first that was passed over, if nothing since has shown that the place was right.
    fn last(&mut self, error: ReadError) -> ReadError {
        let mut passed = std::mem::take(&mut self.passed).into_iter();
        // Errors of the medium are sure by themselves, wherever they came.
        let (first, others) = match passed.next() {
            Some((_, first)) => (first, passed.filter(|(_, other)| !other.is_contents())),
            None => return error,
        };
        for (at, other) in others {
            let _ = self.report.send((at, other));
        }
        if !error.is_contents() {
            let _ = self.report.send((self.next, error));
        }
        first
    }

    /// What was passed over is as it was said: a file stands where it must.
    fn sure(&mut self) {
        for problem in self.passed.drain(..) {
            // The receiver outlives the pass.
            let _ = self.report.send(problem);
        }
    }

    fn tell(&self, problem: ReadError) {
        let _ = self.report.send((self.next, problem));
    }
}

/// What a pass met.
enum Met {
    /// A file to be read.
    File(Found),
    /// A file that is wrong by itself, and was told.
    Passed,
    /// The end.
    End,
}

/// Fills a buffer as far as the member goes, and cuts it there.
fn fill(walk: &mut dyn Walk, buffer: &mut Vec<u8>) -> Result<(), ReadError> {
    let mut filled = 0;
    while filled < buffer.len() {
        match walk.read(&mut buffer[filled..])? {
            0 => break,
            read => filled += read,
        }
    }
    buffer.truncate(filled);
    Ok(())
}
