//! A walk over an archive or a layout: every file once, in its order, through the decompressor that it needs.

use std::fs::{self, File};
use std::io::{self, BufReader, Read, Seek as _};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use bundle::Digest;
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use super::tarball::{Kind, Source, Tarball};
use super::{ArchiveError, normal};

const GZIP: &[u8] = &[0x1f, 0x8b];
const ZSTD: &[u8] = &[0x28, 0xb5, 0x2f, 0xfd];
const BUFFER: usize = 1 << 20;
/// The largest window of a zstd stream, as a power of two: 64 MiB. It bounds the memory.
const ZSTD_WINDOW_LOG: u32 = 26;

/// A file that was met.
pub(super) struct Met {
    pub(super) name: String,
    pub(super) kind: Kind,
    /// Where its bytes begin in the archive, or in the layout's own file; none where they lie in neither.
    pub(super) start: Option<u64>,
}

/// What is done with each file; its bytes need not be read.
pub(super) type Visit<'a> = dyn FnMut(Met, &mut dyn Read) -> Result<(), ArchiveError> + 'a;

/// Shows every file of an archive or a layout, in its order.
pub(super) fn walk(path: &Path, visit: &mut Visit<'_>) -> Result<(), ArchiveError> {
    let failed = |source| ArchiveError::Read {
        path: path.to_owned(),
        source,
    };
    let metadata = fs::metadata(path).map_err(failed)?;
    if metadata.is_dir() {
        return walk_layout(path, visit);
    }
    if metadata.is_file() && metadata.len() == 0 {
        return Err(ArchiveError::Foreign {
            path: path.to_owned(),
            reason: "it is empty".to_owned(),
        });
    }
    let failed = |source: io::Error| match source.kind() {
        io::ErrorKind::UnexpectedEof => ArchiveError::Cut {
            path: path.to_owned(),
        },
        _ => failed(source),
    };
    let mut tar = Tarball::new(open(path)?);
    while let Some(entry) = tar.next().map_err(failed)? {
        let met = Met {
            name: normal(&entry.name, ""),
            kind: entry.kind,
            start: tar.place(),
        };
        visit(met, &mut tar)?;
    }
    Ok(())
}

/// Shows `index.json` and the blobs of a layout. No link is followed, and only regular files are read.
fn walk_layout(path: &Path, visit: &mut Visit<'_>) -> Result<(), ArchiveError> {
    let failed = |name: &str| {
        let path = path.join(name);
        move |source: Errno| ArchiveError::Read {
            path,
            source: source.into(),
        }
    };
    let root = File::open(path).map_err(|source| ArchiveError::Read {
        path: path.to_owned(),
        source,
    })?;
    let index = below(&root, "index.json", OFlags::empty()).map_err(failed("index.json"))?;
    show(path, "index.json".to_owned(), index, visit)?;
    let blobs = below(&root, "blobs", OFlags::DIRECTORY).map_err(failed("blobs"))?;
    let blobs = below(&blobs, "sha256", OFlags::DIRECTORY).map_err(failed("blobs/sha256"))?;
    let names = rustix::fs::Dir::read_from(&blobs).map_err(failed("blobs/sha256"))?;
    for entry in names {
        let entry = entry.map_err(failed("blobs/sha256"))?;
        let name = entry.file_name().to_str();
        let Some(name) = name.ok().filter(|name| Digest::from_hex(name).is_ok()) else {
            continue;
        };
        let full = format!("blobs/sha256/{name}");
        match below(&blobs, name, OFlags::empty()) {
            Ok(file) => show(path, full, file, visit)?,
            // A link, or a socket: no file of a layout.
            Err(Errno::LOOP | Errno::NXIO) => {}
            Err(error) => return Err(failed(&full)(error)),
        }
    }
    Ok(())
}

/// Opens what lies in a directory under a name, unless that is a link; a FIFO does not hold us.
fn below(directory: impl AsFd, name: &str, flags: OFlags) -> Result<OwnedFd, Errno> {
    let flags = flags | OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
    rustix::fs::openat(directory, name, flags, Mode::empty())
}

fn show(path: &Path, name: String, opened: OwnedFd, visit: &mut Visit<'_>) -> Result<(), ArchiveError> {
    let mut file = File::from(opened);
    let metadata = file.metadata().map_err(|source| ArchiveError::Read {
        path: path.join(&name),
        source,
    })?;
    let kind = if metadata.is_file() {
        Kind::File(metadata.len())
    } else {
        Kind::Other
    };
    let met = Met {
        name,
        kind,
        start: Some(0),
    };
    visit(met, &mut file)
}

/// The bytes of a tar, plain or unpacked on the way.
enum Bytes {
    File(BufReader<File>),
    Stream(Box<dyn Read>),
}

impl Read for Bytes {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::File(file) => file.read(buffer),
            Self::Stream(stream) => stream.read(buffer),
        }
    }
}

impl Source for Bytes {
    fn position(&mut self) -> Option<u64> {
        match self {
            Self::File(file) => file.stream_position().ok(),
            Self::Stream(_) => None,
        }
    }

    fn skip(&mut self, count: u64) -> io::Result<()> {
        match self {
            Self::File(file) => {
                let count = i64::try_from(count).map_err(|_| io::ErrorKind::UnexpectedEof)?;
                file.seek_relative(count)?;
                // A file can be sought in beyond its end.
                if count > 0 && file.stream_position()? > file.get_ref().metadata()?.len() {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
                Ok(())
            }
            Self::Stream(stream) => {
                let passed = io::copy(&mut stream.take(count), &mut io::sink())?;
                if passed < count {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
                Ok(())
            }
        }
    }
}

/// Opens a file through the decompressor that its first bytes ask for.
fn open(path: &Path) -> Result<Bytes, ArchiveError> {
    let failed = |source| ArchiveError::Read {
        path: path.to_owned(),
        source,
    };
    let mut file = bundle::open_regular(path).map_err(failed)?;
    let mut head = Vec::new();
    file.by_ref().take(6).read_to_end(&mut head).map_err(failed)?;
    file.rewind().map_err(failed)?;
    match head.as_slice() {
        head if head.starts_with(GZIP) => {
            let file = BufReader::with_capacity(BUFFER, file);
            let unpacked = flate2::bufread::MultiGzDecoder::new(file);
            Ok(Bytes::Stream(Box::new(BufReader::with_capacity(
                BUFFER, unpacked,
            ))))
        }
        head if head.starts_with(ZSTD) => {
            let file = BufReader::with_capacity(BUFFER, file);
            let mut unpacked = zstd::Decoder::with_buffer(file).map_err(failed)?;
            unpacked.window_log_max(ZSTD_WINDOW_LOG).map_err(failed)?;
            Ok(Bytes::Stream(Box::new(BufReader::with_capacity(
                BUFFER, unpacked,
            ))))
        }
        head if head.starts_with(b"\xfd7zXZ") || head.starts_with(b"BZh") => Err(ArchiveError::Foreign {
            path: path.to_owned(),
            reason: "it is compressed by xz or bzip2: decompress it first".to_owned(),
        }),
        // Small, since each file that is passed over throws it away.
        _ => Ok(Bytes::File(BufReader::with_capacity(64 << 10, file))),
    }
}
