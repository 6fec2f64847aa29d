//! What every page of a database may turn out to be. Names of objects are kept once each, values never.

use std::collections::{BTreeMap, HashMap};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::ops::Range;

use super::key_value::{self, Revision};
use super::lease;
use super::page::{self, Element, Kind};
use crate::stored::writer;

/// More objects, at all their revisions, are not read: each takes about 50 bytes of memory.
const OBJECTS: usize = 16 << 20;
/// More bytes of names are not kept.
const NAMES: usize = 256 << 20;
/// More pages are not read: 64 GiB of the usual size.
const PAGES: usize = 16 << 20;
/// What pages have together is read no more often than this, and a GiB: old pages may lie over those in use, a few of them.
const OVER: u64 = 8;
const ROOM: u64 = 1 << 30;
/// How long a bucket is without what it holds.
const BUCKET: usize = 16;

/// A page.
#[derive(Clone, Debug)]
pub(super) struct Page {
    /// How many pages behind it are its own.
    pub(super) overflow: u32,
    /// What it holds.
    pub(super) holds: Holds,
}

/// What a page holds.
#[derive(Clone, Debug)]
pub(super) enum Holds {
    /// Nothing that is known.
    Nothing,
    /// It says where everything is.
    Meta,
    /// It is damaged.
    Broken(Flaw),
    /// Children, by the first key of each.
    Children(Box<[(Box<[u8]>, u64)]>),
    /// Keys and values.
    Leaf(Box<Leaf>),
    /// Free pages.
    Free(Box<[u64]>),
}

/// What is wrong with a page by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flaw {
    /// An element lies beyond its end.
    Bounds,
    /// Keys are not in order.
    Order,
}

/// A key of a tree.
pub(super) type Key = Box<[u8]>;

/// A leaf.
#[derive(Clone, Debug, Default)]
pub(super) struct Leaf {
    /// Its first and its last key; absent: it is empty.
    pub(super) ends: Option<(Key, Key)>,
    /// The buckets in it.
    pub(super) buckets: Vec<Bucket>,
    /// Names and values of the few keys by which etcd says how far it is.
    pub(super) marks: Vec<(String, Vec<u8>)>,
    /// Its objects, where every key of it is a revision.
    pub(super) objects: Option<Range<usize>>,
    /// Whether one of those revisions holds no object.
    pub(super) strange: bool,
}

/// A bucket: a tree of its own.
#[derive(Clone, Debug)]
pub(super) struct Bucket {
    pub(super) name: Vec<u8>,
    /// The page of its root; absent: it lies in the leaf itself.
    pub(super) root: u64,
    pub(super) inline: Option<Result<Leaf, Flaw>>,
}

/// An object at a revision.
#[derive(Clone, Copy, Debug)]
pub(super) struct Object {
    pub(super) revision: Revision,
    /// The hash of its key.
    pub(super) key: u64,
    /// The hash of all that is stored of it.
    pub(super) content: u64,
    /// What encrypted it; absent where it is none of Kubernetes.
    pub(super) group: Option<u32>,
}

/// All pages.
#[derive(Debug)]
pub(super) struct Parsed {
    prefix: Vec<u8>,
    pub(super) pages: Vec<Page>,
    pub(super) objects: Vec<Object>,
    /// What stands before values, by its place here.
    writers: Vec<String>,
    by_writer: BTreeMap<String, u32>,
    names: HashMap<u64, Box<str>>,
    name_bytes: usize,
    renewed: Option<i64>,
    /// How many bytes of pages were read.
    read: u64,
    over: bool,
}

impl Parsed {
    pub(super) fn new(prefix: &str) -> Self {
        Self {
            prefix: format!("{}/", prefix.trim_end_matches('/')).into_bytes(),
            pages: Vec::new(),
            objects: Vec::new(),
            writers: Vec::new(),
            by_writer: BTreeMap::new(),
            names: HashMap::new(),
            name_bytes: 0,
            renewed: None,
            read: 0,
            over: false,
        }
    }

    /// Returns whether there was more than is read.
    pub(super) const fn is_over(&self) -> bool {
        self.over
    }

    /// Returns when the newest Lease was renewed.
    pub(super) const fn renewed(&self) -> Option<i64> {
        self.renewed
    }

    /// Returns what encrypted an object; empty: nothing.
    pub(super) fn writer(&self, group: u32) -> &str {
        self.writers.get(group as usize).map_or("", String::as_str)
    }

    /// Returns the key of an object below the API server's prefix.
    pub(super) fn name(&self, key: u64) -> Option<&str> {
        self.names.get(&key).map(|name| &**name)
    }

    /// Returns a page.
    pub(super) fn at(&self, id: u64) -> Option<&Page> {
        self.pages.get(usize::try_from(id).ok()?)
    }

    /// Takes the header of the next page.
    pub(super) fn begin(&mut self, kind: Option<Kind>, overflow: u32) {
        if self.pages.len() >= PAGES {
            self.over = true;
            return;
        }
        self.pages.push(Page {
            overflow,
            holds: match kind {
                None => Holds::Nothing,
                Some(Kind::Meta) => Holds::Meta,
                // Until all of it was seen.
                Some(_) => Holds::Broken(Flaw::Bounds),
            },
        });
    }

    /// Takes a page that is whole, with those that are its own.
    pub(super) fn page(&mut self, id: u64, bytes: &[u8]) {
        if self.over {
            return;
        }
        let header = page::Header::read(bytes);
        let size = bytes.len() as u64 / (u64::from(header.overflow) + 1);
        self.read += bytes.len() as u64;
        if self.read > (id + 1).saturating_mul(size).saturating_mul(OVER) + ROOM {
            self.over = true;
            return;
        }
        let holds = match header.kind {
            Some(Kind::Branch) => children(bytes).map(Holds::Children),
            Some(Kind::Leaf) => self.leaf(bytes).map(|leaf| Holds::Leaf(Box::new(leaf))),
            Some(Kind::Freelist) => page::freelist(bytes)
                .map(|free| Holds::Free(free.into()))
                .ok_or(Flaw::Bounds),
            Some(Kind::Meta) => Ok(Holds::Meta),
            None => Ok(Holds::Nothing),
        };
        let place = usize::try_from(id).unwrap_or(usize::MAX);
        if let Some(page) = self.pages.get_mut(place) {
            page.holds = holds.unwrap_or_else(Holds::Broken);
        }
    }

    fn leaf(&mut self, bytes: &[u8]) -> Result<Leaf, Flaw> {
        let mut leaf = Leaf::default();
        let first_object = self.objects.len();
        let mut last: Option<&[u8]> = None;
        let mut only_revisions = true;
        let mut room = bytes.len();
        for element in page::leaf(bytes) {
            let element = element.ok_or(Flaw::Bounds)?;
            // No two of them lie over each other.
            let length = element.key.len() + element.value.len();
            room = room.checked_sub(length).ok_or(Flaw::Bounds)?;
            if last.is_some_and(|last| last >= element.key) {
                return Err(Flaw::Order);
            }
            last = Some(element.key);
            if leaf.ends.is_none() {
                leaf.ends = Some((element.key.into(), [].into()));
            }
            if element.is_bucket {
                only_revisions = false;
                leaf.buckets.push(self.bucket(element)?);
            } else if let Some(revision) = key_value::revision(element.key) {
                leaf.strange |= !self.object(revision, element.value);
            } else {
                only_revisions = false;
                leaf.marks.extend(mark(element));
            }
        }
        if let (Some((_, end)), Some(last)) = (&mut leaf.ends, last) {
            *end = last.into();
        }
        leaf.objects = only_revisions.then_some(first_object..self.objects.len());
        Ok(leaf)
    }

    /// Reads a bucket, and what it holds where that is so little that it lies in the leaf.
    fn bucket(&mut self, element: Element<'_>) -> Result<Bucket, Flaw> {
        let (root, inline) = (page::u64_at(element.value, 0), element.value.get(BUCKET..));
        let inline = inline.ok_or(Flaw::Bounds)?;
        Ok(Bucket {
            name: element.key.to_vec(),
            root,
            // A bucket within one that lies in a leaf is none of bbolt's.
            inline: (root == 0).then(|| {
                let nested = page::leaf(inline).flatten().any(|element| element.is_bucket);
                let is_leaf = page::Header::read(inline).kind == Some(Kind::Leaf);
                if nested || !is_leaf {
                    return Err(Flaw::Bounds);
                }
                self.leaf(inline)
            }),
        })
    }

    /// Takes an object; returns whether it is one.
    fn object(&mut self, revision: Revision, message: &[u8]) -> bool {
        if self.objects.len() >= OBJECTS {
            self.over = true;
            return true;
        }
        let Some(found) = key_value::read(message).filter(|found| found.fits(revision)) else {
            return false;
        };
        let key = hash(found.key);
        let name = found.key.strip_prefix(self.prefix.as_slice());
        let name = name.and_then(|name| std::str::from_utf8(name).ok());
        let group = name.filter(|_| !revision.removal).map(|name| {
            self.keep(key, name);
            if name.starts_with("leases/") {
                self.renewed = self.renewed.max(lease::renewed(found.value));
            }
            self.group(&writer(found.value, &[]))
        });
        self.objects.push(Object {
            revision,
            key,
            content: hash(message),
            group,
        });
        true
    }

    fn keep(&mut self, key: u64, name: &str) {
        if self.name_bytes < NAMES && !self.names.contains_key(&key) {
            self.name_bytes += name.len();
            self.names.insert(key, name.into());
        }
    }

    fn group(&mut self, writer: &str) -> u32 {
        if let Some(known) = self.by_writer.get(writer) {
            return *known;
        }
        let next = u32::try_from(self.writers.len()).unwrap_or(u32::MAX);
        self.writers.push(writer.to_owned());
        self.by_writer.insert(writer.to_owned(), next);
        next
    }
}

/// Keys by which etcd says how far it is (server/storage/schema).
const MARKS: [&str; 4] = [
    "consistent_index",
    "finishedCompactRev",
    "scheduledCompactRev",
    "storageVersion",
];

fn mark(element: Element<'_>) -> Option<(String, Vec<u8>)> {
    let name = MARKS.iter().find(|name| name.as_bytes() == element.key)?;
    Some((
        (*name).to_owned(),
        element.value.iter().take(64).copied().collect(),
    ))
}

fn children(bytes: &[u8]) -> Result<Box<[(Key, u64)]>, Flaw> {
    let mut children: Vec<(Key, u64)> = Vec::new();
    for element in page::branch(bytes) {
        let (key, id) = element.ok_or(Flaw::Bounds)?;
        if children.last().is_some_and(|(last, _)| **last >= *key) {
            return Err(Flaw::Order);
        }
        children.push((key.into(), id));
    }
    if children.is_empty() {
        return Err(Flaw::Bounds);
    }
    Ok(children.into())
}

/// Returns the same for the same bytes, in every run.
pub(super) fn hash(bytes: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    bytes.hash(&mut hasher);
    hasher.finish()
}
