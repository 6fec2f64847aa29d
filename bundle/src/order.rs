//! The order of the members in the archive, and the names that the format itself has. Values only.

use crate::kind::Kind;
use crate::path::{BLOBS, MemberPath};

/// The index: the first member.
pub(crate) const INDEX: &str = "bundle.json";
/// The signature over the index.
pub(crate) const SIGNATURE: &str = "bundle.json.sig";
/// The checksums of all members, for coreutils.
pub(crate) const SUMS: &str = "SHA256SUMS";

/// A part of the archive; parts come in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Part {
    Index,
    Signature,
    Sums,
    Readme,
    Verifier,
    Config,
    Manifest,
    File,
    OciLayout,
    OciIndex,
    Blob,
}

impl Part {
    /// Returns the part that `path` belongs to; none where the format has no place for such a name.
    pub(crate) fn of(path: &MemberPath) -> Option<Self> {
        let inside = |directory: &str| path.as_str().starts_with(directory);
        match path.as_str() {
            INDEX => Some(Self::Index),
            SIGNATURE => Some(Self::Signature),
            SUMS => Some(Self::Sums),
            "README.txt" => Some(Self::Readme),
            "oci-layout" => Some(Self::OciLayout),
            "index.json" => Some(Self::OciIndex),
            name if name.starts_with("verifier-") && !name.contains('/') => Some(Self::Verifier),
            _ if inside("config/") => Some(Self::Config),
            _ if inside("manifests/") => Some(Self::Manifest),
            _ if inside("files/") => Some(Self::File),
            _ if inside(BLOBS) && path.blob_digest().is_some() => Some(Self::Blob),
            _ => None,
        }
    }

    /// Returns the kind that a member of this part must have; none for those that the index does not list.
    pub(crate) fn kind(self) -> Option<Kind> {
        match self {
            Self::Index | Self::Signature | Self::Sums => None,
            Self::Readme => Some(Kind::Readme),
            Self::Verifier => Some(Kind::Verifier),
            Self::Config => Some(Kind::Config),
            Self::Manifest => Some(Kind::Manifest),
            Self::File => Some(Kind::File),
            Self::OciLayout | Self::OciIndex => Some(Kind::Layout),
            Self::Blob => Some(Kind::Blob),
        }
    }
}

/// Returns the key by which members are sorted, in the archive and in the index: part, then bytes of the path.
/// Names without a place come last.
pub(crate) fn key(path: &MemberPath) -> (bool, Option<Part>, &str) {
    let part = Part::of(path);
    (part.is_none(), part, path.as_str())
}
