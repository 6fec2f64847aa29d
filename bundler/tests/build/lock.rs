//! The lock: the same lock gives the same bytes, and only --update moves it.

use std::fs;

use crate::images::{noise, plain_http, push, registry, simple};
use crate::sandbox::Sandbox;

#[test]
fn a_second_build_asks_nobody_and_gives_the_same_bytes() {
    let (sandbox, registry) = (Sandbox::new(), registry());
    let address = registry.address();
    let (layout, _) = simple(sandbox.path("image"), &[noise(21, 200_000)]);
    push(&layout, &format!("{address}/nginx:1"), &[]);
    sandbox.spec(&format!(
        "images: ['{address}/nginx:1']\nmanifests: ['builtin:smoke']\ncrictl: {{timeout: 10}}\n{}",
        plain_http(address)
    ));
    sandbox.build(&[]);
    let first = sandbox.archive();
    drop(registry);
    let again = sandbox.build(&["--locked"]);
    assert_eq!(again["pulled"]["blobs"], 0);
    assert_eq!(sandbox.archive(), first);
}

#[test]
fn two_machines_with_the_same_lock_make_the_same_bytes() {
    let registry = registry();
    let address = registry.address();
    let mut archives = Vec::new();
    let mut lock: Option<Vec<u8>> = None;
    for _ in 0..2 {
        let sandbox = Sandbox::new();
        let (layout, _) = simple(sandbox.path("image"), &[noise(22, 100_000), noise(23, 5000)]);
        push(&layout, &format!("{address}/app:1"), &[]);
        sandbox.spec(&format!("images: ['{address}/app:1']\n{}", plain_http(address)));
        sandbox.write("deploy/note.txt", b"x");
        if let Some(lock) = &lock {
            sandbox.write("bundle.lock", lock);
        }
        sandbox.build(&[]);
        lock = Some(fs::read(sandbox.path("bundle.lock")).unwrap());
        archives.push(fs::read(sandbox.path("site.tar")).unwrap());
    }
    assert!(archives[0] == archives[1]);
}

#[test]
fn a_tag_that_moved_is_taken_only_by_update() {
    let (sandbox, registry) = (Sandbox::new(), registry());
    let address = registry.address();
    let name = format!("{address}/app:1");
    let digest = |sandbox: &Sandbox| {
        sandbox.index()["images"][0]["digest"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    let (layout, old) = simple(sandbox.path("old"), &[noise(24, 1000)]);
    push(&layout, &name, &["--preserve-digests"]);
    sandbox.spec(&format!("images: ['{name}']\n{}", plain_http(address)));
    sandbox.build(&[]);
    let (layout, new) = simple(sandbox.path("new"), &[noise(25, 1000)]);
    push(&layout, &name, &["--preserve-digests"]);
    sandbox.forget();
    sandbox.build(&[]);
    assert_eq!(digest(&sandbox), old.digest.to_string());
    sandbox.build(&["--update", &name]);
    assert_eq!(digest(&sandbox), new.digest.to_string());
    let unknown = sandbox.run(&["build", "-o", "site.tar", "--update", "other:1"]);
    assert_eq!(unknown.code, Some(64));
    assert!(
        unknown.stderr.contains("--update other:1: no such image"),
        "{}",
        unknown.stderr
    );
}

#[test]
fn locked_refuses_every_change_before_it_asks_anybody() {
    let (sandbox, registry) = (Sandbox::new(), registry());
    let address = registry.address();
    let (layout, _) = simple(sandbox.path("image"), &[noise(26, 1000)]);
    push(&layout, &format!("{address}/app:1"), &[]);
    sandbox.spec(&format!("images: ['{address}/app:1']\n{}", plain_http(address)));
    sandbox.build(&[]);
    let lock = fs::read(sandbox.path("bundle.lock")).unwrap();
    fs::remove_file(sandbox.path("site.tar")).unwrap();
    fs::remove_file(sandbox.path("site.tar.sha256")).unwrap();
    drop(registry);
    sandbox.spec(&format!("images: ['{address}/app:2']\n{}", plain_http(address)));
    let refused = sandbox.run(&["build", "-o", "site.tar", "--locked"]);
    assert_eq!(refused.code, Some(64));
    assert!(
        refused
            .stderr
            .contains(&format!("{address}/app:2 from {address}/app:2 is not in it"))
    );
    assert!(
        refused
            .stderr
            .contains(&format!("{address}/app:1 is no longer in the spec"))
    );
    assert_eq!(fs::read(sandbox.path("bundle.lock")).unwrap(), lock);
    sandbox.assert_no_archive();
}

#[test]
fn a_dry_run_shows_the_plan_and_writes_nothing() {
    let (sandbox, registry) = (Sandbox::new(), registry());
    let address = registry.address();
    let (layout, _) = simple(sandbox.path("image"), &[noise(27, 50_000)]);
    push(&layout, &format!("{address}/app:1"), &[]);
    sandbox.spec(&format!("images: ['{address}/app:1']\n{}", plain_http(address)));
    let plan = sandbox.build(&["--dry-run"]);
    assert!(!sandbox.path("bundle.lock").exists());
    sandbox.assert_no_archive();
    assert!(plan["pull"].as_u64().unwrap() > 50_000);
    sandbox.build(&[]);
    let listing = crate::sandbox::tool("tar", &["-tf", "site.tar"], &sandbox.path(""));
    let members = plan["members"].as_array().unwrap().iter();
    let planned: Vec<&str> = members.map(|member| member["path"].as_str().unwrap()).collect();
    let written: Vec<&str> = listing
        .lines()
        .filter(|name| !["bundle.json", "SHA256SUMS"].contains(name))
        .collect();
    assert_eq!(planned, written);
}

#[test]
fn a_damaged_cache_is_noticed_and_healed() {
    let (sandbox, registry) = (Sandbox::new(), registry());
    let address = registry.address();
    let (layout, _) = simple(sandbox.path("image"), &[noise(28, 50_000)]);
    push(&layout, &format!("{address}/app:1"), &[]);
    sandbox.spec(&format!("images: ['{address}/app:1']\n{}", plain_http(address)));
    sandbox.build(&[]);
    let first = sandbox.archive();
    let layer = sandbox.index()["images"][0]["platforms"][0]["layers"][0]["digest"]
        .as_str()
        .unwrap()
        .to_owned();
    let path = sandbox
        .path(".cache/bundler/blobs/sha256")
        .join(layer.trim_start_matches("sha256:"));
    let mut bytes = fs::read(&path).unwrap();
    bytes[1000] ^= 1;
    fs::write(&path, bytes).unwrap();
    sandbox.build(&[]);
    assert_eq!(sandbox.archive(), first);
}
