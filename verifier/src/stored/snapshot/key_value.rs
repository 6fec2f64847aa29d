//! What etcd keeps of a key at one revision: the key in the database is the revision, the value a `mvccpb.KeyValue`.

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

/// A field of a message of protobuf.
#[derive(Clone, Copy, Debug)]
pub(super) enum Field<'a> {
    Number(u64, u64),
    Bytes(u64, &'a [u8]),
}

/// Returns the fields of a message; nothing where it is broken, and then no more.
pub(super) fn fields(mut message: &[u8]) -> impl Iterator<Item = Option<Field<'_>>> {
    std::iter::from_fn(move || {
        if message.is_empty() {
            return None;
        }
        let field = field(&mut message);
        if field.is_none() {
            message = &[];
        }
        Some(field)
    })
}

fn field<'a>(message: &mut &'a [u8]) -> Option<Field<'a>> {
    let tag = varint(message)?;
    match tag & 7 {
        0 => Some(Field::Number(tag >> 3, varint(message)?)),
        2 => {
            let length = usize::try_from(varint(message)?).ok()?;
            let (bytes, rest) = message.split_at_checked(length)?;
            *message = rest;
            Some(Field::Bytes(tag >> 3, bytes))
        }
        _ => None,
    }
}

fn varint(message: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for shift in (0..70).step_by(7) {
        let (byte, rest) = message.split_first()?;
        *message = rest;
        number |= u64::from(byte & 0x7f).checked_shl(shift)?;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}
