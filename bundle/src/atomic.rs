//! A file that is there whole or not at all: a temporary name in the target's directory, synced, renamed.

use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions, Permissions, TryLockError};
use std::io::{self, Seek as _, Write};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;
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

impl AtomicError {
    /// Returns what sort of answer the system gave.
    pub fn kind(&self) -> io::ErrorKind {
        self.source.kind()
    }
}

impl AtomicFile {
    /// Starts a file that will be called `target`; its directory must exist. What an earlier, killed run left
    /// there under its own temporary name is removed. A link of that name is replaced, not followed.
    pub fn create(target: impl Into<PathBuf>) -> Result<Self, AtomicError> {
        Self::start(target.into())
    }

    /// Like [`AtomicFile::create`]; only its owner may read it, whatever the umask.
    pub fn create_private(target: impl Into<PathBuf>) -> Result<Self, AtomicError> {
        let file = Self::start(target.into())?;
        let mode = Permissions::from_mode(0o600);
        match file.file.as_file().set_permissions(mode) {
            Ok(()) => Ok(file),
            Err(source) => Err(file.error("set the mode of", source)),
        }
    }

    fn start(target: PathBuf) -> Result<Self, AtomicError> {
        let start = |target: &Path| {
            let name = target
                .file_name()
                .ok_or_else(|| io::Error::from(io::ErrorKind::InvalidFilename))?;
            replaceable(target)?;
            let mut prefix = std::ffi::OsString::from(".");
            prefix.push(name);
            prefix.push(".");
            sweep(directory(target), &prefix);
            locked(directory(target), &prefix)
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
        file.put(bytes)?;
        file.commit()
    }

    /// Writes `bytes`; the error names the file.
    pub fn put(&mut self, bytes: &[u8]) -> Result<(), AtomicError> {
        self.file
            .as_file_mut()
            .write_all(bytes)
            .map_err(|source| self.error("write", source))
    }

    /// Returns a second handle on the file, for example to sync what is written so far from another thread.
    pub fn handle(&self) -> Result<File, AtomicError> {
        let handle = self.file.as_file().try_clone();
        handle.map_err(|source| self.error("open a second time", source))
    }

    /// Throws away what was written so far.
    ///
    /// # Errors
    /// When the file cannot be emptied.
    pub fn restart(&mut self) -> Result<(), AtomicError> {
        let emptied = self.file.as_file_mut().set_len(0);
        let emptied = emptied.and_then(|()| self.file.as_file_mut().rewind());
        emptied.map_err(|source| self.error("empty", source))
    }

    /// Returns the final name.
    pub fn target(&self) -> &Path {
        &self.target
    }

    /// Syncs the file, gives it its final name, replacing what has it, and syncs the directory.
    pub fn commit(self) -> Result<(), AtomicError> {
        let Self { target, mut file } = self;
        publish(file.as_file(), file.path(), &target)?;
        // The temporary name is gone: there is nothing left to remove.
        file.disable_cleanup(true);
        Ok(())
    }

    /// Like [`AtomicFile::commit`], and refuses to replace anything.
    pub fn commit_new(self) -> Result<(), AtomicError> {
        if let Err(source) = self.file.as_file().sync_all() {
            return Err(self.error("sync", source));
        }
        let Self { target, file } = self;
        let named = file.persist_noclobber(&target).map_err(|failed| failed.error);
        let synced = named.and_then(|_| sync_directory(directory(&target)));
        synced.map_err(|source| AtomicError {
            operation: "create",
            path: target,
            source,
        })
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

/// Returns an error where no file may take this name.
pub fn may_replace(target: &Path) -> Result<(), AtomicError> {
    replaceable(target).map_err(|source| AtomicError {
        operation: "create",
        path: target.to_owned(),
        source,
    })
}

/// Syncs a finished file, gives it its final name, replacing what has it, and syncs the directory of that.
pub fn publish(file: &File, path: &Path, target: &Path) -> Result<(), AtomicError> {
    let error = |operation| {
        move |source| AtomicError {
            operation,
            path: target.to_owned(),
            source,
        }
    };
    file.sync_all().map_err(error("sync"))?;
    fs::rename(path, target).map_err(error("rename the temporary file to"))?;
    sync_directory(directory(target)).map_err(error("sync the directory of"))
}

/// Refuses to put a file in the place of what is none: a directory, but also a device or a FIFO, which a rename would
/// remove (`-o /dev/null` as root).
fn replaceable(target: &Path) -> io::Result<()> {
    if target.is_dir() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    match fs::symlink_metadata(target) {
        Ok(there) if !there.is_file() && !there.is_symlink() => Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "it is there and no regular file",
        )),
        _ => Ok(()),
    }
}

/// What stands between a temporary name's beginning, which is the target's, and its end.
pub(crate) const RANDOM: usize = 12;
pub(crate) const SUFFIX: &str = ".tmp";
/// A sweep may meet a file between its making and its lock so often.
pub(crate) const TRIES: usize = 100;

/// Returns whether a name is a temporary one of ours with this beginning.
pub(crate) fn is_temporary(name: &OsStr, prefix: &OsStr) -> bool {
    let middle = name.as_bytes().strip_prefix(prefix.as_bytes());
    let middle = middle.and_then(|rest| rest.strip_suffix(SUFFIX.as_bytes()));
    middle.is_some_and(|word| word.len() == RANDOM && word.iter().all(u8::is_ascii_alphanumeric))
}

/// Makes a temporary file, locked as long as it is written, so that no sweep takes it for a dead run's.
fn locked(directory: &Path, prefix: &OsStr) -> io::Result<NamedTempFile> {
    for _ in 0..TRIES {
        let file = tempfile::Builder::new()
            .prefix(prefix)
            .rand_bytes(RANDOM)
            .suffix(SUFFIX)
            // The umask still applies, as for any file that a user makes.
            .permissions(Permissions::from_mode(0o666))
            .tempfile_in(directory)?;
        // Where there are no locks, there are no sweeps either.
        let free = !matches!(file.as_file().try_lock(), Err(TryLockError::WouldBlock));
        if free && is_named(file.as_file(), file.path()) {
            return Ok(file);
        }
    }
    Err(io::ErrorKind::ResourceBusy.into())
}

/// Removes what killed runs left of files with this beginning: nobody holds a lock on it any more.
fn sweep(directory: &Path, prefix: &OsStr) {
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        let ours = is_temporary(&entry.file_name(), prefix);
        if ours && entry.file_type().is_ok_and(|kind| kind.is_file()) {
            remove_dead(&entry.path());
        }
    }
}

/// Removes a file that no lock is on; the lock is held until its name is gone.
fn remove_dead(path: &Path) {
    let opened = OpenOptions::new()
        .read(true)
        .custom_flags((OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed())
        .open(path);
    if let Ok(file) = opened
        && file.try_lock().is_ok()
        && is_named(&file, path)
    {
        // What cannot be removed does no harm.
        let _ = fs::remove_file(path);
    }
}

/// Returns whether a name still leads to this very file.
pub(crate) fn is_named(file: &File, path: &Path) -> bool {
    let (Ok(file), Ok(named)) = (file.metadata(), fs::symlink_metadata(path)) else {
        return false;
    };
    (file.dev(), file.ino()) == (named.dev(), named.ino())
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_killed_run_left_is_removed_by_the_next_and_nothing_else_is() {
        let directory = tempfile::tempdir().unwrap();
        let target = directory.path().join("site.tar");
        let alive = AtomicFile::create(&target).unwrap();
        let others = [
            ".site.tar.backup.tmp",
            ".site.tar.aB3dE6gH9jK2",
            ".other.tar.aB3dE6gH9jK2.tmp",
            "site.tar.tmp",
        ];
        for name in others {
            fs::write(directory.path().join(name), b"mine").unwrap();
        }
        fs::write(directory.path().join(".site.tar.aB3dE6gH9jK2.tmp"), b"dead").unwrap();
        fs::create_dir(directory.path().join(".site.tar.aB3dE6gH9jK3.tmp")).unwrap();
        AtomicFile::write(&target, b"new").unwrap();
        assert!(!directory.path().join(".site.tar.aB3dE6gH9jK2.tmp").exists());
        assert!(others.iter().all(|name| directory.path().join(name).exists()));
        alive.commit().unwrap();
        assert_eq!(fs::read(&target).unwrap(), b"");
    }

    #[test]
    fn what_is_no_file_is_never_replaced_and_a_link_is_not_followed() {
        let directory = tempfile::tempdir().unwrap();
        let [fifo, link, far] = ["fifo", "link", "far"].map(|name| directory.path().join(name));
        rustix::fs::mknodat(
            rustix::fs::CWD,
            &fifo,
            rustix::fs::FileType::Fifo,
            rustix::fs::Mode::RUSR,
            0,
        )
        .unwrap();
        assert!(AtomicFile::write(&fifo, b"new").is_err());
        assert!(AtomicFile::write("/dev/null", b"new").is_err());
        fs::write(&far, b"far").unwrap();
        std::os::unix::fs::symlink(&far, &link).unwrap();
        AtomicFile::write(&link, b"new").unwrap();
        assert_eq!(fs::read(&far).unwrap(), b"far");
        assert!(fs::symlink_metadata(&link).unwrap().is_file());
    }

    #[test]
    fn a_new_file_replaces_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let target = directory.path().join("site.yaml");
        let write = |bytes: &[u8]| {
            let mut file = AtomicFile::create(&target)?;
            file.put(bytes)?;
            file.commit_new()
        };
        write(b"old").unwrap();
        assert!(write(b"new").is_err());
        assert_eq!(fs::read(&target).unwrap(), b"old");
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_private_file_is_its_owners_alone() {
        let directory = tempfile::tempdir().unwrap();
        let target = directory.path().join("report.json");
        AtomicFile::create_private(&target).unwrap().commit().unwrap();
        let mode = fs::metadata(&target).unwrap().permissions().mode();
        assert_eq!(mode & 0o7777, 0o600);
    }
}
