//! The tree of a database, walked over what was kept of its pages: every page is reached once, and what is reached is what it
//! should be there.

use std::collections::{BTreeMap, HashMap};

use super::Problems;
use super::meta::Meta;
use super::parsed::{Bucket, Flaw, Holds, Leaf, Object, Parsed, hash};
use crate::protocol::{PageProblem, SnapshotFacts};
use crate::stored::{Tally, storage_path};

/// bbolt's trees are some levels deep: each branch has at least two children.
const DEEPEST: usize = 64;
/// The bucket of all objects, and the one where etcd says how far it is.
const KEYS: &[u8] = b"key";
const META: &[u8] = b"meta";

/// What the walk found.
#[derive(Debug, Default)]
pub(super) struct Walked {
    /// The newest revision of each key that is not removed, by the key's hash: its place among the objects.
    live: HashMap<u64, usize>,
    marks: BTreeMap<String, Vec<u8>>,
    revision: u64,
    revisions: u64,
}

/// Which keys may stand somewhere: from the first one on, and before the second.
#[derive(Clone, Copy)]
struct Bounds<'a> {
    from: &'a [u8],
    before: Option<&'a [u8]>,
}

impl Bounds<'_> {
    const ALL: Self = Self {
        from: &[],
        before: None,
    };

    fn hold(&self, first: &[u8], last: &[u8]) -> bool {
        first >= self.from && self.before.is_none_or(|before| last < before)
    }
}

struct Walk<'a> {
    parsed: &'a Parsed,
    meta: Meta,
    /// A bit for each page that was reached.
    reached: Vec<u64>,
    problems: &'a mut Problems,
    walked: Walked,
}

/// Walks a database.
pub(super) fn walk(parsed: &Parsed, meta: Meta, problems: &mut Problems) -> Walked {
    let words = parsed.pages.len().div_ceil(64);
    let mut walk = Walk {
        parsed,
        meta,
        reached: vec![0; words],
        problems,
        walked: Walked::default(),
    };
    walk.reach(0, 0);
    walk.reach(1, 0);
    let mut leaves = Vec::new();
    walk.tree(meta.root, Bounds::ALL, 0, &mut leaves);
    let buckets: Vec<&Bucket> = leaves.iter().flat_map(|(_, leaf)| &leaf.buckets).collect();
    for bucket in &buckets {
        walk.bucket(bucket);
    }
    for wanted in [KEYS, META] {
        if !buckets.iter().any(|bucket| bucket.name == wanted) {
            walk.problems.found(PageProblem::Bucket, meta.root);
        }
    }
    walk.free();
    walk.walked
}

impl<'a> Walk<'a> {
    /// Marks a page and those that are its own; returns whether none of them was reached before.
    fn reach(&mut self, id: u64, overflow: u32) -> bool {
        let end = id.saturating_add(u64::from(overflow));
        if end >= self.meta.pages || end >= self.parsed.pages.len() as u64 {
            self.problems.found(PageProblem::Beyond, id);
            return false;
        }
        let mut first = true;
        for page in id..=end {
            let (word, bit) = (usize::try_from(page / 64).unwrap_or_default(), 1 << (page % 64));
            first &= self.reached[word] & bit == 0;
            self.reached[word] |= bit;
        }
        if !first {
            self.problems.found(PageProblem::Twice, id);
        }
        first
    }

    /// Walks below a page and collects the leaves.
    fn tree(&mut self, id: u64, bounds: Bounds<'_>, depth: usize, leaves: &mut Vec<(u64, &'a Leaf)>) {
        let Some(page) = self.parsed.at(id) else {
            return self.problems.found(PageProblem::Beyond, id);
        };
        if depth > DEEPEST {
            return self.problems.found(PageProblem::Twice, id);
        }
        if !self.reach(id, page.overflow) {
            return;
        }
        match &page.holds {
            Holds::Broken(flaw) => self.flaw(*flaw, id),
            Holds::Children(children) => {
                for (at, (first, child)) in children.iter().enumerate() {
                    let next = children.get(at + 1).map(|(next, _)| &**next);
                    let own = Bounds {
                        from: first,
                        before: next.or(bounds.before),
                    };
                    if !bounds.hold(first, first) {
                        self.problems.found(PageProblem::Range, id);
                    }
                    self.tree(*child, own, depth + 1, leaves);
                }
            }
            Holds::Leaf(leaf) => {
                let ends = leaf.ends.as_ref();
                if ends.is_some_and(|(first, last)| !bounds.hold(first, last)) {
                    self.problems.found(PageProblem::Range, id);
                }
                leaves.push((id, leaf));
            }
            Holds::Nothing | Holds::Meta | Holds::Free(_) => self.problems.found(PageProblem::Kind, id),
        }
    }

    fn flaw(&mut self, flaw: Flaw, id: u64) {
        let problem = match flaw {
            Flaw::Bounds => PageProblem::Bounds,
            Flaw::Order => PageProblem::Order,
        };
        self.problems.found(problem, id);
    }

    fn bucket(&mut self, bucket: &'a Bucket) {
        let mut leaves = Vec::new();
        match &bucket.inline {
            Some(Ok(leaf)) => leaves.push((self.meta.root, leaf)),
            Some(Err(flaw)) => self.flaw(*flaw, self.meta.root),
            None => self.tree(bucket.root, Bounds::ALL, 0, &mut leaves),
        }
        for (id, leaf) in leaves {
            if bucket.name == KEYS {
                self.objects(id, leaf);
            } else if bucket.name == META {
                self.walked.marks.extend(leaf.marks.iter().cloned());
            }
            // etcd has no bucket within a bucket.
            if !leaf.buckets.is_empty() {
                self.problems.found(PageProblem::Kind, id);
            }
        }
    }

    /// Takes the objects of a leaf. They come in the order of their revisions: the last one of a key is how it is.
    fn objects(&mut self, id: u64, leaf: &Leaf) {
        let Some(range) = leaf.objects.clone().filter(|_| !leaf.strange) else {
            return self.problems.found(PageProblem::Object, id);
        };
        for at in range {
            let Some(object) = self.parsed.objects.get(at) else {
                continue;
            };
            self.walked.revision = self.walked.revision.max(object.revision.main);
            self.walked.revisions += 1;
            if object.revision.removal {
                self.walked.live.remove(&object.key);
            } else {
                self.walked.live.insert(object.key, at);
            }
        }
    }

    /// Holds the list of free pages against what was reached. etcd writes none: then what was not reached is free.
    fn free(&mut self) {
        let Some(id) = self.meta.freelist else { return };
        let Some(page) = self.parsed.at(id) else {
            return self.problems.found(PageProblem::Beyond, id);
        };
        let Holds::Free(free) = &page.holds else {
            return self.problems.found(PageProblem::Kind, id);
        };
        if !self.reach(id, page.overflow) {
            return;
        }
        for page in free {
            self.reach(*page, 0);
        }
        let pages = self.meta.pages.min(self.parsed.pages.len() as u64);
        let lost = (0..pages).find(|page| {
            let word = usize::try_from(page / 64).unwrap_or_default();
            self.reached[word] & (1 << (page % 64)) == 0
        });
        if let Some(page) = lost {
            self.problems.found(PageProblem::Lost, page);
        }
    }
}

impl Walked {
    /// Says what is in it.
    pub(super) fn tell(&self, parsed: &Parsed, keys: &[String], facts: &mut SnapshotFacts) {
        facts.revision = self.revision;
        facts.revisions = self.revisions;
        facts.keys = self.live.len() as u64;
        let compacted = self.marks.get("finishedCompactRev");
        let compacted = compacted.and_then(|bytes| bytes.get(..8)?.try_into().ok());
        facts.compacted = compacted.map(u64::from_be_bytes).unwrap_or_default();
        let version = self.marks.get("storageVersion").cloned().unwrap_or_default();
        facts.version = String::from_utf8(version)
            .ok()
            .filter(|version| !version.is_empty());
        facts.found = keys.iter().map(|key| self.found(parsed, key)).collect();
        facts.digest = self.digest(parsed);
        let mut live: Vec<&Object> = self
            .live
            .values()
            .filter_map(|at| parsed.objects.get(*at))
            .collect();
        // In the order of their names: which are named must not change from run to run.
        live.sort_unstable_by(|one, other| parsed.name(one.key).cmp(&parsed.name(other.key)));
        let usual = newest(parsed, &live);
        let mut tally = Tally::default();
        for object in &live {
            let Some((group, name)) = object.group.zip(parsed.name(object.key)) else {
                facts.others += 1;
                continue;
            };
            let is_usual = usual.get(storage_path(name)).is_none_or(|(_, own)| *own == group);
            tally.add(name, parsed.writer(group), object.revision.main, is_usual);
        }
        facts.groups = tally.groups();
    }

    fn found(&self, parsed: &Parsed, key: &str) -> Option<String> {
        let at = self.live.get(&hash(key.as_bytes()))?;
        let group = parsed.objects.get(*at)?.group;
        Some(
            group
                .map(|group| parsed.writer(group).to_owned())
                .unwrap_or_default(),
        )
    }

    /// Returns what two databases have in common that hold the same keys at the same revisions with the same values.
    fn digest(&self, parsed: &Parsed) -> String {
        let objects = self.live.values().filter_map(|at| parsed.objects.get(*at));
        let sum = objects.fold((0_u64, 0_u64), |(one, other), object| {
            let whole = [
                object.key,
                object.content,
                object.revision.main,
                object.revision.sub,
            ];
            let bytes: Vec<u8> = whole.iter().flat_map(|part| part.to_be_bytes()).collect();
            let hash = hash(&bytes);
            (
                one.wrapping_add(hash),
                other ^ hash.rotate_left(23).wrapping_mul(0x9e37_79b9_7f4a_7c15),
            )
        });
        format!("{:016x}{:016x}", sum.0, sum.1)
    }
}

/// Returns, by where resources lie, what encrypted the object of each that was written last: that is what writes now.
fn newest<'a>(parsed: &'a Parsed, live: &[&Object]) -> BTreeMap<&'a str, (u64, u32)> {
    let mut newest: BTreeMap<&str, (u64, u32)> = BTreeMap::new();
    for object in live {
        let Some((group, name)) = object.group.zip(parsed.name(object.key)) else {
            continue;
        };
        let own = newest.entry(storage_path(name)).or_default();
        *own = (*own).max((object.revision.main, group));
    }
    newest
}
