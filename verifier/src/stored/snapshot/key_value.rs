//! What etcd keeps of a key at one revision: the key in the database is the revision, the value a `mvccpb.KeyValue`.

use crate::stored::fields::{Field, fields};

/// A revision.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Revision {
    /// The transaction.
    pub(super) main: u64,
    /// The change in it.
    pub(super) sub: u64,
    /// Whether it is the removal of a key.
    pub(super) removal: bool,
}

/// Reads the key of a database: `MAIN_SUB`, big-endian, and a `t` behind a removal (etcd, server/storage/mvcc/revision.go).
pub(super) fn revision(key: &[u8]) -> Option<Revision> {
    let number = |at: usize| Some(u64::from_be_bytes(key.get(at..at + 8)?.try_into().ok()?));
    let removal = match key.len() {
        17 => false,
        18 if key[17] == b't' => true,
        _ => return None,
    };
    (key[8] == b'_').then_some(())?;
    Some(Revision {
        main: number(0)?,
        sub: number(9)?,
        removal,
    })
}

/// A key with its value.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct KeyValue<'a> {
    pub(super) key: &'a [u8],
    pub(super) value: &'a [u8],
    pub(super) modified: u64,
    created: u64,
    version: u64,
}

impl KeyValue<'_> {
    /// Returns whether it can stand at a revision.
    pub(super) fn fits(&self, revision: Revision) -> bool {
        let written = self.modified == revision.main && self.created <= self.modified && self.version > 0;
        !self.key.is_empty() && (revision.removal || written)
    }
}

/// Reads a message; nothing where it is none.
pub(super) fn read(message: &[u8]) -> Option<KeyValue<'_>> {
    let mut found = KeyValue::default();
    for field in fields(message) {
        match field? {
            Field::Bytes(1, key) => found.key = key,
            Field::Bytes(5, value) => found.value = value,
            Field::Number(2, created) => found.created = created,
            Field::Number(3, modified) => found.modified = modified,
            Field::Number(4, version) => found.version = version,
            Field::Number(6, _) => {}
            _ => return None,
        }
    }
    Some(found)
}
