//! What the documents of an image must say, so that index, manifest and configuration agree. Pure.
//!
//! Only the fields that loading rests on are looked at; the formats are those of the OCI image spec and of Docker's
//! schema 2, which agree in these.

use serde::Deserialize;

use crate::digest::Digest;
use crate::index::{Image, Index, PlatformImage};

#[derive(Deserialize)]
struct Manifest {
    config: Descriptor,
    layers: Vec<Descriptor>,
}

#[derive(Deserialize)]
struct ImageIndex {
    manifests: Vec<Descriptor>,
}

/// A digest stays text: other entries of an index may use other algorithms.
#[derive(Deserialize)]
struct Descriptor {
    digest: String,
    size: u64,
}

#[derive(Deserialize)]
struct Config {
    rootfs: RootFs,
}

#[derive(Deserialize)]
struct RootFs {
    diff_ids: Vec<String>,
}

fn parse<'a, T: Deserialize<'a>>(what: &str, bytes: &'a [u8]) -> Result<T, String> {
    serde_json::from_slice(bytes).map_err(|error| format!("no {what}: {error}"))
}

/// Checks that the index that a name stands for lists the manifests of its platforms.
pub(crate) fn check_target(index: &Index, image: &Image, bytes: &[u8]) -> Result<(), String> {
    let target: ImageIndex = parse("image index", bytes)?;
    for platform in &image.platforms {
        let digest = platform.manifest.to_string();
        let entry = target.manifests.iter().find(|entry| entry.digest == digest);
        let entry = entry.ok_or_else(|| {
            format!(
                "the image index of {} does not list {digest} ({})",
                image.name, platform.platform
            )
        })?;
        same_size(index, &platform.manifest, entry)?;
    }
    Ok(())
}

/// Checks that a manifest names the configuration and the layers that the index names.
pub(crate) fn check_manifest(index: &Index, image: &PlatformImage, bytes: &[u8]) -> Result<(), String> {
    let manifest: Manifest = parse("manifest", bytes)?;
    if manifest.config.digest != image.config.to_string() {
        return Err(format!(
            "the manifest has the configuration {}, bundle.json says {}",
            manifest.config.digest, image.config
        ));
    }
    same_size(index, &image.config, &manifest.config)?;
    if manifest.layers.len() != image.layers.len() {
        return Err(format!(
            "the manifest has {} layers, bundle.json says {}",
            manifest.layers.len(),
            image.layers.len()
        ));
    }
    for (entry, layer) in manifest.layers.iter().zip(&image.layers) {
        if entry.digest != layer.digest.to_string() {
            return Err(format!(
                "the manifest has the layer {} where bundle.json says {}",
                entry.digest, layer.digest
            ));
        }
        same_size(index, &layer.digest, entry)?;
    }
    Ok(())
}

/// Checks that a configuration has the diffIDs that the index names.
pub(crate) fn check_config(image: &PlatformImage, bytes: &[u8]) -> Result<(), String> {
    let config: Config = parse("image configuration", bytes)?;
    let expected = image.layers.iter().map(|layer| layer.diff_id.to_string());
    if expected.eq(config.rootfs.diff_ids) {
        Ok(())
    } else {
        Err("its diff_ids are not those that bundle.json says".to_owned())
    }
}

/// Checks that a descriptor has the length of the member that it names, where a member has it.
fn same_size(index: &Index, digest: &Digest, entry: &Descriptor) -> Result<(), String> {
    match index.blob(digest) {
        Some(member) if member.size != entry.size => Err(format!(
            "it says that {digest} has {} bytes, bundle.json says {}",
            entry.size, member.size
        )),
        _ => Ok(()),
    }
}
