//! Makes databases as bbolt lays them out, whole and damaged ones.

use sha2::{Digest as _, Sha256};

use super::meta;

/// How a database is made.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Made {
    pub(crate) page_size: usize,
    /// Whether the free pages are listed, as etcd does not.
    pub(crate) freelist: bool,
}

impl Default for Made {
    fn default() -> Self {
        Self {
            page_size: 1024,
            freelist: false,
        }
    }
}

/// An object at a revision; without a value it is removed.
pub(crate) type Put<'a> = (&'a str, Option<&'a [u8]>);

impl Made {
    /// Returns a database whose revisions are these, in order.
    pub(crate) fn database(self, puts: &[Put<'_>]) -> Vec<u8> {
        let entries: Vec<(Vec<u8>, Vec<u8>)> = puts
            .iter()
            .enumerate()
            .map(|(at, put)| entry(at as u64 + 2, *put))
            .collect();
        // An old page that was a beginning of several, over pages that are in use by now.
        let mut pages = vec![page(2, 2, [1, 1], &[], self.page_size)];
        let mut children = self.leaves(&entries, &mut pages);
        while children.len() > 1 {
            children = self.branches(&children, &mut pages);
        }
        let root = children.first().map_or(0, |(_, id)| *id);
        let marks = [
            (b"consistent_index".to_vec(), 9_u64.to_be_bytes().to_vec()),
            (
                b"finishedCompactRev".to_vec(),
                [&[0; 7][..], &[2, b'_'], &[0; 8]].concat(),
            ),
            (b"storageVersion".to_vec(), b"3.7.0".to_vec()),
        ];
        let marks = leaf(0, &elements(&marks, 0), 0);
        let key = [&root.to_le_bytes()[..], &[0; 8]].concat();
        let meta = [&[0; 16][..], &marks].concat();
        let buckets = [(b"key".to_vec(), key), (b"meta".to_vec(), meta)];
        let top = self.next(&pages);
        let body = elements(&buckets, 1);
        pages.push(page(top, 2, [2, 0], &body, self.page_size));
        let mut freelist = u64::MAX;
        if self.freelist {
            freelist = self.next(&pages);
            pages.push(page(freelist, 16, [1, 0], &2_u64.to_le_bytes(), self.page_size));
        }
        let count = self.next(&pages);
        let size = self.page_size;
        let metas = [0, 1].map(|id| meta_page(id, size, [top, freelist, count, 100 - id]));
        [metas.concat(), pages.concat()].concat()
    }

    fn leaves(self, entries: &[(Vec<u8>, Vec<u8>)], pages: &mut Vec<Vec<u8>>) -> Vec<(Vec<u8>, u64)> {
        let mut children = Vec::new();
        let mut rest = entries;
        while !rest.is_empty() {
            let mut length = 16;
            let fits = |(key, value): &&(Vec<u8>, Vec<u8>)| {
                length += 16 + key.len() + value.len();
                length <= self.page_size
            };
            let count = rest.iter().take_while(fits).count().max(1);
            let (own, others) = rest.split_at(count);
            rest = others;
            children.push((
                own[0].0.clone(),
                self.push(2, own.len(), &elements(own, 0), pages),
            ));
        }
        children
    }

    fn branches(self, below: &[(Vec<u8>, u64)], pages: &mut Vec<Vec<u8>>) -> Vec<(Vec<u8>, u64)> {
        let many = below.chunks(self.page_size / 40).map(|own| {
            let (mut heads, mut keys) = (Vec::new(), Vec::new());
            for (at, (key, id)) in own.iter().enumerate() {
                let position = (own.len() - at) * 16 + keys.len();
                heads.extend(u32::try_from(position).unwrap().to_le_bytes());
                heads.extend(u32::try_from(key.len()).unwrap().to_le_bytes());
                heads.extend(id.to_le_bytes());
                keys.extend(key);
            }
            let id = self.push(1, own.len(), &[heads, keys].concat(), pages);
            (own[0].0.clone(), id)
        });
        many.collect()
    }

    /// Returns the place behind these pages.
    fn next(self, pages: &[Vec<u8>]) -> u64 {
        let own = pages.iter().map(|page| (page.len() / self.page_size) as u64);
        own.sum::<u64>() + 2
    }

    fn push(self, kind: u16, count: usize, body: &[u8], pages: &mut Vec<Vec<u8>>) -> u64 {
        let id = self.next(pages);
        let overflow = (16 + body.len()).div_ceil(self.page_size) - 1;
        pages.push(page(id, kind, [count, overflow], body, self.page_size));
        id
    }
}

/// Returns a database with its hash.
pub(crate) fn hashed(database: &[u8]) -> Vec<u8> {
    [database, &Sha256::digest(database)].concat()
}

fn entry(revision: u64, (key, value): Put<'_>) -> (Vec<u8>, Vec<u8>) {
    let mut place = [&revision.to_be_bytes()[..], b"_", &0_u64.to_be_bytes()].concat();
    let mut message = field(1, key.as_bytes());
    match value {
        None => place.push(b't'),
        Some(value) => {
            for number in [2, 3, 4] {
                message.push(number << 3);
                message.extend(varint(if number == 4 { 1 } else { revision }));
            }
            message.extend(field(5, value));
        }
    }
    (place, message)
}

fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
    [&[(number << 3) | 2][..], &varint(bytes.len() as u64), bytes].concat()
}

fn varint(mut number: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while number >= 0x80 {
        bytes.push(u8::try_from(number & 0x7f).unwrap() | 0x80);
        number >>= 7;
    }
    bytes.push(u8::try_from(number).unwrap());
    bytes
}

fn elements(entries: &[(Vec<u8>, Vec<u8>)], flags: u32) -> Vec<u8> {
    let (mut heads, mut data) = (Vec::new(), Vec::new());
    for (at, (key, value)) in entries.iter().enumerate() {
        let position = (entries.len() - at) * 16 + data.len();
        for number in [flags as usize, position, key.len(), value.len()] {
            heads.extend(u32::try_from(number).unwrap().to_le_bytes());
        }
        data.extend([key.as_slice(), value].concat());
    }
    [heads, data].concat()
}

fn leaf(id: u64, body: &[u8], overflow: u32) -> Vec<u8> {
    let count = u16::try_from(u32::from_le_bytes(body[4..8].try_into().unwrap()) / 16).unwrap();
    let head = [
        &id.to_le_bytes()[..],
        &2_u16.to_le_bytes(),
        &count.to_le_bytes(),
        &overflow.to_le_bytes(),
    ];
    [&head.concat(), body].concat()
}

fn page(id: u64, kind: u16, [count, overflow]: [usize; 2], body: &[u8], size: usize) -> Vec<u8> {
    let count = u16::try_from(count).unwrap();
    let more = u32::try_from(overflow).unwrap();
    let mut page = [
        &id.to_le_bytes()[..],
        &kind.to_le_bytes(),
        &count.to_le_bytes(),
        &more.to_le_bytes(),
        body,
    ]
    .concat();
    // The first, old page claims more than it has.
    let own = if body.is_empty() { 1 } else { overflow + 1 };
    page.resize(own * size, 0);
    page
}

/// Root, list of free pages, number of pages, transaction.
fn meta_page(id: u64, size: usize, [root, freelist, pages, transaction]: [u64; 4]) -> Vec<u8> {
    let numbers = [0xED0C_DAED_u32, 2, u32::try_from(size).unwrap(), 0];
    let mut body: Vec<u8> = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
    for number in [root, 0, freelist, pages, transaction] {
        body.extend(number.to_le_bytes());
    }
    body.extend(meta::checksum(&body).to_le_bytes());
    page(id, 4, [0, 0], &body, size)
}
