//! The files of an archive or a layout: what is there, the small ones held, the named ones taken.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use bundle::{Digest, Hasher};

use super::tarball::Kind;
use super::walk::{Met, walk};
use super::{ArchiveError, Copied, INDEX_LIMIT, Taken, digest_of, normal};
use crate::cache::Cache;
use crate::image::CONFIG_LIMIT;
use crate::source::{Holder, Span};

const BUFFER: usize = 1 << 20;
/// So many names are noted, and so many bytes of them: more than any archive of images has.
const MEMBERS: usize = 200_000;
const NAMES: usize = 32 << 20;
/// So many bytes of documents are held at once, the archive's own lists not counted.
const HELD: usize = 48 << 20;
/// A chain of links longer than this is a circle.
const LINKS: usize = 16;

/// What a walk over an archive showed.
pub(super) struct Files {
    pub(super) path: PathBuf,
    /// The files, each with its length and, where it lies plain in a file, its beginning there.
    sizes: BTreeMap<String, (u64, Option<u64>)>,
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
        walk(path, &mut |met, data| files.note(met, data))?;
        Ok(files)
    }

    fn note(&mut self, met: Met, data: &mut dyn Read) -> Result<(), ArchiveError> {
        let Met { name, kind, start } = met;
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
                if self.sizes.insert(name.clone(), (size, start)).is_some() {
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
        if size > limit || (!list && self.held.saturating_add(length) > HELD) {
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
        result.map_err(|source| match source.kind() {
            io::ErrorKind::UnexpectedEof => ArchiveError::Cut {
                path: self.path.clone(),
            },
            _ => ArchiveError::Read {
                path: self.path.join(name),
                source,
            },
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

    /// Takes these files: documents into the cache, layers as they lie there, unless the archive is compressed.
    pub(super) fn take(
        &self,
        documents: &BTreeSet<String>,
        layers: &BTreeSet<String>,
        cache: &Cache,
    ) -> Result<Taken, ArchiveError> {
        let (mut to_copy, mut taken) = (documents.clone(), Taken::default());
        for name in layers {
            let name = self.file(name)?;
            match self.sizes[&name] {
                (size, Some(start)) if !documents.contains(&name) => {
                    let (digest, span) = self.lie(&name, start, size)?;
                    taken.files.insert(name, (digest, size));
                    taken.spans.insert(digest, span);
                }
                _ => drop(to_copy.insert(name)),
            }
        }
        taken.files.extend(self.copy(&to_copy, cache)?);
        Ok(taken)
    }

    /// Returns the digest of a file that lies plain in the archive, and where. What its name says of its digest is still to be
    /// proven.
    fn lie(&self, name: &str, start: u64, size: u64) -> Result<(Digest, Span), ArchiveError> {
        let path = if self.path.is_dir() {
            self.path.join(name)
        } else {
            self.path.clone()
        };
        let span = Span::new(Holder::Archive(name.to_owned()), path, start, size);
        let hash = || {
            let file = span.open()?;
            if file.metadata()?.len() < start.saturating_add(size) {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            match digest_of(name) {
                Some(digest) => Ok(digest),
                None => hash(&file, start, size),
            }
        };
        let digest = self.read(hash(), name)?;
        Ok((digest, span))
    }

    /// Copies these files into the cache; those whose name is their digest only if they are not there.
    fn copy(&self, names: &BTreeSet<String>, cache: &Cache) -> Result<Copied, ArchiveError> {
        let mut copied = Copied::new();
        let mut missing = BTreeSet::new();
        let mut needed: u64 = 0;
        for name in names {
            let name = self.file(name)?;
            let (size, _) = self.sizes[&name];
            if let Some(digest) = digest_of(&name).filter(|digest| cache.has(digest, size)) {
                copied.insert(name, (digest, size));
            } else {
                needed = needed.saturating_add(size);
                missing.insert(name);
            }
        }
        self.check_room(needed, cache)?;
        if !missing.is_empty() {
            walk(&self.path, &mut |met, data| {
                if matches!(met.kind, Kind::File(_)) && missing.remove(&met.name) {
                    let kept = self.keep(&met.name, data, cache)?;
                    copied.insert(met.name, kept);
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

/// Hashes a part of a file.
fn hash(file: &File, start: u64, size: u64) -> io::Result<Digest> {
    let (mut hasher, mut at) = (Hasher::new(), 0);
    let mut buffer = vec![0; BUFFER];
    while at < size {
        let count = usize::try_from(size - at).map_or(BUFFER, |left| left.min(BUFFER));
        file.read_exact_at(&mut buffer[..count], start + at)?;
        hasher.update(&buffer[..count]);
        at += count as u64;
    }
    Ok(hasher.finish())
}
