//! From names to digests: every image of the spec down to its layers, by the lock where it holds.
//!
//! Manifests and configurations go through the cache, so that a locked build whose blobs are all there asks nobody.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bundle::{Digest, Platform};
use futures::{StreamExt as _, TryStreamExt as _};
use tokio::sync::Mutex;

use crate::archive_input::{self, ArchiveError, ArchiveImage};
use crate::cache::Cache;
use crate::error::Reason;
use crate::image::{self, CONFIG_LIMIT, Config, DOCUMENT_LIMIT, Descriptor, Document, ImageError, Manifest};
use crate::lock::{Lock, LockedImage, Update};
use crate::reference::Reference;
use crate::registry::Registries;
use crate::sink::Sink;
use crate::spec::{ImageSpec, Source};

/// So many images are resolved at the same time.
const AT_ONCE: usize = 8;

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
    /// What the name stands for: an index or a manifest.
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

    fn locked(&self) -> LockedImage {
        LockedImage {
            name: self.name.clone(),
            from: self.from.clone(),
            digest: self.target.digest,
            media_type: self.media_type.clone(),
            size: self.target.size,
        }
    }
}

/// Resolves images.
pub(crate) struct Resolver<'a> {
    pub(crate) registries: &'a Registries,
    pub(crate) cache: &'a Cache,
    pub(crate) platforms: &'a [Platform],
    /// The directory that relative paths start at.
    pub(crate) base: &'a Path,
    pub(crate) lock: &'a Lock,
    pub(crate) update: &'a Update,
    archives: Mutex<BTreeMap<PathBuf, Arc<Vec<ArchiveImage>>>>,
}

/// The bytes that a name stands for, before they are followed.
struct Target {
    blob: Blob,
    media_type: Option<String>,
    bytes: Vec<u8>,
}

impl<'a> Resolver<'a> {
    pub(crate) fn new(
        registries: &'a Registries,
        cache: &'a Cache,
        platforms: &'a [Platform],
        base: &'a Path,
        (lock, update): (&'a Lock, &'a Update),
    ) -> Self {
        Self {
            registries,
            cache,
            platforms,
            base,
            lock,
            update,
            archives: Mutex::default(),
        }
    }

    /// Resolves all images; they come in the order given, with the lock that holds from now on.
    pub(crate) async fn images(&self, images: &[ImageSpec]) -> Result<(Vec<ResolvedImage>, Lock), Reason> {
        let resolved: Vec<ResolvedImage> = futures::stream::iter(images)
            .map(|image| self.image(image))
            .buffered(AT_ONCE)
            .try_collect()
            .await?;
        let lock = Lock::new(resolved.iter().map(ResolvedImage::locked).collect());
        Ok((resolved, lock))
    }

    async fn image(&self, spec: &ImageSpec) -> Result<ResolvedImage, Reason> {
        let locked = self.lock.entry(spec).filter(|_| !self.update.includes(spec));
        match &spec.source {
            Source::Registry(from) => {
                let target = self.registry_target(from, locked).await?;
                self.follow(spec, target, Some(from)).await
            }
            Source::Archive(path) => {
                if let Some(locked) = locked {
                    let target = self.cached_target(locked);
                    if let Some(target) = target
                        && let Ok(image) = self.follow(spec, target, None).await
                        && image.blobs().all(|blob| self.cache.has(&blob.digest, blob.size))
                    {
                        return Ok(image);
                    }
                }
                let target = self
                    .archive_target(spec, &self.base.join(&path.value), locked)
                    .await?;
                self.follow(spec, target, None).await
            }
        }
    }

    /// Gets what a reference stands for: by the lock's digest, by its own, or by asking the registry for the tag.
    async fn registry_target(
        &self,
        from: &Reference,
        locked: Option<&LockedImage>,
    ) -> Result<Target, Reason> {
        if let Some(target) = locked.and_then(|locked| self.cached_target(locked)) {
            return Ok(target);
        }
        let digest = locked.map(|locked| locked.digest).or(from.digest());
        if let Some(digest) = digest.filter(|_| locked.is_none())
            && let Some(bytes) = self.cache.read(&digest, DOCUMENT_LIMIT)
        {
            return Ok(Target::new(bytes, None));
        }
        let asked = digest.map_or_else(|| from.clone(), |digest| from.with_digest(digest));
        let served = self.registries.manifest(&asked).await?;
        self.cache.put(&served.bytes)?;
        let media_type = locked
            .map(|locked| locked.media_type.clone())
            .or(served.media_type);
        Ok(Target::new(served.bytes, media_type))
    }

    fn cached_target(&self, locked: &LockedImage) -> Option<Target> {
        let bytes = self.cache.read(&locked.digest, DOCUMENT_LIMIT)?;
        Some(Target::new(bytes, Some(locked.media_type.clone())))
    }

    async fn archive_target(
        &self,
        spec: &ImageSpec,
        path: &Path,
        locked: Option<&LockedImage>,
    ) -> Result<Target, Reason> {
        let failed = |source| Reason::Archive {
            image: spec.name.value.name(),
            source,
        };
        let images = self.archive(path).await?.map_err(failed)?;
        let image = archive_input::select(path, &images, &spec.name.value).map_err(failed)?;
        if let Some(locked) = locked.filter(|locked| locked.digest != image.digest) {
            return Err(Reason::Changed {
                name: spec.name.value.name(),
                from: spec.source.from(),
                locked: locked.digest.to_string(),
                found: image.digest.to_string(),
            });
        }
        let bytes = self.cache.read(&image.digest, DOCUMENT_LIMIT);
        let bytes = bytes.ok_or_else(|| incomplete(spec, &image.digest))?;
        Ok(Target::new(bytes, Some(image.media_type.clone())))
    }

    /// Reads an archive into the cache, once for all the images that it holds.
    async fn archive(&self, path: &Path) -> Result<Result<Arc<Vec<ArchiveImage>>, ArchiveError>, Reason> {
        let mut archives = self.archives.lock().await;
        if let Some(images) = archives.get(path) {
            return Ok(Ok(Arc::clone(images)));
        }
        let (cache, owned) = (self.cache.clone(), path.to_owned());
        let imported = tokio::task::spawn_blocking(move || archive_input::import(&owned, &cache)).await;
        match imported.map_err(|source| Reason::Worker { source })? {
            Ok(images) => {
                let images = Arc::new(images);
                archives.insert(path.to_owned(), Arc::clone(&images));
                Ok(Ok(images))
            }
            Err(error) => Ok(Err(error)),
        }
    }

    /// Follows a target down to its layers.
    async fn follow(
        &self,
        spec: &ImageSpec,
        target: Target,
        origin: Option<&Reference>,
    ) -> Result<ResolvedImage, Reason> {
        let refused = |source| Reason::Image {
            image: spec.name.value.name(),
            source,
        };
        let (media_type, document) =
            image::document(&target.bytes, target.media_type.as_deref()).map_err(refused)?;
        let mut platforms = Vec::new();
        for wanted in self.platforms {
            let (blob, manifest) = match &document {
                Document::Manifest(manifest) => (target.blob, manifest.clone()),
                Document::Index(entries) => {
                    let entry = image::choose(entries, wanted).map_err(refused)?;
                    (Blob::of(entry), self.manifest(spec, entry, origin).await?)
                }
            };
            let config = self.config(spec, &manifest, origin).await?;
            config.check_platform(wanted).map_err(refused)?;
            platforms.push(resolved_platform(wanted, blob, manifest, config));
        }
        Ok(ResolvedImage {
            name: spec.name.value.name(),
            from: spec.source.from(),
            target: target.blob,
            media_type,
            origin: origin.cloned(),
            platforms,
        })
    }

    async fn manifest(
        &self,
        spec: &ImageSpec,
        entry: &Descriptor,
        origin: Option<&Reference>,
    ) -> Result<Manifest, Reason> {
        let refused = |source| Reason::Image {
            image: spec.name.value.name(),
            source,
        };
        let bytes = match (self.cache.read(&entry.digest, DOCUMENT_LIMIT), origin) {
            (Some(bytes), _) => bytes,
            (None, Some(origin)) => {
                let served = self
                    .registries
                    .manifest(&origin.with_digest(entry.digest))
                    .await?;
                self.cache.put(&served.bytes)?;
                served.bytes
            }
            (None, None) => return Err(incomplete(spec, &entry.digest)),
        };
        match image::document(&bytes, Some(&entry.media_type)).map_err(refused)? {
            (_, Document::Manifest(manifest)) => Ok(manifest),
            (media_type, Document::Index(_)) => Err(refused(ImageError::MediaType(media_type))),
        }
    }

    async fn config(
        &self,
        spec: &ImageSpec,
        manifest: &Manifest,
        origin: Option<&Reference>,
    ) -> Result<Config, Reason> {
        let Descriptor { digest, size, .. } = manifest.config;
        let refused = |source| Reason::Image {
            image: spec.name.value.name(),
            source,
        };
        if size > CONFIG_LIMIT {
            return Err(refused(ImageError::MediaType(format!(
                "a configuration of {size} bytes"
            ))));
        }
        if !self.cache.has(&digest, size)
            && let Some(origin) = origin
        {
            let mut sink = Sink::open(self.cache, (digest, size), |_| {}).await?;
            self.registries.blob(origin, (digest, size), &mut sink).await?;
        }
        let bytes = self
            .cache
            .read(&digest, CONFIG_LIMIT)
            .ok_or_else(|| incomplete(spec, &digest))?;
        image::config(&bytes, manifest).map_err(refused)
    }
}

impl Target {
    fn new(bytes: Vec<u8>, media_type: Option<String>) -> Self {
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

impl Blob {
    fn of(descriptor: &Descriptor) -> Self {
        Self {
            digest: descriptor.digest,
            size: descriptor.size,
        }
    }
}

fn incomplete(spec: &ImageSpec, digest: &Digest) -> Reason {
    Reason::Incomplete {
        image: spec.name.value.name(),
        missing: digest.to_string(),
    }
}

fn resolved_platform(
    wanted: &Platform,
    manifest_blob: Blob,
    manifest: Manifest,
    config: Config,
) -> ResolvedPlatform {
    let layer = |(layer, diff_id): (Descriptor, Digest)| ResolvedLayer {
        blob: Blob::of(&layer),
        diff_id,
    };
    ResolvedPlatform {
        platform: wanted.clone(),
        manifest: manifest_blob,
        config: Blob::of(&manifest.config),
        layers: manifest
            .layers
            .into_iter()
            .zip(config.diff_ids)
            .map(layer)
            .collect(),
    }
}
