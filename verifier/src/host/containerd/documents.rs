//! Whether an image's own documents say what the plan says. Pure.
//!
//! The plan comes from the index of the bundle. What runs is what index, manifest and configuration of the image say;
//! a bundle whose index claims something else is refused before any record is made.

use bundle::Digest;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::error::Error;
use crate::protocol::PlannedImage;

#[derive(Deserialize)]
struct Entry {
    digest: Digest,
}

#[derive(Deserialize)]
struct IndexDocument {
    manifests: Vec<Entry>,
}

#[derive(Deserialize)]
struct ManifestDocument {
    config: Entry,
    layers: Vec<Entry>,
}

#[derive(Deserialize)]
struct ConfigDocument {
    rootfs: RootFs,
}

#[derive(Deserialize)]
struct RootFs {
    diff_ids: Vec<Digest>,
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
            .any(|entry| entry.digest == image.manifest.digest);
        reader.agrees(named, "index", image.target.digest, || {
            format!("does not name manifest {}", image.manifest.digest)
        })?;
    }
    let digest = image.manifest.digest;
    let manifest: ManifestDocument = reader.read("manifest", digest, &documents.manifest)?;
    reader.agrees(
        manifest.config.digest == image.config.digest,
        "manifest",
        digest,
        || {
            format!(
                "names configuration {}, the plan {}",
                manifest.config.digest, image.config.digest
            )
        },
    )?;
    let layers = manifest.layers.iter().map(|entry| entry.digest);
    let same = layers.eq(image.layers.iter().map(|layer| layer.blob.digest));
    reader.agrees(same, "manifest", digest, || {
        "has other layers than the plan".into()
    })?;
    let digest = image.config.digest;
    let config: ConfigDocument = reader.read("configuration", digest, &documents.config)?;
    let diff_ids = config.rootfs.diff_ids.iter().copied();
    let same = diff_ids.eq(image.layers.iter().map(|layer| layer.diff_id));
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
            disagrees: format!("is none: {error}"),
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
