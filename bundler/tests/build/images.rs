//! Small images as OCI layouts, and skopeo to push them.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use bundle::Digest;
use lab::registry::{Options, Registry, Storage};
use serde_json::{Value, json};

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// An OCI layout that is being made.
pub(crate) struct Layout {
    directory: PathBuf,
}

/// A blob of a layout.
#[derive(Clone, Debug)]
pub(crate) struct Blob {
    pub(crate) digest: Digest,
    pub(crate) size: usize,
}

impl Layout {
    pub(crate) fn new(directory: PathBuf) -> Self {
        fs::create_dir_all(directory.join("blobs/sha256")).unwrap();
        fs::write(directory.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
        Self { directory }
    }

    fn put(&self, bytes: &[u8]) -> Blob {
        let digest = Digest::of(bytes);
        fs::write(self.directory.join("blobs/sha256").join(digest.hex()), bytes).unwrap();
        Blob {
            digest,
            size: bytes.len(),
        }
    }

    /// Adds an image of these layers (each a plain tar of one file) and returns its manifest.
    pub(crate) fn image(&self, architecture: &str, contents: &[Vec<u8>]) -> Blob {
        let tars: Vec<Vec<u8>> = contents.iter().map(|content| tar_of(content)).collect();
        let layers: Vec<Value> = tars
            .iter()
            .map(|tar| {
                let compressed = gzip(tar);
                let blob = self.put(&compressed);
                json!({"mediaType": "application/vnd.oci.image.layer.v1.tar+gzip",
                    "digest": blob.digest.to_string(), "size": blob.size})
            })
            .collect();
        let diff_ids: Vec<String> = tars.iter().map(|tar| Digest::of(tar).to_string()).collect();
        let config = json!({"architecture": architecture, "os": "linux", "config": {},
            "rootfs": {"type": "layers", "diff_ids": diff_ids}});
        let config = self.put(config.to_string().as_bytes());
        let manifest = json!({"schemaVersion": 2, "mediaType": MANIFEST, "layers": layers,
            "config": {"mediaType": "application/vnd.oci.image.config.v1+json",
                "digest": config.digest.to_string(), "size": config.size}});
        self.put(manifest.to_string().as_bytes())
    }

    /// Adds an index of images by platform, with an attestation as buildx makes them.
    pub(crate) fn index(&self, images: &[(&str, Blob)]) -> Blob {
        let entry = |(architecture, blob): &(&str, Blob)| {
            json!({"mediaType": MANIFEST, "digest": blob.digest.to_string(), "size": blob.size,
                "platform": {"os": "linux", "architecture": architecture}})
        };
        let mut entries: Vec<Value> = images.iter().map(entry).collect();
        let attestation = self.image("unknown", &[b"attestation".to_vec()]);
        let mut attestation = entry(&("unknown", attestation));
        attestation["platform"]["os"] = "unknown".into();
        entries.push(attestation);
        let index = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": entries});
        self.put(index.to_string().as_bytes())
    }

    /// Writes index.json: one name for one manifest or index.
    pub(crate) fn name(&self, name: &str, blob: &Blob, is_index: bool) {
        let media_type = if is_index { INDEX } else { MANIFEST };
        let index = json!({"schemaVersion": 2, "manifests": [{"mediaType": media_type,
            "digest": blob.digest.to_string(), "size": blob.size,
            "annotations": {"org.opencontainers.image.ref.name": name}}]});
        fs::write(self.directory.join("index.json"), index.to_string()).unwrap();
    }

    pub(crate) fn path(&self) -> &Path {
        &self.directory
    }
}

/// Makes an image of one platform in a fresh layout and returns its directory and manifest.
pub(crate) fn simple(directory: PathBuf, contents: &[Vec<u8>]) -> (Layout, Blob) {
    let layout = Layout::new(directory);
    let manifest = layout.image("amd64", contents);
    layout.name("image", &manifest, false);
    (layout, manifest)
}

/// Pushes the image named `image` of a layout byte for byte.
pub(crate) fn push(layout: &Layout, target: &str, more: &[&str]) {
    let mut arguments = vec!["--insecure-policy", "copy", "--quiet", "--dest-tls-verify=false"];
    arguments.extend(more);
    let source = format!("oci:{}:image", layout.path().display());
    let target = format!("docker://{target}");
    arguments.extend([source.as_str(), target.as_str()]);
    let output = Command::new("skopeo").args(&arguments).output().unwrap();
    assert!(
        output.status.success(),
        "skopeo: {}",
        String::from_utf8_lossy(&output.stderr)
    );
}

/// Starts an empty registry over plain HTTP.
pub(crate) fn registry() -> Registry {
    let options = Options {
        storage: Storage::Empty,
        ..Options::default()
    };
    Registry::start(&options).unwrap()
}

/// Returns the section of a spec that allows plain HTTP.
pub(crate) fn plain_http(address: SocketAddr) -> String {
    format!("registries: {{\"{address}\": {{plainHttp: true}}}}\n")
}

/// Returns bytes that do not compress and differ by `seed` (xorshift64).
pub(crate) fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

pub(crate) fn tar_of(content: &[u8]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_ustar();
    header.set_size(content.len() as u64);
    header.set_mode(0o644);
    builder.append_data(&mut header, "content", content).unwrap();
    builder.into_inner().unwrap()
}

pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    use std::io::Write as _;
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}
