//! `manifest.json` of docker save: a schema 2 manifest is made from it, with the layers as they are stored.
//! (moby, image/spec: config and layers by path; the manifest itself is not in the tar.)

use std::collections::BTreeSet;
use std::fs::File;
use std::os::unix::fs::FileExt as _;

use bundle::Digest;
use serde::{Deserialize, Serialize};

use crate::cache::Cache;
use crate::image::{self, DOCKER_MANIFEST, Document};
use crate::json;

use super::files::Files;
use super::{ArchiveError, ArchiveImage, Imported, Taken};

const CONFIG: &str = "application/vnd.docker.container.image.v1+json";
const LAYER: &str = "application/vnd.docker.image.rootfs.diff.tar";
const LAYER_GZIP: &str = "application/vnd.docker.image.rootfs.diff.tar.gzip";
const LAYER_ZSTD: &str = "application/vnd.docker.image.rootfs.diff.tar.zstd";

/// So many images, and layers of one, are made into manifests; overlayfs and Docker end at some hundred layers.
const IMAGES: usize = 10_000;
const LAYERS: usize = 2_000;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Saved {
    config: String,
    #[serde(default, deserialize_with = "json::or_default")]
    repo_tags: Vec<String>,
    #[serde(default, deserialize_with = "json::or_default")]
    layers: Vec<String>,
}

/// The keys stand in the order in which Docker itself writes them, so that the same image has the same digest.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Manifest {
    schema_version: u32,
    media_type: &'static str,
    config: Blob,
    layers: Vec<Blob>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Blob {
    media_type: &'static str,
    size: u64,
    digest: Digest,
}

pub(super) fn images(files: &Files, cache: &Cache) -> Result<Imported, ArchiveError> {
    let bytes = files.document("manifest.json")?;
    let saved: Vec<Saved> = json::read(bytes).map_err(|source| ArchiveError::Json {
        path: files.path.clone(),
        name: "manifest.json",
        source,
    })?;
    let longest = saved.iter().map(|saved| saved.layers.len()).max().unwrap_or(0);
    if saved.len() > IMAGES || longest > LAYERS {
        return Err(files.foreign("manifest.json names more than any program saves".to_owned()));
    }
    let (mut documents, mut layers) = (BTreeSet::new(), BTreeSet::new());
    for saved in &saved {
        documents.insert(files.file(&saved.config)?);
        for layer in &saved.layers {
            layers.insert(files.file(layer)?);
        }
    }
    let taken = files.take(&documents, &layers, cache)?;
    let archive = Archive { files, cache, taken };
    let images = saved
        .into_iter()
        .map(|saved| archive.image(saved))
        .collect::<Result<_, _>>()?;
    Ok(Imported {
        images,
        spans: archive.taken.spans,
    })
}

/// Returns whether a configuration is called by a digest (`HEX.json`, `sha256:HEX`) that it does not have: what it says is not
/// what was saved.
fn names_other(path: &str, digest: &Digest) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    let name = name.strip_suffix(".json").unwrap_or(name);
    let name = name.strip_prefix("sha256:").unwrap_or(name);
    Digest::from_hex(name).is_ok_and(|named| named != *digest)
}

/// An archive whose named files were taken.
struct Archive<'a> {
    files: &'a Files,
    cache: &'a Cache,
    taken: Taken,
}

impl Archive<'_> {
    fn blob(&self, path: &str) -> Result<(Digest, u64), ArchiveError> {
        let name = self.files.file(path)?;
        self.taken
            .files
            .get(&name)
            .copied()
            .ok_or_else(|| ArchiveError::Missing {
                path: self.files.path.clone(),
                name,
            })
    }

    fn image(&self, saved: Saved) -> Result<ArchiveImage, ArchiveError> {
        let (config, size) = self.blob(&saved.config)?;
        if names_other(&saved.config, &config) {
            return Err(ArchiveError::Mismatch {
                path: self.files.path.clone(),
                name: saved.config,
                found: config,
            });
        }
        let mut layers = Vec::new();
        for name in &saved.layers {
            let (digest, size) = self.blob(name)?;
            layers.push(Blob {
                media_type: self.layer_type(&digest),
                size,
                digest,
            });
        }
        let manifest = Manifest {
            schema_version: 2,
            media_type: DOCKER_MANIFEST,
            config: Blob {
                media_type: CONFIG,
                size,
                digest: config,
            },
            layers,
        };
        // Strings and numbers always serialise.
        let bytes = serde_json::to_vec(&manifest).unwrap_or_default();
        self.check_layers(&saved, &bytes)?;
        let digest = self.cache.put(&bytes).map_err(|source| ArchiveError::Cache {
            path: self.files.path.clone(),
            source,
        })?;
        Ok(ArchiveImage {
            names: saved.repo_tags,
            media_type: DOCKER_MANIFEST.to_owned(),
            digest,
            size: bytes.len() as u64,
        })
    }

    /// Refuses plain layers that are not what the configuration says: docker save names no hash of its own.
    fn check_layers(&self, saved: &Saved, bytes: &[u8]) -> Result<(), ArchiveError> {
        let foreign = |error: image::ImageError| self.files.foreign(error.to_string());
        let (_, Document::Manifest(manifest)) = image::document(bytes, None).map_err(foreign)? else {
            return Ok(());
        };
        let config = image::config(self.files.document(&saved.config)?, &manifest).map_err(foreign)?;
        for ((layer, diff_id), name) in manifest.layers.iter().zip(&config.diff_ids).zip(&saved.layers) {
            if layer.media_type == LAYER && layer.digest != *diff_id {
                return Err(ArchiveError::OtherLayer {
                    path: self.files.path.clone(),
                    name: name.clone(),
                    found: layer.digest,
                    expected: *diff_id,
                });
            }
        }
        Ok(())
    }

    fn layer_type(&self, digest: &Digest) -> &'static str {
        let mut head = [0; 4];
        let read = match self.taken.spans.get(digest) {
            Some(span) => span
                .open()
                .and_then(|file| file.read_exact_at(&mut head, span.start)),
            None => File::open(self.cache.path(digest)).and_then(|file| file.read_exact_at(&mut head, 0)),
        };
        match head {
            [0x1f, 0x8b, ..] if read.is_ok() => LAYER_GZIP,
            [0x28, 0xb5, 0x2f, 0xfd] if read.is_ok() => LAYER_ZSTD,
            _ => LAYER,
        }
    }
}
