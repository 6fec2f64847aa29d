//! Writes OCI image layouts: layers, configurations, manifests, indexes. Same input, same bytes.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufWriter, Read, Write};
use std::path::PathBuf;

use flate2::{Compression, GzBuilder};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::{OCI_INDEX, OCI_MANIFEST};
use crate::cache::hex;

/// Everything is as old as this, so that the same packages give the same bytes.
pub(super) const CREATED: &str = "2026-01-01T00:00:00Z";
/// The same in seconds, for tar headers and tools.
pub(super) const CREATED_SECONDS: u64 = 1_767_225_600;

const LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";

/// A blob of a layout, as manifests name it.
#[derive(Clone, Debug)]
pub(super) struct Descriptor {
    media_type: &'static str,
    digest: String,
    size: u64,
}

impl Descriptor {
    fn json(&self) -> Value {
        json!({"mediaType": self.media_type, "digest": self.digest, "size": self.size})
    }
}

/// A layer: its blob, and the digest of its uncompressed tar.
#[derive(Clone, Debug)]
pub(super) struct Layer {
    blob: Descriptor,
    diff_id: String,
}

/// An image's own settings.
pub(super) struct Settings<'a> {
    pub(super) architecture: &'a str,
    /// The `config` object: Entrypoint, Env ...
    pub(super) config: Value,
}

/// A layout that is being written.
pub(super) struct Layout {
    directory: PathBuf,
    manifests: Vec<Value>,
}

impl Layout {
    /// Creates an empty layout in a new directory.
    pub(super) fn create(directory: PathBuf) -> io::Result<Self> {
        fs::create_dir_all(directory.join("blobs/sha256"))?;
        fs::write(directory.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#)?;
        Ok(Self {
            directory,
            manifests: Vec::new(),
        })
    }

    /// Adds a layer from an uncompressed tar.
    pub(super) fn layer(&self, tar: &mut dyn Read, level: Compression) -> io::Result<Layer> {
        let staged = self.blobs().join(".layer");
        let file = Hashing::new(BufWriter::with_capacity(1 << 20, File::create(&staged)?));
        let mut gzip = Hashing::new(GzBuilder::new().write(file, level));
        io::copy(tar, &mut gzip)?;
        let diff_id = format!("sha256:{}", hex(&gzip.hash.finalize()));
        let mut file = gzip.inner.finish()?;
        file.flush()?;
        let digest = hex(&file.hash.finalize());
        fs::rename(&staged, self.blobs().join(&digest))?;
        let blob = Descriptor {
            media_type: LAYER,
            digest: format!("sha256:{digest}"),
            size: file.count,
        };
        Ok(Layer { blob, diff_id })
    }

    /// Takes a layer of another layout as it is.
    pub(super) fn share(&self, other: &Layout, layer: &Layer) -> io::Result<()> {
        let name = layer.blob.digest.trim_start_matches("sha256:");
        let target = self.blobs().join(name);
        if !target.exists() {
            fs::hard_link(other.blobs().join(name), target)?;
        }
        Ok(())
    }

    /// Adds an image of layers and returns its manifest.
    pub(super) fn image(&self, settings: &Settings<'_>, layers: &[Layer]) -> io::Result<Descriptor> {
        let diff_ids: Vec<&str> = layers.iter().map(|layer| layer.diff_id.as_str()).collect();
        let config = json!({
            "architecture": settings.architecture,
            "os": "linux",
            "created": CREATED,
            "config": settings.config,
            "rootfs": {"type": "layers", "diff_ids": diff_ids},
            "history": layers.iter().map(|_| json!({"created": CREATED, "created_by": "lab"})).collect::<Vec<_>>(),
        });
        let config = self.json(CONFIG, &config)?;
        let layers: Vec<Value> = layers.iter().map(|layer| layer.blob.json()).collect();
        let manifest =
            json!({"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": config.json(), "layers": layers});
        self.json(OCI_MANIFEST, &manifest)
    }

    /// Adds an index over manifests, each with its architecture.
    pub(super) fn index(&self, images: &BTreeMap<&str, Descriptor>) -> io::Result<Descriptor> {
        let manifests: Vec<Value> = images
            .iter()
            .map(|(architecture, manifest)| {
                let mut entry = manifest.json();
                entry["platform"] = json!({"architecture": architecture, "os": "linux"});
                entry
            })
            .collect();
        self.json(
            OCI_INDEX,
            &json!({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": manifests}),
        )
    }

    /// Names a manifest or index.
    pub(super) fn tag(&mut self, target: &Descriptor, name: &str) {
        let mut entry = target.json();
        entry["annotations"] = json!({"org.opencontainers.image.ref.name": name});
        self.manifests.push(entry);
    }

    /// Writes index.json.
    pub(super) fn finish(&self) -> io::Result<()> {
        let index = json!({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": self.manifests});
        fs::write(self.directory.join("index.json"), serde_json::to_vec(&index)?)
    }

    fn blobs(&self) -> PathBuf {
        self.directory.join("blobs/sha256")
    }

    fn json(&self, media_type: &'static str, value: &Value) -> io::Result<Descriptor> {
        let bytes = serde_json::to_vec(value)?;
        let digest = hex(&Sha256::digest(&bytes));
        fs::write(self.blobs().join(&digest), &bytes)?;
        let size = u64::try_from(bytes.len()).map_err(io::Error::other)?;
        Ok(Descriptor {
            media_type,
            digest: format!("sha256:{digest}"),
            size,
        })
    }
}

/// Hashes and counts what is written through it.
struct Hashing<W> {
    inner: W,
    hash: Sha256,
    count: u64,
}

impl<W> Hashing<W> {
    fn new(inner: W) -> Self {
        Self {
            inner,
            hash: Sha256::new(),
            count: 0,
        }
    }
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.hash.update(&bytes[..written]);
        self.count += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// Starts a layer's tar in memory, for layers of a few files.
pub(super) struct Files {
    tar: tar::Builder<Vec<u8>>,
}

impl Files {
    /// Returns an empty tar.
    pub(super) fn new() -> Self {
        Self {
            tar: tar::Builder::new(Vec::new()),
        }
    }

    /// Adds a regular file.
    pub(super) fn file(&mut self, path: &str, mode: u32, content: &[u8]) -> io::Result<()> {
        let mut header = header(tar::EntryType::Regular, mode);
        header.set_size(content.len() as u64);
        self.tar.append_data(&mut header, path, content)
    }

    /// Adds a symbolic link.
    pub(super) fn link(&mut self, path: &str, target: &str) -> io::Result<()> {
        self.tar
            .append_link(&mut header(tar::EntryType::Symlink, 0o777), path, target)
    }

    /// Returns the tar's bytes.
    pub(super) fn finish(self) -> io::Result<Vec<u8>> {
        self.tar.into_inner()
    }
}

/// Returns a header that says nothing of this machine.
pub(super) fn header(kind: tar::EntryType, mode: u32) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(CREATED_SECONDS);
    header.set_size(0);
    header
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn write(directory: &Path) -> String {
        let mut layout = Layout::create(directory.to_owned()).unwrap();
        let mut files = Files::new();
        files.file("etc/motd", 0o644, b"hello").unwrap();
        files.link("var/log/access.log", "/dev/stdout").unwrap();
        let layer = layout
            .layer(&mut files.finish().unwrap().as_slice(), Compression::default())
            .unwrap();
        let settings = Settings {
            architecture: "amd64",
            config: json!({"Cmd": ["/pause"]}),
        };
        let image = layout.image(&settings, &[layer]).unwrap();
        layout.tag(&image, "1.0");
        layout.finish().unwrap();
        fs::read_to_string(directory.join("index.json")).unwrap()
    }

    #[test]
    fn the_same_input_gives_the_same_bytes() {
        let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        assert_eq!(write(one.path()), write(two.path()));
    }

    #[test]
    fn every_blob_lies_under_its_own_digest() {
        let directory = tempfile::tempdir().unwrap();
        write(directory.path());
        let blobs: Vec<_> = fs::read_dir(directory.path().join("blobs/sha256"))
            .unwrap()
            .map(Result::unwrap)
            .collect();
        assert_eq!(blobs.len(), 3);
        for blob in blobs {
            let digest = hex(&Sha256::digest(fs::read(blob.path()).unwrap()));
            assert_eq!(blob.file_name().to_str().unwrap(), digest);
        }
    }
}
