//! The plan: which members the bundle will have, each with its length, hash and source. Pure but for [`Local::file`].

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use bundle::layout::{OCI_LAYOUT, index_json};
use bundle::{
    Created, Digest, FORMAT, Hasher, Image, Index, Kind, Layer, Member, MemberPath, Platform, PlatformImage,
    Smoke,
};

use crate::reference::Reference;
use crate::resolved::{Blob, ResolvedImage, ResolvedLayer};

/// Where a member's bytes are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Content {
    Bytes(Vec<u8>),
    File(PathBuf),
    /// A blob of an image.
    Blob(Digest),
}

/// A member that does not come from an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Local {
    pub(crate) path: MemberPath,
    pub(crate) kind: Kind,
    pub(crate) mode: u32,
    pub(crate) size: u64,
    pub(crate) sha256: Digest,
    pub(crate) content: Content,
}

impl Local {
    /// Returns a member of these bytes.
    pub(crate) fn bytes(path: MemberPath, kind: Kind, bytes: Vec<u8>) -> Self {
        Self {
            path,
            kind,
            mode: 0o644,
            size: bytes.len() as u64,
            sha256: Digest::of(&bytes),
            content: Content::Bytes(bytes),
        }
    }

    /// Reads a file once for its length and hash.
    pub(crate) fn file(path: &Path, kind: Kind, name: MemberPath, mode: u32) -> io::Result<Self> {
        let mut file = bundle::open_regular(path)?;
        let mut hasher = Hasher::new();
        let mut buffer = vec![0; 1 << 20];
        let mut size = 0;
        loop {
            let count = file.read(&mut buffer)?;
            if count == 0 {
                break;
            }
            hasher.update(&buffer[..count]);
            size += count as u64;
        }
        Ok(Self {
            path: name,
            kind,
            mode,
            size,
            sha256: hasher.finish(),
            content: Content::File(path.to_owned()),
        })
    }
}

/// A blob that the archive needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pull {
    pub(crate) blob: Blob,
    /// A repository that has it; none where it came with an archive.
    pub(crate) from: Option<Reference>,
    /// The image for which it is shown.
    pub(crate) image: String,
    /// A layer that its maker does not allow to hand on: often no registry and no archive holds it.
    pub(crate) nondistributable: bool,
}

/// What goes into the plan.
pub(crate) struct Parts<'a> {
    pub(crate) name: &'a str,
    pub(crate) serial: Option<u64>,
    pub(crate) created: Option<Created>,
    pub(crate) tool: &'a str,
    pub(crate) platforms: &'a [Platform],
    pub(crate) smoke: Option<String>,
    pub(crate) images: &'a [ResolvedImage],
    pub(crate) locals: Vec<Local>,
    /// The estimated unpacked lengths of layers, by digest; those that are not known are absent.
    pub(crate) unpacked: &'a BTreeMap<Digest, u64>,
}

/// The members in their order, and where their bytes are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Plan {
    pub(crate) index: Index,
    pub(crate) contents: BTreeMap<MemberPath, Content>,
}

/// Returns the sum of lengths that come from outside: a manifest may say any.
pub(crate) fn total(sizes: impl IntoIterator<Item = u64>) -> u64 {
    sizes.into_iter().fold(0, u64::saturating_add)
}

/// Returns every blob of the images once, in the order in which the archive has them.
pub(crate) fn pulls(images: &[ResolvedImage]) -> Vec<Pull> {
    let mut pulls: BTreeMap<Digest, Pull> = BTreeMap::new();
    for image in images {
        let layers = image.platforms.iter().flat_map(|platform| &platform.layers);
        let kept: BTreeSet<Digest> = layers
            .filter(|layer| layer.nondistributable)
            .map(|layer| layer.blob.digest)
            .collect();
        for blob in image.blobs() {
            let pull = pulls.entry(blob.digest).or_insert_with(|| Pull {
                blob,
                from: None,
                image: image.name.clone(),
                nondistributable: kept.contains(&blob.digest),
            });
            // A blob of an archive and of a registry can be had from the registry if the cache loses it.
            pull.from = pull.from.take().or_else(|| image.origin.clone());
        }
    }
    pulls.into_values().collect()
}

/// Returns all layers, each once.
pub(crate) fn layers(images: &[ResolvedImage]) -> BTreeMap<Digest, ResolvedLayer> {
    let platforms = images.iter().flat_map(|image| &image.platforms);
    let layers = platforms.flat_map(|platform| &platform.layers);
    layers.map(|layer| (layer.blob.digest, *layer)).collect()
}

/// Returns the images as the index has them, by name.
pub(crate) fn images(resolved: &[ResolvedImage], unpacked: &BTreeMap<Digest, u64>) -> Vec<Image> {
    let layer = |layer: &ResolvedLayer| Layer {
        digest: layer.blob.digest,
        diff_id: layer.diff_id,
        unpacked: unpacked.get(&layer.blob.digest).copied(),
    };
    let mut images: Vec<Image> = resolved
        .iter()
        .map(|image| Image {
            name: image.name.clone(),
            from: image.from.clone(),
            digest: image.target.digest,
            media_type: image.media_type.clone(),
            platforms: image
                .platforms
                .iter()
                .map(|platform| PlatformImage {
                    platform: platform.platform.clone(),
                    manifest: platform.manifest.digest,
                    config: platform.config.digest,
                    layers: platform.layers.iter().map(layer).collect(),
                })
                .collect(),
        })
        .collect();
    images.sort();
    images
}

/// Puts the plan together.
pub(crate) fn plan(parts: Parts<'_>) -> Plan {
    let images = images(parts.images, parts.unpacked);
    let mut contents = BTreeMap::new();
    let mut members = Vec::new();
    for pull in pulls(parts.images) {
        let path = MemberPath::blob(&pull.blob.digest);
        contents.insert(path.clone(), Content::Blob(pull.blob.digest));
        members.push(Member {
            path,
            kind: Kind::Blob,
            size: pull.blob.size,
            sha256: pull.blob.digest,
            mode: 0o644,
        });
    }
    let index_json = index_json(&images, &members);
    let layout = [("oci-layout", OCI_LAYOUT.to_vec()), ("index.json", index_json)];
    let layout = layout.into_iter().filter_map(|(name, bytes)| {
        let path = MemberPath::new(name).ok()?;
        Some(Local::bytes(path, Kind::Layout, bytes))
    });
    for local in parts.locals.into_iter().chain(layout) {
        members.push(Member {
            path: local.path.clone(),
            kind: local.kind,
            size: local.size,
            sha256: local.sha256,
            mode: local.mode,
        });
        contents.insert(local.path, local.content);
    }
    let mut index = Index {
        format: FORMAT,
        name: parts.name.to_owned(),
        serial: parts.serial,
        created: parts.created,
        tool: parts.tool.to_owned(),
        platforms: parts.platforms.to_vec(),
        requires: Vec::new(),
        smoke: parts.smoke.map(|image| Smoke { image }),
        images,
        members,
    };
    index.sort();
    Plan { index, contents }
}
