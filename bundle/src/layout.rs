//! The OCI image layout at the root of a bundle (OCI image spec, image-layout.md). Values only.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::digest::Digest;
use crate::index::{Image, Member};

/// The bytes of the member `oci-layout`.
pub const OCI_LAYOUT: &[u8] = br#"{"imageLayoutVersion":"1.0.0"}"#;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct OciIndex<'a> {
    schema_version: u32,
    media_type: &'static str,
    manifests: Vec<Descriptor<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Descriptor<'a> {
    media_type: &'a str,
    digest: String,
    size: u64,
    annotations: Annotations<'a>,
}

/// The names under which containerd's importer (the first) and skopeo (the second) find an image.
#[derive(Serialize)]
struct Annotations<'a> {
    #[serde(rename = "io.containerd.image.name")]
    containerd: &'a str,
    #[serde(rename = "org.opencontainers.image.ref.name")]
    oci: &'a str,
}

/// Returns the bytes of the member `index.json`: one entry an image, in the order given, each with its full
/// reference. The length of what a name stands for is taken from `members`; an image whose manifest no member
/// holds has no entry (and [`Index::validate`](crate::Index::validate) refuses it).
pub fn index_json(images: &[Image], members: &[Member]) -> Vec<u8> {
    // Looked up once each: an index may name the same blob for many thousands of images.
    let sizes: BTreeMap<Digest, u64> = members
        .iter()
        .filter_map(|member| Some((member.path.blob_digest()?, member.size)))
        .collect();
    let index = OciIndex {
        schema_version: 2,
        media_type: "application/vnd.oci.image.index.v1+json",
        manifests: images
            .iter()
            .filter_map(|image| Some(descriptor(image, *sizes.get(&image.digest)?)))
            .collect(),
    };
    // Strings and numbers always serialise; an empty file would be refused by validation.
    serde_json::to_vec(&index).unwrap_or_default()
}

fn descriptor(image: &Image, size: u64) -> Descriptor<'_> {
    Descriptor {
        media_type: &image.media_type,
        digest: image.digest.to_string(),
        size,
        annotations: Annotations {
            containerd: &image.name,
            oci: &image.name,
        },
    }
}
