//! The files of a bundle that somebody unpacked already. Reads below one directory, follows no link.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use super::{Found, Resumed, Walk};
use crate::error::ReadError;
use crate::index::Member;
use crate::path::MemberPath;
use crate::{header, input, order};

/// A pass over the files of a directory, in the order that they have in an archive.
pub(crate) struct DirectoryWalk {
    root: PathBuf,
    /// What is still to come, the last first.
    rest: Vec<MemberPath>,
    file: Option<(String, File)>,
    size: u64,
    left: u64,
}

impl DirectoryWalk {
    /// Lists the directory; refuses all that is neither a regular file nor a directory.
    pub(crate) fn new(root: &Path) -> Result<Self, ReadError> {
        let mut rest = Vec::new();
        let mut directories = vec![String::new()];
        while let Some(directory) = directories.pop() {
            list(root, &directory, &mut rest, &mut directories)?;
        }
        rest.sort_by(|a, b| order::key(b).cmp(&order::key(a)));
        Ok(Self {
            root: root.to_owned(),
            rest,
            file: None,
            size: 0,
            left: 0,
        })
    }
}

fn list(
    root: &Path,
    directory: &str,
    files: &mut Vec<MemberPath>,
    directories: &mut Vec<String>,
) -> Result<(), ReadError> {
    let here = root.join(directory);
    let failed = |source| ReadError::Open {
        path: here.clone(),
        source,
    };
    for entry in fs::read_dir(&here).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let mut name = directory.as_bytes().to_vec();
        if !name.is_empty() {
            name.push(b'/');
        }
        name.extend_from_slice(std::os::unix::ffi::OsStrExt::as_bytes(
            entry.file_name().as_os_str(),
        ));
        // Directories too: it bounds their depth.
        let path = header::member_path(&name).map_err(ReadError::Path)?;
        match refusal(entry.file_type().map_err(failed)?) {
            None if entry.file_type().map_err(failed)?.is_dir() => directories.push(path.as_str().to_owned()),
            None => files.push(path),
            Some(reason) => {
                return Err(ReadError::Header {
                    member: path.as_str().to_owned(),
                    reason: format!("{reason}, only regular files are allowed"),
                });
            }
        }
    }
    Ok(())
}

fn refusal(kind: fs::FileType) -> Option<&'static str> {
    use std::os::unix::fs::FileTypeExt as _;
    match kind {
        _ if kind.is_file() || kind.is_dir() => None,
        _ if kind.is_symlink() => Some("a symbolic link"),
        _ if kind.is_fifo() => Some("a FIFO"),
        _ if kind.is_socket() => Some("a socket"),
        _ if kind.is_block_device() => Some("a block device"),
        _ => Some("a character device"),
    }
}

impl Walk for DirectoryWalk {
    fn next(&mut self) -> Result<Option<Found>, ReadError> {
        let Some(path) = self.rest.pop() else {
            self.file = None;
            return Ok(None);
        };
        let full = self.root.join(path.as_str());
        let failed = |source| ReadError::Open {
            path: full.clone(),
            source,
        };
        // Again, since opening a FIFO that took the file's place would block.
        if !fs::symlink_metadata(&full).map_err(failed)?.is_file() {
            return Err(ReadError::Changed { path: full });
        }
        let file = input::open(&full)?;
        let size = file.metadata().map_err(failed)?.len();
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
        Ok(())
    }
}
