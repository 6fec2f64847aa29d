//! The archive has three readers: coreutils with tar, containerd and skopeo, and our own. Here are the other two,
//! on an OCI image, a Docker schema 2 image and one platform of a multi-platform index.

use std::fs;
use std::path::Path;
use std::process::Command;

use e2e::{Closed, Finished};
use lab::Options;
use serde_json::Value;

/// As on the page, it is not on the PATH.
const CTR: &str = "/opt/containerd/bin/ctr";

const SPEC: &str = "\
apiVersion: bundle/v1
name: readers
platforms: [linux/amd64]
images:
  - {name: docker.io/library/nginx:1.29, from: 127.0.0.1:5000/library/nginx:1.29}
  - {name: docker.io/library/nginx:1.29-docker, from: 127.0.0.1:5000/library/nginx:1.29-docker}
  - {name: docker.io/library/nginx:1.29-multi, from: 127.0.0.1:5000/library/nginx:1.29-multi}
  - {name: registry.k8s.io/pause:3.10, from: 127.0.0.1:5000/pause:3.10}
registries:
  127.0.0.1:5000: {plainHttp: true}
smoke: {image: docker.io/library/nginx:1.29}
manifests: [builtin:smoke]
verifier: [self]
";

fn sh(dir: &Path, script: &str) -> Finished {
    Command::new("sh")
        .args(["-euc", script])
        .current_dir(dir)
        .output()
        .expect("sh")
        .into()
}

#[test]
fn coreutils_ctr_and_skopeo_read_the_archive_without_our_tools() {
    let closed = Closed::up(&Options {
        name: "e2e-readers".into(),
        nodes: 1,
        ..Options::default()
    });
    let spec = closed.lab().paths().connected().join("readers.yaml");
    fs::write(&spec, SPEC).expect("write the spec");
    let archive = closed.build("readers.tar", &spec.to_string_lossy());
    let dir = tempfile::tempdir_in("/var/tmp").expect("a directory");
    fs::copy(&archive, dir.path().join("readers.tar")).expect("copy");

    let unpacked = sh(
        dir.path(),
        "mkdir out; tar -xf readers.tar -C out; cd out; sha256sum --quiet -c SHA256SUMS; find . -type f | wc -l",
    );
    assert_eq!(unpacked.code, Some(0), "{}", unpacked.stderr);
    let sums = fs::read_to_string(dir.path().join("out/SHA256SUMS")).expect("SHA256SUMS");
    assert_eq!(
        unpacked.stdout.trim(),
        (sums.lines().count() + 1).to_string(),
        "every member but SHA256SUMS is summed"
    );

    let index = fs::read(dir.path().join("out/bundle.json")).expect("bundle.json");
    let index: Value = serde_json::from_slice(&index).expect("JSON");
    let images: Vec<(&str, &str, &str)> = index["images"]
        .as_array()
        .expect("images")
        .iter()
        .map(|image| (&image["name"], &image["digest"], &image["mediaType"]))
        .map(|(n, d, m)| {
            (
                n.as_str().expect("name"),
                d.as_str().expect("digest"),
                m.as_str().expect("mediaType"),
            )
        })
        .collect();
    assert_eq!(images.len(), 4);

    for (name, _, media_type) in &images {
        if media_type.contains("oci") {
            let copy = format!(
                "skopeo --insecure-policy copy --quiet oci-archive:readers.tar:{name} dir:skopeo; rm -r skopeo"
            );
            let copied = sh(dir.path(), &copy);
            assert_eq!(copied.code, Some(0), "skopeo {name}: {}", copied.stderr);
        }
    }

    let node = closed
        .lab()
        .root("node-0")
        .expect("node-0 runs")
        .join("root/readers.tar");
    fs::copy(&archive, node).expect("copy onto the node");
    let import = closed.on(
        "node-0",
        &[CTR, "-n", "k8s.io", "images", "import", "/root/readers.tar"],
    );
    assert_eq!(import.code, Some(0), "{}", import.stderr);
    let list = closed.on("node-0", &[CTR, "-n", "k8s.io", "images", "ls"]).stdout;
    for (name, digest, _) in &images {
        let held = list
            .lines()
            .any(|line| line.starts_with(&format!("{name} ")) && line.contains(digest));
        assert!(held, "{name} with its registry's digest {digest}: {list}");
    }
}
