//! `bundle.json`, the index: what is in a bundle, by name, length and hash. Values only, no I/O.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::created::Created;
use crate::digest::Digest;
use crate::kind::Kind;
use crate::order;
use crate::path::MemberPath;
use crate::platform::Platform;

/// The version of the format that this library writes and reads.
pub const FORMAT: u32 = 1;

/// The largest index that a reader accepts, in bytes.
pub const INDEX_LIMIT: u64 = 16 << 20;

/// The largest serial: what every reader of JSON takes for a whole number (RFC 8259, section 6).
pub const SERIAL_LIMIT: u64 = (1 << 53) - 1;

/// The most members that a reader accepts. A bundle of a thousand images has some ten thousand.
pub const MEMBER_LIMIT: usize = 100_000;

/// The largest manifest, image index or image configuration that a reader accepts, in bytes.
pub const DOCUMENT_LIMIT: u64 = 8 << 20;

/// The whole index. Its compact JSON, keys in this order, lists sorted, is the first member of the archive; its
/// SHA-256 is the identity of the bundle.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Index {
    /// The version of the format: 1.
    #[schemars(extend("const" = 1))]
    pub format: u32,
    /// The name of the bundle, from the spec.
    pub name: String,
    /// Which of the bundles of this name it is: later ones have larger serials. Absent where the spec counts none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(max = 9_007_199_254_740_991_u64))]
    pub serial: Option<u64>,
    /// When it was made, as its maker says; absent where he does not. Never a clock's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>", extend("pattern" = "^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z$"))]
    pub created: Option<Created>,
    /// The program that wrote it, with its version.
    pub tool: String,
    /// The platforms that were asked for.
    pub platforms: Vec<Platform>,
    /// The bases of a delta bundle.
    pub requires: Vec<Requirement>,
    /// What the smoke suite runs; absent where the bundle carries no suite.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub smoke: Option<Smoke>,
    /// The images, by name.
    pub images: Vec<Image>,
    /// Every member but the index, its signature and SHA256SUMS, in the order of the archive.
    pub members: Vec<Member>,
}

impl Index {
    /// Returns the bytes of `bundle.json`: compact JSON, keys in the order of the fields.
    pub fn to_json(&self) -> Vec<u8> {
        // Strings, numbers and lists always serialise; an empty index would be refused by every reader.
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// Returns the identity of the bundle: the SHA-256 of `bundle.json`.
    pub fn id(&self) -> Digest {
        Digest::of(self.to_json())
    }

    /// Returns the text of `SHA256SUMS`: every member but itself and the signature, as `sha256sum -c` reads it.
    pub fn sha256sums(&self) -> String {
        use std::fmt::Write as _;
        let mut text = format!("{}  {}\n", self.id().hex(), order::INDEX);
        for member in &self.members {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "{}  {}", member.sha256.hex(), member.path);
        }
        text
    }

    /// Brings all lists into the order that the format demands.
    pub fn sort(&mut self) {
        self.platforms.sort();
        self.requires.iter_mut().for_each(|base| base.blobs.sort());
        self.requires.sort();
        self.images.iter_mut().for_each(|image| image.platforms.sort());
        self.images.sort();
        self.members
            .sort_by(|a, b| order::key(&a.path).cmp(&order::key(&b.path)));
    }

    /// Returns the member of this path, from a sorted index.
    pub fn member(&self, path: &MemberPath) -> Option<&Member> {
        self.position(path).map(|at| &self.members[at])
    }

    /// Returns the member that holds the blob, from a sorted index; none where a base of this delta has it.
    pub fn blob(&self, digest: &Digest) -> Option<&Member> {
        self.member(&MemberPath::blob(digest))
    }

    /// Returns the image of this full reference.
    pub fn image(&self, name: &str) -> Option<&Image> {
        self.images.iter().find(|image| image.name == name)
    }

    /// Returns the length of all members that the index names, in bytes.
    pub fn total_size(&self) -> u64 {
        self.members
            .iter()
            .fold(0, |sum, member| member.size.saturating_add(sum))
    }

    pub(crate) fn position(&self, path: &MemberPath) -> Option<usize> {
        let key = order::key(path);
        self.members
            .binary_search_by(|member| order::key(&member.path).cmp(&key))
            .ok()
    }
}

/// Blobs that another bundle holds.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Requirement {
    /// The identity of the base: the SHA-256 of its index.
    pub bundle: Digest,
    /// The blobs to take from it.
    pub blobs: Vec<Digest>,
}

/// The image that the smoke suite runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Smoke {
    /// The name of one of the bundle's images.
    pub image: String,
}

/// An image: the name under which it is loaded, and the bytes that this name stands for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Image {
    /// The full reference, for example `docker.io/library/nginx:1.29`.
    pub name: String,
    /// Where it was taken from: a reference, or the path of an archive as the spec gives it.
    pub from: String,
    /// What the registry served for the name: an index or a manifest.
    pub digest: Digest,
    /// The media type of those bytes.
    #[serde(rename = "mediaType")]
    pub media_type: String,
    /// One entry a platform.
    pub platforms: Vec<PlatformImage>,
}

impl Image {
    /// Returns what a host of a platform runs: the entry for itself, else the one for the nearest older variant of
    /// its processor ([`Platform::runs`]), none where it runs none of them.
    pub fn for_host(&self, host: &Platform) -> Option<&PlatformImage> {
        let runs = |entry: &PlatformImage| host.runs(&entry.platform);
        self.platforms
            .iter()
            .filter(|entry| runs(entry).is_some())
            .min_by_key(|entry| runs(entry))
    }
}

/// An image for one platform.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PlatformImage {
    /// The platform.
    pub platform: Platform,
    /// The digest of the manifest.
    pub manifest: Digest,
    /// The digest of the configuration: the image id.
    pub config: Digest,
    /// The layers, bottom first.
    pub layers: Vec<Layer>,
}

/// A layer of an image.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Layer {
    /// The digest of the blob as it is stored.
    pub digest: Digest,
    /// The digest of the uncompressed tar, from the image's configuration.
    #[serde(rename = "diffId")]
    pub diff_id: Digest,
    /// An estimate of the uncompressed length in bytes; absent where unknown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unpacked: Option<u64>,
}

/// A file of the archive.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Member {
    /// Its path in the archive.
    pub path: MemberPath,
    /// What it is for.
    pub kind: Kind,
    /// Its length in bytes.
    pub size: u64,
    /// Its SHA-256 as 64 hexadecimal digits.
    #[serde(with = "hex")]
    #[schemars(with = "String", extend("pattern" = "^[0-9a-f]{64}$"))]
    pub sha256: Digest,
    /// Its mode as four octal digits: `0644` or `0755`.
    #[serde(with = "mode")]
    #[schemars(with = "String", extend("enum" = ["0644", "0755"]))]
    pub mode: u32,
}

mod hex {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    use crate::digest::Digest;

    pub(super) fn serialize<S: Serializer>(digest: &Digest, out: S) -> Result<S::Ok, S::Error> {
        out.serialize_str(&digest.hex())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(input: D) -> Result<Digest, D::Error> {
        Digest::from_hex(&String::deserialize(input)?).map_err(D::Error::custom)
    }
}

mod mode {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
    pub(super) fn serialize<S: Serializer>(mode: &u32, out: S) -> Result<S::Ok, S::Error> {
        out.serialize_str(&format!("{mode:04o}"))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(input: D) -> Result<u32, D::Error> {
        match String::deserialize(input)?.as_str() {
            "0644" => Ok(0o644),
            "0755" => Ok(0o755),
            other => Err(D::Error::custom(format!(
                "mode {other:?} is neither 0644 nor 0755"
            ))),
        }
    }
}
