//! A registry's content that a test makes as it likes, and a build of it.

use std::collections::BTreeMap;
use std::sync::Arc;

use bundle::Digest;
use serde_json::{Value, json};

use crate::images::{gzip, plain_http, tar_of};
use crate::sandbox::{Sandbox, tool};
use crate::server::{Answer, Server};

pub(crate) const INDEX: &str = "application/vnd.oci.image.index.v1+json";
pub(crate) const LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
pub(crate) const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
pub(crate) const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
pub(crate) const GZIP: &str = "application/vnd.oci.image.layer.v1.tar+gzip";

/// Blobs by digest, and what names stand for.
#[derive(Clone, Default)]
pub(crate) struct Store {
    pub(crate) blobs: BTreeMap<String, Vec<u8>>,
    names: BTreeMap<String, (Vec<u8>, String)>,
}

impl Store {
    pub(crate) fn put(&mut self, media_type: &str, bytes: &[u8]) -> Value {
        let digest = Digest::of(bytes).to_string();
        self.blobs.insert(digest.clone(), bytes.to_vec());
        json!({"mediaType": media_type, "digest": digest, "size": bytes.len()})
    }

    pub(crate) fn json(&mut self, media_type: &str, value: &Value) -> Value {
        self.put(media_type, value.to_string().as_bytes())
    }

    /// Adds an image of one layer and returns the descriptor of its manifest.
    pub(crate) fn image(&mut self, text: &str, os: &str, architecture: &str) -> Value {
        self.image_with(text, &json!({"os": os, "architecture": architecture}))
    }

    pub(crate) fn image_with(&mut self, text: &str, config: &Value) -> Value {
        let plain = tar_of(text.as_bytes());
        let layer = self.put(GZIP, &gzip(&plain));
        let mut config = config.clone();
        config["rootfs"] = json!({"type": "layers", "diff_ids": [Digest::of(&plain).to_string()]});
        self.manifest(&config, &json!([layer]))
    }

    pub(crate) fn manifest(&mut self, config: &Value, layers: &Value) -> Value {
        let config = self.json(CONFIG, config);
        self.json(
            MANIFEST,
            &json!({"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": layers}),
        )
    }

    pub(crate) fn index(&mut self, entries: &[Value]) -> Value {
        self.json(
            INDEX,
            &json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": entries}),
        )
    }

    pub(crate) fn name(&mut self, name: &str, blob: &Value, header: &str) {
        let bytes = self.blobs[blob["digest"].as_str().unwrap()].clone();
        self.names.insert(name.to_owned(), (bytes, header.to_owned()));
    }

    pub(crate) fn serve(self) -> Server {
        let store = Arc::new(self);
        Server::new(move |asked| {
            let last = asked.path.rsplit('/').next().unwrap();
            let name = asked.path.split('/').nth(2).unwrap();
            match (store.blobs.get(last), store.names.get(name)) {
                (Some(bytes), _) => Answer::new(200, bytes.clone()),
                (None, Some((bytes, header))) if asked.path.contains("/manifests/") => {
                    Answer::new(200, bytes.clone()).header("Content-Type", header.clone())
                }
                _ => Answer::new(404, "{}"),
            }
        })
    }

    /// Writes an OCI archive of these named entries with all blobs but `without`.
    pub(crate) fn archive(&self, sandbox: &Sandbox, name: &str, entries: &[Value], without: &[&Value]) {
        let index = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": entries});
        sandbox.write("layout/oci-layout", br#"{"imageLayoutVersion":"1.0.0"}"#);
        sandbox.write("layout/index.json", index.to_string().as_bytes());
        for (digest, bytes) in &self.blobs {
            if !without.iter().any(|gone| gone["digest"] == *digest) {
                sandbox.write(&format!("layout/blobs/sha256/{}", &digest[7..]), bytes);
            }
        }
        tool("tar", &["-C", "layout", "-cf", name, "."], &sandbox.path(""));
        std::fs::remove_dir_all(sandbox.path("layout")).unwrap();
    }
}

pub(crate) fn with(mut entry: Value, key: &str, value: Value) -> Value {
    entry[key] = value;
    entry
}

pub(crate) fn on(entry: &Value, os: &str, architecture: &str) -> Value {
    with(
        entry.clone(),
        "platform",
        json!({"os": os, "architecture": architecture}),
    )
}

/// As docker save (25 and later) and ctr images export write it: the full name, and the bare tag.
pub(crate) fn named(entry: Value, name: &str) -> Value {
    let tag = name.rsplit(':').next().unwrap();
    with(
        entry,
        "annotations",
        json!({"io.containerd.image.name": name, "org.opencontainers.image.ref.name": tag}),
    )
}

/// Builds `NAME` of a server and returns the platforms of the image, or what was said.
pub(crate) fn built(server: &Server, name: &str, platform: &str) -> Result<Value, String> {
    let (sandbox, address) = (Sandbox::new(), server.address());
    sandbox.spec(&format!(
        "images: ['{address}/{name}:1']\n{}",
        plain_http(address)
    ));
    let built = sandbox.run(&["build", "-o", "site.tar", "--platform", platform]);
    if built.code != Some(0) {
        assert_eq!(built.code, Some(2), "{}", built.stderr);
        sandbox.assert_no_archive();
        return Err(built.stderr);
    }
    let checked = sandbox.run(&["check", "site.tar", "--deep"]);
    assert_eq!(checked.code, Some(0), "{}", checked.stderr);
    let image = sandbox.index()["images"][0].clone();
    let mut found = image["platforms"][0].clone();
    found["target"] = image["digest"].clone();
    found["warnings"] = built.stderr.into();
    Ok(found)
}
