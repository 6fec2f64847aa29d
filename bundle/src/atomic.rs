//! A file that is there whole or not at all: a temporary name in the target's directory, synced, renamed.

use std::fs::{self, File, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

/// A file under a temporary name. Dropped without [`AtomicFile::commit`], it is removed.
#[derive(Debug)]
pub struct AtomicFile {
    target: PathBuf,
    file: NamedTempFile,
}

/// Why a file could not be written.
#[derive(Debug, thiserror::Error)]
#[error("cannot {operation} {}", path.display())]
pub struct AtomicError {
    operation: &'static str,
    path: PathBuf,
    source: io::Error,
}

impl AtomicFile {
    /// Starts a file that will be called `target`; its directory must exist. What an earlier, killed run left
    /// there under its own temporary name does not matter.
    pub fn create(target: impl Into<PathBuf>) -> Result<Self, AtomicError> {
        let target = target.into();
        let start = |target: &Path| {
            let name = target
                .file_name()
                .ok_or_else(|| io::Error::from(io::ErrorKind::InvalidFilename))?;
            if target.is_dir() {
                return Err(io::ErrorKind::IsADirectory.into());
            }
            let mut prefix = std::ffi::OsString::from(".");
            prefix.push(name);
            prefix.push(".");
            tempfile::Builder::new()
                .prefix(&prefix)
                .suffix(".tmp")
                // The umask still applies, as for any file that a user makes.
                .permissions(Permissions::from_mode(0o666))
                .tempfile_in(directory(target))
        };
        match start(&target) {
            Ok(file) => Ok(Self { target, file }),
            Err(source) => Err(AtomicError {
                operation: "create",
                path: target,
                source,
            }),
        }
    }

    /// Writes `bytes` as the whole of the file `target`.
    pub fn write(target: impl Into<PathBuf>, bytes: &[u8]) -> Result<(), AtomicError> {
        let mut file = Self::create(target)?;
        if let Err(source) = file.write_all(bytes) {
            return Err(file.error("write", source));
        }
        file.commit()
    }

    /// Returns a second handle on the file, for example to sync what is written so far from another thread.
    pub fn handle(&self) -> Result<File, AtomicError> {
        let handle = self.file.as_file().try_clone();
        handle.map_err(|source| self.error("open a second time", source))
    }

    /// Returns the final name.
    pub fn target(&self) -> &Path {
        &self.target
    }

    /// Syncs the file, gives it its final name, replacing what has it, and syncs the directory.
    pub fn commit(self) -> Result<(), AtomicError> {
        let Self { target, file } = self;
        let error = |operation, path: PathBuf, source| AtomicError {
            operation,
            path,
            source,
        };
        if let Err(source) = file.as_file().sync_all() {
            return Err(error("sync", target, source));
        }
        if let Err(failed) = file.persist(&target) {
            return Err(error("rename the temporary file to", target, failed.error));
        }
        sync_directory(directory(&target)).map_err(|source| error("sync the directory of", target, source))
    }

    fn error(&self, operation: &'static str, source: io::Error) -> AtomicError {
        AtomicError {
            operation,
            path: self.target.clone(),
            source,
        }
    }
}

impl Write for AtomicFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.as_file_mut().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.as_file_mut().flush()
    }
}

/// Returns the directory of `path`: `.` where it names none.
pub(crate) fn directory(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// Makes the entries of a directory durable.
pub(crate) fn sync_directory(path: &Path) -> io::Result<()> {
    match File::open(path)?.sync_all() {
        // Some file systems (9p, FUSE) cannot sync a directory; their entries are as durable as they get.
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported
            ) =>
        {
            Ok(())
        }
        other => other,
    }
}

/// Returns whether there is anything by this name, a dangling link too.
pub(crate) fn exists(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok()
}
