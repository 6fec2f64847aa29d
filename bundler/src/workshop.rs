//! The directory in which an archive is made, beside the place that it will have.
//!
//! It is locked while a build works in it, and stays when that is killed: the next build of the same output goes on there. A
//! build that finds it taken works in one of its own, which nobody goes on with. What nobody went on with for a week is swept.

use std::ffi::OsStr;
use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use bundle::{AtomicDirectory, Digest};
use rustix::fs::OFlags;

/// What was not gone on with for so long is given up.
const OLD: Duration = Duration::from_hours(7 * 24);
/// The beginning of its name; then come so many hexadecimal digits of the output's name.
const PREFIX: &str = ".bundler-";
const DIGITS: usize = 12;
/// What builds put there.
const ARCHIVE: &str = "archive";
const JOURNAL: &str = "journal";
const EARLIER: &str = "earlier";
const EARLIER_JOURNAL: &str = "earlier-journal";
const FILES: [&str; 4] = [ARCHIVE, JOURNAL, EARLIER, EARLIER_JOURNAL];
const DOCUMENTS: &str = "documents";
/// A sweep may meet a directory between its making and its lock so often.
const TRIES: usize = 100;

/// Something there that could not be done.
#[derive(Debug, thiserror::Error)]
#[error("cannot {operation} {}", path.display())]
pub(crate) struct WorkshopError {
    operation: &'static str,
    path: PathBuf,
    source: io::Error,
}

impl WorkshopError {
    pub(crate) fn io<'a>(
        operation: &'static str,
        path: &'a Path,
    ) -> impl FnOnce(io::Error) -> Self + use<'a> {
        move |source| Self {
            operation,
            path: path.to_owned(),
            source,
        }
    }
}

/// The directory. Dropped, it is removed, unless there is something in it to go on with.
#[derive(Debug)]
pub(crate) struct Workshop {
    place: Place,
    stays: AtomicBool,
}

#[derive(Debug)]
enum Place {
    /// For any build of this output to go on with; locked as long as this lives.
    Shared { path: PathBuf, _lock: File },
    /// For this build alone.
    Own(AtomicDirectory),
}

impl Workshop {
    /// Opens the directory for an output, whose own directory must exist.
    pub(crate) fn open(output: &Path) -> Result<Self, WorkshopError> {
        let parent = match output.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        let name = output.file_name().unwrap_or_default();
        let path = parent.join(name_for(name));
        sweep(parent, &path);
        let place = match claim(&path).map_err(WorkshopError::io("make", &path))? {
            Some(lock) => Place::Shared { path, _lock: lock },
            None => {
                Place::Own(AtomicDirectory::create(&path, 0o700).map_err(WorkshopError::io("make", &path))?)
            }
        };
        Ok(Self {
            place,
            stays: AtomicBool::new(false),
        })
    }

    fn path(&self) -> &Path {
        match &self.place {
            Place::Shared { path, .. } => path,
            Place::Own(directory) => directory.path(),
        }
    }

    /// Returns where the archive is made.
    pub(crate) fn archive(&self) -> PathBuf {
        self.path().join(ARCHIVE)
    }

    /// Returns where it stands how far the archive is.
    pub(crate) fn journal(&self) -> PathBuf {
        self.path().join(JOURNAL)
    }

    /// Returns where an archive lies that was begun by another plan.
    pub(crate) fn earlier(&self) -> PathBuf {
        self.path().join(EARLIER)
    }

    /// Returns where it stands how far that one was.
    pub(crate) fn earlier_journal(&self) -> PathBuf {
        self.path().join(EARLIER_JOURNAL)
    }

    /// Returns where manifests and configurations lie if there is no cache.
    pub(crate) fn documents(&self) -> PathBuf {
        self.path().join(DOCUMENTS)
    }

    /// Notes that there is something to go on with, or no longer.
    pub(crate) fn stay(&self, stays: bool) {
        self.stays.store(stays, Ordering::Relaxed);
    }

    /// Returns where the next build goes on, if there is something to go on with.
    pub(crate) fn left(&self) -> Option<&Path> {
        let shared = matches!(self.place, Place::Shared { .. });
        (shared && self.stays.load(Ordering::Relaxed)).then(|| self.path())
    }
}

impl Drop for Workshop {
    fn drop(&mut self) {
        if let Place::Shared { path, .. } = &self.place
            && !self.stays.load(Ordering::Relaxed)
        {
            // The lock is held until the name is gone. What cannot be removed does no harm.
            remove(path);
        }
    }
}

/// Returns the directory's name for an output. It does not contain the output's: that name is for what is finished.
fn name_for(output: &OsStr) -> String {
    format!("{PREFIX}{}", &Digest::of(output.as_bytes()).hex()[..DIGITS])
}

/// Makes or takes over a directory and locks it; none where another build has it, or there are no locks.
fn claim(path: &Path) -> io::Result<Option<File>> {
    for _ in 0..TRIES {
        match DirBuilder::new().mode(0o700).create(path) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
        let held = match open(path) {
            Ok(held) => held,
            // Another build has just finished with it.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            // A link, or a file, or somebody else's: not ours.
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::NotADirectory | io::ErrorKind::PermissionDenied
                ) =>
            {
                return Ok(None);
            }
            Err(error) => return Err(error),
        };
        if !is_private(&held)? {
            return Ok(None);
        }
        match held.try_lock() {
            Ok(()) if is_named(&held, path) => return Ok(Some(held)),
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(error)) if error.kind() == io::ErrorKind::Unsupported => return Ok(None),
            Err(TryLockError::Error(error)) => return Err(error),
        }
    }
    Ok(None)
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .read(true)
        .custom_flags((OFlags::DIRECTORY | OFlags::NOFOLLOW).bits().cast_signed())
        .open(path)
}

/// Returns whether nobody else can put files there: they would get the output's name.
fn is_private(held: &File) -> io::Result<bool> {
    let there = held.metadata()?;
    Ok(there.uid() == rustix::process::geteuid().as_raw() && there.mode() & 0o022 == 0)
}

/// Returns whether a name still leads to this very directory.
fn is_named(held: &File, path: &Path) -> bool {
    let (Ok(held), Ok(named)) = (held.metadata(), fs::symlink_metadata(path)) else {
        return false;
    };
    (held.dev(), held.ino()) == (named.dev(), named.ino())
}

/// Removes what was begun for other outputs in this directory and given up.
fn sweep(parent: &Path, own: &Path) {
    for entry in fs::read_dir(parent).into_iter().flatten().flatten() {
        let path = entry.path();
        let name = entry.file_name();
        let digits = name.to_str().and_then(|name| name.strip_prefix(PREFIX));
        let ours = digits.is_some_and(|digits| {
            digits.len() == DIGITS && digits.bytes().all(|digit| digit.is_ascii_hexdigit())
        });
        if ours && path != own && is_old(&path) {
            remove_dead(&path);
        }
    }
}

fn is_old(path: &Path) -> bool {
    let touched = |path: &Path| fs::symlink_metadata(path).and_then(|there| there.modified());
    let touched = touched(&path.join(JOURNAL)).or_else(|_| touched(path));
    touched.is_ok_and(|touched| {
        SystemTime::now()
            .duration_since(touched)
            .is_ok_and(|age| age > OLD)
    })
}

fn remove_dead(path: &Path) {
    if let Ok(held) = open(path)
        && held.try_lock().is_ok()
        && is_named(&held, path)
    {
        remove(path);
    }
}

/// Removes a directory with what builds put there; what somebody else put there stays, and the directory with it.
fn remove(path: &Path) {
    for name in FILES {
        let _ = fs::remove_file(path.join(name));
    }
    let _ = fs::remove_dir_all(path.join(DOCUMENTS));
    let _ = fs::remove_dir(path);
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn one_build_has_it_and_the_next_goes_on_with_what_was_left() {
        let directory = tempfile::tempdir().unwrap();
        let output = directory.path().join("site.tar");
        let names = || fs::read_dir(directory.path()).unwrap().count();
        let first = Workshop::open(&output).unwrap();
        let second = Workshop::open(&output).unwrap();
        assert_ne!(first.archive(), second.archive());
        fs::write(second.archive(), b"x").unwrap();
        drop(second);
        assert_eq!(names(), 1);
        fs::write(first.archive(), b"begun").unwrap();
        first.stay(true);
        drop(first);
        let next = Workshop::open(&output).unwrap();
        assert_eq!(fs::read(next.archive()).unwrap(), b"begun");
        drop(next);
        assert_eq!(names(), 0);
    }

    #[test]
    fn a_directory_that_others_may_write_to_is_not_taken_over() {
        let directory = tempfile::tempdir().unwrap();
        let output = directory.path().join("site.tar");
        let place = directory.path().join(name_for(output.file_name().unwrap()));
        fs::create_dir(&place).unwrap();
        fs::set_permissions(&place, fs::Permissions::from_mode(0o777)).unwrap();
        let workshop = Workshop::open(&output).unwrap();
        assert!(!workshop.archive().starts_with(&place));
        drop(workshop);
        assert!(place.exists());
    }

    #[test]
    fn what_somebody_else_put_there_stays() {
        let directory = tempfile::tempdir().unwrap();
        let output = directory.path().join("site.tar");
        let place = directory.path().join(name_for(output.file_name().unwrap()));
        let old = directory.path().join(".bundler-0123456789ab");
        let ago = SystemTime::now() - 2 * OLD;
        for place in [&place, &old] {
            fs::create_dir(place).unwrap();
            fs::write(place.join("thesis"), b"x").unwrap();
        }
        fs::write(old.join("archive"), b"x").unwrap();
        File::open(&old).unwrap().set_modified(ago).unwrap();
        let workshop = Workshop::open(&output).unwrap();
        fs::write(workshop.archive(), b"x").unwrap();
        drop(workshop);
        for place in [&place, &old] {
            assert!(place.join("thesis").exists() && !place.join("archive").exists());
        }
    }

    #[test]
    fn what_was_given_up_is_swept_and_nothing_else() {
        let directory = tempfile::tempdir().unwrap();
        let left = |name: &str| {
            let output = directory.path().join(name);
            let workshop = Workshop::open(&output).unwrap();
            workshop.stay(true);
            fs::write(workshop.journal(), b"").unwrap();
            workshop.journal()
        };
        let (old, young) = (left("old.tar"), left("young.tar"));
        let ago = SystemTime::now() - 2 * OLD;
        File::options()
            .write(true)
            .open(&old)
            .unwrap()
            .set_modified(ago)
            .unwrap();
        let foreign = directory.path().join(".bundler-0123456789ab.txt");
        fs::create_dir(&foreign).unwrap();
        File::open(&foreign).unwrap().set_modified(ago).unwrap();
        drop(Workshop::open(&directory.path().join("new.tar")).unwrap());
        assert!(!old.exists() && young.exists() && foreign.exists());
    }
}
