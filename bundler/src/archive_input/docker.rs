//! `manifest.json` of docker save: a schema 2 manifest is made from it, with the layers as they are stored.
//! (moby, image/spec: config and layers by path; the manifest itself is not in the tar.)

use std::fs::File;
use std::io::Read as _;

use bundle::Digest;
use serde::{Deserialize, Serialize};

use crate::cache::Cache;
use crate::image::{self, CONFIG_LIMIT, DOCKER_MANIFEST, Document};

use super::{ArchiveError, ArchiveImage, Contents, GZIP, INDEX_LIMIT};

const CONFIG: &str = "application/vnd.docker.container.image.v1+json";
const LAYER: &str = "application/vnd.docker.image.rootfs.diff.tar";
const LAYER_GZIP: &str = "application/vnd.docker.image.rootfs.diff.tar.gzip";

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Saved {
    config: String,
    #[serde(default)]
    repo_tags: Option<Vec<String>>,
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

pub(super) fn images(contents: &Contents, cache: &Cache) -> Result<Vec<ArchiveImage>, ArchiveError> {
    let bytes = contents.read(cache, "manifest.json", INDEX_LIMIT)?;
    let saved: Vec<Saved> = serde_json::from_slice(&bytes).map_err(|source| ArchiveError::Json {
        path: contents.path.clone(),
        name: "manifest.json",
        source,
    })?;
    saved
        .into_iter()
        .map(|saved| archive_image(contents, cache, saved))
        .collect()
}

fn archive_image(contents: &Contents, cache: &Cache, saved: Saved) -> Result<ArchiveImage, ArchiveError> {
    let (config, size) = contents.file(&normal(&saved.config))?;
    let mut layers = Vec::new();
    for name in &saved.layers {
        let (digest, size) = contents.file(&normal(name))?;
        let media_type = if is_gzip(cache, &digest) {
            LAYER_GZIP
        } else {
            LAYER
        };
        layers.push(Blob {
            media_type,
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
    check_layers(contents, cache, &saved, &bytes)?;
    let digest = cache.put(&bytes).map_err(|source| ArchiveError::Cache {
        path: contents.path.clone(),
        source,
    })?;
    Ok(ArchiveImage {
        names: saved.repo_tags.unwrap_or_default(),
        media_type: DOCKER_MANIFEST.to_owned(),
        digest,
        size: bytes.len() as u64,
    })
}

/// Refuses plain layers that are not what the configuration says: docker save names no hash of its own.
fn check_layers(contents: &Contents, cache: &Cache, saved: &Saved, bytes: &[u8]) -> Result<(), ArchiveError> {
    let foreign = |error: image::ImageError| ArchiveError::Foreign {
        path: contents.path.clone(),
        reason: error.to_string(),
    };
    let (_, Document::Manifest(manifest)) = image::document(bytes, None).map_err(foreign)? else {
        return Ok(());
    };
    let config = contents.read(cache, &normal(&saved.config), CONFIG_LIMIT)?;
    let config = image::config(&config, &manifest).map_err(foreign)?;
    for ((layer, diff_id), name) in manifest.layers.iter().zip(&config.diff_ids).zip(&saved.layers) {
        if layer.media_type == LAYER && layer.digest != *diff_id {
            return Err(ArchiveError::Mismatch {
                path: contents.path.clone(),
                name: format!("{name}, which should have {diff_id},"),
                found: layer.digest,
            });
        }
    }
    Ok(())
}

fn is_gzip(cache: &Cache, digest: &Digest) -> bool {
    let mut head = [0; 2];
    let read = File::open(cache.path(digest)).and_then(|mut file| file.read_exact(&mut head));
    read.is_ok() && head == GZIP
}

fn normal(name: &str) -> String {
    super::normal(name, "")
}
