//! The blocks before a member's bytes: POSIX ustar, with pax records where ustar cannot say it. Values only.
//!
//! Written: the least that says path, length and mode; owner 0, no names. Read: nothing but regular files and
//! the pax keys `path` and `size`, since whatever else a header can say is a way to say two things at once.

use crate::digest::Digest;
use crate::path::{MemberPath, PathError};

/// The length of a block in bytes.
pub(crate) const BLOCK: usize = 512;

/// The first length that the eleven octal digits of ustar cannot say: 8 GiB.
const OCTAL_LIMIT: u64 = 1 << 33;

/// The most bytes that pax records may have.
pub(crate) const PAX_LIMIT: u64 = 64 << 10;

/// Returns how many zero bytes fill the last block of `size` bytes.
pub(crate) fn padding(size: u64) -> usize {
    let rest = usize::try_from(size % 512).unwrap_or(0);
    (BLOCK - rest) % BLOCK
}

/// Returns all blocks that come before the bytes of a member. `mtime` is in seconds since 1970, below 8 GiB.
pub(crate) fn encode(path: &MemberPath, size: u64, mode: u32, mtime: u64) -> Vec<u8> {
    let name = path.as_str();
    let mut ustar = tar::Header::new_ustar();
    let fits = name.is_ascii() && ustar.set_path(name).is_ok();
    let mut records = Vec::new();
    if !fits {
        records.extend(record("path", name));
    }
    if size >= OCTAL_LIMIT {
        records.extend(record("size", &size.to_string()));
    }
    let mut blocks = Vec::with_capacity(BLOCK);
    let stand_in = Digest::of(name).hex();
    if !records.is_empty() {
        let mut pax = tar::Header::new_ustar();
        // Only for programs that do not know pax; both names are short, so setting them cannot fail.
        let _ = pax.set_path(format!("PaxHeaders/{stand_in}"));
        let length = u64::try_from(records.len()).unwrap_or(u64::MAX);
        seal(&mut pax, tar::EntryType::XHeader, (length, 0o644), mtime);
        blocks.extend_from_slice(pax.as_bytes());
        blocks.extend_from_slice(&records);
        blocks.resize(blocks.len() + padding(length), 0);
    }
    if !fits {
        ustar = tar::Header::new_ustar();
        let _ = ustar.set_path(format!("PaxMembers/{stand_in}"));
    }
    let shown = if size < OCTAL_LIMIT { size } else { 0 };
    seal(&mut ustar, tar::EntryType::Regular, (shown, mode), mtime);
    blocks.extend_from_slice(ustar.as_bytes());
    blocks
}

/// Sets what all headers have, and the checksum.
fn seal(header: &mut tar::Header, kind: tar::EntryType, (size, mode): (u64, u32), mtime: u64) {
    header.set_entry_type(kind);
    header.set_size(size);
    header.set_mode(mode);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(mtime);
    header.set_cksum();
}

/// Returns a pax record: its own length in decimal, a space, `key=value`, a line feed (POSIX.1-2017, pax).
fn record(key: &str, value: &str) -> Vec<u8> {
    let rest = format!(" {key}={value}\n");
    let mut length = rest.len() + 1;
    while length.to_string().len() + rest.len() != length {
        length = length.to_string().len() + rest.len();
    }
    format!("{length}{rest}").into_bytes()
}

/// What one header block says.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Block {
    /// A block of zeros.
    Zero,
    /// Pax records of this length follow, for the next file.
    Pax(u64),
    /// A regular file.
    File {
        /// The name as bytes: prefix, slash, name.
        name: Vec<u8>,
        /// Its length in bytes.
        size: u64,
        /// Its permission bits.
        mode: u32,
    },
}

/// Why a header is refused, with the name that it gives.
#[derive(Debug)]
pub(crate) struct Refused {
    pub(crate) name: String,
    pub(crate) reason: String,
    /// The block has no valid checksum: damaged, or no tar at all.
    pub(crate) checksum: bool,
}

/// Reads one header block.
pub(crate) fn decode(bytes: &[u8; BLOCK]) -> Result<Block, Refused> {
    if bytes.iter().all(|byte| *byte == 0) {
        return Ok(Block::Zero);
    }
    let name = tar::Header::from_byte_slice(bytes).path_bytes().into_owned();
    let sum: u64 = bytes.iter().enumerate().fold(0, |sum, (at, byte)| {
        sum + u64::from(if (148..156).contains(&at) { b' ' } else { *byte })
    });
    let refuse = |name: &[u8], reason: String, checksum| Refused {
        name: String::from_utf8_lossy(name).into_owned(),
        reason,
        checksum,
    };
    if checksum(&bytes[148..156]) != Some(sum) {
        let reason = "its header is damaged: the checksum is wrong".to_owned();
        return Err(refuse(&name, reason, true));
    }
    let (pax, size, mode) = fields(bytes).map_err(|reason| refuse(&name, reason, false))?;
    match pax {
        true if size > PAX_LIMIT => Err(refuse(&name, format!("{size} bytes of pax records"), false)),
        true => Ok(Block::Pax(size)),
        false => Ok(Block::File { name, size, mode }),
    }
}

/// Returns whether pax records follow, the length and the permission bits; or why the header is refused.
fn fields(bytes: &[u8; BLOCK]) -> Result<(bool, u64, u32), String> {
    let pax = match bytes[156] {
        b'0' | 0 => false,
        b'x' => true,
        other => return Err(format!("{}, only regular files are allowed", type_name(other))),
    };
    if &bytes[257..265] != b"ustar\x0000" {
        return Err("its header is not POSIX ustar".to_owned());
    }
    if bytes[157..257].iter().any(|byte| *byte != 0) {
        return Err("a regular file with a link's target".to_owned());
    }
    let size = octal(&bytes[124..136]).ok_or("its length is not octal digits")?;
    let mode = octal(&bytes[100..108]).and_then(|mode| u32::try_from(mode).ok());
    let mode = mode.ok_or("its mode is not octal digits")?;
    Ok((pax, size, mode & 0o7777))
}

/// Returns the modification time that the first of these blocks gives, in seconds since 1970.
pub(crate) fn time(blocks: &[u8]) -> Option<u64> {
    octal(blocks.get(136..148)?)
}

/// Reads the checksum, in one of the two forms that programs write: six digits, NUL, space, or seven digits, NUL. It
/// is the one field that no checksum covers, so that any other form is damage.
fn checksum(field: &[u8]) -> Option<u64> {
    match field {
        [digits @ .., 0, b' '] | [digits @ .., 0] if digits.iter().all(u8::is_ascii_digit) => octal(digits),
        _ => None,
    }
}

/// Reads an octal field: digits, then spaces or NULs up to its end.
fn octal(field: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(field).ok()?.trim_end_matches(['\0', ' ']);
    if text.is_empty() || !text.bytes().all(|digit| (b'0'..=b'7').contains(&digit)) {
        return None;
    }
    u64::from_str_radix(text, 8).ok()
}

/// Says what a type flag stands for.
fn type_name(flag: u8) -> String {
    let name = match flag {
        b'1' => "a hard link",
        b'2' => "a symbolic link",
        b'3' => "a character device",
        b'4' => "a block device",
        b'5' => "a directory",
        b'6' => "a FIFO",
        b'g' => "global pax records",
        b'L' | b'K' => "a GNU long name",
        b'S' => "a GNU sparse file",
        other => return format!("tar type {:?}", char::from(other)),
    };
    name.to_owned()
}

/// What pax records may change.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Pax {
    pub(crate) path: Option<Vec<u8>>,
    pub(crate) size: Option<u64>,
}

/// Reads pax records; any key but `path` and `size` is refused.
pub(crate) fn pax(mut records: &[u8]) -> Result<Pax, String> {
    let broken = || "its pax records are malformed".to_owned();
    let mut found = Pax::default();
    while !records.is_empty() {
        let space = records.iter().position(|byte| *byte == b' ').ok_or_else(broken)?;
        let length: usize = std::str::from_utf8(&records[..space])
            .ok()
            .filter(|text| text.bytes().all(|digit| digit.is_ascii_digit()))
            .and_then(|text| text.parse().ok())
            .ok_or_else(broken)?;
        if length > records.len() || length < space + 2 || records[length - 1] != b'\n' {
            return Err(broken());
        }
        let (record, rest) = records.split_at(length);
        let body = &record[space + 1..length - 1];
        let equals = body.iter().position(|byte| *byte == b'=').ok_or_else(broken)?;
        let (key, value) = (&body[..equals], &body[equals + 1..]);
        match key {
            b"path" if found.path.is_none() => found.path = Some(value.to_vec()),
            b"size" if found.size.is_none() => {
                let digits = value.iter().all(u8::is_ascii_digit);
                let size = std::str::from_utf8(value).ok().filter(|_| digits);
                found.size = Some(size.and_then(|size| size.parse().ok()).ok_or_else(broken)?);
            }
            b"path" | b"size" => return Err(broken()),
            _ => {
                return Err(format!(
                    "pax key {:?}, only path and size are allowed",
                    String::from_utf8_lossy(key)
                ));
            }
        }
        records = rest;
    }
    Ok(found)
}

/// Turns the bytes of a name into a member's path.
pub(crate) fn member_path(name: &[u8]) -> Result<MemberPath, PathError> {
    match std::str::from_utf8(name) {
        Ok(name) => MemberPath::new(name),
        Err(_) => Err(PathError {
            path: String::from_utf8_lossy(name).into_owned(),
            reason: "not UTF-8",
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(path: &str, size: u64) -> (Vec<u8>, Pax, Block) {
        let blocks = encode(&MemberPath::new(path).unwrap(), size, 0o755, 1 << 32);
        let block = |at: usize| decode(blocks[at..at + BLOCK].try_into().unwrap()).unwrap();
        let (pax, file) = match block(0) {
            Block::Pax(length) => {
                let length = usize::try_from(length).unwrap();
                (
                    pax(&blocks[BLOCK..BLOCK + length]).unwrap(),
                    block(blocks.len() - BLOCK),
                )
            }
            file => (Pax::default(), file),
        };
        (blocks, pax, file)
    }

    #[test]
    fn ustar_is_used_where_it_can_say_all() {
        let directory = "d".repeat(150);
        for path in ["short", &format!("{directory}/{}", "n".repeat(100))] {
            let (blocks, pax, file) = decoded(path, OCTAL_LIMIT - 1);
            assert_eq!((blocks.len(), pax), (BLOCK, Pax::default()));
            let name = path.as_bytes().to_vec();
            assert_eq!(
                file,
                Block::File {
                    name,
                    size: OCTAL_LIMIT - 1,
                    mode: 0o755
                }
            );
        }
    }

    #[test]
    fn pax_says_what_ustar_cannot() {
        for path in ["\u{d55c}", &"n".repeat(101), &format!("{}/x", "d".repeat(200))] {
            assert_eq!(
                decoded(path, 1).1,
                Pax {
                    path: Some(path.as_bytes().to_vec()),
                    size: None
                }
            );
        }
        for size in [OCTAL_LIMIT, 1 << 62] {
            let (_, pax, file) = decoded("short", size);
            assert_eq!(
                pax,
                Pax {
                    path: None,
                    size: Some(size)
                }
            );
            assert!(matches!(file, Block::File { name, .. } if name == b"short"));
        }
    }

    #[test]
    fn other_programs_read_a_length_of_8_gib() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("large.tar");
        std::fs::write(
            &file,
            encode(&MemberPath::new("\u{d55c}/large").unwrap(), 9 << 30, 0o644, 0),
        )
        .unwrap();
        // The bytes are not there, so tar complains after it has told what comes.
        let output = std::process::Command::new("tar")
            .env("LC_ALL", "C.UTF-8")
            .arg("-tvf")
            .arg(&file)
            .output();
        let output = String::from_utf8(output.unwrap().stdout).unwrap();
        assert!(
            output.contains(" 9663676416 ") && output.contains("\u{d55c}/large"),
            "{output}"
        );
    }
}
