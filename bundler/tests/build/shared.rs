//! One cache, several builds, and ends at any moment: never a wrong byte, and nothing left behind.

use std::fs;
use std::process::{Child, Stdio};
use std::thread;
use std::time::Duration;

use bundle::Digest;
use serde_json::{Value, json};

use crate::images::{noise, plain_http, push, registry, simple};
use crate::proxy::{Fault, Proxy};
use crate::sandbox::Sandbox;

/// Returns the names in a directory.
fn names(sandbox: &Sandbox, directory: &str) -> Vec<String> {
    let entries = fs::read_dir(sandbox.path(directory))
        .into_iter()
        .flatten()
        .flatten();
    entries
        .map(|entry| entry.file_name().into_string().unwrap())
        .collect()
}

/// Asserts that every blob of the cache has the hash that its name says.
fn assert_blobs(sandbox: &Sandbox) {
    for name in names(sandbox, ".cache/bundler/blobs/sha256") {
        let path = sandbox.path(".cache/bundler/blobs/sha256").join(&name);
        // Another build may have removed it meanwhile.
        if let Ok(bytes) = fs::read(path) {
            assert_eq!(Digest::of(bytes).hex(), name);
        }
    }
}

fn start(sandbox: &Sandbox, output: &str) -> Child {
    let lock = format!("{output}.lock");
    let mut command = sandbox.command(&["build", "-o", output, "--lock", &lock, "-q"]);
    command
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

#[test]
fn two_builds_killed_at_any_moment_leave_no_wrong_byte() {
    let (sandbox, registry) = (Sandbox::new(), registry());
    let proxy = Proxy::new(
        registry.address(),
        Fault::Cut {
            seed: 5,
            most: 400_000,
        },
    );
    let layers: Vec<Vec<u8>> = (0..4).map(|seed| noise(90 + seed, 700_000)).collect();
    let (layout, _) = simple(sandbox.path("image"), &layers);
    push(&layout, &format!("{}/app:1", registry.address()), &[]);
    let address = proxy.address();
    sandbox.spec(&format!("images: ['{address}/app:1']\n{}", plain_http(address)));
    for round in 0..30_u64 {
        let mut builds = [start(&sandbox, "a.tar"), start(&sandbox, "b.tar")];
        for (number, build) in builds.iter_mut().enumerate() {
            // Moments that look like chance and are the same each time.
            let moment = (round * 2 + number as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56;
            thread::sleep(Duration::from_millis(moment));
            let _ = build.kill();
            build.wait().unwrap();
        }
        if round % 5 == 4 {
            assert_eq!(sandbox.run(&["cache", "prune", "--days", "0"]).code, Some(0));
        }
        assert_blobs(&sandbox);
    }
    let builds = ["a.tar", "b.tar"].map(|output| start(&sandbox, output));
    for mut build in builds {
        assert!(build.wait().unwrap().success());
    }
    assert_blobs(&sandbox);
    let archive = |name: &str| Digest::of(fs::read(sandbox.path(name)).unwrap());
    assert_eq!(archive("a.tar"), archive("b.tar"));
    assert_eq!(sandbox.run(&["check", "--deep", "a.tar"]).code, Some(0));
    // What the killed builds left is gone.
    assert_eq!(sandbox.run(&["cache", "list"]).code, Some(0));
    assert_eq!(names(&sandbox, ".cache/bundler/tmp"), [""; 0]);
    assert_eq!(names(&sandbox, ".cache/bundler/partial"), [""; 0]);
    let left: Vec<String> = names(&sandbox, "")
        .into_iter()
        .filter(|name| name.contains(".tmp"))
        .collect();
    assert_eq!(left, [""; 0]);
}

#[test]
fn a_blob_that_was_damaged_in_the_cache_is_pulled_again_and_never_packed() {
    let (sandbox, registry) = (Sandbox::new(), registry());
    let address = registry.address();
    let (layout, _) = simple(sandbox.path("image"), &[noise(71, 300_000), noise(72, 1000)]);
    push(&layout, &format!("{address}/app:1"), &[]);
    sandbox.spec(&format!("images: ['{address}/app:1']\n{}", plain_http(address)));
    sandbox.build(&[]);
    let whole = sandbox.archive();
    let blobs = names(&sandbox, ".cache/bundler/blobs/sha256");
    for more in [&[] as &[&str], &["--deep"]] {
        for name in &blobs {
            let path = sandbox.path(".cache/bundler/blobs/sha256").join(name);
            let mut bytes = fs::read(&path).unwrap();
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1;
            fs::write(&path, bytes).unwrap();
            sandbox.build(more);
            assert_eq!(sandbox.archive(), whole, "{name}");
        }
    }
}

#[test]
fn the_cache_tells_what_it_holds_and_forgets_what_nobody_uses() {
    let (sandbox, registry) = (Sandbox::new(), registry());
    let address = registry.address();
    for (name, seed) in [("old", 81), ("new", 82)] {
        let (layout, _) = simple(sandbox.path(name), &[noise(seed, 100_000)]);
        push(&layout, &format!("{address}/{name}:1"), &[]);
        sandbox.spec(&format!(
            "images: ['{address}/{name}:1']\n{}",
            plain_http(address)
        ));
        sandbox.build(&["--lock", &format!("{name}.lock")]);
    }
    let list = || -> Value { sandbox.run(&["cache", "list", "--json"]).json() };
    let before = list();
    assert_eq!((&before["version"], &before["blobs"]), (&json!(1), &json!(6)));
    assert_eq!(before["unused"]["blobs"], 0);
    let lock = &before["locks"][0];
    assert!(lock["lock"].as_str().unwrap().ends_with("/new.lock"), "{before}");
    assert_eq!((&lock["blobs"], &lock["days"]), (&json!(3), &json!(0)));
    assert_eq!(lock["images"][0], format!("{address}/new:1"));
    // The older lock file was used forty days ago.
    for name in names(&sandbox, ".cache/bundler/notes") {
        let path = sandbox.path(".cache/bundler/notes").join(name);
        if fs::read_to_string(&path).unwrap().contains("/old.lock") {
            let file = fs::File::options().write(true).open(&path).unwrap();
            file.set_modified(std::time::SystemTime::now() - Duration::from_hours(40 * 24))
                .unwrap();
        }
    }
    let pruned = sandbox.run(&["cache", "prune", "--json"]).json();
    assert_eq!(pruned["removed"]["blobs"], 3);
    assert_eq!(list()["blobs"], 3);
    let text = sandbox.run(&["cache", "list"]);
    assert!(
        text.stdout.contains("3 blobs") && text.stdout.contains("new.lock"),
        "{}",
        text.stdout
    );
    drop(registry);
    sandbox.build(&["--lock", "new.lock", "--locked"]);
}

#[test]
fn nothing_is_pruned_beside_a_build() {
    let (sandbox, registry) = (Sandbox::new(), registry());
    let stalled = Proxy::new(registry.address(), Fault::Stall { after: 0 });
    let address = stalled.address();
    sandbox.spec(&format!("images: ['{address}/app:1']\n{}", plain_http(address)));
    let mut build = start(&sandbox, "a.tar");
    while stalled.connections() == 0 {
        thread::sleep(Duration::from_millis(10));
    }
    let pruned = sandbox.run(&["cache", "prune"]);
    assert_eq!(pruned.code, Some(2));
    assert!(
        pruned.stderr.contains("in use by another build"),
        "{}",
        pruned.stderr
    );
    build.kill().unwrap();
    build.wait().unwrap();
    assert_eq!(sandbox.run(&["cache", "prune"]).code, Some(0));
}

#[test]
fn a_manifest_that_lies_about_a_length_costs_no_blob() {
    let (sandbox, registry) = (Sandbox::new(), registry());
    let address = registry.address();
    let (layout, _) = simple(sandbox.path("image"), &[noise(73, 5000)]);
    push(&layout, &format!("{address}/app:1"), &[]);
    sandbox.spec(&format!("images: ['{address}/app:1']\n{}", plain_http(address)));
    sandbox.build(&[]);
    let blobs = names(&sandbox, ".cache/bundler/blobs/sha256").len();
    // The same layer, one byte longer, in an archive of its own.
    let layout = sandbox.path("image");
    let manifest = fs::read_to_string(layout.join("index.json")).unwrap();
    let manifest: Value = serde_json::from_str(&manifest).unwrap();
    let digest = manifest["manifests"][0]["digest"].as_str().unwrap()[7..].to_owned();
    let text = fs::read(layout.join("blobs/sha256").join(&digest)).unwrap();
    let mut evil: Value = serde_json::from_slice(&text).unwrap();
    let size = evil["layers"][0]["size"].as_u64().unwrap() + 1;
    evil["layers"][0]["size"] = size.into();
    let evil = evil.to_string();
    let entry = json!({"mediaType": "application/vnd.oci.image.manifest.v1+json",
        "digest": Digest::of(&evil).to_string(), "size": evil.len()});
    sandbox.write(
        &format!("image/blobs/sha256/{}", Digest::of(&evil).hex()),
        evil.as_bytes(),
    );
    sandbox.write(
        "image/index.json",
        json!({"schemaVersion": 2, "manifests": [entry]})
            .to_string()
            .as_bytes(),
    );
    sandbox.spec("images: [{name: 'evil:1', archive: image}]\n");
    let built = sandbox.run(&["build", "-o", "evil.tar", "-q"]);
    assert_eq!(built.code, Some(2));
    assert!(
        built.stderr.contains(&format!("has {size} bytes, and it has")),
        "{}",
        built.stderr
    );
    assert_eq!(names(&sandbox, ".cache/bundler/blobs/sha256").len(), blobs + 1);
}
