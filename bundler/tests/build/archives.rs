//! Images out of files, as docker, skopeo and buildx write them.

use std::process::Command;

use crate::images::{noise, simple};
use crate::sandbox::{Sandbox, tool};

/// Writes an image in one of skopeo's forms.
fn archive(sandbox: &Sandbox, form: &str, seed: u64) {
    let (layout, _) = simple(
        sandbox.path("layout"),
        &[noise(seed, 100_000), noise(seed + 1, 10)],
    );
    let source = format!("oci:{}:image", layout.path().display());
    tool(
        "skopeo",
        &["--insecure-policy", "copy", "-q", &source, form],
        &sandbox.path(""),
    );
}

fn check_image(sandbox: &Sandbox, media_type: &str) {
    assert_eq!(sandbox.run(&["check", "site.tar"]).code, Some(0));
    let image = sandbox.index()["images"][0].clone();
    assert_eq!(image["name"], "docker.io/library/app:1");
    assert_eq!(image["mediaType"], media_type);
    assert_eq!(image["platforms"][0]["layers"].as_array().unwrap().len(), 2);
}

#[test]
fn docker_save_becomes_a_schema_2_image_with_its_layers_as_stored() {
    let sandbox = Sandbox::new();
    archive(&sandbox, "docker-archive:app.tar:docker.io/library/app:1", 31);
    sandbox.spec("images: [{name: 'app:1', archive: app.tar, nodes: ['gpu-*']}]\n");
    sandbox.build(&[]);
    check_image(&sandbox, "application/vnd.docker.distribution.manifest.v2+json");
    assert_eq!(
        String::from_utf8(sandbox.member("config/nodes.json")).unwrap(),
        r#"{"version":1,"images":{"docker.io/library/app:1":["gpu-*"]}}"#
    );
    let layer = sandbox.index()["images"][0]["platforms"][0]["layers"][0].clone();
    assert_eq!(
        layer["digest"], layer["diffId"],
        "docker save keeps layers uncompressed"
    );
    let first = sandbox.archive();
    tool("gzip", &["app.tar"], &sandbox.path(""));
    sandbox.forget();
    sandbox.write("bundle.lock", b"{\"version\": 1, \"images\": []}");
    sandbox.spec("images: [{name: 'app:1', archive: app.tar.gz}]\n");
    sandbox.build(&[]);
    assert_ne!(sandbox.archive(), first, "the index names where it came from");
    check_image(&sandbox, "application/vnd.docker.distribution.manifest.v2+json");
}

#[test]
fn oci_archives_and_layouts_keep_their_digests() {
    let sandbox = Sandbox::new();
    archive(&sandbox, "oci-archive:app.tar:1", 33);
    let (_, manifest) = simple(sandbox.path("again"), &[noise(33, 100_000), noise(34, 10)]);
    for source in ["app.tar", "layout"] {
        sandbox.spec(&format!("images: [{{name: 'app:1', archive: {source}}}]\n"));
        sandbox.build(&[]);
        check_image(&sandbox, "application/vnd.oci.image.manifest.v1+json");
        assert_eq!(
            sandbox.index()["images"][0]["digest"],
            manifest.digest.to_string(),
            "{source}"
        );
    }
}

#[test]
fn what_holds_no_image_is_refused_with_what_it_is() {
    let sandbox = Sandbox::new();
    sandbox.write("plain.tar", b"this is no tar at all");
    sandbox.write("x", b"x");
    tool("tar", &["-cf", "other.tar", "x"], &sandbox.path(""));
    for (name, words) in [
        ("plain.tar", "cannot"),
        ("other.tar", "neither index.json nor manifest.json"),
    ] {
        sandbox.spec(&format!("images: [{{name: 'app:1', archive: {name}}}]\n"));
        let built = sandbox.run(&["build", "-o", "site.tar", "-q"]);
        assert_eq!(built.code, Some(2));
        assert!(
            built.stderr.contains(name) && built.stderr.contains(words),
            "{}",
            built.stderr
        );
        assert!(built.stderr.contains("hint: "), "{}", built.stderr);
        sandbox.assert_no_archive();
    }
}

#[test]
fn an_archive_with_an_altered_layer_is_refused() {
    let sandbox = Sandbox::new();
    archive(&sandbox, "oci-archive:app.tar:1", 35);
    let listing = tool("tar", &["-tvf", "app.tar"], &sandbox.path(""));
    let largest = listing
        .lines()
        .max_by_key(|line| line.split_whitespace().nth(2).unwrap().parse::<u64>().unwrap());
    let name = largest.unwrap().split_whitespace().last().unwrap().to_owned();
    tool("tar", &["-xf", "app.tar"], &sandbox.path(""));
    let mut bytes = std::fs::read(sandbox.path(&name)).unwrap();
    bytes[500] ^= 1;
    sandbox.write(&name, &bytes);
    tool(
        "tar",
        &["-cf", "app.tar", "blobs", "index.json", "oci-layout"],
        &sandbox.path(""),
    );
    sandbox.spec("images: [{name: 'app:1', archive: app.tar}]\n");
    let built = sandbox.run(&["build", "-o", "site.tar", "-q"]);
    assert_eq!(built.code, Some(2));
    assert!(built.stderr.contains(&name), "{}", built.stderr);
}

#[test]
fn a_changed_archive_is_taken_only_by_update() {
    let sandbox = Sandbox::new();
    archive(&sandbox, "oci-archive:app.tar:1", 36);
    sandbox.spec("images: [{name: 'app:1', archive: app.tar}]\n");
    sandbox.build(&[]);
    std::fs::remove_file(sandbox.path("app.tar")).unwrap();
    std::fs::remove_dir_all(sandbox.path("layout")).unwrap();
    archive(&sandbox, "oci-archive:app.tar:1", 38);
    sandbox.forget();
    let changed = sandbox.run(&["build", "-o", "site.tar", "-q"]);
    assert_eq!(changed.code, Some(2));
    assert!(
        changed.stderr.contains("--update docker.io/library/app:1"),
        "{}",
        changed.stderr
    );
    sandbox.build(&["--update", "app:1"]);
    let help = Command::new(env!("CARGO_BIN_EXE_bundler"))
        .args(["build", "--help"])
        .output()
        .unwrap();
    assert!(String::from_utf8_lossy(&help.stdout).contains("--update"));
}
