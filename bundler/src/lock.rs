//! `bundle.lock`: which bytes every name of the spec stood for. Values; the file is read and written by the build.
//!
//! What the spec adds is resolved and added, what it drops is dropped, the rest stays until it is updated.

use bundle::Digest;
use serde::{Deserialize, Serialize};

use crate::json::{self, JsonError};
use crate::spec::ImageSpec;

const VERSION: u32 = 1;

/// The lock: sorted by name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lock {
    version: u32,
    images: Vec<LockedImage>,
}

/// What a name stood for when it was resolved.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LockedImage {
    /// The full reference under which the image is loaded.
    pub name: String,
    /// Where it was taken from.
    pub from: String,
    /// What the registry served.
    pub digest: Digest,
    /// The media type of those bytes.
    #[serde(rename = "mediaType")]
    pub media_type: String,
    /// Their length.
    pub size: u64,
}

/// A lock file that cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LockError {
    #[error("not a lock file")]
    Syntax { source: JsonError },
    #[error("version {0} of the lock is not known, this program reads version 1")]
    Version(u32),
}

/// Which locked images are to be resolved anew.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Update {
    /// None: the lock stays.
    #[default]
    Nothing,
    /// These names.
    Names(Vec<String>),
    /// All.
    All,
}

impl Lock {
    /// Returns a lock of these images.
    pub fn new(mut images: Vec<LockedImage>) -> Self {
        images.sort();
        Self {
            version: VERSION,
            images,
        }
    }

    /// Returns the images, by name.
    pub fn images(&self) -> &[LockedImage] {
        &self.images
    }

    pub(crate) fn parse(text: &str) -> Result<Self, LockError> {
        let lock: Self = json::read(text.as_bytes()).map_err(|source| LockError::Syntax { source })?;
        match lock.version {
            VERSION => Ok(Self::new(lock.images)),
            other => Err(LockError::Version(other)),
        }
    }

    /// Returns the file's text: indented, so that a change is a line in a diff.
    pub(crate) fn text(&self) -> String {
        // Strings and numbers always serialise.
        serde_json::to_string_pretty(self).unwrap_or_default() + "\n"
    }

    /// Returns the entry that still holds for an image of the spec: same name, same source.
    pub(crate) fn entry(&self, image: &ImageSpec) -> Option<&LockedImage> {
        let (name, from) = (image.name.value.name(), image.source.from());
        self.images
            .iter()
            .find(|locked| locked.name == name && locked.from == from)
    }
}

impl Update {
    /// Returns whether an image of that name is to be resolved anew.
    pub(crate) fn includes(&self, image: &ImageSpec) -> bool {
        match self {
            Self::Nothing => false,
            Self::All => true,
            Self::Names(names) => {
                let full = image.name.value.name();
                let is_same = |name: &String| {
                    name.parse::<crate::Reference>()
                        .is_ok_and(|reference| reference.name() == full)
                };
                names.iter().any(is_same)
            }
        }
    }
}

/// Returns how two locks differ, a line a name.
pub(crate) fn difference(old: &Lock, new: &Lock) -> Vec<String> {
    let find = |lock: &Lock, name: &str| lock.images.iter().find(|image| image.name == name).cloned();
    let mut lines: Vec<String> = Vec::new();
    for image in &new.images {
        match find(old, &image.name) {
            None => lines.push(format!("{} is new ({})", image.name, image.digest)),
            Some(before) if before != *image => {
                lines.push(format!(
                    "{} was {}, is {}",
                    image.name, before.digest, image.digest
                ));
            }
            Some(_) => {}
        }
    }
    let dropped = old.images.iter().filter(|image| find(new, &image.name).is_none());
    lines.extend(dropped.map(|image| format!("{} is no longer in the spec", image.name)));
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Spec;

    fn locked(name: &str, from: &str, content: &str) -> LockedImage {
        LockedImage {
            name: name.to_owned(),
            from: from.to_owned(),
            digest: Digest::of(content),
            media_type: crate::image::OCI_MANIFEST.to_owned(),
            size: 7,
        }
    }

    fn spec(image: &str) -> Spec {
        let text = format!(
            "apiVersion: bundle/v1\nname: a\nplatforms: [linux/amd64]\nimages: [{image}]\nverifier: [self]\n"
        );
        Spec::parse("b.yaml", &text).unwrap()
    }

    #[test]
    fn a_lock_is_sorted_and_reads_back() {
        let lock = Lock::new(vec![locked("z/b:1", "z/b:1", "2"), locked("a/b:1", "a/b:1", "1")]);
        assert_eq!(lock.images()[0].name, "a/b:1");
        assert_eq!(Lock::parse(&lock.text()).unwrap(), lock);
        assert!(
            lock.text()
                .starts_with("{\n  \"version\": 1,\n  \"images\": [\n    {\n      \"name\": \"a/b:1\",\n")
        );
    }

    #[test]
    fn foreign_and_later_locks_are_refused() {
        assert!(Lock::parse("{}").is_err());
        assert!(Lock::parse(r#"{"version":1,"images":[],"more":1}"#).is_err());
        assert!(
            Lock::parse(r#"{"version":2,"images":[]}"#)
                .unwrap_err()
                .to_string()
                .starts_with("version 2")
        );
    }

    #[test]
    fn an_entry_holds_only_for_the_same_source() {
        let lock = Lock::new(vec![locked(
            "docker.io/library/nginx:1",
            "docker.io/library/nginx:1",
            "x",
        )]);
        assert!(lock.entry(&spec("nginx:1").images[0]).is_some());
        assert!(lock.entry(&spec("nginx:2").images[0]).is_none());
        assert!(
            lock.entry(&spec("{name: nginx:1, from: r.example/nginx:1}").images[0])
                .is_none()
        );
    }

    #[test]
    fn updates_name_images_as_users_do() {
        let image = &spec("nginx:1").images[0];
        assert!(Update::Names(vec!["nginx:1".to_owned()]).includes(image));
        assert!(!Update::Names(vec!["nginx:2".to_owned()]).includes(image));
        assert!(Update::All.includes(image) && !Update::Nothing.includes(image));
    }

    #[test]
    fn differences_are_named() {
        let old = Lock::new(vec![locked("a", "a", "1"), locked("b", "b", "1")]);
        let new = Lock::new(vec![locked("b", "b", "2"), locked("c", "c", "1")]);
        let lines = difference(&old, &new);
        assert_eq!(lines.len(), 3);
        assert!(lines[0].starts_with("b was sha256:") && lines[1].starts_with("c is new"));
        assert_eq!(lines[2], "a is no longer in the spec");
    }
}
