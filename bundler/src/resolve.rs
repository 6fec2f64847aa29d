//! From names to digests: every image of the spec down to its layers, by the lock where it holds.
//!
//! Manifests and configurations go through the cache, so that a locked build whose blobs are all there asks nobody.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bundle::{Digest, Platform};
use futures::{StreamExt as _, TryStreamExt as _};
use tokio::sync::Mutex;

use crate::archive_input::{self, ArchiveError, Imported};
use crate::cache::Cache;
use crate::error::Reason;
use crate::follow::{Follower, Target};
use crate::image::DOCUMENT_LIMIT;
use crate::lock::{Lock, LockedImage, Update};
use crate::reference::Reference;
use crate::registry::Registries;
use crate::resolved::ResolvedImage;
use crate::source::Span;
use crate::spec::{ImageSpec, Source};

/// So many images are resolved at the same time.
const AT_ONCE: usize = 8;

/// Resolves images.
pub(crate) struct Resolver<'a> {
    pub(crate) registries: &'a Registries,
    pub(crate) cache: &'a Cache,
    pub(crate) platforms: &'a [Platform],
    /// The directory that relative paths start at.
    pub(crate) base: &'a Path,
    pub(crate) lock: &'a Lock,
    pub(crate) update: &'a Update,
    archives: Mutex<BTreeMap<PathBuf, Arc<Imported>>>,
    notes: Mutex<BTreeSet<String>>,
}

/// All images, the lock that holds from now on, and what deserves attention.
pub(crate) struct Resolved {
    pub(crate) images: Vec<ResolvedImage>,
    pub(crate) lock: Lock,
    pub(crate) warnings: Vec<String>,
    /// Where layers lie in archives, by digest.
    pub(crate) spans: BTreeMap<Digest, Span>,
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
            notes: Mutex::default(),
        }
    }

    /// Resolves all images; they come in the order given.
    pub(crate) async fn images(&self, images: &[ImageSpec]) -> Result<Resolved, Reason> {
        let resolved: Vec<ResolvedImage> = futures::stream::iter(images)
            .map(|image| self.image(image))
            .buffered(AT_ONCE)
            .try_collect()
            .await?;
        let lock = Lock::new(resolved.iter().map(locked).collect());
        let archives = self.archives.lock().await;
        let spans = archives.values().flat_map(|imported| imported.spans.clone());
        Ok(Resolved {
            images: resolved,
            lock,
            warnings: self.notes.lock().await.iter().cloned().collect(),
            spans: spans.collect(),
        })
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
            source: Box::new(source),
        };
        let imported = self.archive(path).await?.map_err(failed)?;
        let (image, note) =
            archive_input::select(path, &imported.images, &spec.name.value).map_err(failed)?;
        self.notes.lock().await.extend(note);
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

    /// Reads an archive, once for all the images that it holds.
    async fn archive(&self, path: &Path) -> Result<Result<Arc<Imported>, ArchiveError>, Reason> {
        let mut archives = self.archives.lock().await;
        if let Some(images) = archives.get(path) {
            return Ok(Ok(Arc::clone(images)));
        }
        let (cache, owned) = (self.cache.clone(), path.to_owned());
        let imported = tokio::task::spawn_blocking(move || archive_input::import(&owned, &cache)).await;
        match imported.map_err(|source| Reason::Worker { source })? {
            Ok(imported) => {
                let imported = Arc::new(imported);
                archives.insert(path.to_owned(), Arc::clone(&imported));
                Ok(Ok(imported))
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
        let served = target.blob;
        let follower = Follower {
            registries: self.registries,
            cache: self.cache,
            name: &spec.name.value,
            origin,
        };
        let followed = follower.follow(target, self.platforms).await?;
        self.notes.lock().await.extend(followed.notes);
        Ok(ResolvedImage {
            name: spec.name.value.name(),
            from: spec.source.from(),
            served,
            served_as: followed.served_as,
            target: followed.target,
            media_type: followed.media_type,
            origin: origin.cloned(),
            platforms: followed.platforms,
        })
    }
}

/// Returns what the lock keeps of an image.
fn locked(image: &ResolvedImage) -> LockedImage {
    LockedImage {
        name: image.name.clone(),
        from: image.from.clone(),
        digest: image.served.digest,
        media_type: image.served_as.clone(),
        size: image.served.size,
    }
}

fn incomplete(spec: &ImageSpec, digest: &Digest) -> Reason {
    Reason::Incomplete {
        image: spec.name.value.name(),
        missing: digest.to_string(),
    }
}
