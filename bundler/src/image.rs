//! Manifests, indexes and configurations of images, OCI's and Docker's. Pure: bytes in, values out.
//!
//! Only what a bundle needs is read; the bytes themselves are kept as they were served, because their digest is
//! their name. (OCI image spec 1.1, manifest.md and image-index.md; distribution, manifest-v2-2.md.)

use std::collections::BTreeMap;

use bundle::{Digest, Platform};
use oci_distribution::manifest;
use serde::Deserialize;

use crate::json::{self, JsonError};

pub(crate) const OCI_INDEX: &str = manifest::OCI_IMAGE_INDEX_MEDIA_TYPE;
pub(crate) const OCI_MANIFEST: &str = manifest::OCI_IMAGE_MEDIA_TYPE;
pub(crate) const DOCKER_LIST: &str = manifest::IMAGE_MANIFEST_LIST_MEDIA_TYPE;
pub(crate) const DOCKER_MANIFEST: &str = manifest::IMAGE_MANIFEST_MEDIA_TYPE;

/// A manifest or an index is at most this long (OCI distribution spec: registries need not take more than 4 MiB).
pub(crate) const DOCUMENT_LIMIT: u64 = 4 << 20;
/// A configuration is at most this long.
pub(crate) const CONFIG_LIMIT: u64 = 8 << 20;

/// A document that cannot be packed as an image.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ImageError {
    #[error("not a manifest")]
    Syntax { source: JsonError },
    #[error("the media type {0:?} is not one of an image")]
    MediaType(String),
    #[error("a schema 1 manifest, which no runtime takes any more")]
    SchemaOne,
    #[error("the configuration is not one of a container image")]
    Config { source: JsonError },
    #[error("it is an artifact of the type {0:?} and no container image")]
    Artifact(String),
    #[error("the configuration has {diff_ids} layers, the manifest {layers}")]
    Layers { diff_ids: usize, layers: usize },
    #[error("its {role} {digest:?} {}", misnamed(digest))]
    Algorithm { role: &'static str, digest: String },
    #[error("{wanted} is not among its platforms: {}", if .found.is_empty() { "its entries name no platform" } else { .found })]
    Platform { wanted: Platform, found: String },
    #[error(
        "its manifest for {0} lies in an index inside its index: under a name with a digest it would not be found"
    )]
    Nested(Platform),
    #[error("its manifests lie in several indexes inside its index")]
    SeveralIndexes,
    #[error("its indexes name more than {0} manifests without a platform")]
    TooMany(usize),
    #[error("its manifest says that {digest} has {claimed} bytes, and it has {found}")]
    Size {
        digest: Digest,
        claimed: u64,
        found: u64,
    },
    #[error("its manifest says {claimed} bytes of {digest}, which no file has")]
    TooLong { digest: Digest, claimed: u64 },
}

impl ImageError {
    /// Returns what the user can do next.
    pub(crate) fn hint(&self) -> &'static str {
        match self {
            Self::Platform { .. } => {
                "drop the platform from the spec's platforms, or take another tag of the image"
            }
            Self::Size { .. } | Self::TooLong { .. } => {
                "push the image anew: its registry does not hold what its manifest names"
            }
            Self::Nested(_) => "leave the digest out of the name, or take the digest of the inner index",
            _ => "check that the name is a container image's (`skopeo inspect --raw docker://NAME`)",
        }
    }
}

/// What an index lists. Its digest stays text: entries of other platforms may use other algorithms.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Entry {
    #[serde(default, deserialize_with = "json::or_default")]
    pub(crate) media_type: String,
    digest: String,
    pub(crate) size: u64,
    #[serde(default)]
    platform: Option<PlatformEntry>,
    #[serde(default, deserialize_with = "json::or_default")]
    pub(crate) annotations: BTreeMap<String, String>,
}

/// What names a blob of an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Descriptor {
    pub(crate) media_type: String,
    pub(crate) digest: Digest,
    pub(crate) size: u64,
}

/// The platform of an entry, as an index or a configuration writes it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
struct PlatformEntry {
    #[serde(default, deserialize_with = "json::or_default")]
    os: String,
    #[serde(default, deserialize_with = "json::or_default")]
    architecture: String,
    #[serde(default, deserialize_with = "json::or_default")]
    variant: String,
}

impl PlatformEntry {
    fn normal(&self) -> Platform {
        Platform::normal(&self.os, &self.architecture, Some(&self.variant))
    }
}

impl Entry {
    /// Returns the blob that the entry names.
    pub(crate) fn descriptor(&self, role: &'static str) -> Result<Descriptor, ImageError> {
        let digest = self.digest.parse().map_err(|_| ImageError::Algorithm {
            role,
            digest: self.digest.clone(),
        })?;
        Ok(Descriptor {
            media_type: self.media_type.clone(),
            digest,
            size: self.size,
        })
    }

    /// Returns the platform; none where the entry does not say it.
    pub(crate) fn platform(&self) -> Option<Platform> {
        let named = |platform: &&PlatformEntry| !platform.architecture.is_empty();
        self.platform.as_ref().filter(named).map(PlatformEntry::normal)
    }

    /// Returns whether it is an attestation: buildx gives them a platform that no machine has.
    pub(crate) fn is_attestation(&self) -> bool {
        self.platform().is_some_and(|platform| platform.os == "unknown")
            || self.annotations.contains_key("vnd.docker.reference.type")
    }
}

/// What a name stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Document {
    /// Several platforms.
    Index(Vec<Entry>),
    /// One platform.
    Manifest(Manifest),
}

/// An image for one platform.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Manifest {
    pub(crate) config: Descriptor,
    pub(crate) layers: Vec<Descriptor>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Probe {
    #[serde(default)]
    schema_version: u32,
    #[serde(default, deserialize_with = "json::or_default")]
    media_type: String,
    #[serde(default)]
    manifests: Option<Vec<Entry>>,
    #[serde(default)]
    config: Option<Entry>,
    #[serde(default, deserialize_with = "json::or_default")]
    layers: Vec<Entry>,
}

/// Reads a manifest or an index; `outside` is the media type by which it was reached. Gives its media type too.
///
/// What the body says of itself goes before any header: the digest covers the body alone. A header counts only where
/// the body says nothing, and only if it fits what the body holds.
pub(crate) fn document(bytes: &[u8], outside: Option<&str>) -> Result<(String, Document), ImageError> {
    let probe: Probe = json::read(bytes).map_err(|source| ImageError::Syntax { source })?;
    if probe.schema_version == 1 {
        return Err(ImageError::SchemaOne);
    }
    let outside = outside.map(|text| text.split(';').next().unwrap_or(text).trim());
    let media_type = match (probe.media_type, outside) {
        (inside, _) if !inside.is_empty() => inside,
        (_, Some(outside @ (OCI_INDEX | DOCKER_LIST))) if probe.config.is_none() => outside.to_owned(),
        (_, Some(outside @ (OCI_MANIFEST | DOCKER_MANIFEST))) if probe.manifests.is_none() => {
            outside.to_owned()
        }
        _ if probe.config.is_none() && probe.manifests.is_some() => OCI_INDEX.to_owned(),
        _ => OCI_MANIFEST.to_owned(),
    };
    let document = match (media_type.as_str(), probe.manifests, probe.config) {
        (OCI_INDEX | DOCKER_LIST, manifests, None) => Document::Index(manifests.unwrap_or_default()),
        (OCI_MANIFEST | DOCKER_MANIFEST, None, Some(config)) => {
            let layers = probe.layers.iter().map(|layer| layer.descriptor("layer"));
            Document::Manifest(Manifest {
                config: config.descriptor("configuration")?,
                layers: layers.collect::<Result<_, _>>()?,
            })
        }
        _ => return Err(ImageError::MediaType(media_type)),
    };
    Ok((media_type, document))
}

/// Returns the entry of an index that fits `wanted` best, by the platforms that the entries name: one for the very
/// platform, else one for an older variant of its processor. Attestations are never one.
pub(crate) fn choose<'a>(entries: &'a [Entry], wanted: &Platform) -> Option<&'a Entry> {
    let rank = |entry: &'a Entry| Some((wanted.runs(&entry.platform()?)?, entry));
    let fitting = entries
        .iter()
        .filter(|entry| !entry.is_attestation())
        .filter_map(rank);
    // Of equals the first counts, as it does for containerd.
    fitting.min_by_key(|(rank, _)| *rank).map(|(_, entry)| entry)
}

/// Returns the platforms that the entries of an index name, in words.
pub(crate) fn platforms(entries: &[Entry]) -> String {
    let shown = |entry: &Entry| {
        let platform = entry.platform.as_ref()?;
        let parts = [&platform.os, &platform.architecture, &platform.variant];
        let parts: Vec<&str> = parts
            .iter()
            .map(|part| part.as_str())
            .filter(|part| !part.is_empty())
            .collect();
        (!parts.is_empty()).then(|| parts.join("/"))
    };
    let mut found: Vec<String> = entries
        .iter()
        .filter(|entry| !entry.is_attestation())
        .filter_map(shown)
        .collect();
    found.dedup();
    if entries.is_empty() {
        return "it lists none".to_owned();
    }
    found.join(", ")
}

/// Says what is wrong with a digest that is none of ours.
fn misnamed(digest: &str) -> &'static str {
    if digest.starts_with("sha256:") {
        "is no digest: behind sha256: come 64 digits, the letters among them small"
    } else {
        "is named by another algorithm than sha256, which containerd and bundles go by"
    }
}

/// Returns whether a layer is one that its maker does not allow to be handed on (OCI image spec, layer.md;
/// distribution, "foreign" layers): registries often do not hold it.
pub(crate) fn is_nondistributable(media_type: &str) -> bool {
    media_type.starts_with("application/vnd.docker.image.rootfs.foreign.")
        || media_type.starts_with("application/vnd.oci.image.layer.nondistributable.")
}

/// The configuration of an image, as far as a bundle needs it.
#[derive(Clone, Debug)]
pub(crate) struct Config {
    platform: PlatformEntry,
    pub(crate) diff_ids: Vec<Digest>,
}

#[derive(Deserialize)]
struct ConfigFile {
    #[serde(flatten)]
    platform: PlatformEntry,
    #[serde(default)]
    rootfs: Option<RootFs>,
}

#[derive(Deserialize)]
struct RootFs {
    #[serde(default, deserialize_with = "json::or_default")]
    diff_ids: Vec<String>,
}

/// Reads a configuration and holds it against its manifest.
pub(crate) fn config(bytes: &[u8], manifest: &Manifest) -> Result<Config, ImageError> {
    let media_type = &manifest.config.media_type;
    let foreign = !media_type.is_empty() && !media_type.contains(".image.");
    let file: ConfigFile = match json::read(bytes) {
        Ok(file) => file,
        Err(_) if foreign => return Err(ImageError::Artifact(media_type.clone())),
        Err(source) => return Err(ImageError::Config { source }),
    };
    let names = file.rootfs.map(|rootfs| rootfs.diff_ids).unwrap_or_default();
    let (diff_ids, layers) = (names.len(), manifest.layers.len());
    if diff_ids != layers && foreign {
        return Err(ImageError::Artifact(media_type.clone()));
    }
    if diff_ids != layers {
        return Err(ImageError::Layers { diff_ids, layers });
    }
    let diff_id = |text: &String| {
        text.parse().map_err(|_| ImageError::Algorithm {
            role: "diffID",
            digest: text.clone(),
        })
    };
    Ok(Config {
        platform: file.platform,
        diff_ids: names.iter().map(diff_id).collect::<Result<_, _>>()?,
    })
}

impl Config {
    /// Returns how well `wanted` runs the image; none where it does not. What the configuration leaves out (all of
    /// it, or the variant, as many do) is what was asked for.
    pub(crate) fn rank(&self, wanted: &Platform) -> Option<u32> {
        let PlatformEntry {
            os,
            architecture,
            variant,
        } = &self.platform;
        let or = |own: &str, other: &str| {
            if own.is_empty() {
                other.to_owned()
            } else {
                own.to_owned()
            }
        };
        let variant = if variant.is_empty() {
            wanted.variant.clone()
        } else {
            Some(variant.clone())
        };
        let own = Platform::normal(
            &or(os, &wanted.os),
            &or(architecture, &wanted.architecture),
            variant.as_deref(),
        );
        wanted.runs(&own)
    }

    /// Returns whether the configuration says for which processor it is.
    pub(crate) fn names_platform(&self) -> bool {
        !self.platform.architecture.is_empty()
    }

    /// Refuses an image for another platform than `wanted`.
    pub(crate) fn check_platform(&self, wanted: &Platform) -> Result<(), ImageError> {
        match self.rank(wanted) {
            Some(_) => Ok(()),
            None => Err(ImageError::Platform {
                wanted: wanted.clone(),
                found: self.platform.normal().to_string(),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(media_type: &str, platform: &str) -> String {
        let digest = Digest::of(platform);
        let (os, rest) = platform.split_once('/').unwrap_or(("linux", "amd64"));
        let (architecture, variant) = rest.split_once('/').unwrap_or((rest, ""));
        format!(
            r#"{{"mediaType":"{media_type}","digest":"{digest}","size":3,"platform":{{"os":"{os}","architecture":"{architecture}","variant":"{variant}"}}}}"#
        )
    }

    fn index(platforms: &[&str]) -> Vec<Entry> {
        let entries: Vec<String> = platforms.iter().map(|p| entry(OCI_MANIFEST, p)).collect();
        let text = format!(
            r#"{{"schemaVersion":2,"mediaType":"{OCI_INDEX}","manifests":[{}]}}"#,
            entries.join(",")
        );
        match document(text.as_bytes(), Some(DOCKER_LIST)).unwrap() {
            (media_type, Document::Index(entries)) if media_type == OCI_INDEX => entries,
            other => panic!("{other:?}"),
        }
    }

    fn chosen(entries: &[Entry], wanted: &str) -> Option<Digest> {
        choose(entries, &wanted.parse().unwrap()).map(|entry| entry.descriptor("manifest").unwrap().digest)
    }

    #[test]
    fn an_index_gives_the_platform_and_never_an_attestation() {
        let entries = index(&["linux/amd64", "unknown/unknown", "linux/arm64"]);
        assert_eq!(
            chosen(&entries, "linux/arm64/v8"),
            Some(Digest::of("linux/arm64"))
        );
        assert_eq!(chosen(&entries, "linux/riscv64"), None);
        assert_eq!(platforms(&entries), "linux/amd64, linux/arm64");
    }

    #[test]
    fn platforms_meet_in_their_normal_forms() {
        for written in ["linux/arm", "linux/arm/7", "linux/arm/v7", "linux/armhf"] {
            let entries = index(&["linux/amd64", written]);
            for wanted in ["linux/arm", "linux/arm/v7"] {
                assert_eq!(chosen(&entries, wanted), Some(Digest::of(written)), "{written}");
            }
        }
        let entries = index(&["linux/arm/v5", "linux/arm/v6", "linux/arm/v7"]);
        assert_eq!(chosen(&entries, "linux/arm/v6"), Some(Digest::of("linux/arm/v6")));
        assert_eq!(chosen(&entries, "linux/arm/v8"), Some(Digest::of("linux/arm/v7")));
    }

    #[test]
    fn an_entry_of_another_algorithm_harms_only_who_wants_it() {
        let text = format!(
            r#"{{"manifests":[{},{{"digest":"sha512:00","size":1,"platform":{{"os":"linux","architecture":"s390x"}}}}]}}"#,
            entry(OCI_MANIFEST, "linux/amd64")
        );
        let (_, Document::Index(entries)) = document(text.as_bytes(), None).unwrap() else {
            panic!("no index");
        };
        assert_eq!(chosen(&entries, "linux/amd64"), Some(Digest::of("linux/amd64")));
        let other = choose(&entries, &"linux/s390x".parse().unwrap()).unwrap();
        assert!(matches!(
            other.descriptor("manifest"),
            Err(ImageError::Algorithm { .. })
        ));
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
        for odd in [
            r#"{"schemaVersion":2,"mediaType":"application/x"}"#,
            r#"{"schemaVersion":2}"#,
            r#"{"schemaVersion":2,"errors":[]}"#,
        ] {
            let refused = document(odd.as_bytes(), None);
            assert!(matches!(refused, Err(ImageError::MediaType(_))), "{odd}");
        }
    }

    #[test]
    fn the_body_goes_before_the_header() {
        let text = format!(r#"{{"schemaVersion":2,"mediaType":"{OCI_INDEX}","manifests":[]}}"#);
        for header in [DOCKER_LIST, DOCKER_MANIFEST, "text/plain"] {
            assert_eq!(document(text.as_bytes(), Some(header)).unwrap().0, OCI_INDEX);
        }
        let silent = br#"{"schemaVersion":2,"manifests":[]}"#;
        assert_eq!(document(silent, Some(DOCKER_LIST)).unwrap().0, DOCKER_LIST);
        assert_eq!(document(silent, Some(DOCKER_MANIFEST)).unwrap().0, OCI_INDEX);
    }

    fn manifest(layers: &str) -> Manifest {
        let config = entry("application/vnd.oci.image.config.v1+json", "linux/arm");
        let text = format!(r#"{{"mediaType":"{OCI_MANIFEST}","config":{config}{layers}}}"#);
        match document(text.as_bytes(), None).unwrap() {
            (_, Document::Manifest(manifest)) => manifest,
            (_, other) => panic!("{other:?}"),
        }
    }

    #[test]
    fn absent_and_null_lists_are_empty() {
        for layers in ["", r#","layers":null"#, r#","layers":[]"#] {
            let manifest = manifest(layers);
            for rootfs in [
                "",
                r#""rootfs":null"#,
                r#""rootfs":{}"#,
                r#""rootfs":{"diff_ids":null}"#,
            ] {
                let read = config(format!("{{{rootfs}}}").as_bytes(), &manifest).unwrap();
                assert!(read.diff_ids.is_empty(), "{layers} {rootfs}");
            }
        }
    }

    #[test]
    fn a_configuration_must_fit_its_manifest_and_its_platform() {
        let layers = format!(r#","layers":[{}]"#, entry("l", "linux/arm"));
        let read = |platform: &str| {
            let text = format!(
                r#"{{{platform}"rootfs":{{"type":"layers","diff_ids":["{}"]}}}}"#,
                Digest::of("l")
            );
            config(text.as_bytes(), &manifest(&layers)).unwrap()
        };
        let fits =
            |platform: &str, wanted: &str| read(platform).check_platform(&wanted.parse().unwrap()).is_ok();
        let arm = r#""os":"linux","architecture":"arm","#;
        assert!(fits(arm, "linux/arm/v7") && fits(arm, "linux/arm/v6") && fits(arm, "linux/arm"));
        assert!(!fits(arm, "linux/amd64"));
        for silent in ["", r#""os":null,"architecture":"","#, r#""os":"linux","#] {
            assert!(fits(silent, "linux/amd64") && !read(silent).names_platform());
        }
        assert!(!fits(r#""os":"windows","#, "linux/amd64"));
        assert!(matches!(
            config(b"{}", &manifest(&layers)),
            Err(ImageError::Layers { .. })
        ));
        assert!(matches!(
            config(b"x", &manifest("")),
            Err(ImageError::Config { .. })
        ));
    }

    #[test]
    fn artifacts_are_told_as_what_they_are() {
        let mut manifest = manifest(&format!(r#","layers":[{}]"#, entry("l", "linux/arm")));
        manifest.config.media_type = "application/vnd.oci.empty.v1+json".to_owned();
        assert!(matches!(config(b"{}", &manifest), Err(ImageError::Artifact(_))));
    }
}
