//! Follows a tar as it streams, without looking at more than the lengths: is it whole?
//!
//! As Go's archive/tar reads it, which containerd applies layers by: links, devices and directories have no bytes
//! whatever their header says; the end is two blocks of zeros, or the end of the stream after a file.

use crate::tar_block;

const BLOCK: usize = 512;
/// Pax records of one file are at most this long (Go, archive/tar: maxSpecialFileSize).
const PAX_LIMIT: u64 = 1 << 20;

/// Where the stream is.
#[derive(Default)]
enum At {
    /// Before or in a header.
    #[default]
    Header,
    /// In the bytes of a file and the filling after them.
    File(u64),
    /// In pax records: so many bytes, then so many of filling.
    Pax(u64, u64),
    /// In a block that goes on the map of a sparse file.
    Sparse(u64),
    /// After one block of zeros.
    Zeros,
    /// After two: whatever comes does not count.
    End,
}

/// A tar that is passing.
#[derive(Default)]
pub(super) struct TarShape {
    at: At,
    block: Vec<u8>,
    pax: Vec<u8>,
    /// The length that pax records give the next file.
    size: Option<u64>,
    failed: Option<&'static str>,
}

impl TarShape {
    /// Takes in the next bytes.
    pub(super) fn update(&mut self, mut bytes: &[u8]) -> Result<(), &'static str> {
        while !bytes.is_empty() {
            if let Some(reason) = self.failed {
                return Err(reason);
            }
            bytes = match self.step(bytes) {
                Ok(rest) => rest,
                Err(reason) => {
                    self.failed = Some(reason);
                    return Err(reason);
                }
            };
        }
        Ok(())
    }

    /// Returns why the tar was given up, if it was.
    pub(super) fn failure(&self) -> Option<&'static str> {
        self.failed
    }

    /// Judges the end of the stream.
    pub(super) fn end(&self) -> Result<(), &'static str> {
        if let Some(reason) = self.failed {
            return Err(reason);
        }
        match self.at {
            At::End => Ok(()),
            At::Header if self.block.is_empty() && self.size.is_none() => Ok(()),
            At::Zeros if self.block.is_empty() => Ok(()),
            At::Header | At::Zeros => Err("it ends in the middle of a header"),
            At::File(_) | At::Pax(..) | At::Sparse(_) => Err("it ends in the middle of a file"),
        }
    }

    /// Goes on as far as one part reaches, and returns the rest.
    fn step<'a>(&mut self, bytes: &'a [u8]) -> Result<&'a [u8], &'static str> {
        match self.at {
            At::End => Ok(&[]),
            At::File(left) => {
                let (passed, rest) = split(bytes, left);
                self.at = after(left - passed.len() as u64);
                Ok(rest)
            }
            At::Pax(left, filling) => {
                let (records, rest) = split(bytes, left);
                self.pax.extend_from_slice(records);
                let left = left - records.len() as u64;
                self.at = At::Pax(left, filling);
                if left == 0 {
                    self.size = pax_size(&std::mem::take(&mut self.pax))?;
                    self.at = after(filling);
                }
                Ok(rest)
            }
            At::Header | At::Zeros | At::Sparse(_) => {
                let (part, rest) = split(bytes, (BLOCK - self.block.len()) as u64);
                self.block.extend_from_slice(part);
                if self.block.len() == BLOCK {
                    let block = std::mem::take(&mut self.block);
                    self.whole_block(&block)?;
                }
                Ok(rest)
            }
        }
    }

    fn whole_block(&mut self, block: &[u8]) -> Result<(), &'static str> {
        let zeros = block.iter().all(|byte| *byte == 0);
        self.at = match self.at {
            // GNU's old sparse files: a block of the map says whether another follows.
            At::Sparse(size) if block[504] != 0 => At::Sparse(size),
            At::Sparse(size) => after(size),
            At::Zeros if zeros => At::End,
            At::Zeros => return Err("a single block of zeros stands in it"),
            _ if zeros => At::Zeros,
            _ => return self.header(block),
        };
        Ok(())
    }

    fn header(&mut self, block: &[u8]) -> Result<(), &'static str> {
        let whole = block.try_into().map_err(|_| "a header is cut off")?;
        if !tar_block::sum_is_right(whole) {
            return Err("a header has a wrong checksum");
        }
        let flag = block[156];
        let own = tar_block::number(&block[124..136]).ok_or("a length is no number")?;
        // Headers that themselves describe the next file keep what is said of it.
        let of_pax = match flag {
            b'x' | b'g' | b'L' | b'K' => None,
            _ => self.size.take(),
        };
        let size = of_pax.unwrap_or(own);
        if size > u64::MAX / 4 {
            return Err("a length is larger than any file");
        }
        let filled = size.next_multiple_of(BLOCK as u64);
        self.at = match flag {
            b'x' if size > PAX_LIMIT => return Err("pax records are longer than any program writes"),
            b'x' => At::Pax(size, filled - size),
            b'1'..=b'6' => At::Header,
            b'S' if block[482] != 0 => At::Sparse(filled),
            _ => after(filled),
        };
        Ok(())
    }
}

fn after(left: u64) -> At {
    if left == 0 { At::Header } else { At::File(left) }
}

fn split(bytes: &[u8], at: u64) -> (&[u8], &[u8]) {
    bytes.split_at(usize::try_from(at).map_or(bytes.len(), |at| at.min(bytes.len())))
}

/// Returns the length that pax records give the file after them.
fn pax_size(mut records: &[u8]) -> Result<Option<u64>, &'static str> {
    let broken = "pax records cannot be read";
    let mut size = None;
    while !records.is_empty() {
        let (key, value, rest) = tar_block::pax_record(records).ok_or(broken)?;
        if key == b"size" {
            let text = std::str::from_utf8(value).ok();
            size = Some(text.and_then(|text| text.parse().ok()).ok_or(broken)?);
        }
        records = rest;
    }
    Ok(size)
}
