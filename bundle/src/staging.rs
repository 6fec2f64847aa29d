//! A directory that is there whole or not at all: filled under a temporary name beside the target, then renamed.
//!
//! It is locked for as long as somebody fills it, so that what killed runs left is known by its lock and not by its age.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File, OpenOptions, Permissions, TryLockError};
use std::io;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, OFlags, RenameFlags, renameat_with};
use rustix::io::Errno;
use tempfile::TempDir;

use crate::atomic::{RANDOM, SUFFIX, TRIES, directory, is_named, is_temporary, sync_directory};

/// A directory under a temporary name. Dropped without having got its name, it is removed.
#[derive(Debug)]
pub struct AtomicDirectory {
    target: PathBuf,
    staging: TempDir,
    /// Held for as long as this lives; absent where the file system knows no locks.
    _lock: Option<File>,
}

/// A directory that did not get its name, and is there still under its temporary one.
#[derive(Debug)]
pub struct Unnamed {
    /// The directory.
    pub directory: AtomicDirectory,
    /// Why.
    pub source: io::Error,
}

impl AtomicDirectory {
    /// Makes the directory that will be called `target`; its parent must exist. The umask takes its bits from the mode, but
    /// never the owner's. What killed runs left there under temporary names of this target is removed.
    pub fn create(target: impl Into<PathBuf>, mode: u32) -> io::Result<Self> {
        let target = target.into();
        let name = target
            .file_name()
            .ok_or_else(|| io::Error::from(io::ErrorKind::InvalidFilename))?;
        let mut prefix = OsString::from(".");
        prefix.push(name);
        prefix.push(".");
        let parent = directory(&target);
        sweep(parent, &prefix);
        for _ in 0..TRIES {
            let staging = tempfile::Builder::new()
                .prefix(&prefix)
                .rand_bytes(RANDOM)
                .suffix(SUFFIX)
                .permissions(Permissions::from_mode(mode))
                .tempdir_in(parent)?;
            let made = fs::symlink_metadata(staging.path())?.permissions().mode();
            fs::set_permissions(staging.path(), Permissions::from_mode(made | 0o700))?;
            let held = open(staging.path())?;
            let lock = match held.try_lock() {
                Ok(()) => Some(held),
                // A sweep has it, and removes it.
                Err(TryLockError::WouldBlock) => continue,
                // Where there are no locks, there are no sweeps either.
                Err(TryLockError::Error(_)) => None,
            };
            if lock.as_ref().is_none_or(|held| is_named(held, staging.path())) {
                return Ok(Self {
                    target,
                    staging,
                    _lock: lock,
                });
            }
        }
        Err(io::ErrorKind::ResourceBusy.into())
    }

    /// Returns where it is filled.
    pub fn path(&self) -> &Path {
        self.staging.path()
    }

    /// Gives it its name, if nothing has that name or an empty directory, and syncs the directory around it.
    ///
    /// # Errors
    /// Where something else has it, of the kind `AlreadyExists`, `DirectoryNotEmpty` or `NotADirectory`: nothing was changed.
    pub fn commit(self) -> Result<(), Unnamed> {
        // A directory takes the place of an empty one; of anything else the system refuses it.
        if let Err(source) = fs::rename(self.staging.path(), &self.target) {
            return Err(Unnamed {
                directory: self,
                source,
            });
        }
        self.leave();
        Ok(())
    }

    /// Changes places with the directory that has its name: at no moment there is none of that name. Returns where the old
    /// one lies then: beside it, under a name that nobody sweeps. After a kill in the middle both lie there.
    ///
    /// # Errors
    /// Where nothing has its name, or the system refuses: nothing was changed.
    pub fn exchange(self) -> Result<PathBuf, Unnamed> {
        let aside = self.aside();
        match swap(self.staging.path(), &aside, &self.target) {
            Ok(old) => {
                self.leave();
                Ok(old)
            }
            Err(source) => Err(Unnamed {
                directory: self,
                source,
            }),
        }
    }

    /// Gives it another name than its own, beside it, and returns that: what is finished is not lost where its name was taken.
    pub fn set_aside(self) -> io::Result<PathBuf> {
        let aside = self.aside();
        fs::rename(self.staging.path(), &aside)?;
        self.leave();
        Ok(aside)
    }

    /// Ends the life under the temporary name, which is gone: there is nothing left to remove.
    fn leave(self) {
        let _ = self.staging.keep();
        // It has its name. How soon that is on the disk is the system's, if it cannot say.
        let _ = sync_directory(directory(&self.target));
    }

    /// Returns a free name beside the target: its own, with the random part of the temporary name behind it.
    fn aside(&self) -> PathBuf {
        let staging = self.staging.path().as_os_str().to_string_lossy();
        let middle = staging.strip_suffix(SUFFIX).unwrap_or(&staging);
        let random = middle.rsplit('.').next().unwrap_or_default();
        let mut name = self.target.clone().into_os_string();
        name.push(".");
        name.push(random);
        name.into()
    }
}

/// Puts `new` in the place of `target`, by way of the free name `aside`; returns where the old one lies.
fn swap(new: &Path, aside: &Path, target: &Path) -> io::Result<PathBuf> {
    fs::rename(new, aside)?;
    let error = match renameat_with(CWD, aside, CWD, target, RenameFlags::EXCHANGE) {
        Ok(()) => return Ok(aside.to_owned()),
        // NFS and some file systems of FUSE know no exchange: the old one leaves first, under a name that all see.
        Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {
            let mut old = aside.as_os_str().to_owned();
            old.push(".old");
            let old = PathBuf::from(old);
            let moved = fs::rename(target, &old);
            match moved.and_then(|()| fs::rename(aside, target)) {
                Ok(()) => return Ok(old),
                Err(error) => error,
            }
        }
        Err(error) => error.into(),
    };
    fs::rename(aside, new)?;
    Err(error)
}

/// Opens a directory to lock it; follows no link.
fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .read(true)
        .custom_flags((OFlags::NOFOLLOW | OFlags::DIRECTORY).bits().cast_signed())
        .open(path)
}

/// Removes the directories that killed runs left under temporary names with this beginning: nobody holds their locks.
fn sweep(parent: &Path, prefix: &OsStr) {
    for entry in fs::read_dir(parent).into_iter().flatten().flatten() {
        if !is_temporary(&entry.file_name(), prefix) {
            continue;
        }
        let path = entry.path();
        if let Ok(dead) = open(&path)
            && dead.try_lock().is_ok()
            && is_named(&dead, &path)
        {
            // What cannot be removed does no harm.
            let _ = fs::remove_dir_all(&path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(directory: &Path) -> Vec<String> {
        let entries = fs::read_dir(directory).unwrap();
        let mut names: Vec<String> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn what_a_killed_run_left_is_removed_by_the_next_and_nothing_else_is() {
        let home = tempfile::tempdir().unwrap();
        let target = home.path().join("site");
        let alive = AtomicDirectory::create(&target, 0o755).unwrap();
        for name in [
            ".site.aB3dE6gH9jK2.tmp",
            ".site.backup.tmp",
            ".other.aB3dE6gH9jK2.tmp",
        ] {
            fs::create_dir_all(home.path().join(name).join("evidence")).unwrap();
        }
        fs::write(home.path().join(".site.aB3dE6gH9jK3.tmp"), b"a file").unwrap();
        std::os::unix::fs::symlink("/", home.path().join(".site.aB3dE6gH9jK4.tmp")).unwrap();
        AtomicDirectory::create(&target, 0o755).unwrap().commit().unwrap();
        let left = names(home.path());
        assert!(!left.contains(&".site.aB3dE6gH9jK2.tmp".to_owned()), "{left:?}");
        assert_eq!(left.len(), 6, "{left:?}");
        assert!(alive.path().is_dir());
        drop(alive);
        assert_eq!(names(home.path()).len(), 5);
    }

    #[test]
    fn it_takes_an_empty_place_and_no_other() {
        let home = tempfile::tempdir().unwrap();
        let target = home.path().join("report");
        fs::create_dir(&target).unwrap();
        AtomicDirectory::create(&target, 0o700).unwrap().commit().unwrap();
        fs::write(target.join("mine"), "").unwrap();
        let unnamed = AtomicDirectory::create(&target, 0o700)
            .unwrap()
            .commit()
            .unwrap_err();
        assert_eq!(unnamed.source.kind(), io::ErrorKind::DirectoryNotEmpty);
        assert!(unnamed.directory.path().is_dir());
        drop(unnamed);
        assert_eq!(names(home.path()), ["report"]);
        let aside = AtomicDirectory::create(&target, 0o700)
            .unwrap()
            .set_aside()
            .unwrap();
        assert!(aside.is_dir() && target.join("mine").exists());
    }

    #[test]
    fn the_old_one_lies_beside_the_new_one_after_an_exchange() {
        let home = tempfile::tempdir().unwrap();
        let target = home.path().join("report");
        fs::create_dir(&target).unwrap();
        fs::write(target.join("old"), "").unwrap();
        let new = AtomicDirectory::create(&target, 0o700).unwrap();
        fs::write(new.path().join("new"), "").unwrap();
        let old = new.exchange().unwrap();
        assert_eq!(
            (names(&target), names(&old)),
            (vec!["new".to_owned()], vec!["old".to_owned()])
        );
        assert_eq!(names(home.path()).len(), 2);
        let alone = AtomicDirectory::create(home.path().join("other"), 0o700).unwrap();
        let unnamed = alone.exchange().unwrap_err();
        assert!(unnamed.directory.path().is_dir());
    }
}
