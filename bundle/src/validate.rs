//! What an index may say. Pure: one value in, the first contradiction out.

use std::collections::BTreeSet;

use crate::digest::Digest;
use crate::index::{
    DOCUMENT_LIMIT, FORMAT, INDEX_LIMIT, Image, Index, MEMBER_LIMIT, Member, PlatformImage, SERIAL_LIMIT,
};
use crate::kind::Kind;
use crate::layout;
use crate::order::{self, Part};
use crate::path::MemberPath;

mod names;

/// The most bytes that all members together may have: what a signed 64-bit offset can still reach.
const TOTAL_LIMIT: u64 = 1 << 62;

/// Why an index is not one of format 1.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum IndexError {
    /// Another version of the format.
    #[error("format {found}, this program knows format {FORMAT}")]
    Format {
        /// What it says.
        found: u32,
    },
    /// A name of a bundle that no file could have.
    #[error("{name:?} is no name for a bundle")]
    Name {
        /// The name.
        name: String,
    },
    /// A serial that not every reader of JSON takes for the same number.
    #[error("serial {serial}, at most {SERIAL_LIMIT} is allowed")]
    Serial {
        /// What it says.
        serial: u64,
    },
    /// A list out of order.
    #[error("{list} is not sorted")]
    Unsorted {
        /// Which list.
        list: String,
    },
    /// An entry that comes twice.
    #[error("{list} has {entry:?} twice")]
    Twice {
        /// Which list.
        list: String,
        /// The entry.
        entry: String,
    },
    /// Names that fall together where case or Unicode form does not count.
    #[error("members {member:?} and {other:?} differ only in case or Unicode form")]
    Twin {
        /// The one.
        member: String,
        /// The other.
        other: String,
    },
    /// A file that would have to be a directory too.
    #[error("member {member:?} is a file, and a directory of {other:?}")]
    FileAndDirectory {
        /// The file.
        member: String,
        /// The member below it.
        other: String,
    },
    /// A name for which the format has no place, or of another kind.
    #[error("member {member:?}: no {kind:?} has such a name")]
    Place {
        /// Its name.
        member: MemberPath,
        /// Its kind.
        kind: Kind,
    },
    /// A mode that its kind does not have.
    #[error("member {member:?}: mode {mode:04o} for a {kind:?}")]
    Mode {
        /// Its name.
        member: MemberPath,
        /// Its mode.
        mode: u32,
        /// Its kind.
        kind: Kind,
    },
    /// A blob whose name is not its hash.
    #[error("member {member:?}: its sha256 is {sha256}, its name says otherwise")]
    BlobName {
        /// Its name.
        member: MemberPath,
        /// Its hash.
        sha256: Digest,
    },
    /// More bytes than a file can have.
    #[error("the members have more than {TOTAL_LIMIT} bytes together")]
    TooLarge,
    /// More members than any reader accepts.
    #[error("the index has {count} members, at most {MEMBER_LIMIT} are allowed")]
    Members {
        /// How many there are.
        count: usize,
    },
    /// An index that no reader would accept.
    #[error("the index has {size} bytes, at most {INDEX_LIMIT} are allowed")]
    IndexTooLarge {
        /// Its length.
        size: u64,
    },
    /// An image without a name or a platform.
    #[error("image {image:?}: {reason}")]
    Image {
        /// Its name.
        image: String,
        /// What is wrong.
        reason: &'static str,
    },
    /// Bytes of an image that no member holds.
    #[error("image {image:?}: no member holds its {role} {digest}")]
    NoBlob {
        /// Its name.
        image: String,
        /// What they are.
        role: &'static str,
        /// Their digest.
        digest: Digest,
    },
    /// A manifest or configuration longer than any reader accepts.
    #[error("member {member:?}: {size} bytes, a manifest or configuration has at most {DOCUMENT_LIMIT}")]
    DocumentTooLarge {
        /// Its name.
        member: MemberPath,
        /// Its length.
        size: u64,
    },
    /// A smoke image that is none of the images.
    #[error("smoke.image {image:?} is none of the images")]
    Smoke {
        /// Its name.
        image: String,
    },
    /// A part of the OCI layout is missing or does not say what the images say.
    #[error("member {member:?}: missing, or not what the images imply")]
    Layout {
        /// Its name.
        member: &'static str,
    },
}

impl Index {
    /// Checks all that can be checked without reading a member. Readers accept no index that fails here, writers
    /// write none.
    pub fn validate(&self) -> Result<(), IndexError> {
        if self.format != FORMAT {
            return Err(IndexError::Format { found: self.format });
        }
        let bad = |c: char| crate::is_unseen(c) || c == '/';
        if self.name.is_empty() || self.name.len() > 255 || self.name.contains(bad) {
            return Err(IndexError::Name {
                name: self.name.clone(),
            });
        }
        if let Some(serial) = self.serial.filter(|serial| *serial > SERIAL_LIMIT) {
            return Err(IndexError::Serial { serial });
        }
        if self.members.len() > MEMBER_LIMIT {
            return Err(IndexError::Members {
                count: self.members.len(),
            });
        }
        sorted("platforms", &self.platforms, |platform| platform)?;
        self.check_members()?;
        names::check(&self.members)?;
        let absent = self.check_requires()?;
        sorted("images", &self.images, |image| &image.name)?;
        for image in &self.images {
            self.check_image(image, &absent)?;
        }
        self.check_layout()?;
        if let Some(smoke) = self
            .smoke
            .as_ref()
            .filter(|smoke| self.image(&smoke.image).is_none())
        {
            return Err(IndexError::Smoke {
                image: smoke.image.clone(),
            });
        }
        let size = u64::try_from(self.to_json().len()).unwrap_or(u64::MAX);
        match size {
            0..=INDEX_LIMIT => Ok(()),
            _ => Err(IndexError::IndexTooLarge { size }),
        }
    }

    fn check_members(&self) -> Result<(), IndexError> {
        sorted("members", &self.members, |member| SortedPath(&member.path))?;
        for member in &self.members {
            let Member { path, kind, mode, .. } = member;
            if Part::of(path).and_then(Part::kind) != Some(*kind) {
                return Err(IndexError::Place {
                    member: path.clone(),
                    kind: *kind,
                });
            }
            let fits = match kind {
                Kind::Verifier => *mode == 0o755,
                Kind::File => matches!(mode, 0o644 | 0o755),
                _ => *mode == 0o644,
            };
            if !fits {
                return Err(IndexError::Mode {
                    member: path.clone(),
                    mode: *mode,
                    kind: *kind,
                });
            }
            if *kind == Kind::Blob && path.blob_digest() != Some(member.sha256) {
                return Err(IndexError::BlobName {
                    member: path.clone(),
                    sha256: member.sha256,
                });
            }
        }
        match self
            .members
            .iter()
            .try_fold(0, |sum: u64, m| sum.checked_add(m.size))
        {
            Some(0..=TOTAL_LIMIT) => Ok(()),
            _ => Err(IndexError::TooLarge),
        }
    }

    /// Returns the blobs that bases hold.
    fn check_requires(&self) -> Result<BTreeSet<Digest>, IndexError> {
        sorted("requires", &self.requires, |base| &base.bundle)?;
        for base in &self.requires {
            sorted(&format!("requires of {}", base.bundle), &base.blobs, |blob| blob)?;
        }
        Ok(self
            .requires
            .iter()
            .flat_map(|base| base.blobs.iter().copied())
            .collect())
    }

    fn check_image(&self, image: &Image, absent: &BTreeSet<Digest>) -> Result<(), IndexError> {
        let fault = |reason| IndexError::Image {
            image: image.name.clone(),
            reason,
        };
        if image.name.is_empty() || image.name.contains(|c: char| crate::is_unseen(c) || c == ' ') {
            return Err(fault("its name is no reference"));
        }
        if image.platforms.is_empty() {
            return Err(fault("it has no platform"));
        }
        sorted(&format!("platforms of {}", image.name), &image.platforms, |p| {
            &p.platform
        })?;
        self.check_document(image, "manifest or index", &image.digest)?;
        for PlatformImage {
            manifest,
            config,
            layers,
            ..
        } in &image.platforms
        {
            self.check_document(image, "manifest", manifest)?;
            self.check_document(image, "configuration", config)?;
            let held = |digest| self.blob(digest).is_some() || absent.contains(digest);
            if let Some(layer) = layers.iter().find(|layer| !held(&layer.digest)) {
                return Err(IndexError::NoBlob {
                    image: image.name.clone(),
                    role: "layer",
                    digest: layer.digest,
                });
            }
        }
        Ok(())
    }

    fn check_document(&self, image: &Image, role: &'static str, digest: &Digest) -> Result<(), IndexError> {
        match self.blob(digest) {
            Some(member) if member.size <= DOCUMENT_LIMIT => Ok(()),
            Some(member) => Err(IndexError::DocumentTooLarge {
                member: member.path.clone(),
                size: member.size,
            }),
            None => Err(IndexError::NoBlob {
                image: image.name.clone(),
                role,
                digest: *digest,
            }),
        }
    }

    /// The two files of the OCI layout follow from the images, so their hashes are known without reading them.
    fn check_layout(&self) -> Result<(), IndexError> {
        let index = layout::index_json(&self.images, &self.members);
        for (member, bytes) in [("oci-layout", layout::OCI_LAYOUT), ("index.json", &index)] {
            let found = self.member(&MemberPath::known(member)).map(|m| m.sha256);
            if found != Some(Digest::of(bytes)) {
                return Err(IndexError::Layout { member });
            }
        }
        Ok(())
    }
}

/// A path that sorts as the archive does.
#[derive(PartialEq, Eq)]
struct SortedPath<'a>(&'a MemberPath);

impl Ord for SortedPath<'_> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        order::key(self.0).cmp(&order::key(other.0))
    }
}

impl PartialOrd for SortedPath<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl std::fmt::Display for SortedPath<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// Checks that the keys of a list rise strictly.
fn sorted<'a, T, K: Ord + ToString>(
    list: &str,
    entries: &'a [T],
    key: impl Fn(&'a T) -> K,
) -> Result<(), IndexError> {
    for pair in entries.windows(2) {
        let [one, two] = [key(&pair[0]), key(&pair[1])];
        match one.cmp(&two) {
            std::cmp::Ordering::Less => {}
            std::cmp::Ordering::Equal => {
                return Err(IndexError::Twice {
                    list: list.to_owned(),
                    entry: one.to_string(),
                });
            }
            std::cmp::Ordering::Greater => {
                return Err(IndexError::Unsorted {
                    list: list.to_owned(),
                });
            }
        }
    }
    Ok(())
}
