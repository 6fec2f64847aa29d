//! The record of a lab, and the lock that lets one command at a time change it.

use std::fs::{self, File};
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::process::Stdio;

use serde::{Deserialize, Serialize};

use crate::{Error, Options, Paths, Say};

/// How far a lab is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// Being booted, or the boot was broken off.
    Starting,
    /// Booted and found healthy.
    Up,
}

/// What is recorded of a lab, before anything else of it is made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Record {
    version: u32,
    pub(crate) phase: Phase,
    pub(crate) options: Options,
    /// The process that the lab shall not outlive; none for one that stays until it is ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) owner: Option<Owner>,
}

/// A process, by its number and by when it started, because numbers are given again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Owner {
    pid: u32,
    started: String,
}

impl Owner {
    /// Returns this process.
    pub(crate) fn own() -> Option<Self> {
        Self::of(std::process::id())
    }

    /// Returns whether the process is still there.
    pub(crate) fn is_alive(&self) -> bool {
        Self::of(self.pid).as_ref() == Some(self)
    }

    fn of(pid: u32) -> Option<Self> {
        let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The name in parentheses may hold anything. starttime is field 22, the 20th after it (proc_pid_stat(5)).
        let (_, rest) = text.rsplit_once(')')?;
        let started = rest.split_whitespace().nth(19)?.to_owned();
        Some(Self { pid, started })
    }
}

impl Record {
    /// Returns the record of a lab that is being booted.
    pub(crate) fn new(options: &Options, owner: Option<Owner>) -> Self {
        Self {
            version: 1,
            phase: Phase::Starting,
            options: options.clone(),
            owner,
        }
    }

    /// Reads the record of a lab; none where there is no lab.
    pub(crate) fn read(paths: &Paths) -> Result<Option<Self>, Error> {
        let path = paths.record();
        match fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes)
                .map(Some)
                .map_err(|source| Error::Record { path, source }),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Error::file("reading", path)(error)),
        }
    }

    /// Writes the record, whole or not at all.
    pub(crate) fn write(&self, paths: &Paths) -> Result<(), Error> {
        let path = paths.record();
        let new = path.with_extension("new");
        let bytes = serde_json::to_vec_pretty(self).map_err(|source| Error::Record {
            path: path.clone(),
            source,
        })?;
        fs::write(&new, bytes).map_err(Error::file("writing", &new))?;
        fs::rename(&new, &path).map_err(Error::file("renaming", &new))
    }
}

/// The right to change a lab, held until dropped or until the process ends.
#[derive(Debug)]
pub(crate) struct Lock {
    file: File,
    path: PathBuf,
}

impl Lock {
    /// Waits until no other command changes this lab, and says that it waits.
    pub(crate) fn acquire(paths: &Paths, say: Say<'_>) -> Result<Self, Error> {
        let path = paths.lock();
        loop {
            if let Some(dir) = path.parent() {
                fs::create_dir_all(dir).map_err(Error::file("making", dir))?;
            }
            let file = match File::create(&path) {
                Ok(file) => file,
                // The end of the last lab took the directory away in between.
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
                Err(error) => return Err(Error::file("making", &path)(error)),
            };
            if file.try_lock().is_err() {
                say(&format!("waiting: another command is at lab {}", paths.name()));
                file.lock().map_err(Error::file("locking", &path))?;
            }
            // Who held it before may have removed the file: then this lock holds off nobody.
            let held = file.metadata().map_err(Error::file("reading", &path))?;
            if fs::metadata(&path).is_ok_and(|named| named.ino() == held.ino()) {
                return Ok(Self { file, path });
            }
        }
    }

    /// Returns the lock as a stream of a helper, which holds it too then: one that outlives a killed `up` keeps the
    /// next command waiting until it has ended.
    pub(crate) fn shared(&self) -> Result<Stdio, Error> {
        let file = self.file.try_clone();
        file.map(Stdio::from).map_err(Error::file("sharing", &self.path))
    }

    /// Gives the lock up and removes its file, and the directory of all labs if this was the last.
    pub(crate) fn remove(self) -> Result<(), Error> {
        fs::remove_file(&self.path).map_err(Error::file("removing", &self.path))?;
        if let Some(dir) = self.path.parent() {
            // Fails where other labs are, as it should.
            let _ = fs::remove_dir(dir);
        }
        drop(self.file);
        Ok(())
    }
}
