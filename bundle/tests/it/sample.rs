//! A small bundle with one of everything: an image alone, an image behind an index, all kinds of members.

use std::collections::BTreeMap;
use std::io::Cursor;

use bundle::{
    Compression, Digest, FORMAT, Image, Index, Kind, Layer, Member, MemberPath, PlatformImage, Sealed, Smoke,
    WriteOptions, Writer, layout,
};
use serde_json::json;

/// The type of a manifest.
pub(crate) const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// An index and the bytes of its members.
#[derive(Clone)]
pub(crate) struct Sample {
    pub(crate) index: Index,
    pub(crate) bytes: BTreeMap<MemberPath, Vec<u8>>,
}

pub(crate) fn path(path: &str) -> MemberPath {
    MemberPath::new(path).unwrap()
}

impl Sample {
    /// Returns a bundle without any image.
    pub(crate) fn empty() -> Self {
        let index = Index {
            format: FORMAT,
            name: "sample".to_owned(),
            serial: None,
            created: None,
            tool: "test 1".to_owned(),
            platforms: vec!["linux/amd64".parse().unwrap()],
            requires: Vec::new(),
            smoke: None,
            images: Vec::new(),
            members: Vec::new(),
        };
        let bytes = BTreeMap::new();
        Self { index, bytes }.sealed()
    }

    /// Returns a bundle with one of everything.
    pub(crate) fn full() -> Self {
        let mut sample = Self::empty();
        sample.put("README.txt", Kind::Readme, 0o644, b"read me\n");
        sample.put("verifier-linux-amd64", Kind::Verifier, 0o755, b"\x7fELF of sorts");
        sample.put("config/crictl.yaml", Kind::Config, 0o644, b"timeout: 10\n");
        sample.put(
            "manifests/smoke.yaml",
            Kind::Manifest,
            0o644,
            b"kind: Deployment\n",
        );
        sample.put("files/\u{d55c}\u{ad6d}.txt", Kind::File, 0o644, b"");
        sample.put(
            &format!("files/{}/end.sh", "long/".repeat(28) + "x"),
            Kind::File,
            0o755,
            b"#!/bin/sh\n",
        );
        sample.image(
            "docker.io/library/alone:1",
            &[b"layer one".as_slice(), &[7; 700]],
            false,
        );
        sample.image("registry.k8s.io/pause:3.10", &[b"layer one".as_slice()], true);
        sample.index.smoke = Some(Smoke {
            image: "docker.io/library/alone:1".to_owned(),
        });
        sample.sealed()
    }

    /// Adds a member.
    pub(crate) fn put(&mut self, name: &str, kind: Kind, mode: u32, bytes: &[u8]) {
        let path = path(name);
        self.index.members.retain(|member| member.path != path);
        self.index.members.push(Member {
            path: path.clone(),
            kind,
            size: bytes.len() as u64,
            sha256: Digest::of(bytes),
            mode,
        });
        self.bytes.insert(path, bytes.to_vec());
    }

    /// Adds a blob.
    pub(crate) fn blob(&mut self, bytes: &[u8]) -> Digest {
        let digest = Digest::of(bytes);
        self.put(MemberPath::blob(&digest).as_str(), Kind::Blob, 0o644, bytes);
        digest
    }

    /// Adds an image of plain layers, behind an image index if so.
    pub(crate) fn image(&mut self, name: &str, layers: &[&[u8]], behind_index: bool) {
        let layers: Vec<(Layer, usize)> = layers
            .iter()
            .map(|bytes| {
                let digest = self.blob(bytes);
                let unpacked = Some(bytes.len() as u64);
                (
                    Layer {
                        digest,
                        diff_id: digest,
                        unpacked,
                    },
                    bytes.len(),
                )
            })
            .collect();
        let diff_ids: Vec<Digest> = layers.iter().map(|(layer, _)| layer.diff_id).collect();
        let config = json!({"os": "linux", "architecture": "amd64", "rootfs": {"type": "layers", "diff_ids": diff_ids}});
        let config = config.to_string().into_bytes();
        let config_digest = self.blob(&config);
        let descriptors: Vec<_> = layers
            .iter()
            .map(|(layer, size)| json!({"mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": layer.digest, "size": size}))
            .collect();
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": config_digest, "size": config.len()},
            "layers": descriptors,
        });
        let manifest = manifest.to_string().into_bytes();
        let manifest_digest = self.blob(&manifest);
        let (digest, media_type) = if behind_index {
            let index = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": [
                {"mediaType": MANIFEST, "digest": manifest_digest, "size": manifest.len(), "platform": {"os": "linux", "architecture": "amd64"}},
                {"mediaType": MANIFEST, "digest": Digest::of("another platform"), "size": 7, "platform": {"os": "linux", "architecture": "arm64"}},
            ]});
            (self.blob(index.to_string().as_bytes()), INDEX)
        } else {
            (manifest_digest, MANIFEST)
        };
        self.index.images.push(Image {
            name: name.to_owned(),
            from: name.to_owned(),
            digest,
            media_type: media_type.to_owned(),
            platforms: vec![PlatformImage {
                platform: "linux/amd64".parse().unwrap(),
                manifest: manifest_digest,
                config: config_digest,
                layers: layers.into_iter().map(|(layer, _)| layer).collect(),
            }],
        });
    }

    /// Brings the index into order, with the OCI layout that follows from it.
    pub(crate) fn sealed(mut self) -> Self {
        self.index.sort();
        let index = layout::index_json(&self.index.images, &self.index.members);
        self.put("oci-layout", Kind::Layout, 0o644, layout::OCI_LAYOUT);
        self.put("index.json", Kind::Layout, 0o644, &index);
        self.index.sort();
        self
    }

    /// Writes the archive.
    pub(crate) fn write(&self, compression: Compression) -> (Vec<u8>, Sealed) {
        let options = WriteOptions {
            mtime: 0,
            compression,
            signature: None,
        };
        let mut writer = Writer::new(Vec::new(), self.index.clone(), options).unwrap();
        while let Some(member) = writer.next_member() {
            let path = member.path.clone();
            writer
                .append(&path, &mut Cursor::new(&self.bytes[&path]))
                .unwrap();
        }
        writer.finish().unwrap()
    }
}
