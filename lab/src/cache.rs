//! What is built once and kept: a directory outside the checkout, an entry a thing, named by a key of its inputs.
//!
//! An entry is made in a directory beside it and renamed when it is whole, by one process at a time. It knows nothing
//! of what lies in an entry.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use crate::Error;

/// The lab's cache.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cache {
    root: PathBuf,
}

impl Cache {
    /// Returns this user's cache: `$XDG_CACHE_HOME/airgap-lab`, else `~/.cache/airgap-lab`.
    pub fn user() -> Result<Self, Error> {
        let set = |name: &str| {
            std::env::var_os(name)
                .filter(|value| !value.is_empty())
                .map(PathBuf::from)
        };
        let base = set("XDG_CACHE_HOME").or_else(|| set("HOME").map(|home| home.join(".cache")));
        let missing = || Error::Missing {
            what: "XDG_CACHE_HOME or HOME in the environment".to_owned(),
            hint: "set one: the lab's cache lies there".to_owned(),
        };
        Ok(Self::at(base.ok_or_else(missing)?.join("airgap-lab")))
    }

    /// Returns a cache that lies in `root`.
    pub fn at(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// Returns the cache's directory.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Returns where the entry `name` is or would be.
    pub fn path(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    /// Returns whether the entry `name` is there, whole.
    pub fn has(&self, name: &str) -> bool {
        self.path(name).is_dir()
    }

    /// Returns the directory of the entry `name` (which may have a parent: `components/etcd-0123`). If it is not
    /// there, `make` fills a fresh directory, which then takes the name; another process meanwhile waits.
    pub fn entry(&self, name: &str, make: impl FnOnce(&Path) -> Result<(), Error>) -> Result<PathBuf, Error> {
        let place = self.path(name);
        if place.is_dir() {
            return Ok(place);
        }
        let _lock = self.lock(name)?;
        if place.is_dir() {
            return Ok(place);
        }
        let parent = place.parent().unwrap_or(&self.root);
        fs::create_dir_all(parent).map_err(Error::file("making", parent))?;
        let staging = tempfile::Builder::new()
            .prefix(".making-")
            .tempdir_in(parent)
            .map_err(Error::file("making a directory in", parent))?;
        make(staging.path())?;
        open_to_all(staging.path())?;
        fs::rename(staging.path(), &place).map_err(Error::file("naming", &place))?;
        // What was renamed is the entry now; nothing is left to remove.
        let _ = staging.keep();
        Ok(place)
    }

    /// Waits for the lock `name` and holds it until the returned file is dropped.
    pub fn lock(&self, name: &str) -> Result<File, Error> {
        let directory = self.root.join("locks");
        fs::create_dir_all(&directory).map_err(Error::file("making", &directory))?;
        let path = directory.join(name.replace('/', "."));
        let lock = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .map_err(Error::file("opening", &path))?;
        lock.lock().map_err(Error::file("locking", &path))?;
        Ok(lock)
    }
}

/// A temporary directory is for its owner alone; the cache is read by daemons of other users too.
fn open_to_all(path: &Path) -> Result<(), Error> {
    use std::os::unix::fs::PermissionsExt as _;
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).map_err(Error::file("opening to all", path))
}

/// Returns a short key over all inputs of an entry.
pub(crate) fn key(inputs: &[&str]) -> String {
    let mut hash = Sha256::new();
    for input in inputs {
        hash.update(u64::try_from(input.len()).unwrap_or(u64::MAX).to_be_bytes());
        hash.update(input);
    }
    hex(&hash.finalize())[..12].to_owned()
}

/// Returns bytes as lower-case hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes
        .iter()
        .fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
            // Writing to a String cannot fail.
            let _ = write!(text, "{byte:02x}");
            text
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_made_once() {
        let directory = tempfile::tempdir().unwrap();
        let cache = Cache::at(directory.path());
        let make = |text: &'static str| {
            move |place: &Path| fs::write(place.join("file"), text).map_err(Error::file("writing", place))
        };
        let first = cache.entry("kind/name-1", make("one")).unwrap();
        let second = cache.entry("kind/name-1", make("two")).unwrap();
        assert_eq!(first, second);
        assert_eq!(fs::read_to_string(first.join("file")).unwrap(), "one");
    }

    #[test]
    fn a_failed_entry_leaves_nothing_under_its_name() {
        let directory = tempfile::tempdir().unwrap();
        let cache = Cache::at(directory.path());
        let failed = cache.entry("kind/name-1", |_| Err(Error::NotRoot));
        assert!(failed.is_err() && !cache.has("kind/name-1"));
        assert_eq!(fs::read_dir(directory.path().join("kind")).unwrap().count(), 0);
    }

    #[test]
    fn keys_tell_inputs_apart() {
        assert_ne!(key(&["ab", "c"]), key(&["a", "bc"]));
        assert_eq!(key(&["a"]).len(), 12);
    }
}
