//! Small images: real layers, manifests and configurations, with the index that a bundle would have.

use std::collections::BTreeMap;
use std::io::{Read as _, Write};
use std::path::Path;

use bundle::{
    BundleFile, Digest, FORMAT, Image, Index, Kind, Layer, Member, MemberPath, Platform, PlatformImage,
    Source, Trust, WriteOptions, Writer, layout,
};
use serde_json::json;
use verifier::load::load_plan;
use verifier::protocol::{Blob, COMMIT, LoadPlan};

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// An index and the blobs that it names.
#[derive(Clone)]
pub(crate) struct Sample {
    pub(crate) index: Index,
    pub(crate) blobs: BTreeMap<Digest, Vec<u8>>,
}

impl Sample {
    pub(crate) fn new() -> Self {
        let index = Index {
            format: FORMAT,
            name: "sample".to_owned(),
            serial: None,
            created: None,
            tool: "test".to_owned(),
            platforms: vec![Platform::current()],
            requires: Vec::new(),
            smoke: None,
            images: Vec::new(),
            members: Vec::new(),
        };
        Self {
            index,
            blobs: BTreeMap::new(),
        }
    }

    /// Returns two images that share their lowest layer, the second behind an index; their upper layers delete what
    /// the lower ones hold. `filler` is the length of a file of noise in the lowest layer.
    pub(crate) fn two_images(filler: usize) -> Self {
        let mut sample = Self::new();
        let base = layer(&[
            ("etc/kept", b"kept"),
            ("etc/gone", b"gone"),
            ("opt/all", b"all"),
            ("noise", &noise(filler)),
        ]);
        let middle = layer(&[
            ("etc/.wh.gone", b""),
            ("opt/.wh..wh..opq", b""),
            ("opt/new", b"new"),
        ]);
        let top = layer(&[("etc/top", b"top"), ("opt/.wh.new", b"")]);
        sample.image("registry.example/one:1", &[&base, &middle, &top], false);
        sample.image("registry.example:5000/deep/two:2", &[&base, &middle], true);
        sample
    }

    /// Adds two images of one id: the same configuration, in a manifest of its own and behind an index.
    pub(crate) fn twins(&mut self, one: &str, other: &str) {
        let only = layer(&[("etc/twin", b"twin")]);
        self.image(one, &[&only], false);
        self.image(other, &[&only], true);
    }

    fn blob(&mut self, bytes: &[u8]) -> Digest {
        let digest = Digest::of(bytes);
        if self.blobs.contains_key(&digest) {
            return digest;
        }
        self.index.members.push(Member {
            path: MemberPath::blob(&digest),
            kind: Kind::Blob,
            size: bytes.len() as u64,
            sha256: digest,
            mode: 0o644,
        });
        self.blobs.insert(digest, bytes.to_vec());
        digest
    }

    /// Adds an image of layers that are given as tars.
    pub(crate) fn image(&mut self, name: &str, tars: &[&[u8]], behind_index: bool) {
        let mut layers = Vec::new();
        let mut descriptors = Vec::new();
        for (place, tar) in tars.iter().enumerate() {
            // Each compression that layers have.
            let (form, bytes) = match place % 3 {
                0 => ("+gzip", gzip(tar)),
                1 => ("+zstd", zstd::encode_all(*tar, 1).unwrap()),
                _ => ("", tar.to_vec()),
            };
            let digest = self.blob(&bytes);
            layers.push(Layer {
                digest,
                diff_id: Digest::of(tar),
                unpacked: Some(tar.len() as u64),
            });
            let media_type = format!("application/vnd.oci.image.layer.v1.tar{form}");
            descriptors.push(json!({"mediaType": media_type, "digest": digest, "size": bytes.len()}));
        }
        self.assemble(name, layers, &descriptors, behind_index);
    }

    /// Adds an image whose one layer is a zstd stream that does not say that it holds a file of so many zeros.
    pub(crate) fn bomb(&mut self, name: &str, length: u64) -> Digest {
        let mut header = tar::Header::new_gnu();
        header.set_path("zeros").unwrap();
        header.set_size(length);
        header.set_mode(0o644);
        header.set_cksum();
        let mut encoder = zstd::Encoder::new(Vec::new(), 1).unwrap();
        encoder.write_all(header.as_bytes()).unwrap();
        std::io::copy(&mut std::io::repeat(0).take(length + 1024), &mut encoder).unwrap();
        let bytes = encoder.finish().unwrap();
        let digest = self.blob(&bytes);
        let layer = Layer {
            digest,
            diff_id: Digest::of("never reached"),
            unpacked: None,
        };
        let media_type = "application/vnd.oci.image.layer.v1.tar+zstd";
        let descriptor = json!({"mediaType": media_type, "digest": digest, "size": bytes.len()});
        self.assemble(name, vec![layer], &[descriptor], false);
        digest
    }

    /// Adds an image of layers that are there.
    fn assemble(
        &mut self,
        name: &str,
        layers: Vec<Layer>,
        descriptors: &[serde_json::Value],
        behind_index: bool,
    ) {
        let platform = Platform::current();
        let diff_ids: Vec<Digest> = layers.iter().map(|layer| layer.diff_id).collect();
        let config = json!({"os": platform.os, "architecture": platform.architecture, "config": {},
            "rootfs": {"type": "layers", "diff_ids": diff_ids}});
        let config = config.to_string().into_bytes();
        let id = self.blob(&config);
        let config_type = "application/vnd.oci.image.config.v1+json";
        let manifest = json!({"schemaVersion": 2, "mediaType": MANIFEST, "layers": descriptors,
            "config": {"mediaType": config_type, "digest": id, "size": config.len()}});
        let manifest = manifest.to_string().into_bytes();
        let manifest_digest = self.blob(&manifest);
        let (digest, media_type) = if behind_index {
            let here = json!({"os": platform.os, "architecture": platform.architecture});
            let index = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": [
                {"mediaType": MANIFEST, "digest": Digest::of("absent"), "size": 7,
                    "platform": {"os": "linux", "architecture": "riscv64"}},
                {"mediaType": MANIFEST, "digest": manifest_digest, "size": manifest.len(), "platform": here},
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
                platform,
                manifest: manifest_digest,
                config: id,
                layers,
            }],
        });
    }

    /// Writes the bundle into `directory`.
    pub(crate) fn write(mut self, directory: &Path) -> BundleFile {
        self.index.sort();
        let layout = layout::index_json(&self.index.images, &self.index.members);
        for (name, bytes) in [("oci-layout", layout::OCI_LAYOUT), ("index.json", &layout)] {
            self.index.members.push(Member {
                path: MemberPath::new(name).unwrap(),
                kind: Kind::Layout,
                size: bytes.len() as u64,
                sha256: Digest::of(bytes),
                mode: 0o644,
            });
            self.blobs.insert(Digest::of(bytes), bytes.to_vec());
        }
        self.index.sort();
        let path = directory.join("sample.tar");
        let file = std::fs::File::create(&path).unwrap();
        let mut writer = Writer::new(file, self.index, WriteOptions::default()).unwrap();
        while let Some(member) = writer.next_member().cloned() {
            writer
                .append(&member.path, &mut self.blobs[&member.sha256].as_slice())
                .unwrap();
        }
        writer.finish().unwrap();
        BundleFile::open(Source::at(path), &Trust::any(), tempfile::tempfile).unwrap()
    }

    pub(crate) fn plan(&self, socket: String) -> LoadPlan {
        let plan = load_plan(
            &self.index,
            &Platform::current(),
            true,
            &std::collections::BTreeSet::new(),
        )
        .unwrap();
        LoadPlan {
            socket: Some(socket),
            ..plan
        }
    }

    /// Returns the blobs of the plan in the order of an archive, and the stream that carries them.
    pub(crate) fn stream(&self, plan: &LoadPlan) -> (Vec<Blob>, Vec<u8>) {
        let send: Vec<Blob> = plan.blobs().into_values().collect();
        let mut bytes: Vec<u8> = send
            .iter()
            .flat_map(|blob| self.blobs[&blob.digest].clone())
            .collect();
        bytes.push(COMMIT);
        (send, bytes)
    }
}

/// Makes a tar of files; parents come first, as in real layers.
pub(crate) fn layer(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    let mut directories = Vec::new();
    for (path, bytes) in files {
        if let Some((parent, _)) = path.rsplit_once('/')
            && !directories.contains(&parent)
        {
            directories.push(parent);
            let mut header = tar::Header::new_gnu();
            header.set_entry_type(tar::EntryType::Directory);
            header.set_size(0);
            header.set_mode(0o755);
            tar.append_data(&mut header, parent, &[][..]).unwrap();
        }
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        tar.append_data(&mut header, path, *bytes).unwrap();
    }
    tar.into_inner().unwrap()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// Bytes that no compression makes smaller, always the same.
pub(crate) fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let words = std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    });
    words.flatten().take(length).collect()
}
