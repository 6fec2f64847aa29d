//! Manifests, indexes and configurations of images, OCI's and Docker's. Pure: bytes in, values out.
//!
//! Only what a bundle needs is read; the bytes themselves are kept as they were served, because their digest is
//! their name. (OCI image spec 1.1, manifest.md and image-index.md; distribution, manifest-v2-2.md.)

use std::collections::BTreeMap;

use bundle::{Digest, Platform};
use serde::Deserialize;

pub(crate) const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
pub(crate) const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
pub(crate) const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
pub(crate) const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";

/// A manifest or an index is at most this long (OCI distribution spec: registries need not take more than 4 MiB).
pub(crate) const DOCUMENT_LIMIT: u64 = 4 << 20;
/// A configuration is at most this long.
pub(crate) const CONFIG_LIMIT: u64 = 8 << 20;

/// A document that cannot be packed as an image.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ImageError {
    #[error("not a manifest: the JSON cannot be read")]
    Syntax { source: serde_json::Error },
    #[error("the media type {0:?} is not one of an image")]
    MediaType(String),
    #[error("a schema 1 manifest, which no runtime takes any more")]
    SchemaOne,
    #[error("the manifest says of itself {inside:?}, the registry says {outside:?}")]
    TwoTypes { inside: String, outside: String },
    #[error("the configuration is not one of a container image")]
    Config { source: serde_json::Error },
    #[error("the configuration has {diff_ids} layers, the manifest {layers}")]
    Layers { diff_ids: usize, layers: usize },
    #[error("{wanted} is not among its platforms: {found}")]
    Platform { wanted: Platform, found: String },
}

/// What names a blob.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Descriptor {
    #[serde(default)]
    pub(crate) media_type: String,
    pub(crate) digest: Digest,
    pub(crate) size: u64,
    #[serde(default)]
    pub(crate) platform: Option<PlatformEntry>,
    #[serde(default)]
    pub(crate) annotations: BTreeMap<String, String>,
}

/// The platform of an entry, as an index or a configuration writes it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub(crate) struct PlatformEntry {
    #[serde(default)]
    pub(crate) os: String,
    #[serde(default)]
    pub(crate) architecture: String,
    #[serde(default)]
    pub(crate) variant: Option<String>,
}

impl PlatformEntry {
    /// Returns whether an image for this platform runs where `wanted` is asked for.
    ///
    /// arm64 without variant and v8 are the same, amd64 without variant and v1 too (containerd, platforms).
    pub(crate) fn serves(&self, wanted: &Platform) -> bool {
        let normal = |architecture: &str, variant: Option<&str>| match (architecture, variant) {
            ("arm64", Some("v8")) | ("amd64", Some("v1")) | (_, None | Some("")) => None,
            (_, Some(variant)) => Some(variant.to_owned()),
        };
        let variant = normal(&self.architecture, self.variant.as_deref());
        self.os == wanted.os
            && self.architecture == wanted.architecture
            && variant == normal(&wanted.architecture, wanted.variant.as_deref())
    }

    fn text(&self) -> String {
        let variant = self.variant.as_deref().filter(|variant| !variant.is_empty());
        let variant = variant.map(|variant| format!("/{variant}")).unwrap_or_default();
        format!("{}/{}{variant}", self.os, self.architecture)
    }
}

/// What a name stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Document {
    /// Several platforms.
    Index(Vec<Descriptor>),
    /// One platform.
    Manifest(Manifest),
}

/// An image for one platform.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(crate) struct Manifest {
    pub(crate) config: Descriptor,
    pub(crate) layers: Vec<Descriptor>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Probe {
    #[serde(default)]
    schema_version: u32,
    #[serde(default)]
    media_type: Option<String>,
    #[serde(default)]
    manifests: Option<Vec<Descriptor>>,
    #[serde(default)]
    config: Option<Descriptor>,
    #[serde(default)]
    layers: Option<Vec<Descriptor>>,
}

/// Reads a manifest or an index; `outside` is the media type by which it was reached. Gives its media type too.
pub(crate) fn document(bytes: &[u8], outside: Option<&str>) -> Result<(String, Document), ImageError> {
    let probe: Probe = serde_json::from_slice(bytes).map_err(|source| ImageError::Syntax { source })?;
    if probe.schema_version == 1 {
        return Err(ImageError::SchemaOne);
    }
    let known = |name: &&str| [OCI_INDEX, OCI_MANIFEST, DOCKER_LIST, DOCKER_MANIFEST].contains(name);
    let outside = outside
        .map(|text| text.split(';').next().unwrap_or(text).trim())
        .filter(known);
    let media_type = match (probe.media_type, outside) {
        (Some(inside), Some(outside)) if inside != outside => {
            let outside = outside.to_owned();
            return Err(ImageError::TwoTypes { inside, outside });
        }
        (Some(inside), _) => inside,
        (None, Some(outside)) => outside.to_owned(),
        (None, None) if probe.manifests.is_some() => OCI_INDEX.to_owned(),
        (None, None) => OCI_MANIFEST.to_owned(),
    };
    let document = match (media_type.as_str(), probe.manifests, probe.config, probe.layers) {
        (OCI_INDEX | DOCKER_LIST, Some(manifests), None, _) => Document::Index(manifests),
        (OCI_MANIFEST | DOCKER_MANIFEST, None, Some(config), Some(layers)) => {
            Document::Manifest(Manifest { config, layers })
        }
        _ => return Err(ImageError::MediaType(media_type)),
    };
    Ok((media_type, document))
}

/// Returns the entry of an index for `wanted`. Attestations have a platform of their own (`unknown/unknown`) and are
/// never one.
pub(crate) fn choose<'a>(entries: &'a [Descriptor], wanted: &Platform) -> Result<&'a Descriptor, ImageError> {
    let serves = |entry: &&Descriptor| {
        entry
            .platform
            .as_ref()
            .is_some_and(|platform| platform.serves(wanted))
    };
    entries.iter().find(serves).ok_or_else(|| {
        let mut found: Vec<String> = entries
            .iter()
            .filter_map(|entry| entry.platform.as_ref())
            .filter(|platform| platform.os != "unknown")
            .map(PlatformEntry::text)
            .collect();
        found.dedup();
        ImageError::Platform {
            wanted: wanted.clone(),
            found: found.join(", "),
        }
    })
}

/// The configuration of an image, as far as a bundle needs it.
#[derive(Clone, Debug)]
pub(crate) struct Config {
    pub(crate) platform: PlatformEntry,
    pub(crate) diff_ids: Vec<Digest>,
}

#[derive(Deserialize)]
struct ConfigFile {
    #[serde(flatten)]
    platform: PlatformEntry,
    rootfs: RootFs,
}

#[derive(Deserialize)]
struct RootFs {
    diff_ids: Vec<Digest>,
}

/// Reads a configuration and holds it against its manifest.
pub(crate) fn config(bytes: &[u8], manifest: &Manifest) -> Result<Config, ImageError> {
    let file: ConfigFile = serde_json::from_slice(bytes).map_err(|source| ImageError::Config { source })?;
    let (diff_ids, layers) = (file.rootfs.diff_ids.len(), manifest.layers.len());
    if diff_ids != layers {
        return Err(ImageError::Layers { diff_ids, layers });
    }
    Ok(Config {
        platform: file.platform,
        diff_ids: file.rootfs.diff_ids,
    })
}

impl Config {
    /// Refuses an image for another platform than `wanted`.
    pub(crate) fn check_platform(&self, wanted: &Platform) -> Result<(), ImageError> {
        // A configuration often leaves out the variant that its index gives.
        let same = self.platform.os == wanted.os && self.platform.architecture == wanted.architecture;
        if same
            && (self.platform.variant.is_none() || self.platform.serves(wanted) || wanted.variant.is_none())
        {
            return Ok(());
        }
        Err(ImageError::Platform {
            wanted: wanted.clone(),
            found: self.platform.text(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn descriptor(media_type: &str, platform: &str) -> String {
        let digest = Digest::of(platform);
        let (os, architecture) = platform.split_once('/').unwrap_or(("linux", "amd64"));
        format!(
            r#"{{"mediaType":"{media_type}","digest":"{digest}","size":3,"platform":{{"os":"{os}","architecture":"{architecture}"}}}}"#
        )
    }

    #[test]
    fn an_index_gives_the_platform_and_never_an_attestation() {
        let entries = ["linux/amd64", "unknown/unknown", "linux/arm64"]
            .map(|p| descriptor(OCI_MANIFEST, p))
            .join(",");
        let text = format!(r#"{{"schemaVersion":2,"mediaType":"{OCI_INDEX}","manifests":[{entries}]}}"#);
        let (media_type, Document::Index(entries)) = document(text.as_bytes(), Some(OCI_INDEX)).unwrap()
        else {
            panic!("no index");
        };
        assert_eq!(media_type, OCI_INDEX);
        let arm: Platform = "linux/arm64/v8".parse().unwrap();
        assert_eq!(choose(&entries, &arm).unwrap().digest, Digest::of("linux/arm64"));
        let missing = choose(&entries, &"linux/riscv64".parse().unwrap())
            .unwrap_err()
            .to_string();
        assert_eq!(
            missing,
            "linux/riscv64 is not among its platforms: linux/amd64, linux/arm64"
        );
    }

    #[test]
    fn what_is_no_image_is_refused() {
        assert!(matches!(
            document(b"<html>", None),
            Err(ImageError::Syntax { .. })
        ));
        assert!(matches!(
            document(br#"{"schemaVersion":1}"#, None),
            Err(ImageError::SchemaOne)
        ));
        let odd = br#"{"schemaVersion":2,"mediaType":"application/x"}"#;
        assert!(matches!(document(odd, None), Err(ImageError::MediaType(_))));
        let text = format!(r#"{{"schemaVersion":2,"mediaType":"{OCI_INDEX}","manifests":[]}}"#);
        let two = document(text.as_bytes(), Some(DOCKER_MANIFEST));
        assert!(matches!(two, Err(ImageError::TwoTypes { .. })));
    }

    #[test]
    fn a_configuration_must_fit_its_manifest() {
        let config_bytes = format!(
            r#"{{"os":"linux","architecture":"arm","rootfs":{{"type":"layers","diff_ids":["{}"]}}}}"#,
            Digest::of("l")
        );
        let layer: Descriptor = serde_json::from_str(&descriptor("l", "linux/arm")).unwrap();
        let mut manifest = Manifest {
            config: layer.clone(),
            layers: vec![layer],
        };
        let read = config(config_bytes.as_bytes(), &manifest).unwrap();
        assert!(read.check_platform(&"linux/arm/v7".parse().unwrap()).is_ok());
        assert!(read.check_platform(&"linux/amd64".parse().unwrap()).is_err());
        manifest.layers.clear();
        assert!(matches!(
            config(config_bytes.as_bytes(), &manifest),
            Err(ImageError::Layers { .. })
        ));
        assert!(matches!(config(b"{}", &manifest), Err(ImageError::Config { .. })));
    }
}
