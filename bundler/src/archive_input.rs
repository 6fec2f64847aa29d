//! Images out of files: docker save tars, OCI archives and OCI layouts, plain or in gzip or zstd.
//!
//! An archive is walked twice. The first walk writes nothing: it notes which files there are and holds the small ones
//! that look like JSON, from which follows what `index.json` or `manifest.json` name. The documents among that go into
//! the cache; layers stay where they lie until they are placed. Only those of a compressed archive, where nothing has a
//! place, are copied into the cache, by a second walk. What an archive may do to us, and where it ends:
//! - headers of any length, lengths that wrap, a million members: `tarball.rs` and the limits of `files.rs`
//! - links out of the archive, FIFOs, devices: links are followed by name inside the archive only, the rest is passed
//!   over; `walk.rs` opens a layout's files without following any link
//! - a bomb of files that nobody names: not copied
//! - a file that comes twice: refused where it matters, because two readers would see two images
//! - bytes that are not what their name or the configuration says: refused by their hash

mod docker;
mod files;
mod layout;
mod names;
mod tarball;
mod walk;

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use bundle::Digest;

use crate::cache::Cache;
use crate::cache_error::CacheError;
use crate::json::JsonError;
use crate::source::Span;
use files::Files;

pub(crate) use names::select;

/// manifest.json and index.json are at most this long.
const INDEX_LIMIT: u64 = 16 << 20;

/// What an archive gives.
#[derive(Debug, Default)]
pub(crate) struct Imported {
    pub(crate) images: Vec<ArchiveImage>,
    /// Where the layers lie that are not in the cache.
    pub(crate) spans: BTreeMap<Digest, Span>,
}

/// An image that an archive holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ArchiveImage {
    /// The names that the archive gives it: full references, or bare tags.
    pub(crate) names: Vec<String>,
    pub(crate) media_type: String,
    pub(crate) digest: Digest,
    pub(crate) size: u64,
}

/// An archive that gives no image.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ArchiveError {
    #[error("cannot read {}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("{} is neither a docker save tar nor an OCI archive nor an OCI layout: {reason}", path.display())]
    Foreign { path: PathBuf, reason: String },
    #[error("{}: {name} cannot be understood", path.display())]
    Json {
        path: PathBuf,
        name: &'static str,
        source: JsonError,
    },
    #[error("{}: {name:?} is missing in it", path.display())]
    Missing { path: PathBuf, name: String },
    #[error("{}: {name:?} comes twice in it", path.display())]
    Twice { path: PathBuf, name: String },
    #[error("{}: {name:?} {reason}", path.display())]
    Header {
        path: PathBuf,
        name: String,
        reason: &'static str,
    },
    #[error("{}: {name:?} has {found}", path.display())]
    Mismatch {
        path: PathBuf,
        name: String,
        found: Digest,
    },
    #[error("{}: the layer {name:?} has {found}, and its configuration says {expected}", path.display())]
    OtherLayer {
        path: PathBuf,
        name: String,
        found: Digest,
        expected: Digest,
    },
    #[error("{} is cut off: it ends in the middle of a file", path.display())]
    Cut { path: PathBuf },
    #[error("{} has no image {wanted}: {found}", path.display())]
    NotInside {
        path: PathBuf,
        wanted: String,
        found: String,
    },
    #[error("{} has several images that may be {wanted}: {}", path.display(), candidates.join(", "))]
    Ambiguous {
        path: PathBuf,
        wanted: String,
        candidates: Vec<String>,
    },
    #[error("{} has {found} for {wanted}", path.display())]
    OtherDigest {
        path: PathBuf,
        wanted: String,
        found: Digest,
    },
    #[error("the images of {} need {needed} bytes in the cache, and {available} are free", path.display())]
    Room {
        path: PathBuf,
        needed: u64,
        available: u64,
    },
    #[error("cannot keep {} in the cache", path.display())]
    Cache { path: PathBuf, source: CacheError },
}

/// What to do about an archive that is not whole.
pub(crate) const SAVE_ANEW: &str = "write the archive anew, for example with `docker save -o FILE IMAGE`";

impl ArchiveError {
    /// Returns what the user can do next.
    pub(crate) fn hint(&self) -> &'static str {
        match self {
            Self::Room { .. } => "free some room, or put the cache elsewhere with --cache DIR",
            Self::NotInside { .. } | Self::Ambiguous { .. } => {
                "name the image in the spec as the archive does, or save that image alone: `docker save -o FILE IMAGE`"
            }
            Self::OtherDigest { .. } => {
                "docker save makes a manifest of its own: take the image from its registry, or from an OCI archive \
                 (`skopeo copy docker://IMAGE oci-archive:FILE`), or leave the digest out"
            }
            _ => SAVE_ANEW,
        }
    }
}

/// Takes what an archive's own list names, and returns its images. Blocks.
pub(crate) fn import(path: &Path, cache: &Cache) -> Result<Imported, ArchiveError> {
    let files = Files::survey(path)?;
    if files.has("index.json") {
        return layout::images(&files, cache);
    }
    if files.has("manifest.json") {
        return docker::images(&files, cache);
    }
    Err(ArchiveError::Foreign {
        path: path.to_owned(),
        reason: "it has neither index.json nor manifest.json".to_owned(),
    })
}

/// Files with their digest and length, by path.
type Copied = BTreeMap<String, (Digest, u64)>;

/// What was taken of an archive.
#[derive(Default)]
struct Taken {
    files: Copied,
    /// Where those lie that are not in the cache.
    spans: BTreeMap<Digest, Span>,
}

/// Returns a name inside an archive without `.` and `..`, as seen from `directory`.
fn normal(name: &str, directory: &str) -> String {
    let mut parts: Vec<&str> = directory.split('/').filter(|part| !part.is_empty()).collect();
    for part in name.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    parts.join("/")
}

/// Returns the digest that the name of a blob says.
fn digest_of(name: &str) -> Option<Digest> {
    name.strip_prefix("blobs/sha256/")
        .and_then(|hex| Digest::from_hex(hex).ok())
}

/// Returns the path of a blob in an OCI layout.
fn blob_path(digest: &Digest) -> String {
    format!("blobs/sha256/{}", digest.hex())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use serde_json::json;

    use super::*;

    #[test]
    fn names_inside_an_archive_cannot_leave_it() {
        assert_eq!(normal("./a/b", ""), "a/b");
        assert_eq!(normal("../x/layer.tar", "y"), "x/layer.tar");
        assert_eq!(normal("../../../etc/passwd", "y"), "etc/passwd");
    }

    fn tar(files: &[(String, Vec<u8>)]) -> Vec<u8> {
        let mut builder = tar::Builder::new(Vec::new());
        for (name, bytes) in files {
            let mut header = tar::Header::new_gnu();
            header.set_size(bytes.len() as u64);
            builder.append_data(&mut header, name, bytes.as_slice()).unwrap();
        }
        builder.into_inner().unwrap()
    }

    /// An archive in both forms, with one image of one plain layer.
    fn archives() -> [Vec<u8>; 2] {
        let layer = tar(&[("hello".to_owned(), b"hello".to_vec())]);
        let diff_id = Digest::of(&layer).to_string();
        let config =
            json!({"os": "linux", "architecture": "amd64", "rootfs": {"diff_ids": [diff_id]}}).to_string();
        let blob = |bytes: &[u8]| json!({"digest": Digest::of(bytes).to_string(), "size": bytes.len()});
        let manifest = json!({"config": blob(config.as_bytes()), "layers": [blob(&layer)]}).to_string();
        let index = json!({"manifests": [blob(manifest.as_bytes())]}).to_string();
        let named = |bytes: Vec<u8>| (blob_path(&Digest::of(&bytes)), bytes);
        let saved = r#"[{"Config": "c.json", "RepoTags": ["a:1"], "Layers": ["l/layer.tar"]}]"#;
        [
            tar(&[
                ("index.json".to_owned(), index.into_bytes()),
                named(layer.clone()),
                named(manifest.into_bytes()),
                named(config.clone().into_bytes()),
            ]),
            tar(&[
                ("l/layer.tar".to_owned(), layer),
                ("c.json".to_owned(), config.into_bytes()),
                ("manifest.json".to_owned(), saved.as_bytes().to_vec()),
            ]),
        ]
    }

    #[test]
    fn an_archive_altered_at_any_place_gives_its_image_or_an_error_and_no_wrong_blob() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.tar");
        let cache = Cache::open(&directory.path().join("cache")).unwrap();
        let mut state = 11_u64;
        let mut roll = |sides: usize| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            usize::try_from(state >> 33).unwrap() % sides
        };
        for archive in archives() {
            fs::write(&path, &archive).unwrap();
            assert_eq!(import(&path, &cache).unwrap().images.len(), 1);
            for _ in 0..600 {
                let mut bytes = archive.clone();
                let at = roll(bytes.len());
                match roll(4) {
                    0 => bytes[at] ^= 1 << roll(8),
                    1 => bytes.truncate(at),
                    2 => drop(bytes.drain(at..(at + roll(600)).min(archive.len()))),
                    _ => bytes[at] = u8::try_from(roll(256)).unwrap(),
                }
                fs::write(&path, &bytes).unwrap();
                // Whatever comes of it: no panic, and no blob under a wrong name.
                let _ = import(&path, &cache);
            }
        }
        for entry in fs::read_dir(directory.path().join("cache/blobs/sha256")).unwrap() {
            let path = entry.unwrap().path();
            let hex = Digest::of(fs::read(&path).unwrap()).hex();
            assert_eq!(path.file_name().unwrap(), hex.as_str());
        }
    }
}
