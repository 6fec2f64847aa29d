//! What an index, a manifest and a configuration say of an image, and which of an index' manifests is this host's.

use bundle::{Digest, Platform};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};

use super::document as read;
use crate::host::containerd::client::Containerd;
use crate::host::containerd::error::Error;
use crate::protocol::{BlobState, StoredImage};

/// An image with its layers, bottom first.
pub(super) struct Described {
    pub(super) image: StoredImage,
    /// Digest and size of the blobs.
    pub(super) layers: Vec<(String, u64)>,
    /// As the configuration names them.
    pub(super) diff_ids: Vec<Digest>,
}

/// An index or a manifest (OCI image-spec; Docker's differ in nothing that is read here).
#[derive(Deserialize)]
struct Document {
    #[serde(default, deserialize_with = "list")]
    manifests: Vec<Entry>,
    config: Option<Entry>,
    #[serde(default, deserialize_with = "list")]
    layers: Vec<Entry>,
}

#[derive(Clone, Deserialize)]
struct Entry {
    digest: String,
    #[serde(default)]
    size: u64,
    platform: Option<EntryPlatform>,
}

#[derive(Clone, Deserialize)]
struct EntryPlatform {
    #[serde(default)]
    os: String,
    #[serde(default)]
    architecture: String,
    variant: Option<String>,
}

#[derive(Deserialize)]
struct Config {
    #[serde(flatten)]
    platform: Option<EntryPlatform>,
    rootfs: Option<RootFs>,
}

#[derive(Default, Deserialize)]
struct RootFs {
    #[serde(default, deserialize_with = "list")]
    diff_ids: Vec<Digest>,
}

/// Reads a list; `null` is an empty one, as Go writes it.
fn list<'de, D: Deserializer<'de>, T: Deserialize<'de>>(input: D) -> Result<Vec<T>, D::Error> {
    Option::deserialize(input).map(Option::unwrap_or_default)
}

impl EntryPlatform {
    /// Returns the platform; none for what stands beside images in an index (`unknown/unknown`: attestations).
    fn platform(&self) -> Option<Platform> {
        let named = !self.os.is_empty() && self.os != "unknown" && !self.architecture.is_empty();
        named.then(|| Platform::normal(&self.os, &self.architecture, self.variant.as_deref()))
    }
}

/// Reads what a target is.
pub(super) async fn describe(
    containerd: Containerd,
    target: String,
    names: Vec<String>,
) -> Result<Described, Error> {
    let mut described = Described {
        image: StoredImage::named(target.clone(), names),
        layers: Vec::new(),
        diff_ids: Vec::new(),
    };
    let Some(mut document) = described.read::<Document>(&containerd, &target).await? else {
        return Ok(described);
    };
    let mut manifest = target;
    if !document.manifests.is_empty() {
        let Some(own) = own(&document.manifests, &Platform::current()) else {
            let offers = document
                .manifests
                .iter()
                .filter_map(|entry| entry.platform.as_ref());
            let offers = offers.filter_map(EntryPlatform::platform);
            described.image.offers = offers.map(|platform| platform.to_string()).collect();
            return Ok(described);
        };
        manifest.clone_from(&own.digest);
        match described.read(&containerd, &manifest).await? {
            Some(found) => document = found,
            None => return Ok(described),
        }
    }
    described.image.manifest = Some(manifest);
    described.layers = document
        .layers
        .into_iter()
        .map(|entry| (entry.digest, entry.size))
        .collect();
    if let Some(config) = document.config {
        described.image.id = Some(config.digest.clone());
        let config = described.read::<Config>(&containerd, &config.digest).await?;
        if let Some(config) = config {
            let platform = config.platform.as_ref().and_then(EntryPlatform::platform);
            described.image.platform = platform.map(|platform| platform.to_string());
            described.diff_ids = config.rootfs.unwrap_or_default().diff_ids;
        }
    }
    Ok(described)
}

impl Described {
    /// Reads a document; none where it is not there, or none of its kind: that is remembered.
    async fn read<T: DeserializeOwned>(
        &mut self,
        containerd: &Containerd,
        digest: &str,
    ) -> Result<Option<T>, Error> {
        let parsed = read(containerd, digest).await?.and_then(|bytes| {
            self.image.documents += bytes.len() as u64;
            serde_json::from_slice(&bytes).map_err(|_| BlobState::Spoilt)
        });
        Ok(match parsed {
            Ok(document) => Some(document),
            Err(state) => {
                self.image.lost.push((digest.to_owned(), state));
                None
            }
        })
    }
}

/// Returns the manifest of an index that a host takes: that of its platform, else the one that names none.
fn own<'a>(entries: &'a [Entry], host: &Platform) -> Option<&'a Entry> {
    let runs = |entry: &Entry| host.runs(&entry.platform.as_ref()?.platform()?);
    let best = entries
        .iter()
        .filter(|entry| runs(entry).is_some())
        .min_by_key(|entry| runs(entry));
    best.or_else(|| entries.iter().find(|entry| entry.platform.is_none()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn entries(platforms: &[&str]) -> Vec<Entry> {
        let entry = |platform: &&str| {
            let parts: Vec<&str> = platform.split('/').collect();
            let platform = json!({"os": parts[0], "architecture": parts[1], "variant": parts.get(2)});
            serde_json::from_value(json!({"digest": parts.join("/"), "platform": platform})).unwrap()
        };
        platforms.iter().map(entry).collect()
    }

    #[test]
    fn of_an_index_the_manifest_of_the_host_s_platform_is_taken() {
        let host: Platform = "linux/arm64".parse().unwrap();
        let all = entries(&["linux/amd64", "unknown/unknown", "linux/arm64/v8"]);
        assert_eq!(own(&all, &host).unwrap().digest, "linux/arm64/v8");
        assert!(own(&entries(&["linux/amd64", "unknown/unknown"]), &host).is_none());
        let silent: Vec<Entry> = serde_json::from_value(json!([{"digest": "x"}])).unwrap();
        assert_eq!(own(&silent, &host).unwrap().digest, "x");
    }

    #[test]
    fn absent_and_null_lists_are_empty_ones_and_a_configuration_may_say_little() {
        let document: Document = serde_json::from_value(json!({"layers": null})).unwrap();
        assert!(document.layers.is_empty() && document.manifests.is_empty() && document.config.is_none());
        let config: Config = serde_json::from_value(json!({})).unwrap();
        assert!(config.platform.and_then(|platform| platform.platform()).is_none());
        let config =
            json!({"os": "linux", "architecture": "arm64", "variant": "v8", "rootfs": {"diff_ids": null}});
        let config: Config = serde_json::from_value(config).unwrap();
        assert_eq!(
            config.platform.unwrap().platform().unwrap().to_string(),
            "linux/arm64"
        );
    }
}
