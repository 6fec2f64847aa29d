//! The path of a member: valid by construction, so that no code after it can leave its directory.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::digest::Digest;

/// A relative path of plain components separated by `/`, in Unicode's composed form.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String")]
pub struct MemberPath(String);

/// A path that no member may have.
#[derive(Debug, thiserror::Error)]
#[error("member {path:?}: {reason}")]
pub struct PathError {
    /// The path as it was given.
    pub path: String,
    /// Why it is refused.
    pub reason: &'static str,
}

impl MemberPath {
    /// Checks `path` and returns it as a member's path.
    pub fn new(path: impl Into<String>) -> Result<Self, PathError> {
        let path = path.into();
        match refusal(&path) {
            Some(reason) => Err(PathError { path, reason }),
            None => Ok(Self(path)),
        }
    }

    /// Returns the path of the blob with `digest`: `blobs/sha256/HEX`.
    pub fn blob(digest: &Digest) -> Self {
        Self(format!("{BLOBS}{}", digest.hex()))
    }

    /// Returns the digest that the path of a blob names.
    pub fn blob_digest(&self) -> Option<Digest> {
        Digest::from_hex(self.0.strip_prefix(BLOBS)?).ok()
    }

    /// Returns a path that this library itself names.
    pub(crate) fn known(path: &'static str) -> Self {
        debug_assert!(refusal(path).is_none());
        Self(path.to_owned())
    }

    /// Returns the key under which two paths fall together on a file system that ignores case or Unicode form.
    pub fn folded(&self) -> String {
        folded(&self.0)
    }

    /// Returns the path as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The most components that a path may have: each is a directory that somebody has to make, and 1024 bytes of single
/// letters would be 512 of them.
const COMPONENTS: usize = 32;

/// The directory of the blobs.
pub(crate) const BLOBS: &str = "blobs/sha256/";

/// Folds case and Unicode form: upper then lower case, so that one-to-many mappings (ß and SS) meet too.
pub(crate) fn folded(text: &str) -> String {
    use unicode_normalization::UnicodeNormalization as _;
    let decomposed: String = text.nfd().collect();
    decomposed.to_uppercase().to_lowercase().nfc().collect()
}

/// Returns the directories of `path` that `previous` does not lie in, the outer first. Along sorted paths every directory
/// comes once, because what lies in it stands together.
pub(crate) fn new_directories<'a>(previous: &str, path: &'a str) -> impl Iterator<Item = &'a str> {
    let shared = previous
        .match_indices('/')
        .zip(path.match_indices('/'))
        .take_while(|((one, _), (two, _))| one == two && previous[..*one] == path[..*two])
        .count();
    path.match_indices('/').skip(shared).map(|(end, _)| &path[..end])
}

/// Returns whether `c` changes how a name looks without being seen: marks of direction, line separators, the
/// byte-order mark.
fn is_deceptive(c: char) -> bool {
    matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

/// Returns why `path` may not be a member's path.
fn refusal(path: &str) -> Option<&'static str> {
    use unicode_normalization::is_nfc;
    let component = |part: &str| part.is_empty() || part == "." || part == "..";
    match path {
        "" => Some("an empty path"),
        _ if path.len() > 1024 => Some("a path longer than 1024 bytes"),
        _ if path.split('/').count() > COMPONENTS => Some("a path of more than 32 components"),
        _ if path.starts_with('/') => Some("an absolute path"),
        _ if path.split('/').any(|part| part == "..") => Some("a path that leaves its directory"),
        _ if path.split('/').any(component) => Some("an empty or \".\" component"),
        _ if path.split('/').any(|part| part.len() > 255) => Some("a component longer than 255 bytes"),
        _ if path.contains('\\') => Some("a backslash"),
        _ if path.chars().any(char::is_control) => Some("a control character"),
        _ if path.chars().any(is_deceptive) => Some("a character that hides or turns text"),
        _ if !is_nfc(path) => Some("not in Unicode's composed form (NFC)"),
        _ => None,
    }
}

impl fmt::Display for MemberPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for MemberPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl TryFrom<String> for MemberPath {
    type Error = PathError;

    fn try_from(path: String) -> Result<Self, PathError> {
        Self::new(path)
    }
}

impl From<MemberPath> for String {
    fn from(path: MemberPath) -> Self {
        path.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_directory_comes_once_along_sorted_paths() {
        let paths = ["a", "a-b/c", "a/b/c", "a/b/d", "a/bc/d", "b/b/c/d"];
        let mut previous = "";
        let mut found = Vec::new();
        for path in paths {
            found.extend(new_directories(previous, path));
            previous = path;
        }
        assert_eq!(found, ["a-b", "a", "a/b", "a/bc", "b", "b/b", "b/b/c"]);
    }
}
