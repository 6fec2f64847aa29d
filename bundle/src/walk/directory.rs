//! The files of a bundle that somebody unpacked already. Everything is opened below one directory that is held open, a
//! component at a time and never through a link: whoever changes names meanwhile leads nowhere else.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read as _};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, openat, statat};

use super::{Found, Resumed, Walk};
use crate::error::ReadError;
use crate::header;
use crate::index::Member;
use crate::order::{self, INDEX};
use crate::path::MemberPath;

/// A pass over the files of a directory, in the order that they have in an archive.
pub(crate) struct DirectoryWalk {
    root: PathBuf,
    held: OwnedFd,
    /// What is still to come, the last first.
    rest: Vec<MemberPath>,
    /// What lies there and belongs in no bundle: told at the end, with the files that are good.
    odd: Vec<ReadError>,
    begun: bool,
    file: Option<(String, File)>,
    size: u64,
    left: u64,
}

impl DirectoryWalk {
    /// Lists the directory.
    pub(crate) fn new(root: &Path) -> Result<Self, ReadError> {
        let failed = |error: rustix::io::Errno| ReadError::Open {
            path: root.to_owned(),
            source: error.into(),
        };
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let held = rustix::fs::open(root, flags, Mode::empty()).map_err(failed)?;
        let mut walk = Self {
            root: root.to_owned(),
            held,
            rest: Vec::new(),
            odd: Vec::new(),
            begun: false,
            file: None,
            size: 0,
            left: 0,
        };
        let mut directories = vec![String::new()];
        while let Some(directory) = directories.pop() {
            walk.list(&directory, &mut directories)?;
        }
        walk.rest.sort_by(|a, b| order::key(b).cmp(&order::key(a)));
        Ok(walk)
    }

    fn failed(&self, path: &str, error: rustix::io::Errno) -> ReadError {
        let path = self.root.join(path);
        // A link or something else took a file's place since it was listed.
        match error {
            rustix::io::Errno::LOOP | rustix::io::Errno::NOTDIR => ReadError::Changed { path },
            error => ReadError::Open {
                path,
                source: error.into(),
            },
        }
    }

    fn list(&mut self, directory: &str, directories: &mut Vec<String>) -> Result<(), ReadError> {
        let here = self.open(directory, OFlags::DIRECTORY)?;
        let entries = Dir::read_from(&here).map_err(|error| self.failed(directory, error))?;
        for entry in entries {
            let entry = entry.map_err(|error| self.failed(directory, error))?;
            let name = entry.file_name().to_bytes();
            if matches!(name, b"." | b"..") {
                continue;
            }
            let full = match directory {
                "" => name.to_vec(),
                directory => [directory.as_bytes(), b"/", name].concat(),
            };
            // Directories too: it bounds their depth.
            let path = match header::member_path(&full) {
                Ok(path) => path,
                Err(error) => {
                    self.odd.push(ReadError::Path(error));
                    continue;
                }
            };
            let kind = match entry.file_type() {
                // Not every file system says it in its lists.
                FileType::Unknown => {
                    let stat = statat(&here, entry.file_name(), AtFlags::SYMLINK_NOFOLLOW);
                    let stat = stat.map_err(|error| self.failed(path.as_str(), error))?;
                    FileType::from_raw_mode(stat.st_mode)
                }
                kind => kind,
            };
            match kind {
                FileType::Directory => directories.push(path.as_str().to_owned()),
                FileType::RegularFile => self.rest.push(path),
                other => self.odd.push(ReadError::Header {
                    member: path.as_str().to_owned(),
                    reason: format!("{}, only regular files are allowed", name_of(other)),
                }),
            }
        }
        Ok(())
    }

    /// Opens what lies at a path below the root.
    fn open(&self, path: &str, last: OFlags) -> Result<OwnedFd, ReadError> {
        let failed = |error| self.failed(path, error);
        let always = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
        let mut components = path
            .split('/')
            .filter(|component| !component.is_empty())
            .peekable();
        let mut here = openat(&self.held, ".", always | OFlags::DIRECTORY, Mode::empty()).map_err(failed)?;
        while let Some(component) = components.next() {
            let flags = if components.peek().is_some() {
                OFlags::DIRECTORY
            } else {
                last
            };
            let name = OsStr::from_bytes(component.as_bytes());
            here = openat(here.as_fd(), name, always | flags, Mode::empty()).map_err(failed)?;
        }
        Ok(here)
    }

    /// Opens a file, which must be a regular one now.
    fn file(&self, path: &MemberPath) -> Result<(File, u64), ReadError> {
        let full = || self.root.join(path.as_str());
        // Asked before it is opened: opening alone makes some devices act.
        let (directory, name) = path.as_str().rsplit_once('/').unwrap_or(("", path.as_str()));
        let directory = self.open(directory, OFlags::DIRECTORY)?;
        let stat = statat(&directory, name, AtFlags::SYMLINK_NOFOLLOW);
        let stat = stat.map_err(|error| self.failed(path.as_str(), error))?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return Err(ReadError::Changed { path: full() });
        }
        let file = File::from(self.open(path.as_str(), OFlags::empty())?);
        let metadata = file
            .metadata()
            .map_err(|source| ReadError::Open { path: full(), source })?;
        if !metadata.is_file() {
            return Err(ReadError::Changed { path: full() });
        }
        Ok((file, metadata.len()))
    }
}

fn name_of(kind: FileType) -> &'static str {
    match kind {
        FileType::Symlink => "a symbolic link",
        FileType::Fifo => "a FIFO",
        FileType::Socket => "a socket",
        FileType::BlockDevice => "a block device",
        FileType::CharacterDevice => "a character device",
        _ => "something else",
    }
}

impl Walk for DirectoryWalk {
    fn next(&mut self) -> Result<Option<Found>, ReadError> {
        let first = self.rest.last().map(MemberPath::as_str);
        if !std::mem::replace(&mut self.begun, true) && first != Some(INDEX) {
            // Perhaps it is the index that is a link.
            ReadError::all(std::mem::take(&mut self.odd))?;
        }
        let Some(path) = self.rest.pop() else {
            self.file = None;
            return Ok(None);
        };
        let (file, size) = self.file(&path)?;
        self.file = Some((path.as_str().to_owned(), file));
        (self.size, self.left) = (size, size);
        Ok(Some(Found {
            path,
            size,
            mode: None,
        }))
    }

    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, ReadError> {
        let room = usize::try_from(self.left).map_or(buffer.len(), |left| left.min(buffer.len()));
        let Some((name, file)) = self.file.as_mut().filter(|_| room > 0) else {
            return Ok(0);
        };
        loop {
            match file.read(&mut buffer[..room]) {
                Ok(0) => return Err(ReadError::Truncated { during: name.clone() }),
                Ok(read) => {
                    self.left -= u64::try_from(read).unwrap_or(self.left);
                    return Ok(read);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(source) => {
                    return Err(ReadError::Read {
                        during: name.clone(),
                        member: None,
                        offset: Some(self.size - self.left),
                        source,
                    });
                }
            }
        }
    }

    fn resume(&mut self, _: &Member, error: &ReadError) -> Result<Resumed, ReadError> {
        self.left = 0;
        Ok(match error {
            ReadError::Read { .. } | ReadError::Open { .. } | ReadError::Truncated { .. } => Resumed::Behind,
            _ => Resumed::Never,
        })
    }

    fn is_loose(&self) -> bool {
        true
    }

    fn finish(&mut self) -> Result<(), ReadError> {
        ReadError::all(std::mem::take(&mut self.odd))
    }
}
