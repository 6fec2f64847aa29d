//! Unpacks a bundle into a directory: whole and verified, or not at all.
//!
//! Everything is written below a fresh directory beside the target, which then takes the target's name. Nothing is
//! deleted but that directory.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::Arc;

use crate::atomic::{directory, exists, sync_directory};
use crate::background::BUFFER;
use crate::check::Event;
use crate::digest::Digest;
use crate::error::ReadError;
use crate::index::Index;
use crate::order::{INDEX, SIGNATURE, SUMS};
use crate::path::new_directories;
use crate::reader::{Entry, Reader};
use crate::source::Source;
use crate::staging::AtomicDirectory;
use crate::trust::{Origin, Trust};

/// What was unpacked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unpacked {
    /// The identity of the bundle: the SHA-256 of its index.
    pub id: Digest,
    /// How many members were written; the index, its signature and SHA256SUMS not counted.
    pub members: usize,
    /// Their length in bytes.
    pub bytes: u64,
    /// What is known of who made it.
    pub origin: Origin,
}

/// Unpacks a bundle as `target`, which must not exist, or be an empty directory; its parent
/// must exist. Refuses beforehand what does not fit on the file system.
pub fn unpack(
    source: Source,
    trust: &Trust,
    target: &Path,
    on_event: &mut dyn FnMut(Event<'_>),
) -> Result<Unpacked, ReadError> {
    let parent = directory(target);
    may_write(target)?;
    let beside = source.signatures();
    let mut reader = Reader::open(source, trust)?;
    let bytes = reader.index().total_size();
    room(parent, reader.index())?;
    let failed = |source| ReadError::Write {
        path: target.to_owned(),
        source,
    };
    let staging = AtomicDirectory::create(target, 0o755).map_err(failed)?;
    let index = Arc::clone(reader.index());
    let (id, origin) = (reader.id(), reader.origin().clone());
    on_event(Event::Start {
        index: &index,
        id,
        bytes,
    });
    let mut stage = Stage::new(staging.path());
    // What lies beside an archive stays behind: the directory has it as a member, where there is none.
    let json = index.to_json();
    let signature = reader.signature().map(<[u8]>::to_vec);
    let signature = signature.or_else(|| trust.counted(&json, beside));
    stage.own(&index, &json, signature.as_deref())?;
    while let Some(mut entry) = reader.next_entry()? {
        on_event(Event::Member(&entry.member().path.clone()));
        stage.member(&mut entry, on_event)?;
    }
    reader.finish()?;
    stage.sync(&index)?;
    staging.commit().map_err(|unnamed| failed(unnamed.source))?;
    Ok(Unpacked {
        id,
        members: index.members.len(),
        bytes,
        origin,
    })
}

/// Refuses a target that may not be written.
fn may_write(target: &Path) -> Result<(), ReadError> {
    let refuse = |reason| ReadError::Target {
        path: target.to_owned(),
        reason,
    };
    if target.file_name().is_none() {
        return Err(refuse("is no name for a new directory"));
    }
    if exists(target) {
        let is_directory = fs::symlink_metadata(target).is_ok_and(|metadata| metadata.is_dir());
        if !is_directory {
            return Err(refuse("exists and is not a directory"));
        }
        let mut entries = fs::read_dir(target).map_err(|source| ReadError::Open {
            path: target.to_owned(),
            source,
        })?;
        if entries.next().is_some() {
            return Err(refuse("is not empty"));
        }
    }
    let parent = directory(target);
    match fs::metadata(parent) {
        Ok(metadata) if metadata.is_dir() => Ok(()),
        Err(source) if source.kind() != io::ErrorKind::NotFound => Err(ReadError::Open {
            path: parent.to_owned(),
            source,
        }),
        _ => Err(refuse("cannot be made: its parent is not a directory")),
    }
}

/// Refuses what does not fit: blocks, since the smallest file and every directory take one, and inodes.
fn room(directory: &Path, index: &Index) -> Result<(), ReadError> {
    let stat = rustix::fs::statvfs(directory).map_err(|error| ReadError::Open {
        path: directory.to_owned(),
        source: error.into(),
    })?;
    let block = stat.f_frsize.max(1);
    let (mut files, mut needed) = (0_u64, 0_u64);
    let mut previous = "";
    for member in &index.members {
        let path = member.path.as_str();
        let directories = u64::try_from(new_directories(previous, path).count()).unwrap_or(u64::MAX);
        files = files.saturating_add(directories).saturating_add(1);
        let blocks = member.size.div_ceil(block).saturating_add(directories);
        needed = needed.saturating_add(blocks.saturating_mul(block));
        previous = path;
    }
    let path = directory.to_owned();
    let available = stat.f_bavail.saturating_mul(block);
    // Some file systems (FUSE) count no blocks at all, others (btrfs) no inodes.
    if stat.f_blocks > 0 && available < needed {
        return Err(ReadError::Room {
            path,
            needed,
            available,
        });
    }
    if stat.f_files > 0 && stat.f_favail < files {
        return Err(ReadError::Inodes {
            path,
            needed: files,
            available: stat.f_favail,
        });
    }
    Ok(())
}

/// The directory in which everything is written first.
struct Stage<'a> {
    root: &'a Path,
    /// The path of the member before.
    previous: String,
    buffer: Vec<u8>,
}

impl<'a> Stage<'a> {
    fn new(root: &'a Path) -> Self {
        Self {
            root,
            previous: String::new(),
            buffer: vec![0; BUFFER],
        }
    }

    /// Writes the members that the index does not name, so that the directory is a bundle too.
    fn own(&mut self, index: &Index, json: &[u8], signature: Option<&[u8]>) -> Result<(), ReadError> {
        let sums = index.sha256sums();
        let signature = signature.map(|signature| (SIGNATURE, signature));
        for (name, bytes) in [(INDEX, json), (SUMS, sums.as_bytes())]
            .into_iter()
            .chain(signature)
        {
            let path = self.root.join(name);
            let mut file = create(&path, 0o644)?;
            let written = file.write_all(bytes).and_then(|()| file.sync_all());
            written.map_err(|source| ReadError::Write { path, source })?;
        }
        Ok(())
    }

    fn member(
        &mut self,
        entry: &mut Entry<'_>,
        on_event: &mut dyn FnMut(Event<'_>),
    ) -> Result<(), ReadError> {
        let name = entry.member().path.clone();
        let path = self.root.join(name.as_str());
        let failed = |source| ReadError::Write {
            path: path.clone(),
            source,
        };
        for directory in new_directories(&self.previous, name.as_str()) {
            fs::create_dir(self.root.join(directory)).map_err(failed)?;
        }
        name.as_str().clone_into(&mut self.previous);
        let mut file = create(&path, entry.member().mode)?;
        loop {
            let read = match io::Read::read(entry, &mut self.buffer) {
                Ok(read) => read,
                Err(error) => {
                    return Err(
                        ReadError::from_io(error).unwrap_or_else(|source| ReadError::Read {
                            during: name.as_str().to_owned(),
                            member: Some(name.clone()),
                            offset: None,
                            source,
                        }),
                    );
                }
            };
            if read == 0 {
                break;
            }
            file.write_all(&self.buffer[..read]).map_err(failed)?;
            on_event(Event::Bytes(u64::try_from(read).unwrap_or(0)));
        }
        file.sync_all().map_err(failed)
    }

    /// Makes the entries of all directories durable.
    fn sync(&self, index: &Index) -> Result<(), ReadError> {
        let sync = |directory: &Path| {
            sync_directory(directory).map_err(|source| ReadError::Write {
                path: directory.to_owned(),
                source,
            })
        };
        let mut previous = "";
        for member in &index.members {
            let path = member.path.as_str();
            new_directories(previous, path).try_for_each(|directory| sync(&self.root.join(directory)))?;
            previous = path;
        }
        sync(self.root)
    }
}

/// Creates a file that is not there yet; follows no link.
fn create(path: &Path, mode: u32) -> Result<File, ReadError> {
    File::options()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(path)
        .map_err(|source| ReadError::Write {
            path: path.to_owned(),
            source,
        })
}
