//! The right image: what registries and archives write in other ways than most is understood, or refused in own words.

use bundle::Digest;
use serde_json::{Value, json};

use crate::images::{gzip, plain_http, tar_of};
use crate::sandbox::Sandbox;
use crate::store::{GZIP, INDEX, LIST, MANIFEST, Store, built, named, on, with};

#[test]
fn several_images_with_one_tag_keep_their_names() {
    let (sandbox, mut store) = (Sandbox::new(), Store::default());
    let names = ["kube-apiserver", "kube-controller-manager", "kube-proxy"];
    let entries = names.map(|name| {
        named(
            store.image(name, "linux", "amd64"),
            &format!("registry.k8s.io/{name}:v1.30.0"),
        )
    });
    store.archive(&sandbox, "same-tag.tar", &entries, &[]);
    let images = names
        .map(|name| format!("{{name: 'registry.k8s.io/{name}:v1.30.0', archive: same-tag.tar}}"))
        .join(", ");
    sandbox.spec(&format!("images: [{images}]\n"));
    let report = sandbox.build(&[]);
    assert_eq!(report["warnings"], json!([]));
    for (image, entry) in sandbox.index()["images"].as_array().unwrap().iter().zip(&entries) {
        assert_eq!(image["digest"], entry["digest"], "{}", image["name"]);
    }
}

#[test]
fn the_only_image_of_an_archive_under_another_name_is_a_warning_that_says_both() {
    let (sandbox, mut store) = (Sandbox::new(), Store::default());
    let entry = named(
        store.image("redis", "linux", "amd64"),
        "docker.io/library/redis:7",
    );
    store.archive(&sandbox, "one.tar", &[entry], &[]);
    sandbox.spec("images: [{name: 'nginx:1', archive: one.tar}]\n");
    let report = sandbox.build(&[]);
    let warning = report["warnings"][0].as_str().unwrap();
    assert!(
        warning.contains("docker.io/library/redis:7") && warning.contains("docker.io/library/nginx:1"),
        "{warning}"
    );
}

#[test]
fn of_an_index_in_an_archive_the_platform_that_is_there_is_packed() {
    let (sandbox, mut store) = (Sandbox::new(), Store::default());
    let (here, there) = (
        store.image("amd64", "linux", "amd64"),
        store.image("arm64", "linux", "arm64"),
    );
    let index = store.index(&[on(&here, "linux", "amd64"), on(&there, "linux", "arm64")]);
    let entry = named(index, "docker.io/library/golang:1.25");
    store.archive(&sandbox, "partial.tar", &[entry], &[&there]);
    sandbox.spec("images: [{name: 'golang:1.25', archive: partial.tar}]\n");
    sandbox.build(&[]);
    assert_eq!(
        sandbox.index()["images"][0]["platforms"][0]["manifest"],
        here["digest"]
    );
    let other = sandbox.run(&["build", "-o", "x.tar", "-q", "--platform", "linux/arm64"]);
    assert_eq!(other.code, Some(2));
    let missing = there["digest"].as_str().unwrap();
    assert!(other.stderr.contains(missing), "{}", other.stderr);
}

#[test]
fn lists_that_are_null_or_absent_are_empty() {
    let mut store = Store::default();
    let config = |rootfs: Value| json!({"os": "linux", "architecture": "amd64", "rootfs": rootfs});
    let cases = [
        (
            "rootfs-null",
            json!({"type": "layers", "diff_ids": null}),
            json!([]),
        ),
        ("rootfs-empty", json!({}), json!([])),
        ("rootfs-absent", Value::Null, json!([])),
        (
            "layers-null",
            json!({"type": "layers", "diff_ids": []}),
            Value::Null,
        ),
    ];
    for (name, rootfs, layers) in &cases {
        let manifest = store.manifest(&config(rootfs.clone()), layers);
        store.name(name, &manifest, MANIFEST);
    }
    let server = store.serve();
    for (name, ..) in cases {
        assert_eq!(
            built(&server, name, "linux/amd64").unwrap()["layers"],
            json!([]),
            "{name}"
        );
    }
}

#[test]
fn platforms_are_compared_in_their_normal_forms() {
    let mut store = Store::default();
    let (amd, arm) = (
        store.image("amd", "linux", "amd64"),
        store.image("arm", "linux", "arm"),
    );
    let ways = [
        ("no-variant", on(&arm, "linux", "arm")),
        (
            "seven",
            with(
                arm.clone(),
                "platform",
                json!({"os": "linux", "architecture": "arm", "variant": "7"}),
            ),
        ),
    ];
    for (name, entry) in &ways {
        let index = store.index(&[on(&amd, "linux", "x86_64"), entry.clone()]);
        store.name(name, &index, INDEX);
    }
    let server = store.serve();
    for (name, _) in ways {
        for wanted in ["linux/arm/v7", "linux/arm"] {
            assert_eq!(
                built(&server, name, wanted).unwrap()["manifest"],
                arm["digest"],
                "{name} {wanted}"
            );
        }
        assert_eq!(
            built(&server, name, "linux/amd64").unwrap()["manifest"],
            amd["digest"]
        );
        let refused = built(&server, name, "linux/arm64").unwrap_err();
        assert!(
            refused.contains("linux/arm64 is not among its platforms"),
            "{refused}"
        );
    }
}

#[test]
fn a_configuration_that_names_no_platform_is_taken_where_the_manifest_stands_alone() {
    let mut store = Store::default();
    for (name, config) in [
        ("empty", json!({"os": "", "architecture": ""})),
        ("absent", json!({})),
        ("null", json!({"os": null, "architecture": null})),
    ] {
        let manifest = store.image_with(name, &config);
        store.name(name, &manifest, MANIFEST);
    }
    let server = store.serve();
    for name in ["empty", "absent", "null"] {
        let found = built(&server, name, "linux/amd64").unwrap();
        assert!(
            found["warnings"].as_str().unwrap().contains("names no platform"),
            "{found}"
        );
    }
}

#[test]
fn entries_without_a_platform_are_judged_by_their_configurations() {
    let mut store = Store::default();
    let (amd, arm) = (
        store.image("amd", "linux", "amd64"),
        store.image("arm", "linux", "arm64"),
    );
    let artifact = store.manifest(&json!({}), &json!([]));
    let flat = store.index(&[artifact, arm.clone(), amd.clone()]);
    store.name("flat", &flat, INDEX);
    let nested = store.index(std::slice::from_ref(&flat));
    store.name("nested", &nested, INDEX);
    let server = store.serve();
    for (name, target) in [("flat", &flat), ("nested", &flat)] {
        for (platform, image) in [("linux/amd64", &amd), ("linux/arm64", &arm)] {
            let found = built(&server, name, platform).unwrap();
            assert_eq!(found["manifest"], image["digest"], "{name} {platform}");
            assert_eq!(found["target"], target["digest"], "{name} {platform}");
        }
        let refused = built(&server, name, "linux/riscv64").unwrap_err();
        assert!(refused.contains("its entries name no platform"), "{refused}");
    }
}

#[test]
fn an_entry_of_an_unknown_algorithm_harms_only_who_wants_it() {
    let mut store = Store::default();
    let amd = store.image("amd", "linux", "amd64");
    let other = json!({"mediaType": MANIFEST, "digest": format!("sha512:{}", "0".repeat(128)), "size": 1,
        "platform": {"os": "linux", "architecture": "s390x"}});
    let index = store.index(&[other, on(&amd, "linux", "amd64")]);
    store.name("two", &index, INDEX);
    let server = store.serve();
    assert_eq!(
        built(&server, "two", "linux/amd64").unwrap()["manifest"],
        amd["digest"]
    );
    let refused = built(&server, "two", "linux/s390x").unwrap_err();
    assert!(refused.contains("another algorithm than sha256"), "{refused}");
}

#[test]
fn the_body_says_what_it_is_and_not_the_header() {
    let mut store = Store::default();
    let amd = store.image("amd", "linux", "amd64");
    let index = store.index(&[on(&amd, "linux", "amd64")]);
    store.name("index", &index, LIST);
    store.name("manifest", &amd, "text/plain; charset=utf-8");
    let server = store.serve();
    for name in ["index", "manifest"] {
        assert_eq!(
            built(&server, name, "linux/amd64").unwrap()["manifest"],
            amd["digest"]
        );
    }
}

#[test]
fn non_distributable_layers_are_pulled_or_refused_in_their_own_words() {
    let mut store = Store::default();
    let plain = tar_of(b"base");
    let config = json!({"os": "linux", "architecture": "amd64",
        "rootfs": {"type": "layers", "diff_ids": [Digest::of(&plain).to_string()]}});
    let mut layer = store.put(
        "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
        &gzip(&plain),
    );
    layer["urls"] = json!(["https://mcr.example/base.tar.gz"]);
    let manifest = store.manifest(&config, &json!([layer]));
    store.name("base", &manifest, MANIFEST);
    let mut without = store.clone();
    assert!(built(&store.serve(), "base", "linux/amd64").is_ok());
    without.blobs.remove(layer["digest"].as_str().unwrap());
    let refused = built(&without.serve(), "base", "linux/amd64").unwrap_err();
    assert!(
        refused.contains("non-distributable") && refused.contains(layer["digest"].as_str().unwrap()),
        "{refused}"
    );
}

#[test]
fn a_manifest_that_lies_about_a_length_is_told_as_what_it_is() {
    let mut store = Store::default();
    let amd = store.image("amd", "linux", "amd64");
    let index = store.index(&[with(on(&amd, "linux", "amd64"), "size", 9.into())]);
    store.name("short", &index, INDEX);
    let refused = built(&store.serve(), "short", "linux/amd64").unwrap_err();
    assert!(refused.contains("has 9 bytes, and it has"), "{refused}");
}

#[test]
fn a_layer_that_no_runtime_could_apply_does_not_travel() {
    let mut store = Store::default();
    let plain = tar_of(&crate::images::noise(5, 5000));
    let whole = gzip(&plain);
    let config = json!({"os": "linux", "architecture": "amd64",
        "rootfs": {"type": "layers", "diff_ids": [Digest::of(&plain).to_string()]}});
    let cases = [
        (
            "cut",
            whole[..whole.len() - 100].to_vec(),
            "cannot be decompressed",
        ),
        ("half", gzip(&plain[..2000]), "no whole tar"),
        ("other", gzip(&tar_of(b"another")), "its configuration says"),
        (
            "html",
            b"<html>503 Service Unavailable</html>".to_vec(),
            "no whole tar",
        ),
    ];
    for (name, blob, _) in &cases {
        let layer = store.put(GZIP, blob);
        let manifest = store.manifest(&config, &json!([layer]));
        store.name(name, &manifest, MANIFEST);
    }
    let server = store.serve();
    for (name, blob, words) in cases {
        let (sandbox, address) = (Sandbox::new(), server.address());
        sandbox.spec(&format!(
            "images: ['{address}/{name}:1']\n{}",
            plain_http(address)
        ));
        sandbox.build(&[]);
        assert_eq!(sandbox.run(&["check", "site.tar"]).code, Some(0));
        let checked = sandbox.run(&["check", "--deep", "--json", "site.tar"]);
        assert_eq!(checked.code, Some(3), "{name}");
        let problems: Value = serde_json::from_str(&checked.stdout).unwrap();
        let member = format!("blobs/sha256/{}", Digest::of(&blob).hex());
        assert_eq!(problems["problems"][0]["member"], member, "{name}");
        std::fs::remove_file(sandbox.path("site.tar")).unwrap();
        std::fs::remove_file(sandbox.path("site.tar.sha256")).unwrap();
        let deep = sandbox.run(&["build", "--deep", "-o", "site.tar", "-q"]);
        assert_eq!(deep.code, Some(2), "{name}");
        let digest = Digest::of(&blob).to_string();
        assert!(
            deep.stderr.contains(words) && deep.stderr.contains(&digest),
            "{}",
            deep.stderr
        );
        sandbox.assert_no_archive();
    }
}
