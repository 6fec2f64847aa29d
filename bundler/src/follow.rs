//! From what a name stands for down to its layers: indexes, manifests, configurations.
//!
//! An index leads to a manifest by the platform of its entries; where none says a fitting one, those that say none
//! are judged by their configurations, as containerd does it. Manifests and configurations go through the cache.

use std::collections::BTreeSet;

use bundle::{Digest, Platform};
use futures::FutureExt as _;
use futures::future::LocalBoxFuture;

use crate::cache::Cache;
use crate::error::Reason;
use crate::image::{
    self, CONFIG_LIMIT, Config, DOCUMENT_LIMIT, Descriptor, Document, Entry, ImageError, Manifest,
};
use crate::reference::Reference;
use crate::registry::Registries;
use crate::resolved::{Blob, LayerForm, ResolvedLayer, ResolvedPlatform};
use crate::sink::Sink;

/// So many manifests are read in search of one, of those whose entries say no platform.
const SEARCHED: usize = 64;
/// Indexes lie in indexes at most so deep.
const DEPTH: usize = 4;

/// The bytes that a name stands for, before they are followed.
pub(crate) struct Target {
    pub(crate) blob: Blob,
    pub(crate) media_type: Option<String>,
    pub(crate) bytes: Vec<u8>,
}

impl Target {
    pub(crate) fn new(bytes: Vec<u8>, media_type: Option<String>) -> Self {
        let blob = Blob {
            digest: Digest::of(&bytes),
            size: bytes.len() as u64,
        };
        Self {
            blob,
            media_type,
            bytes,
        }
    }
}

/// Where a target led.
pub(crate) struct Followed {
    /// The media type of the target itself.
    pub(crate) served_as: String,
    /// What the name stands for in the bundle: the target, or the index inside it that holds the manifests.
    pub(crate) target: Blob,
    pub(crate) media_type: String,
    pub(crate) platforms: Vec<ResolvedPlatform>,
    /// What deserves attention.
    pub(crate) notes: BTreeSet<String>,
}

/// Follows one image.
pub(crate) struct Follower<'a> {
    pub(crate) registries: &'a Registries,
    pub(crate) cache: &'a Cache,
    pub(crate) name: &'a Reference,
    /// Where its blobs can be pulled from; none where they came with an archive.
    pub(crate) origin: Option<&'a Reference>,
}

/// An index and its place.
struct Index {
    blob: Blob,
    media_type: String,
    entries: Vec<Entry>,
}

/// A manifest with its configuration, and the index that lists it.
struct Found {
    blob: Blob,
    manifest: Manifest,
    config: Config,
    index: (Blob, String),
}

impl Follower<'_> {
    pub(crate) async fn follow(&self, target: Target, platforms: &[Platform]) -> Result<Followed, Reason> {
        let (media_type, document) = image::document(&target.bytes, target.media_type.as_deref())
            .map_err(|source| self.refused(source))?;
        let mut followed = Followed {
            served_as: media_type.clone(),
            target: target.blob,
            media_type: media_type.clone(),
            platforms: Vec::new(),
            notes: BTreeSet::new(),
        };
        match document {
            Document::Manifest(manifest) => self.alone(manifest, platforms, &mut followed).await?,
            Document::Index(entries) => {
                let index = Index {
                    blob: target.blob,
                    media_type,
                    entries,
                };
                self.behind(&index, platforms, &mut followed).await?;
            }
        }
        Ok(followed)
    }

    /// Follows a manifest that stands alone; its configuration need not name a platform, as containerd does not ask.
    async fn alone(
        &self,
        manifest: Manifest,
        platforms: &[Platform],
        followed: &mut Followed,
    ) -> Result<(), Reason> {
        let config = self.config(&manifest).await?;
        for wanted in platforms {
            config
                .check_platform(wanted)
                .map_err(|source| self.refused(source))?;
            if !config.names_platform() {
                followed.notes.insert(format!(
                    "the configuration of {} names no platform: it is taken as one for {wanted}",
                    self.name.name()
                ));
            }
            let blob = followed.target;
            followed
                .platforms
                .push(resolved(wanted, blob, manifest.clone(), &config));
        }
        Ok(())
    }

    /// Follows an index to a manifest for each platform; all must lie in one index, which the name then stands for.
    async fn behind(
        &self,
        outer: &Index,
        platforms: &[Platform],
        followed: &mut Followed,
    ) -> Result<(), Reason> {
        let mut holders = BTreeSet::new();
        for wanted in platforms {
            let mut left = SEARCHED;
            let found = self.search(outer, wanted, (&mut left, DEPTH)).await?;
            let found = found.ok_or_else(|| {
                self.refused(ImageError::Platform {
                    wanted: wanted.clone(),
                    found: image::platforms(&outer.entries),
                })
            })?;
            if found.index.0 != outer.blob && self.name.digest().is_some() {
                return Err(self.refused(ImageError::Nested(wanted.clone())));
            }
            holders.insert(found.index.0.digest);
            (followed.target, followed.media_type) = found.index;
            followed
                .platforms
                .push(resolved(wanted, found.blob, found.manifest, &found.config));
        }
        if holders.len() > 1 {
            return Err(self.refused(ImageError::SeveralIndexes));
        }
        Ok(())
    }

    /// Finds the manifest for `wanted` in an index and those inside it. `left` bounds how many are read.
    fn search<'s>(
        &'s self,
        index: &'s Index,
        wanted: &'s Platform,
        (left, depth): (&'s mut usize, usize),
    ) -> LocalBoxFuture<'s, Result<Option<Found>, Reason>> {
        async move {
            if depth == 0 {
                return Ok(None);
            }
            if let Some(entry) = image::choose(&index.entries, wanted) {
                return self.named(index, entry, wanted, (left, depth)).await.map(Some);
            }
            let is_silent = |entry: &&Entry| entry.platform().is_none() && !entry.is_attestation();
            let silent: Vec<&Entry> = index.entries.iter().filter(is_silent).collect();
            let mut best: Option<(u32, Found)> = None;
            for entry in silent {
                *left = left
                    .checked_sub(1)
                    .ok_or_else(|| self.refused(ImageError::TooMany(SEARCHED)))?;
                let Some(document) = self.silent(entry).await? else {
                    continue;
                };
                let found = match document {
                    (inner, Document::Index(entries)) => {
                        let inner = Index::new(inner, entries);
                        let found = self.search(&inner, wanted, (&mut *left, depth - 1)).await?;
                        found.map(|found| (0, found))
                    }
                    (blob, Document::Manifest(manifest)) => {
                        self.fitting(index, blob.0, manifest, wanted).await?
                    }
                };
                if let Some((rank, found)) = found
                    && best.as_ref().is_none_or(|(least, _)| rank < *least)
                {
                    best = Some((rank, found));
                }
            }
            Ok(best.map(|(_, found)| found))
        }
        .boxed_local()
    }

    /// Follows the entry that the index gives for the platform.
    async fn named(
        &self,
        index: &Index,
        entry: &Entry,
        wanted: &Platform,
        (left, depth): (&mut usize, usize),
    ) -> Result<Found, Reason> {
        let entry_of = entry
            .descriptor("manifest")
            .map_err(|source| self.refused(source))?;
        let bytes = self
            .bytes(&entry_of)
            .await?
            .ok_or_else(|| self.incomplete(&entry_of.digest))?;
        let (media_type, document) =
            image::document(&bytes, Some(&entry.media_type)).map_err(|source| self.refused(source))?;
        let blob = Blob::of(&entry_of);
        match document {
            Document::Manifest(manifest) => {
                let config = self.config(&manifest).await?;
                config
                    .check_platform(wanted)
                    .map_err(|source| self.refused(source))?;
                Ok(Found {
                    blob,
                    manifest,
                    config,
                    index: (index.blob, index.media_type.clone()),
                })
            }
            Document::Index(entries) => {
                let inner = Index::new((blob, media_type), entries);
                let found = self.search(&inner, wanted, (left, depth - 1)).await?;
                found.ok_or_else(|| {
                    self.refused(ImageError::Platform {
                        wanted: wanted.clone(),
                        found: image::platforms(&inner.entries),
                    })
                })
            }
        }
    }

    /// Reads what an entry without a platform names; none where that is nothing to find an image in.
    async fn silent(&self, entry: &Entry) -> Result<Option<((Blob, String), Document)>, Reason> {
        let Ok(named) = entry.descriptor("manifest") else {
            return Ok(None);
        };
        let Some(bytes) = self.bytes(&named).await? else {
            return Ok(None);
        };
        let read = image::document(&bytes, Some(&entry.media_type)).ok();
        Ok(read.map(|(media_type, document)| ((Blob::of(&named), media_type), document)))
    }

    /// Judges a manifest without a platform by its configuration, which must then say one.
    async fn fitting(
        &self,
        index: &Index,
        blob: Blob,
        manifest: Manifest,
        wanted: &Platform,
    ) -> Result<Option<(u32, Found)>, Reason> {
        let config = match self.config(&manifest).await {
            Ok(config) => config,
            // An artifact beside the image, or one whose blobs an archive does not hold.
            Err(Reason::Image { .. } | Reason::Incomplete { .. }) => return Ok(None),
            Err(error) => return Err(error),
        };
        let rank = config.rank(wanted).filter(|_| config.names_platform());
        Ok(rank.map(|rank| {
            let index = (index.blob, index.media_type.clone());
            let found = Found {
                blob,
                manifest,
                config,
                index,
            };
            (rank, found)
        }))
    }

    /// Gets a manifest or an index, from the cache or its registry; none where it came with an archive that lacks it.
    async fn bytes(&self, named: &Descriptor) -> Result<Option<Vec<u8>>, Reason> {
        let bytes = match (self.cache.read(&named.digest, DOCUMENT_LIMIT), self.origin) {
            (Some(bytes), _) => bytes,
            (None, None) => return Ok(None),
            (None, Some(origin)) => {
                let served = self
                    .registries
                    .manifest(&origin.with_digest(named.digest))
                    .await?;
                self.cache.put(&served.bytes)?;
                served.bytes
            }
        };
        let found = bytes.len() as u64;
        if found != named.size {
            return Err(self.refused(ImageError::Size {
                digest: named.digest,
                claimed: named.size,
                found,
            }));
        }
        Ok(Some(bytes))
    }

    async fn config(&self, manifest: &Manifest) -> Result<Config, Reason> {
        let Descriptor { digest, size, .. } = manifest.config;
        if size > CONFIG_LIMIT {
            return Err(self.refused(ImageError::MediaType(format!("a configuration of {size} bytes"))));
        }
        let mut read = self.cache.read(&digest, CONFIG_LIMIT);
        if let (None, Some(origin)) = (&read, self.origin) {
            let vessel = self.cache.partial(&digest, size)?;
            let mut sink = Sink::new(vessel, |_| {});
            self.registries.blob(origin, (digest, size), &mut sink).await?;
            read = self.cache.read(&digest, CONFIG_LIMIT);
        }
        let bytes = read.ok_or_else(|| self.incomplete(&digest))?;
        let found = bytes.len() as u64;
        if found != size {
            let claimed = size;
            return Err(self.refused(ImageError::Size {
                digest,
                claimed,
                found,
            }));
        }
        image::config(&bytes, manifest).map_err(|source| self.refused(source))
    }

    fn refused(&self, source: ImageError) -> Reason {
        Reason::Image {
            image: self.name.name(),
            source,
        }
    }

    fn incomplete(&self, digest: &Digest) -> Reason {
        Reason::Incomplete {
            image: self.name.name(),
            missing: digest.to_string(),
        }
    }
}

impl Index {
    fn new((blob, media_type): (Blob, String), entries: Vec<Entry>) -> Self {
        Self {
            blob,
            media_type,
            entries,
        }
    }
}

fn resolved(wanted: &Platform, blob: Blob, manifest: Manifest, config: &Config) -> ResolvedPlatform {
    let layer = |(layer, diff_id): (Descriptor, &Digest)| ResolvedLayer {
        blob: Blob::of(&layer),
        diff_id: *diff_id,
        form: LayerForm::of(&layer.media_type),
        nondistributable: image::is_nondistributable(&layer.media_type),
    };
    ResolvedPlatform {
        platform: wanted.clone(),
        manifest: blob,
        config: Blob::of(&manifest.config),
        layers: manifest
            .layers
            .into_iter()
            .zip(&config.diff_ids)
            .map(layer)
            .collect(),
    }
}
