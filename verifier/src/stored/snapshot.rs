//! A snapshot of etcd, read once from its beginning to its end, wherever its bytes come from: a file, a member of etcd, a
//! backup that is being decompressed. It is a database of bbolt with the SHA-256 of all of it behind (etcd,
//! `server/etcdserver/api/v3rpc/maintenance.go`; bbolt, `internal/common/page.go`).
//!
//! Pages come in the order of the file and not of the tree, and old ones lie between those in use. So of each page what it may
//! turn out to be is kept (children, first and last keys, of each object its key's hash, its revision and what encrypted it),
//! and when the last byte was seen the tree is walked over that. A value is never kept, nor is more than a few pages at a time.

mod key_value;
mod lease;
mod meta;
mod page;
mod parsed;
#[cfg(test)]
pub(crate) mod testing;
mod walk;
mod window;

use sha2::{Digest as _, Sha256};

use crate::protocol::{PageProblem, SnapshotFacts, SnapshotHash, SnapshotProblem};
use meta::Meta;
use parsed::Parsed;
use window::Window;

/// The SHA-256 behind the database.
const HASH: usize = 32;
/// More problems than these are counted only.
const TOLD: usize = 16;

/// What the bytes are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// A snapshot: a database with its hash.
    Snapshot,
    /// The database of a member: `member/snap/db`. It may be longer than what is in use of it.
    Database,
}

/// What is wanted of a snapshot.
#[derive(Clone, Debug)]
pub(crate) struct Wanted {
    /// What it is.
    pub(crate) form: Form,
    /// The API server's prefix.
    pub(crate) prefix: String,
    /// Keys that are looked for, whole.
    pub(crate) keys: Vec<String>,
}

/// Reads a snapshot.
#[derive(Debug)]
pub(crate) struct Reader {
    wanted: Wanted,
    hash: Sha256,
    bytes: u64,
    /// What did not fill a page yet, and what may be the hash.
    rest: Vec<u8>,
    page_size: Option<usize>,
    /// Whether it does not begin as a database does: then it is only hashed.
    foreign: bool,
    next: u64,
    window: Window,
    metas: [Option<Meta>; 2],
    parsed: Parsed,
}

impl Reader {
    /// Returns a reader that has seen nothing yet.
    pub(crate) fn new(wanted: Wanted) -> Self {
        let parsed = Parsed::new(&wanted.prefix);
        Self {
            wanted,
            hash: Sha256::new(),
            bytes: 0,
            rest: Vec::new(),
            page_size: None,
            foreign: false,
            next: 0,
            window: Window::default(),
            metas: [None; 2],
            parsed,
        }
    }

    /// Returns how many bytes were read.
    pub(crate) const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Takes the next bytes, in pieces of any size.
    pub(crate) fn feed(&mut self, bytes: &[u8]) {
        self.bytes += bytes.len() as u64;
        self.rest.extend_from_slice(bytes);
        let rest = std::mem::take(&mut self.rest);
        let taken = self.pages(&rest);
        self.rest = rest;
        self.rest.drain(..taken);
    }

    /// What stands behind the pages.
    fn behind(&self) -> usize {
        if self.wanted.form == Form::Snapshot {
            HASH
        } else {
            0
        }
    }

    /// Reads whole pages and returns how many bytes they have.
    fn pages(&mut self, rest: &[u8]) -> usize {
        let behind = self.behind();
        if self.page_size.is_none() && !self.foreign {
            if rest.len() < page::HEADER + meta::LENGTH {
                return 0;
            }
            self.page_size = meta::page_size(rest);
            self.foreign = self.page_size.is_none();
        }
        let Some(size) = self.page_size else {
            let known = rest.len().saturating_sub(behind);
            self.hash.update(&rest[..known]);
            return known;
        };
        let mut taken = 0;
        while rest.len() - taken >= size + behind {
            let page = &rest[taken..taken + size];
            self.hash.update(page);
            self.page(page);
            taken += size;
        }
        taken
    }

    fn page(&mut self, bytes: &[u8]) {
        let id = self.next;
        self.next += 1;
        let place = usize::try_from(id).unwrap_or(usize::MAX);
        if let Some(meta) = self.metas.get_mut(place) {
            *meta = meta::read(bytes, id);
        }
        let header = page::Header::read(bytes);
        let kind = header.kind.filter(|_| header.id == id);
        self.parsed.begin(kind, header.overflow);
        let parsed = &mut self.parsed;
        let mut whole = |id: u64, bytes: &[u8]| parsed.page(id, bytes);
        if kind.is_some() {
            self.window.open(id, header.overflow, bytes, &mut whole);
        } else {
            self.window.page(id, bytes, &mut whole);
        }
    }

    /// Ends, and returns what was read.
    pub(crate) fn finish(mut self) -> SnapshotFacts {
        let behind = self.behind().min(self.rest.len());
        let (rest, said) = self.rest.split_at(self.rest.len() - behind);
        self.hash.update(rest);
        let left = rest.len() as u64;
        let hash = match self.wanted.form {
            Form::Database => SnapshotHash::None,
            Form::Snapshot if self.bytes <= HASH as u64 => SnapshotHash::Missing,
            Form::Snapshot if *said == *std::mem::take(&mut self.hash).finalize() => SnapshotHash::Right,
            Form::Snapshot => SnapshotHash::Wrong,
        };
        let mut problems = Problems::default();
        let mut facts = SnapshotFacts {
            bytes: self.bytes,
            hash,
            page_size: self.page_size.unwrap_or_default() as u64,
            pages: self.next,
            ..SnapshotFacts::default()
        };
        let Some(meta) = self.meta(&mut problems) else {
            problems.found(PageProblem::Meta, 0);
            return problems.into(facts);
        };
        self.length(meta, left, &mut problems);
        if self.parsed.is_over() {
            facts.unread = true;
            return problems.into(facts);
        }
        let walked = walk::walk(&self.parsed, meta, &mut problems);
        walked.tell(&self.parsed, &self.wanted.keys, &mut facts);
        facts.renewed = self.parsed.renewed();
        problems.into(facts)
    }

    /// Returns the page that says where everything is. A snapshot has two that say the same, each whole.
    fn meta(&self, problems: &mut Problems) -> Option<Meta> {
        let [first, second] = self.metas;
        if self.wanted.form == Form::Snapshot && self.page_size.is_some() {
            let same = |one: Meta, other: Meta| one.is_before(other);
            let second_is_right = first
                .zip(second)
                .is_some_and(|(first, second)| same(second, first));
            if first.is_none() {
                problems.found(PageProblem::Meta, 0);
            } else if !second_is_right {
                problems.found(PageProblem::Meta, 1);
            }
        }
        let newest = [first, second].into_iter().flatten();
        newest.max_by_key(|meta| meta.transaction)
    }

    fn length(&self, meta: Meta, left: u64, problems: &mut Problems) {
        let short = self.next < meta.pages;
        let long = self.wanted.form == Form::Snapshot && (self.next > meta.pages || left > 0);
        if short || long {
            problems.found(PageProblem::Length, meta.pages);
        }
    }
}

/// What is wrong with pages.
#[derive(Debug, Default)]
struct Problems {
    told: Vec<SnapshotProblem>,
    count: u64,
}

impl Problems {
    fn found(&mut self, problem: PageProblem, page: u64) {
        self.count += 1;
        if self.told.len() < TOLD {
            self.told.push(SnapshotProblem { problem, page });
        }
    }

    fn into(self, facts: SnapshotFacts) -> SnapshotFacts {
        SnapshotFacts {
            problems: self.told,
            problem_count: self.count,
            ..facts
        }
    }
}

#[cfg(test)]
mod tests;
