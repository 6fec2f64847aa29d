//! The form of a page: its header and its elements. Every place in it is checked before it is read.

/// How long a page's header is.
pub(super) const HEADER: usize = 16;
/// How long an element of a branch or a leaf is.
const ELEMENT: usize = 16;
/// The flag of a leaf's element that is a bucket.
const BUCKET: u32 = 1;

/// What a page is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// It leads to others.
    Branch,
    /// It holds keys and values.
    Leaf,
    /// It says where everything is.
    Meta,
    /// It lists free pages.
    Freelist,
}

/// The header of a page.
#[derive(Clone, Copy, Debug)]
pub(super) struct Header {
    /// Its place, as it says itself.
    pub(super) id: u64,
    /// What it is; absent: nothing that is known.
    pub(super) kind: Option<Kind>,
    count: u16,
    /// How many pages behind it are its own.
    pub(super) overflow: u32,
}

impl Header {
    pub(super) fn read(bytes: &[u8]) -> Self {
        Self {
            id: u64_at(bytes, 0),
            kind: match u16_at(bytes, 8) {
                1 => Some(Kind::Branch),
                2 => Some(Kind::Leaf),
                4 => Some(Kind::Meta),
                16 => Some(Kind::Freelist),
                _ => None,
            },
            count: u16_at(bytes, 10),
            overflow: u32_at(bytes, 12),
        }
    }
}

/// An element of a leaf.
#[derive(Clone, Copy, Debug)]
pub(super) struct Element<'a> {
    pub(super) key: &'a [u8],
    pub(super) value: &'a [u8],
    pub(super) is_bucket: bool,
}

/// Returns the elements of a leaf; an element that lies beyond the page's end is nothing.
pub(super) fn leaf(bytes: &[u8]) -> impl Iterator<Item = Option<Element<'_>>> {
    let count = usize::from(Header::read(bytes).count);
    (0..count).map(move |at| {
        let start = HEADER + at * ELEMENT;
        let element = bytes.get(start..start + ELEMENT)?;
        let (position, key) = (u32_at(element, 4) as usize, u32_at(element, 8) as usize);
        let value = u32_at(element, 12) as usize;
        // What the elements point to lies behind all of them.
        let begin = start
            .checked_add(position)
            .filter(|begin| *begin >= HEADER + count * ELEMENT)?;
        let (middle, end) = (
            begin.checked_add(key)?,
            begin.checked_add(key)?.checked_add(value)?,
        );
        Some(Element {
            key: bytes.get(begin..middle)?,
            value: bytes.get(middle..end)?,
            is_bucket: u32_at(element, 0) & BUCKET != 0,
        })
    })
}

/// Returns the elements of a branch: the first key of each child, and its page.
pub(super) fn branch(bytes: &[u8]) -> impl Iterator<Item = Option<(&[u8], u64)>> {
    let count = usize::from(Header::read(bytes).count);
    (0..count).map(move |at| {
        let start = HEADER + at * ELEMENT;
        let element = bytes.get(start..start + ELEMENT)?;
        let begin = start
            .checked_add(u32_at(element, 0) as usize)
            .filter(|begin| *begin >= HEADER + count * ELEMENT)?;
        let end = begin.checked_add(u32_at(element, 4) as usize)?;
        Some((bytes.get(begin..end)?, u64_at(element, 8)))
    })
}

/// Returns the free pages that a page lists; nothing where it lists more than it has room for.
pub(super) fn freelist(bytes: &[u8]) -> Option<Vec<u64>> {
    let count = usize::from(Header::read(bytes).count);
    // More than fit into its count stand behind their number.
    let (count, start) = if count == 0xFFFF {
        let count = usize::try_from(u64_at(bytes, HEADER)).ok()?;
        (count, HEADER + 8)
    } else {
        (count, HEADER)
    };
    let end = start.checked_add(count.checked_mul(8)?)?;
    let listed = bytes.get(start..end)?.chunks_exact(8);
    Some(listed.map(|id| u64_at(id, 0)).collect())
}

pub(super) fn u16_at(bytes: &[u8], at: usize) -> u16 {
    let bytes = bytes.get(at..at + 2).and_then(|bytes| bytes.try_into().ok());
    u16::from_le_bytes(bytes.unwrap_or_default())
}

pub(super) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    let bytes = bytes.get(at..at + 4).and_then(|bytes| bytes.try_into().ok());
    u32::from_le_bytes(bytes.unwrap_or_default())
}

pub(super) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    let bytes = bytes.get(at..at + 8).and_then(|bytes| bytes.try_into().ok());
    u64::from_le_bytes(bytes.unwrap_or_default())
}
