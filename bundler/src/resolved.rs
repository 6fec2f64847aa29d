//! Images whose names stand for digests. Values only.

use bundle::{Digest, Platform};

use crate::image::Descriptor;
use crate::reference::Reference;

/// A blob by hash and length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Blob {
    pub(crate) digest: Digest,
    pub(crate) size: u64,
}

/// An image with everything that belongs to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ResolvedImage {
    pub(crate) name: String,
    pub(crate) from: String,
    /// What the source has under the name, which the lock keeps: an index or a manifest.
    pub(crate) served: Blob,
    pub(crate) served_as: String,
    /// What the name stands for in the bundle: that, or the index inside it that lists the manifests.
    pub(crate) target: Blob,
    pub(crate) media_type: String,
    /// Where its blobs can be pulled from; none where they came with an archive.
    pub(crate) origin: Option<Reference>,
    pub(crate) platforms: Vec<ResolvedPlatform>,
}

/// An image for one platform.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ResolvedPlatform {
    pub(crate) platform: Platform,
    pub(crate) manifest: Blob,
    pub(crate) config: Blob,
    pub(crate) layers: Vec<ResolvedLayer>,
}

/// A layer and the hash of what it unpacks to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ResolvedLayer {
    pub(crate) blob: Blob,
    pub(crate) diff_id: Digest,
    /// How it is compressed, as its media type says: a guess until its bytes are there.
    pub(crate) form: LayerForm,
    /// Its maker does not allow to hand it on: registries often do not hold it.
    pub(crate) nondistributable: bool,
}

/// How a layer is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LayerForm {
    Plain,
    Gzip,
    Zstd,
    Unknown,
}

impl LayerForm {
    /// Returns what a media type says (OCI image spec, layer.md; Docker's image manifest version 2, schema 2).
    pub(crate) fn of(media_type: &str) -> Self {
        match media_type.rsplit(['.', '+']).next() {
            Some("gzip") => Self::Gzip,
            Some("zstd") => Self::Zstd,
            Some("tar") => Self::Plain,
            _ => Self::Unknown,
        }
    }
}

impl ResolvedImage {
    /// Returns every blob of the image; shared ones come as often as they are named.
    pub(crate) fn blobs(&self) -> impl Iterator<Item = Blob> {
        let of_platform = |platform: &ResolvedPlatform| {
            let layers = platform.layers.iter().map(|layer| layer.blob);
            [platform.manifest, platform.config]
                .into_iter()
                .chain(layers)
                .collect::<Vec<_>>()
        };
        std::iter::once(self.target).chain(self.platforms.iter().flat_map(of_platform))
    }
}

impl Blob {
    pub(crate) fn of(descriptor: &Descriptor) -> Self {
        Self {
            digest: descriptor.digest,
            size: descriptor.size,
        }
    }
}
