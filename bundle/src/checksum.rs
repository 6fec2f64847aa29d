//! The checksum file beside an archive, in the form of `sha256sum`.

use std::ffi::OsStr;
use std::fs;
use std::io::{self, Read as _};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use crate::digest::Digest;
use crate::error::ReadError;
use crate::user_file::open_regular;

/// A checksum file is read so far; one of an archive has one line.
const SUMS_LIMIT: u64 = 64 << 10;
/// What some editors of other systems put before a text.
const MARK: &[u8] = b"\xef\xbb\xbf";

/// Returns the digest that the checksum file beside an archive gives; none where there is no such file. Of an archive that is
/// reached by a link, the file beside the link counts before that beside the archive.
pub(crate) fn beside(path: &Path) -> Result<Option<Digest>, ReadError> {
    if path.is_dir() {
        return Ok(None);
    }
    for archive in names(path) {
        let sums = checksum_file(&archive);
        match read_sums(&sums) {
            Ok(text) => {
                let name = archive.file_name().unwrap_or_default().as_bytes();
                let digest = digest(&text, name).ok_or(ReadError::BesideSyntax { path: sums });
                return digest.map(Some);
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(source) => return Err(ReadError::Open { path: sums, source }),
        }
    }
    Ok(None)
}

/// Returns the names by which a bundle is known here: the one that was given, and where that is a link, the bundle's own.
pub(crate) fn names(path: &Path) -> Vec<PathBuf> {
    let mut names = vec![path.to_owned()];
    if path.is_symlink() {
        names.extend(fs::canonicalize(path));
    }
    names
}

/// Reads the beginning of a checksum file.
fn read_sums(path: &Path) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    open_regular(path)?.take(SUMS_LIMIT).read_to_end(&mut text)?;
    Ok(text)
}

/// Returns the one digest that a checksum file gives for a name. A file of one line is about the archive whatever name stands
/// in it, since archives are renamed.
fn digest(text: &[u8], name: &[u8]) -> Option<Digest> {
    let text = text.strip_prefix(MARK).unwrap_or(text);
    let lines = text.split(|byte| *byte == b'\n');
    let lines = lines.map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    let lines = lines.filter(|line| !line.is_empty() && line[0] != b'#');
    let lines: Vec<(Digest, Vec<u8>)> = lines.map(sum).collect::<Option<_>>()?;
    let last = |path: &[u8]| path.rsplit(|byte| *byte == b'/').next() == Some(name);
    let mut named = lines.iter().filter(|(_, path)| last(path));
    let digest = match (named.next(), lines.as_slice()) {
        (Some((digest, _)), _) | (None, [(digest, _)]) => *digest,
        (None, _) => return None,
    };
    named.all(|(other, _)| *other == digest).then_some(digest)
}

/// Reads a line: `HEX  NAME`, `HEX *NAME`, `HEX` alone, or `SHA256 (NAME) = HEX`.
fn sum(line: &[u8]) -> Option<(Digest, Vec<u8>)> {
    let (escaped, line) = match line.strip_prefix(b"\\") {
        Some(rest) => (true, rest),
        None => (false, line),
    };
    let (hex, name) = if let Some(rest) = line.strip_prefix(b"SHA256 (") {
        let (name, hex) = rest.split_at_checked(rest.len().checked_sub(64)?)?;
        (hex, name.strip_suffix(b") = ")?)
    } else {
        let (hex, rest) = line.split_at_checked(64)?;
        match rest {
            [] => (hex, rest),
            [b' ', b' ' | b'*', name @ ..] | [b' ' | b'\t', name @ ..] => (hex, name),
            _ => return None,
        }
    };
    let hex = std::str::from_utf8(hex).ok()?.to_ascii_lowercase();
    let name = if escaped { unescaped(name) } else { name.to_vec() };
    Some((Digest::from_hex(&hex).ok()?, name))
}

/// The characters that a line of `sha256sum` does not hold as they are, and what stands for them behind a backslash.
const ESCAPES: [(u8, u8); 3] = [(b'\\', b'\\'), (b'\n', b'n'), (b'\r', b'r')];

fn unescaped(name: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(name.len());
    let mut bytes = name.iter().copied();
    while let Some(byte) = bytes.next() {
        let next = bytes.clone().next();
        let escape = ESCAPES.iter().find(|(_, letter)| Some(*letter) == next);
        match escape {
            Some((meant, _)) if byte == b'\\' => {
                out.push(*meant);
                bytes.next();
            }
            _ => out.push(byte),
        }
    }
    out
}

/// Returns the line that `sha256sum` writes for a file of this name.
pub fn checksum_line(digest: &Digest, name: &OsStr) -> Vec<u8> {
    let mut escaped = Vec::new();
    for byte in name.as_bytes() {
        match ESCAPES.iter().find(|(meant, _)| meant == byte) {
            Some((_, letter)) => escaped.extend([b'\\', *letter]),
            None => escaped.push(*byte),
        }
    }
    let mark: &[u8] = if escaped.len() == name.len() { b"" } else { b"\\" };
    [mark, digest.hex().as_bytes(), b"  ", &escaped, b"\n"].concat()
}

/// Returns the name of the checksum file beside an archive: `site.tar.sha256` for `site.tar`.
pub fn checksum_file(archive: &Path) -> PathBuf {
    let mut name = archive.as_os_str().to_owned();
    name.push(".sha256");
    name.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_sha256sum_and_its_kin_write_is_read_and_nothing_that_says_two_things() {
        let (ours, other) = (Digest::of("ours"), Digest::of("other"));
        let (hex, not) = (ours.hex(), other.hex());
        let upper = hex.to_uppercase();
        for text in [
            format!("{hex}  site.tar\n"),
            format!("{hex} *site.tar\r\n"),
            format!("{hex}\tsite.tar"),
            hex.clone(),
            format!("{upper}  site.tar\n"),
            format!("\u{feff}{hex}  site.tar\n"),
            format!("# of Monday\n\n{hex}  /mnt/medium/site.tar\n"),
            format!("SHA256 (site.tar) = {hex}\n"),
            // The archive was renamed.
            format!("{hex}  june.tar\n"),
            format!("{not}  june.tar\n{hex}  site.tar\n"),
            format!("{hex}  site.tar\n{hex}  ./site.tar\n"),
        ] {
            assert_eq!(digest(text.as_bytes(), b"site.tar"), Some(ours), "{text:?}");
        }
        for text in [
            String::new(),
            "hello\n".to_owned(),
            format!("{}  site.tar\n", &hex[1..]),
            // A SHA-512 begins with as many digits.
            format!("{hex}{not}  site.tar\n"),
            format!("{hex}  site.tar\n{not}  site.tar\n"),
            format!("{hex}  june.tar\n{not}  july.tar\n"),
            format!("{hex}  site.tar\nand more\n"),
            format!("SHA256 (site.tar) = {}\n", &hex[1..]),
        ] {
            assert_eq!(digest(text.as_bytes(), b"site.tar"), None, "{text:?}");
        }
    }

    #[test]
    fn a_name_with_a_line_feed_is_written_as_sha256sum_reads_it() {
        let digest_of = Digest::of("x");
        for name in ["a\nb.tar", "a\\nb.tar", "a\\\n\r.tar", "plain.tar"] {
            let line = checksum_line(&digest_of, OsStr::new(name));
            assert!(!line[..line.len() - 1].contains(&b'\n'));
            assert_eq!(
                sum(line.strip_suffix(b"\n").unwrap()),
                Some((digest_of, name.into()))
            );
        }
    }
}
