//! The files of an archive or a layout: what is there, the small ones held, the named ones copied into the cache.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{self, BufReader, Read, Seek as _};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use bundle::Digest;
use rustix::fs::{Mode, OFlags};

use super::tarball::{Kind, Source, Tarball};
use super::{ArchiveError, Copied, INDEX_LIMIT, normal};
use crate::cache::Cache;
use crate::image::CONFIG_LIMIT;

const GZIP: &[u8] = &[0x1f, 0x8b];
const ZSTD: &[u8] = &[0x28, 0xb5, 0x2f, 0xfd];
const BUFFER: usize = 1 << 20;
/// The largest window of a zstd stream, as a power of two: 64 MiB. It bounds the memory.
const ZSTD_WINDOW_LOG: u32 = 26;
/// So many names are noted, and so many bytes of them: more than any archive of images has.
const MEMBERS: usize = 200_000;
const NAMES: usize = 32 << 20;
/// So many bytes of documents are held at once.
const HELD: usize = 48 << 20;
/// A chain of links longer than this is a circle.
const LINKS: usize = 16;

/// What a walk over an archive showed.
pub(super) struct Files {
    pub(super) path: PathBuf,
    sizes: BTreeMap<String, u64>,
    /// Names that came twice.
    twice: BTreeSet<String>,
    /// Links inside the archive, as docker save writes them for layers that images share.
    links: BTreeMap<String, String>,
    documents: BTreeMap<String, Vec<u8>>,
    held: usize,
    noted: usize,
}

impl Files {
    /// Walks over the archive or the layout, and copies nothing.
    pub(super) fn survey(path: &Path) -> Result<Self, ArchiveError> {
        let mut files = Self {
            path: path.to_owned(),
            sizes: BTreeMap::new(),
            twice: BTreeSet::new(),
            links: BTreeMap::new(),
            documents: BTreeMap::new(),
            held: 0,
            noted: 0,
        };
        walk(path, &mut |name, kind, data| files.note(name, kind, data))?;
        Ok(files)
    }

    fn note(&mut self, name: String, kind: Kind, data: &mut dyn Read) -> Result<(), ArchiveError> {
        self.noted += name.len();
        if self.sizes.len() + self.links.len() >= MEMBERS || self.noted > NAMES {
            return Err(self.foreign("it has more files than any archive of images".to_owned()));
        }
        match kind {
            Kind::Other => return Ok(()),
            Kind::SymbolicLink(target) => {
                let directory = name.rsplit_once('/').map_or("", |(directory, _)| directory);
                let target = normal(&target, directory);
                self.noted += target.len();
                self.links.insert(name, target);
            }
            Kind::HardLink(target) => {
                self.noted += target.len();
                self.links.insert(name, normal(&target, ""));
            }
            Kind::File(size) => {
                self.hold(&name, size, data)?;
                if self.sizes.insert(name.clone(), size).is_some() {
                    self.twice.insert(name);
                }
            }
        }
        Ok(())
    }

    /// Holds a file that may be a document: short, and beginning like JSON.
    fn hold(&mut self, name: &str, size: u64, data: &mut dyn Read) -> Result<(), ArchiveError> {
        let list = matches!(name, "index.json" | "manifest.json");
        let limit = if list { INDEX_LIMIT } else { CONFIG_LIMIT };
        let length = usize::try_from(size).unwrap_or(usize::MAX);
        if size > limit || self.held.saturating_add(length) > HELD {
            return Ok(());
        }
        let mut bytes = vec![0; length.min(1)];
        self.read(data.read_exact(&mut bytes), name)?;
        if !list && !matches!(bytes.first(), Some(b'{' | b'[')) {
            return Ok(());
        }
        self.read(data.take(size).read_to_end(&mut bytes), name)?;
        self.held += bytes.len();
        self.documents.insert(name.to_owned(), bytes);
        Ok(())
    }

    fn read<T>(&self, result: io::Result<T>, name: &str) -> Result<T, ArchiveError> {
        result.map_err(|source| ArchiveError::Read {
            path: self.path.join(name),
            source,
        })
    }

    pub(super) fn foreign(&self, reason: String) -> ArchiveError {
        ArchiveError::Foreign {
            path: self.path.clone(),
            reason,
        }
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.sizes.contains_key(name)
    }

    /// Returns the name of the file that a name leads to, following links inside the archive.
    pub(super) fn file(&self, name: &str) -> Result<String, ArchiveError> {
        let mut at = normal(name, "");
        for _ in 0..LINKS {
            match (self.sizes.contains_key(&at), self.links.get(&at)) {
                (true, None) if !self.twice.contains(&at) => return Ok(at),
                (true, _) => {
                    return Err(ArchiveError::Twice {
                        path: self.path.clone(),
                        name: at,
                    });
                }
                (false, Some(next)) => at.clone_from(next),
                (false, None) => break,
            }
        }
        Err(ArchiveError::Missing {
            path: self.path.clone(),
            name: name.to_owned(),
        })
    }

    /// Returns a document that the walk held.
    pub(super) fn document(&self, name: &str) -> Result<&[u8], ArchiveError> {
        let name = self.file(name)?;
        match self.documents.get(&name) {
            Some(bytes) => Ok(bytes),
            None => Err(ArchiveError::Header {
                path: self.path.clone(),
                name,
                reason: "is too long for a document, or not JSON",
            }),
        }
    }

    /// Returns a document where it is there and was held.
    pub(super) fn held(&self, name: &str) -> Option<&[u8]> {
        self.documents
            .get(name)
            .filter(|_| !self.twice.contains(name))
            .map(Vec::as_slice)
    }

    /// Copies these files into the cache; those whose name is their digest only if they are not there.
    pub(super) fn copy(&self, names: &BTreeSet<String>, cache: &Cache) -> Result<Copied, ArchiveError> {
        let mut copied = Copied::new();
        let mut missing = BTreeSet::new();
        let mut needed: u64 = 0;
        for name in names {
            let name = self.file(name)?;
            let size = self.sizes[&name];
            if let Some(digest) = digest_of(&name).filter(|digest| cache.has(digest, size)) {
                copied.insert(name, (digest, size));
            } else {
                needed = needed.saturating_add(size);
                missing.insert(name);
            }
        }
        self.check_room(needed, cache)?;
        if !missing.is_empty() {
            walk(&self.path, &mut |name, kind, data| {
                if matches!(kind, Kind::File(_)) && missing.remove(&name) {
                    let kept = self.keep(&name, data, cache)?;
                    copied.insert(name, kept);
                }
                Ok(())
            })?;
        }
        match missing.pop_first() {
            Some(name) => Err(ArchiveError::Missing {
                path: self.path.clone(),
                name,
            }),
            None => Ok(copied),
        }
    }

    fn check_room(&self, needed: u64, cache: &Cache) -> Result<(), ArchiveError> {
        match cache.room() {
            Some(available) if available < needed => Err(ArchiveError::Room {
                path: self.path.clone(),
                needed,
                available,
            }),
            _ => Ok(()),
        }
    }

    fn keep(&self, name: &str, data: &mut dyn Read, cache: &Cache) -> Result<(Digest, u64), ArchiveError> {
        let cached = |source| ArchiveError::Cache {
            path: self.path.clone(),
            source,
        };
        let mut incoming = cache.incoming().map_err(cached)?;
        let mut buffer = vec![0; BUFFER];
        loop {
            match self.read(data.read(&mut buffer), name)? {
                0 => break,
                count => incoming.write(&buffer[..count]).map_err(cached)?,
            }
        }
        if let Some(named) = digest_of(name) {
            let found = incoming.digest();
            if found != named {
                return Err(ArchiveError::Mismatch {
                    path: self.path.clone(),
                    name: name.to_owned(),
                    found,
                });
            }
        }
        incoming.keep().map_err(cached)
    }
}

/// Returns the digest that the name of a blob says.
fn digest_of(name: &str) -> Option<Digest> {
    name.strip_prefix("blobs/sha256/")
        .and_then(|hex| Digest::from_hex(hex).ok())
}

type Visit<'a> = dyn FnMut(String, Kind, &mut dyn Read) -> Result<(), ArchiveError> + 'a;

/// Shows every file of an archive or a layout, in its order.
fn walk(path: &Path, visit: &mut Visit<'_>) -> Result<(), ArchiveError> {
    let failed = |source| ArchiveError::Read {
        path: path.to_owned(),
        source,
    };
    let metadata = fs::metadata(path).map_err(failed)?;
    if metadata.is_dir() {
        return walk_layout(path, visit);
    }
    if !metadata.is_file() {
        return Err(ArchiveError::Foreign {
            path: path.to_owned(),
            reason: "it is no regular file".to_owned(),
        });
    }
    let mut tar = Tarball::new(open(path)?);
    while let Some(entry) = tar.next().map_err(failed)? {
        visit(normal(&entry.name, ""), entry.kind, &mut tar)?;
    }
    Ok(())
}

/// Shows `index.json` and the blobs of a layout. No link is followed, and only regular files are read.
fn walk_layout(path: &Path, visit: &mut Visit<'_>) -> Result<(), ArchiveError> {
    let failed = |name: &str| {
        let path = path.join(name);
        move |source: rustix::io::Errno| ArchiveError::Read {
            path,
            source: source.into(),
        }
    };
    let below = |directory: &dyn AsDirectory, name: &str, flags| {
        let flags = flags | OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
        rustix::fs::openat(directory.fd(), name, flags, Mode::empty())
    };
    let root = File::open(path).map_err(|source| ArchiveError::Read {
        path: path.to_owned(),
        source,
    })?;
    let mut show = |name: String, opened: rustix::fd::OwnedFd| {
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
        visit(name, kind, &mut file)
    };
    show(
        "index.json".to_owned(),
        below(&root, "index.json", OFlags::empty()).map_err(failed("index.json"))?,
    )?;
    let blobs = below(&root, "blobs", OFlags::DIRECTORY).map_err(failed("blobs"))?;
    let blobs = below(&blobs, "sha256", OFlags::DIRECTORY).map_err(failed("blobs/sha256"))?;
    let names = rustix::fs::Dir::read_from(&blobs).map_err(failed("blobs/sha256"))?;
    for entry in names {
        let entry = entry.map_err(failed("blobs/sha256"))?;
        let Ok(name) = entry.file_name().to_str() else {
            continue;
        };
        if Digest::from_hex(name).is_err() {
            continue;
        }
        let full = format!("blobs/sha256/{name}");
        match below(&blobs, name, OFlags::empty()) {
            Ok(file) => show(full, file)?,
            // A link, or a socket: no file of a layout.
            Err(rustix::io::Errno::LOOP | rustix::io::Errno::NXIO) => {}
            Err(error) => return Err(failed(&full)(error)),
        }
    }
    Ok(())
}

/// A directory that is open.
trait AsDirectory {
    fn fd(&self) -> rustix::fd::BorrowedFd<'_>;
}

impl<T: AsFd> AsDirectory for T {
    fn fd(&self) -> rustix::fd::BorrowedFd<'_> {
        self.as_fd()
    }
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
    fn skip(&mut self, count: u64) -> io::Result<()> {
        match self {
            Self::File(file) => match i64::try_from(count) {
                Ok(count) => file.seek_relative(count),
                Err(_) => Err(io::ErrorKind::UnexpectedEof.into()),
            },
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
    let mut file = File::open(path).map_err(failed)?;
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
