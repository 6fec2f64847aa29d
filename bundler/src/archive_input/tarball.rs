//! Tars as other programs write them: ustar, GNU and pax headers, each with a limit. Links are told, not followed.

use std::io::{self, Read};

use bundle::tar_block::{number, pax_record, sum_is_right};

/// The length of a block in bytes.
const BLOCK: usize = 512;
/// A name is at most this long (PATH_MAX of Linux).
const NAME_LIMIT: u64 = 4096;
/// Pax records of one file are at most this long; they hold times and extended attributes too.
const PAX_LIMIT: u64 = 1 << 20;

/// What a tar holds under a name.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A file of this length.
    File(u64),
    /// A symbolic link, as it is written.
    SymbolicLink(String),
    /// A hard link, as it is written.
    HardLink(String),
    /// Anything else: a directory, a device, a sparse file.
    Other,
}

/// A header that was read.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) name: String,
    pub(super) kind: Kind,
}

/// Where the bytes come from: passing over them may cost less than reading them.
pub(super) trait Source: Read {
    fn skip(&mut self, count: u64) -> io::Result<()>;

    /// Returns where in its file the next byte lies; none where it lies in none.
    fn position(&mut self) -> Option<u64> {
        None
    }
}

/// Reads a tar from front to back.
pub(super) struct Tarball<S> {
    source: S,
    /// Bytes of the current file that are still to come, and the filling after them.
    left: u64,
    filling: u64,
}

/// What long headers say of the file after them.
#[derive(Default)]
struct Long {
    name: Option<String>,
    link: Option<String>,
    size: Option<u64>,
}

impl<S: Source> Tarball<S> {
    pub(super) fn new(source: S) -> Self {
        Self {
            source,
            left: 0,
            filling: 0,
        }
    }

    /// Goes to the next file; none at the end.
    pub(super) fn next(&mut self) -> io::Result<Option<Entry>> {
        let mut long = Long::default();
        loop {
            self.source
                .skip(std::mem::take(&mut self.left) + std::mem::take(&mut self.filling))?;
            let Some(block) = self.block()? else {
                return Ok(None);
            };
            if !sum_is_right(&block) {
                return Err(invalid("a header with a wrong checksum"));
            }
            let size = match long.size {
                Some(size) if !matches!(block[156], b'x' | b'g' | b'L' | b'K') => size,
                _ => number(&block[124..136]).ok_or_else(|| invalid("a length that is no number"))?,
            };
            // So far that the sum with the filling cannot wrap.
            if size > u64::MAX / 4 {
                return Err(invalid("a length that no file has"));
            }
            self.left = size;
            self.filling = size.wrapping_neg() % BLOCK as u64;
            match block[156] {
                b'L' => long.name = Some(self.text(NAME_LIMIT)?),
                b'K' => long.link = Some(self.text(NAME_LIMIT)?),
                b'x' => self.pax(&mut long)?,
                b'g' => {}
                flag => return Ok(Some(self.entry(&block, flag, long))),
            }
        }
    }

    /// Returns where in its file the bytes of the current file begin, of which none were read yet.
    pub(super) fn place(&mut self) -> Option<u64> {
        self.source.position()
    }

    fn entry(&mut self, block: &[u8; BLOCK], flag: u8, long: Long) -> Entry {
        let name = long.name.unwrap_or_else(|| ustar_name(block));
        let link = || long.link.clone().unwrap_or_else(|| text(&block[157..257]));
        let kind = match flag {
            // Before POSIX a directory was a file whose name ends so.
            b'0' | 0 | b'7' if !name.ends_with('/') => Kind::File(self.left),
            b'1' => Kind::HardLink(link()),
            b'2' => Kind::SymbolicLink(link()),
            _ => Kind::Other,
        };
        if matches!(flag, b'1' | b'2') {
            // Some programs give a link the length of its target, and no bytes follow.
            (self.left, self.filling) = (0, 0);
        }
        Entry { name, kind }
    }

    /// Reads a header; none at the end of the archive, which is two blocks of zeros, or where the stream ends.
    fn block(&mut self) -> io::Result<Option<[u8; BLOCK]>> {
        let mut block = [0; BLOCK];
        let mut filled = 0;
        while filled < BLOCK {
            match self.source.read(&mut block[filled..])? {
                0 if filled == 0 => return Ok(None),
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                count => filled += count,
            }
        }
        Ok(block.iter().any(|byte| *byte != 0).then_some(block))
    }

    fn whole(&mut self, limit: u64) -> io::Result<Vec<u8>> {
        if self.left > limit {
            return Err(invalid("a header that is longer than any program writes"));
        }
        let mut bytes = vec![0; usize::try_from(self.left).unwrap_or(0)];
        self.source.read_exact(&mut bytes)?;
        self.left = 0;
        Ok(bytes)
    }

    fn text(&mut self, limit: u64) -> io::Result<String> {
        self.whole(limit).map(|bytes| text(&bytes))
    }

    /// Reads pax records; keys other than those of name, link and length change nothing that matters here.
    fn pax(&mut self, long: &mut Long) -> io::Result<()> {
        let bytes = self.whole(PAX_LIMIT)?;
        let mut rest = bytes.as_slice();
        while !rest.is_empty() {
            let (key, value, after) =
                pax_record(rest).ok_or_else(|| invalid("pax records that cannot be read"))?;
            match key {
                b"path" => long.name = Some(limited(value)?),
                b"linkpath" => long.link = Some(limited(value)?),
                b"size" => {
                    let size = std::str::from_utf8(value).ok().and_then(|text| text.parse().ok());
                    long.size = Some(size.ok_or_else(|| invalid("a length that is no number"))?);
                }
                _ => {}
            }
            rest = after;
        }
        Ok(())
    }
}

impl<S: Source> Read for Tarball<S> {
    /// Reads the current file.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let room = usize::try_from(self.left).map_or(buffer.len(), |left| left.min(buffer.len()));
        if room == 0 {
            return Ok(0);
        }
        match self.source.read(&mut buffer[..room])? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            count => {
                self.left -= count as u64;
                Ok(count)
            }
        }
    }
}

fn invalid(reason: &'static str) -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        format!("no tar that can be read: {reason}"),
    )
}

fn text(field: &[u8]) -> String {
    let end = field.iter().position(|byte| *byte == 0).unwrap_or(field.len());
    String::from_utf8_lossy(&field[..end]).into_owned()
}

fn limited(value: &[u8]) -> io::Result<String> {
    if value.len() as u64 > NAME_LIMIT {
        return Err(invalid("a name that is longer than any program writes"));
    }
    Ok(text(value))
}

fn ustar_name(block: &[u8; BLOCK]) -> String {
    let name = text(&block[..100]);
    // GNU's own magic has no prefix there.
    if &block[257..263] == b"ustar\0" && block[345] != 0 {
        return format!("{}/{name}", text(&block[345..500]));
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Source for &[u8] {
        fn skip(&mut self, count: u64) -> io::Result<()> {
            let count = usize::try_from(count).unwrap();
            *self = self.get(count..).ok_or(io::ErrorKind::UnexpectedEof)?;
            Ok(())
        }
    }

    fn read(bytes: &[u8]) -> io::Result<Vec<(Entry, String)>> {
        let mut tar = Tarball::new(bytes);
        let mut found = Vec::new();
        while let Some(entry) = tar.next()? {
            let mut contents = String::new();
            tar.read_to_string(&mut contents)?;
            found.push((entry, contents));
        }
        Ok(found)
    }

    #[test]
    fn what_the_tar_crate_writes_is_read() {
        let mut builder = tar::Builder::new(Vec::new());
        let long = format!("{}/layer.tar", "d".repeat(200));
        for (name, contents) in [("manifest.json", "[]"), (long.as_str(), "layer")] {
            let mut header = tar::Header::new_gnu();
            header.set_size(contents.len() as u64);
            builder
                .append_data(&mut header, name, contents.as_bytes())
                .unwrap();
        }
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(tar::EntryType::Symlink);
        header.set_size(0);
        builder
            .append_link(&mut header, "b/layer.tar", "../a/layer.tar")
            .unwrap();
        let found = read(&builder.into_inner().unwrap()).unwrap();
        let names: Vec<&str> = found.iter().map(|(entry, _)| entry.name.as_str()).collect();
        assert_eq!(names, ["manifest.json", &long, "b/layer.tar"]);
        assert_eq!(
            (found[1].0.kind == Kind::File(5), found[1].1.as_str()),
            (true, "layer")
        );
        assert_eq!(found[2].0.kind, Kind::SymbolicLink("../a/layer.tar".to_owned()));
    }

    fn header(flag: u8, size: &[u8]) -> [u8; BLOCK] {
        let mut header = tar::Header::new_ustar();
        header.set_path("x").unwrap();
        header.set_entry_type(tar::EntryType::new(flag));
        header.as_mut_bytes()[124..124 + size.len()].copy_from_slice(size);
        header.set_cksum();
        *header.as_bytes()
    }

    #[test]
    fn headers_without_measure_are_refused_before_a_byte_of_them_is_held() {
        for flag in [b'L', b'K', b'x'] {
            let error = read(&header(flag, b"77777777777\0")).unwrap_err();
            assert!(error.to_string().contains("longer than any program"), "{error}");
        }
        for size in [
            b"\x80\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff".as_slice(),
            b"\x80\x01\0\0\0\0\0\0\0\0\0\0",
            b"99",
        ] {
            assert!(read(&header(b'0', size)).is_err());
        }
        let mut odd = header(b'0', b"0");
        odd[148..156].copy_from_slice(b"\x80\0\0\0\0\0\0\0");
        assert!(read(&odd).unwrap_err().to_string().contains("checksum"));
        let mut wrong = header(b'0', b"0");
        wrong[0] ^= 1;
        assert!(read(&wrong).unwrap_err().to_string().contains("checksum"));
        assert!(read(&header(b'0', b"7")[..100]).is_err());
        assert!(read(b"").unwrap().is_empty());
    }

    #[test]
    fn devices_and_fifos_are_no_files() {
        for flag in [b'3', b'4', b'5', b'6', b'S'] {
            assert_eq!(read(&header(flag, b"0")).unwrap()[0].0.kind, Kind::Other);
        }
    }
}
