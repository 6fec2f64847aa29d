//! What stands where a report is to lie: nothing, or an old report of ours, known by its own list of files and their hashes.
//! Only that is ever replaced, and only what it lists is ever deleted.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufReader, Read};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Component, Path, PathBuf};

use bundle::{Digest, Hasher};
use rustix::fs::OFlags;
use serde::Deserialize;
use serde::de::IgnoredAny;

/// The list of a report's files.
pub(super) const SUMS: &str = "SHA256SUMS";
/// The report itself.
pub(super) const REPORT: &str = "report.json";
/// The signature over the list.
pub(super) const SIGNATURE: &str = "SHA256SUMS.sig";
/// What a signature is for: nobody can take one that was made for something else.
pub const NAMESPACE: &str = "verifier-report";
/// A longer signature is none.
const SIGNATURE_LIMIT: u64 = 64 << 10;
/// A longer list is none of ours.
const SUMS_LIMIT: u64 = 16 << 20;

/// Why a report's directory cannot be written, or was not.
#[derive(Debug, thiserror::Error)]
pub enum DirectoryError {
    /// Something else is there.
    #[error("{} is no report of ours, so it stays as it is: {reason}", path.display())]
    Taken {
        /// The directory.
        path: PathBuf,
        /// What is strange about it.
        reason: String,
    },
    /// The place of the directory does not exist.
    #[error("there is no directory {}", path.display())]
    Parent {
        /// The directory that should hold it.
        path: PathBuf,
    },
    /// It cannot be written.
    #[error("cannot write the report to {}", path.display())]
    Write {
        /// The file or directory.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// A file of a row could not be written; the report is there without it.
    #[error("the report is there, but without {name}, which cannot be written")]
    LeftOut {
        /// The file, below the report's directory.
        name: String,
        /// The system's answer.
        source: io::Error,
    },
    /// It could not be signed; the report is there without a signature.
    #[error("the report is there, but it is not signed: {reason}")]
    Unsigned {
        /// Why.
        reason: String,
    },
    /// It was written, and its place was taken meanwhile.
    #[error("{} was changed while the run went on and stays as it is; the report lies in {}", path.display(), aside.display())]
    Elsewhere {
        /// Where it should lie.
        path: PathBuf,
        /// Where it lies.
        aside: PathBuf,
    },
    /// It was written, and could not be given its name.
    #[error("{} cannot be replaced; the report lies in {}", path.display(), aside.display())]
    Unnamed {
        /// Where it should lie.
        path: PathBuf,
        /// Where it lies.
        aside: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
}

impl DirectoryError {
    /// Returns whether another name would do: nothing is wrong with the machine.
    pub const fn is_usage(&self) -> bool {
        matches!(self, Self::Taken { .. } | Self::Parent { .. })
    }
}

/// What stands there.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// Nothing, or an empty directory.
    Free,
    /// An old report, whole and with nothing beside it.
    Old(Listed),
}

/// The files of a report, as its list names them.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Listed {
    files: BTreeMap<String, Digest>,
    /// The very directory: device and inode.
    identity: (u64, u64),
}

/// The beginning of every report.json, whatever its version.
#[derive(Deserialize)]
struct Mark {
    tool: String,
    #[serde(rename = "version")]
    _version: u32,
    #[serde(rename = "results")]
    _results: Vec<IgnoredAny>,
}

impl Place {
    /// Looks at `target`.
    ///
    /// # Errors
    /// When something stands there that is not to be replaced.
    pub(super) fn of(target: &Path) -> Result<Self, DirectoryError> {
        let taken = |reason: String| DirectoryError::Taken {
            path: target.to_owned(),
            reason,
        };
        let failed = |source| DirectoryError::Write {
            path: target.to_owned(),
            source,
        };
        let there = match fs::symlink_metadata(target) {
            Ok(there) if there.is_dir() => there,
            Ok(there) if there.is_symlink() => return Err(taken("it is a symbolic link".to_owned())),
            Ok(_) => return Err(taken("it is no directory".to_owned())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::Free),
            Err(error) => return Err(failed(error)),
        };
        if fs::read_dir(target).map_err(failed)?.next().is_none() {
            return Ok(Self::Free);
        }
        let listed = Listed {
            files: sums(target).map_err(taken)?,
            identity: (there.dev(), there.ino()),
        };
        listed.covers(target, "").map_err(taken)?;
        listed.holds(target).map_err(taken)?;
        Ok(Self::Old(listed))
    }
}

impl Listed {
    /// Checks that there is nothing below `directory` but what is listed.
    fn covers(&self, root: &Path, directory: &str) -> Result<(), String> {
        let failed = |error: io::Error| format!("{directory:?} cannot be listed: {error}");
        for entry in fs::read_dir(root.join(directory)).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let name = format!("{directory}{}", entry.file_name().to_string_lossy());
            let kind = entry.file_type().map_err(failed)?;
            let inside = format!("{name}/");
            let known = self.files.contains_key(&name) || name == SUMS || name == SIGNATURE;
            if kind.is_file() && known {
                continue;
            }
            if !kind.is_dir() || !self.files.keys().any(|file| file.starts_with(&inside)) {
                return Err(format!("it holds {name:?}, which its {SUMS} does not name"));
            }
            self.covers(root, &inside)?;
        }
        Ok(())
    }

    /// Checks that all that is listed is there as it was written, and that the report is one of ours.
    fn holds(&self, root: &Path) -> Result<(), String> {
        for (name, digest) in &self.files {
            if hash(&root.join(name)).ok().as_ref() != Some(digest) {
                return Err(format!("{name:?} is not as its {SUMS} says"));
            }
        }
        let mark = open(&root.join(REPORT))
            .ok()
            .and_then(|file| serde_json::from_reader::<_, Mark>(BufReader::new(file)).ok());
        if mark.is_some_and(|mark| mark.tool.starts_with("verifier ")) {
            Ok(())
        } else {
            Err(format!("its {REPORT} is none of the verifier"))
        }
    }

    /// Deletes the report, which lies in `root` now: what is listed and as it was written, and the directories that are empty
    /// then. What somebody has put there or changed since stays.
    pub(super) fn remove(&self, root: &Path) {
        // A file that cannot be deleted does no harm: the new report has its place.
        let mut directories = vec![root.to_owned()];
        for (name, digest) in &self.files {
            let path = root.join(name);
            if hash(&path).ok().as_ref() == Some(digest) {
                let _ = fs::remove_file(&path);
            }
            let parents = Path::new(name).ancestors().skip(1);
            let inner = parents.filter(|parent| !parent.as_os_str().is_empty());
            directories.extend(inner.map(|parent| root.join(parent)));
        }
        if sums(root).is_ok_and(|now| now == self.files) {
            let _ = fs::remove_file(root.join(SUMS));
            let _ = fs::remove_file(root.join(SIGNATURE));
        }
        directories.sort_by_key(|path| std::cmp::Reverse(path.components().count()));
        directories.dedup();
        for directory in directories {
            let _ = fs::remove_dir(directory);
        }
    }
}

/// Reads the list of a directory, in the form of sha256sum.
fn sums(root: &Path) -> Result<BTreeMap<String, Digest>, String> {
    let files = listed(&read_list(root)?)?;
    if files.contains_key(REPORT) {
        Ok(files)
    } else {
        Err(strange())
    }
}

fn strange() -> String {
    format!("it has no {SUMS} of ours")
}

/// Returns the text of a directory's list.
pub(super) fn read_list(root: &Path) -> Result<String, String> {
    read_text(&root.join(SUMS), SUMS_LIMIT).map_err(|_| strange())
}

/// Returns the text of the signature over it.
pub(super) fn read_signature(root: &Path) -> Result<String, String> {
    let failed = |error: io::Error| format!("{SIGNATURE} cannot be read: {error}");
    read_text(&root.join(SIGNATURE), SIGNATURE_LIMIT).map_err(failed)
}

fn read_text(path: &Path, limit: u64) -> io::Result<String> {
    let mut text = String::new();
    open(path)?.take(limit).read_to_string(&mut text)?;
    Ok(text)
}

/// Returns the files that a list names.
pub(super) fn listed(text: &str) -> Result<BTreeMap<String, Digest>, String> {
    let mut files = BTreeMap::new();
    for line in text.lines() {
        let (hex, name) = line.split_once("  ").ok_or_else(strange)?;
        let digest = Digest::from_hex(hex).map_err(|_| strange())?;
        let plain = |part| matches!(part, Component::Normal(_));
        if !Path::new(name).components().all(plain) || files.insert(name.to_owned(), digest).is_some() {
            return Err(strange());
        }
    }
    Ok(files)
}

/// Returns the list of files as it is written.
pub(super) fn list(files: &BTreeMap<String, Digest>) -> String {
    let line = |(name, digest): (&String, &Digest)| format!("{}  {name}\n", digest.hex());
    files.iter().map(line).collect()
}

pub(super) fn hash(path: &Path) -> io::Result<Digest> {
    let mut file = open(path)?;
    let (mut hasher, mut buffer) = (Hasher::new(), vec![0; 64 << 10]);
    loop {
        match file.read(&mut buffer) {
            Ok(0) => return Ok(hasher.finish()),
            Ok(read) => hasher.update(&buffer[..read]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// Opens a regular file; follows no link and waits for no FIFO.
fn open(path: &Path) -> io::Result<File> {
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed();
    let file = File::options().read(true).custom_flags(flags).open(path)?;
    if file.metadata()?.is_file() {
        Ok(file)
    } else {
        Err(io::ErrorKind::InvalidInput.into())
    }
}
