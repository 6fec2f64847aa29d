//! The two pages at the beginning of a database, which say where everything is.

use super::page::{HEADER, Header, u32_at, u64_at};

/// How long it is, its checksum included.
pub(super) const LENGTH: usize = 64;
const MAGIC: u32 = 0xED0C_DAED;
const VERSION: u32 = 2;
/// Stands for a list of free pages that was not written: etcd writes none.
const NO_FREELIST: u64 = u64::MAX;

/// A page that says where everything is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Meta {
    /// The page of the bucket that holds all buckets.
    pub(super) root: u64,
    /// The page of the list of free pages, where there is one.
    pub(super) freelist: Option<u64>,
    /// How many pages there are.
    pub(super) pages: u64,
    /// The transaction that wrote it.
    pub(super) transaction: u64,
}

impl Meta {
    /// Returns whether this is the older one of two that a snapshot has: it says the same, as of one transaction before.
    pub(super) const fn is_before(self, newer: Self) -> bool {
        self.root == newer.root
            && self.pages == newer.pages
            && self.transaction == newer.transaction.wrapping_sub(1)
    }
}

/// Returns how large pages are, as the first one says.
pub(super) fn page_size(bytes: &[u8]) -> Option<usize> {
    if u32_at(bytes, HEADER) != MAGIC {
        return None;
    }
    let size = u32_at(bytes, HEADER + 8);
    (size.is_power_of_two() && (1024..=1 << 16).contains(&size)).then_some(size as usize)
}

/// Reads a page; nothing where it is damaged.
pub(super) fn read(bytes: &[u8], id: u64) -> Option<Meta> {
    let header = Header::read(bytes);
    let meta = bytes.get(HEADER..HEADER + LENGTH)?;
    let whole = header.id == id
        && header.kind == Some(super::page::Kind::Meta)
        && u32_at(meta, 0) == MAGIC
        && u32_at(meta, 4) == VERSION
        && page_size(bytes).is_some()
        && u64_at(meta, 56) == checksum(&meta[..56]);
    let freelist = u64_at(meta, 32);
    whole.then(|| Meta {
        root: u64_at(meta, 16),
        freelist: (freelist != NO_FREELIST).then_some(freelist),
        pages: u64_at(meta, 40),
        transaction: u64_at(meta, 48),
    })
}

/// FNV-1a of 64 bits.
pub(super) fn checksum(bytes: &[u8]) -> u64 {
    let step = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, step)
}
