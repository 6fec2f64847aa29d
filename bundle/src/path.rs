//! The path of a member: valid by construction, so that no code after it can leave its directory.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

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

    /// Returns the path as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Returns why `path` may not be a member's path.
fn refusal(path: &str) -> Option<&'static str> {
    use unicode_normalization::is_nfc;
    let component = |part: &str| part.is_empty() || part == "." || part == "..";
    match path {
        "" => Some("an empty path"),
        _ if path.len() > 1024 => Some("a path longer than 1024 bytes"),
        _ if path.starts_with('/') => Some("an absolute path"),
        _ if path.split('/').any(|part| part == "..") => Some("a path that leaves its directory"),
        _ if path.split('/').any(component) => Some("an empty or \".\" component"),
        _ if path.split('/').any(|part| part.len() > 255) => Some("a component longer than 255 bytes"),
        _ if path.contains('\\') => Some("a backslash"),
        _ if path.chars().any(char::is_control) => Some("a control character"),
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
