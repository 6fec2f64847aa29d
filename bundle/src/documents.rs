//! What the documents of an image must say, so that index, manifest and configuration agree. Pure.
//!
//! Only the fields that loading rests on are looked at; the formats are those of the OCI image spec and of Docker's
//! schema 2, which agree in these.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer};

use crate::digest::Digest;
use crate::index::{Image, Index, PlatformImage};

#[derive(Deserialize)]
pub(crate) struct Manifest {
    config: Descriptor,
    #[serde(default, deserialize_with = "list")]
    layers: Vec<Descriptor>,
}

/// The entries of an image index by digest.
pub(crate) struct Target(BTreeMap<String, Descriptor>);

#[derive(Deserialize)]
struct ImageIndex {
    #[serde(default, deserialize_with = "list")]
    manifests: Vec<Descriptor>,
}

/// A digest stays text: other entries of an index may use other algorithms.
#[derive(Deserialize)]
struct Descriptor {
    digest: String,
    size: u64,
}

#[derive(Deserialize)]
pub(crate) struct Config {
    #[serde(default)]
    rootfs: Option<RootFs>,
}

#[derive(Deserialize)]
struct RootFs {
    #[serde(default, deserialize_with = "list")]
    diff_ids: Vec<String>,
}

/// Reads a list; `null` is an empty one, as Go writes it.
fn list<'de, D: Deserializer<'de>, T: Deserialize<'de>>(input: D) -> Result<Vec<T>, D::Error> {
    Option::deserialize(input).map(Option::unwrap_or_default)
}

/// A document is read once, however many images name it. The reason tells where it is broken and quotes nothing of it.
fn parse<'a, T: Deserialize<'a>>(what: &str, bytes: &'a [u8]) -> Result<T, String> {
    serde_json::from_slice(bytes).map_err(|error| {
        format!(
            "no {what}: it cannot be read as one at line {}, column {}",
            error.line(),
            error.column()
        )
    })
}

impl Target {
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, String> {
        let index: ImageIndex = parse("image index", bytes)?;
        let mut entries = BTreeMap::new();
        for entry in index.manifests {
            // Of entries that say two lengths the first counts, as it does for whoever looks for it.
            entries.entry(entry.digest.clone()).or_insert(entry);
        }
        Ok(Self(entries))
    }

    /// Checks that the index that a name stands for lists the manifests of its platforms.
    pub(crate) fn check(&self, index: &Index, image: &Image) -> Result<(), String> {
        // A name for one platform may be an index that an index holds.
        for platform in &image.platforms {
            let digest = platform.manifest.to_string();
            let entry = self.0.get(&digest).ok_or_else(|| {
                format!(
                    "the image index of {} does not list {digest} ({})",
                    image.name, platform.platform
                )
            })?;
            same_size(index, &platform.manifest, entry)?;
        }
        Ok(())
    }
}

impl Manifest {
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, String> {
        parse("manifest", bytes)
    }

    /// Checks that a manifest names the configuration and the layers that the index names.
    pub(crate) fn check(&self, index: &Index, image: &PlatformImage) -> Result<(), String> {
        if self.config.digest != image.config.to_string() {
            return Err(format!(
                "the manifest has the configuration {}, bundle.json says {}",
                self.config.digest, image.config
            ));
        }
        same_size(index, &image.config, &self.config)?;
        if self.layers.len() != image.layers.len() {
            return Err(format!(
                "the manifest has {} layers, bundle.json says {}",
                self.layers.len(),
                image.layers.len()
            ));
        }
        for (entry, layer) in self.layers.iter().zip(&image.layers) {
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
}

impl Config {
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, String> {
        parse("image configuration", bytes)
    }

    /// Checks that a configuration has the diffIDs that the index names.
    pub(crate) fn check(&self, image: &PlatformImage) -> Result<(), String> {
        let expected = image.layers.iter().map(|layer| layer.diff_id.to_string());
        let found = self.rootfs.iter().flat_map(|rootfs| &rootfs.diff_ids);
        if expected.eq(found.cloned()) {
            Ok(())
        } else {
            Err("its diff_ids are not those that bundle.json says".to_owned())
        }
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
