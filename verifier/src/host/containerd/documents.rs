//! Whether an image's own documents say what the plan says. Pure.
//!
//! The plan comes from the index of the bundle. What runs is what index, manifest and configuration of the image say;
//! a bundle whose index claims something else is refused before any record is made.

use bundle::Digest;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};

use super::error::Error;
use crate::protocol::PlannedImage;

/// A digest stays text: other entries of an index may use other algorithms.
#[derive(Deserialize)]
struct Entry {
    digest: String,
}

#[derive(Deserialize)]
struct IndexDocument {
    #[serde(default, deserialize_with = "list")]
    manifests: Vec<Entry>,
}

#[derive(Deserialize)]
struct ManifestDocument {
    config: Entry,
    #[serde(default, deserialize_with = "list")]
    layers: Vec<Entry>,
}

#[derive(Deserialize)]
struct ConfigDocument {
    #[serde(default)]
    rootfs: Option<RootFs>,
}

#[derive(Deserialize, Default)]
struct RootFs {
    #[serde(default, deserialize_with = "list")]
    diff_ids: Vec<String>,
}

/// Reads a list; `null` is an empty one, as Go writes it.
fn list<'de, D: Deserializer<'de>, T: Deserialize<'de>>(input: D) -> Result<Vec<T>, D::Error> {
    Option::deserialize(input).map(Option::unwrap_or_default)
}

/// The documents of an image as containerd holds them.
pub(super) struct Documents {
    /// The index, where the name stands for one.
    pub(super) index: Option<Vec<u8>>,
    /// The manifest.
    pub(super) manifest: Vec<u8>,
    /// The configuration.
    pub(super) config: Vec<u8>,
}

/// Checks that the documents lead from the name to the planned layers.
pub(super) fn check(image: &PlannedImage, documents: &Documents) -> Result<(), Error> {
    let reader = Reader { image };
    if let Some(bytes) = &documents.index {
        let index: IndexDocument = reader.read("index", image.target.digest, bytes)?;
        let named = index
            .manifests
            .iter()
            .any(|entry| entry.digest == image.manifest.digest.to_string());
        reader.agrees(named, "index", image.target.digest, || {
            format!("does not name manifest {}", image.manifest.digest)
        })?;
    }
    let digest = image.manifest.digest;
    let manifest: ManifestDocument = reader.read("manifest", digest, &documents.manifest)?;
    reader.agrees(
        manifest.config.digest == image.config.digest.to_string(),
        "manifest",
        digest,
        || {
            format!(
                "names configuration {}, the plan {}",
                manifest.config.digest, image.config.digest
            )
        },
    )?;
    let layers = manifest.layers.into_iter().map(|entry| entry.digest);
    let same = layers.eq(image.layers.iter().map(|layer| layer.blob.digest.to_string()));
    reader.agrees(same, "manifest", digest, || {
        "has other layers than the plan".into()
    })?;
    let digest = image.config.digest;
    let config: ConfigDocument = reader.read("configuration", digest, &documents.config)?;
    let diff_ids = config.rootfs.unwrap_or_default().diff_ids.into_iter();
    let same = diff_ids.eq(image.layers.iter().map(|layer| layer.diff_id.to_string()));
    reader.agrees(same, "configuration", digest, || {
        "has other diff ids than the plan".into()
    })
}

struct Reader<'a> {
    image: &'a PlannedImage,
}

impl Reader<'_> {
    fn read<T: DeserializeOwned>(
        &self,
        document: &'static str,
        digest: Digest,
        bytes: &[u8],
    ) -> Result<T, Error> {
        serde_json::from_slice(bytes).map_err(|error| Error::Disagrees {
            image: self.image.name.clone(),
            document,
            digest,
            // Without the parser's own words: they quote the document.
            disagrees: format!("is none: line {}, column {}", error.line(), error.column()),
        })
    }

    fn agrees(
        &self,
        does: bool,
        document: &'static str,
        digest: Digest,
        disagrees: impl Fn() -> String,
    ) -> Result<(), Error> {
        if does {
            return Ok(());
        }
        Err(Error::Disagrees {
            image: self.image.name.clone(),
            document,
            digest,
            disagrees: disagrees(),
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::protocol::{Blob, PlannedLayer};

    fn image() -> PlannedImage {
        let blob = |text: &str| Blob {
            digest: Digest::of(text),
            size: 1,
        };
        PlannedImage {
            name: "example.org/a:1".to_owned(),
            target: blob("index"),
            media_type: String::new(),
            manifest: blob("manifest"),
            config: blob("config"),
            layers: vec![PlannedLayer {
                blob: blob("layer"),
                diff_id: Digest::of("diff"),
                unpacked: None,
            }],
        }
    }

    fn documents(layer: &str, diff: &str) -> Documents {
        let entry = |text: &str| json!({"digest": Digest::of(text)});
        let bytes = |value: serde_json::Value| value.to_string().into_bytes();
        Documents {
            index: Some(bytes(json!({"manifests": [entry("other"), entry("manifest")]}))),
            manifest: bytes(json!({"config": entry("config"), "layers": [entry(layer)]})),
            config: bytes(json!({"rootfs": {"type": "layers", "diff_ids": [Digest::of(diff)]}})),
        }
    }

    #[test]
    fn documents_that_say_what_the_plan_says_are_accepted() {
        check(&image(), &documents("layer", "diff")).unwrap();
    }

    #[test]
    fn entries_of_other_algorithms_and_absent_or_null_lists_are_understood() {
        let mut documents = documents("layer", "diff");
        let other = json!({"digest": format!("sha512:{}", "0".repeat(128))});
        let manifest = json!({"digest": Digest::of("manifest")});
        documents.index = Some(json!({"manifests": [other, manifest]}).to_string().into_bytes());
        check(&image(), &documents).unwrap();
        let mut bare = image();
        bare.layers.clear();
        documents.manifest = json!({"config": {"digest": Digest::of("config")}, "layers": null})
            .to_string()
            .into_bytes();
        documents.config = b"{}".to_vec();
        check(&bare, &documents).unwrap();
    }

    #[test]
    fn another_layer_diff_id_or_manifest_is_refused() {
        let refusal = |documents: &Documents| check(&image(), documents).unwrap_err().to_string();
        assert!(refusal(&documents("evil", "diff")).contains("has other layers"));
        assert!(refusal(&documents("layer", "evil")).contains("has other diff ids"));
        let mut unnamed = documents("layer", "diff");
        unnamed.index = Some(b"{\"manifests\": []}".to_vec());
        assert!(refusal(&unnamed).contains("does not name manifest"));
        unnamed.index = Some(b"no json".to_vec());
        assert!(refusal(&unnamed).contains("is none"));
    }
}
