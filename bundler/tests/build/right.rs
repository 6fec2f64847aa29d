//! The right image: what registries and archives write in other ways than most is understood, or refused in own words.

use std::collections::BTreeMap;
use std::sync::Arc;

use bundle::Digest;
use serde_json::{Value, json};

use crate::images::{gzip, plain_http, tar_of};
use crate::sandbox::{Sandbox, tool};
use crate::server::{Answer, Server};

const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const GZIP: &str = "application/vnd.oci.image.layer.v1.tar+gzip";

/// Blobs by digest, and what names stand for.
#[derive(Clone, Default)]
struct Store {
    blobs: BTreeMap<String, Vec<u8>>,
    names: BTreeMap<String, (Vec<u8>, String)>,
}

impl Store {
    fn put(&mut self, media_type: &str, bytes: &[u8]) -> Value {
        let digest = Digest::of(bytes).to_string();
        self.blobs.insert(digest.clone(), bytes.to_vec());
        json!({"mediaType": media_type, "digest": digest, "size": bytes.len()})
    }

    fn json(&mut self, media_type: &str, value: &Value) -> Value {
        self.put(media_type, value.to_string().as_bytes())
    }

    /// Adds an image of one layer and returns the descriptor of its manifest.
    fn image(&mut self, text: &str, os: &str, architecture: &str) -> Value {
        self.image_with(text, &json!({"os": os, "architecture": architecture}))
    }

    fn image_with(&mut self, text: &str, config: &Value) -> Value {
        let plain = tar_of(text.as_bytes());
        let layer = self.put(GZIP, &gzip(&plain));
        let mut config = config.clone();
        config["rootfs"] = json!({"type": "layers", "diff_ids": [Digest::of(&plain).to_string()]});
        self.manifest(&config, &json!([layer]))
    }

    fn manifest(&mut self, config: &Value, layers: &Value) -> Value {
        let config = self.json(CONFIG, config);
        self.json(
            MANIFEST,
            &json!({"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": layers}),
        )
    }

    fn index(&mut self, entries: &[Value]) -> Value {
        self.json(
            INDEX,
            &json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": entries}),
        )
    }

    fn name(&mut self, name: &str, blob: &Value, header: &str) {
        let bytes = self.blobs[blob["digest"].as_str().unwrap()].clone();
        self.names.insert(name.to_owned(), (bytes, header.to_owned()));
    }

    fn serve(self) -> Server {
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
    fn archive(&self, sandbox: &Sandbox, name: &str, entries: &[Value], without: &[&Value]) {
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

fn with(mut entry: Value, key: &str, value: Value) -> Value {
    entry[key] = value;
    entry
}

fn on(entry: &Value, os: &str, architecture: &str) -> Value {
    with(
        entry.clone(),
        "platform",
        json!({"os": os, "architecture": architecture}),
    )
}

/// As docker save (25 and later) and ctr images export write it: the full name, and the bare tag.
fn named(entry: Value, name: &str) -> Value {
    let tag = name.rsplit(':').next().unwrap();
    with(
        entry,
        "annotations",
        json!({"io.containerd.image.name": name, "org.opencontainers.image.ref.name": tag}),
    )
}

/// Builds `NAME` of a server and returns the platforms of the image, or what was said.
fn built(server: &Server, name: &str, platform: &str) -> Result<Value, String> {
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

/// Builds an archive that must be refused; nothing of it may be in the cache.
fn refused_archive(sandbox: &Sandbox, name: &str) -> String {
    sandbox.spec(&format!("images: [{{name: 'app:1', archive: {name}}}]\n"));
    let built = sandbox.run(&["build", "-o", "site.tar", "-q"]);
    assert_eq!(built.code, Some(2), "{}", built.stderr);
    sandbox.assert_no_archive();
    let kept = std::fs::read_dir(sandbox.path(".cache/bundler/blobs/sha256"))
        .unwrap()
        .count();
    assert_eq!(kept, 0, "{name} left something in the cache");
    built.stderr
}

#[test]
fn of_an_archive_only_what_is_named_is_copied() {
    let (sandbox, mut store) = (Sandbox::new(), Store::default());
    let image = store.image("amd", "linux", "amd64");
    store.put("junk", &vec![7; 3 << 20]);
    store.archive(
        &sandbox,
        "app.tar",
        &[named(image, "docker.io/library/app:1")],
        &[],
    );
    sandbox.spec("images: [{name: 'app:1', archive: app.tar}]\n");
    sandbox.build(&[]);
    let blobs = std::fs::read_dir(sandbox.path(".cache/bundler/blobs/sha256")).unwrap();
    let size: u64 = blobs.map(|blob| blob.unwrap().metadata().unwrap().len()).sum();
    assert!(size < 100_000, "{size} bytes are in the cache");
    // Megabytes that belong to no image at all.
    let sandbox = Sandbox::new();
    sandbox.write("junk/a", &vec![1; 1 << 20]);
    tool(
        "tar",
        &["-C", "junk", "-czf", "junk.tar.gz", "."],
        &sandbox.path(""),
    );
    assert!(refused_archive(&sandbox, "junk.tar.gz").contains("neither index.json nor manifest.json"));
}

#[test]
fn nothing_is_followed_or_opened_that_is_no_regular_file() {
    let (sandbox, mut store) = (Sandbox::new(), Store::default());
    let image = store.image("amd", "linux", "amd64");
    store.archive(&sandbox, "app.tar", std::slice::from_ref(&image), &[]);
    let hex = image["digest"].as_str().unwrap()[7..].to_owned();
    let blob = format!("layout/blobs/sha256/{hex}");
    let fresh = || {
        let _ = std::fs::remove_dir_all(sandbox.path("layout"));
        sandbox.write("layout/x", b"");
        tool("tar", &["-C", "layout", "-xf", "app.tar"], &sandbox.path(""));
    };
    fresh();
    std::fs::rename(sandbox.path(&blob), sandbox.path("elsewhere")).unwrap();
    std::os::unix::fs::symlink(sandbox.path("elsewhere"), sandbox.path(&blob)).unwrap();
    assert!(refused_archive(&sandbox, "layout").contains(&hex));
    fresh();
    std::fs::remove_file(sandbox.path(&blob)).unwrap();
    tool("mkfifo", &[&blob], &sandbox.path(""));
    assert!(refused_archive(&sandbox, "layout").contains(&hex));
    fresh();
    std::fs::remove_file(sandbox.path("layout/index.json")).unwrap();
    tool("mkfifo", &["layout/index.json"], &sandbox.path(""));
    refused_archive(&sandbox, "layout");
    fresh();
    std::fs::rename(sandbox.path("layout/blobs"), sandbox.path("blobs")).unwrap();
    std::os::unix::fs::symlink(sandbox.path("blobs"), sandbox.path("layout/blobs")).unwrap();
    refused_archive(&sandbox, "layout");
    tool("mkfifo", &["pipe.tar"], &sandbox.path(""));
    assert!(refused_archive(&sandbox, "pipe.tar").contains("no regular file"));
}

#[test]
fn an_index_that_comes_twice_is_refused() {
    let (sandbox, mut store) = (Sandbox::new(), Store::default());
    let image = store.image("amd", "linux", "amd64");
    store.archive(&sandbox, "app.tar", std::slice::from_ref(&image), &[]);
    sandbox.write("index.json", br#"{"schemaVersion":2,"manifests":[]}"#);
    tool("tar", &["-rf", "app.tar", "index.json"], &sandbox.path(""));
    assert!(refused_archive(&sandbox, "app.tar").contains("\"index.json\" comes twice"));
}

/// The input that cost 6.3 GB of memory: a name of gigabytes in a GNU header, in a few megabytes of gzip.
#[test]
fn a_header_without_measure_costs_no_memory() {
    use std::io::Write as _;
    let sandbox = Sandbox::new();
    let mut header = tar::Header::new_gnu();
    header.set_path("././@LongLink").unwrap();
    header.set_entry_type(tar::EntryType::GNULongName);
    header.set_size(3 << 30);
    header.set_cksum();
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(header.as_bytes()).unwrap();
    let piece = vec![b'a'; 1 << 20];
    for _ in 0..64 {
        encoder.write_all(&piece).unwrap();
    }
    sandbox.write("long.tar.gz", &encoder.finish().unwrap());
    assert!(refused_archive(&sandbox, "long.tar.gz").contains("longer than any program writes"));
}

#[test]
fn what_an_archive_calls_its_images_does_not_reach_the_terminal_raw() {
    let (sandbox, mut store) = (Sandbox::new(), Store::default());
    let nasty = "docker.io/library/a:1\u{1b}]0;PWNED\u{7}\n  hint: x\u{202e}";
    let annotate = |entry: Value| {
        with(
            entry,
            "annotations",
            json!({"org.opencontainers.image.ref.name": nasty}),
        )
    };
    let (one, two) = (
        store.image("one", "linux", "amd64"),
        store.image("two", "linux", "amd64"),
    );
    store.archive(&sandbox, "two.tar", &[annotate(one.clone()), annotate(two)], &[]);
    let refused = {
        sandbox.spec("images: [{name: 'app:1', archive: two.tar}]\n");
        sandbox.run(&["build", "-o", "site.tar"])
    };
    assert_eq!(refused.code, Some(2));
    store.archive(&sandbox, "one.tar", &[annotate(one)], &[]);
    sandbox.spec("images: [{name: 'app:1', archive: one.tar}]\n");
    let warned = sandbox.run(&["build", "-o", "site.tar"]);
    assert_eq!(warned.code, Some(0), "{}", warned.stderr);
    for said in [refused.stderr, warned.stderr] {
        assert!(said.contains("\\u{1b}]0;PWNED\\u{7}\\n"), "{said}");
        assert!(!said.contains(['\u{1b}', '\u{7}', '\u{202e}']), "{said}");
    }
}

#[test]
fn lengths_that_no_file_has_are_refused_and_nothing_wraps() {
    let mut store = Store::default();
    let plain = tar_of(b"x");
    let layer = store.put(GZIP, &gzip(&plain));
    let diff_id = Digest::of(&plain).to_string();
    let config = json!({"os": "linux", "architecture": "amd64",
        "rootfs": {"type": "layers", "diff_ids": [diff_id, diff_id, diff_id]}});
    let other = store.put(GZIP, &gzip(&tar_of(b"y")));
    let layers = json!([
        with(layer.clone(), "size", u64::MAX.into()),
        with(other, "size", u64::MAX.into()),
        layer
    ]);
    let manifest = store.manifest(&config, &layers);
    store.name("huge", &manifest, MANIFEST);
    let refused = built(&store.serve(), "huge", "linux/amd64").unwrap_err();
    assert!(
        refused.contains("its manifest says 18446744073709551615"),
        "{refused}"
    );
}

#[test]
fn a_list_of_saved_images_that_is_too_long_is_refused() {
    let sandbox = Sandbox::new();
    let layers = vec!["l"; 5000];
    let saved = json!([{"Config": "c.json", "RepoTags": ["app:1"], "Layers": layers}]);
    sandbox.write("tar/manifest.json", saved.to_string().as_bytes());
    sandbox.write("tar/c.json", b"{}");
    sandbox.write("tar/l", b"");
    tool("tar", &["-C", "tar", "-cf", "long.tar", "."], &sandbox.path(""));
    assert!(refused_archive(&sandbox, "long.tar").contains("more than any program saves"));
}

/// A docker save tar of one image, whose parts can be made wrong.
fn saved(sandbox: &Sandbox, config_name: &str, layers: &[&str]) {
    let tars = ["one", "two"].map(|text| tar_of(text.as_bytes()));
    let diff_ids: Vec<String> = layers
        .iter()
        .map(|name| Digest::of(&tars[usize::from(*name == "two")]).to_string())
        .collect();
    let config =
        json!({"os": "linux", "architecture": "amd64", "rootfs": {"diff_ids": diff_ids}}).to_string();
    let list = json!([{"Config": config_name, "RepoTags": ["app:1"], "Layers": ["one", "two"]}]);
    sandbox.write("tar/manifest.json", list.to_string().as_bytes());
    sandbox.write(&format!("tar/{config_name}"), config.as_bytes());
    sandbox.write("tar/one", &tars[0]);
    sandbox.write("tar/two", &tars[1]);
    let names = [
        "-C",
        "tar",
        "-cf",
        "saved.tar",
        "manifest.json",
        config_name,
        "one",
        "two",
    ];
    tool("tar", &names, &sandbox.path(""));
    std::fs::remove_dir_all(sandbox.path("tar")).unwrap();
}

#[test]
fn a_saved_image_whose_parts_were_altered_is_refused_and_the_part_is_named() {
    let sandbox = Sandbox::new();
    sandbox.spec("images: [{name: 'app:1', archive: saved.tar}]\n");
    let refused = || {
        let refused = sandbox.run(&["build", "-o", "site.tar", "-q"]);
        assert_eq!(refused.code, Some(2), "{}", refused.stderr);
        sandbox.assert_no_archive();
        refused.stderr
    };
    // The layers in another order than the configuration has them.
    saved(&sandbox, "config.json", &["two", "one"]);
    let said = refused();
    assert!(
        said.contains(&format!(
            "the layer \"one\" has {}, and its configuration says {}",
            Digest::of(tar_of(b"one")),
            Digest::of(tar_of(b"two"))
        )),
        "{said}"
    );
    // A configuration that has not the digest that it is called by.
    for name in [
        format!("{}.json", "ab".repeat(32)),
        format!("sha256:{}", "ab".repeat(32)),
    ] {
        saved(&sandbox, &name, &["one", "two"]);
        let said = refused();
        assert!(said.contains(&format!("{name:?} has sha256:")), "{said}");
    }
    saved(&sandbox, "config.json", &["one", "two"]);
    sandbox.build(&[]);
}

#[test]
fn an_archive_that_is_cut_off_or_empty_is_called_so() {
    let sandbox = Sandbox::new();
    saved(&sandbox, "config.json", &["one", "two"]);
    let whole = std::fs::read(sandbox.path("saved.tar")).unwrap();
    // In a layer, in a header, and right behind the head of a gzip stream.
    for length in [whole.len() / 2, 700, 520] {
        sandbox.write("cut.tar", &whole[..length]);
        let refused = refused_archive(&sandbox, "cut.tar");
        assert!(refused.contains("cut.tar is cut off"), "{length}: {refused}");
        let packed = gzip(&whole);
        sandbox.write("cut.tar", &packed[..packed.len() / 2]);
        assert!(refused_archive(&sandbox, "cut.tar").contains("cut.tar is cut off"));
    }
    sandbox.write("empty.tar", b"");
    assert!(refused_archive(&sandbox, "empty.tar").contains("it is empty"));
    let mut store = Store::default();
    store.archive(&sandbox, "none.tar", &[], &[]);
    assert!(refused_archive(&sandbox, "none.tar").contains("it holds none"));
    let mut odd = store.image("odd", "linux", "amd64");
    odd["digest"] = odd["digest"]
        .as_str()
        .unwrap()
        .to_uppercase()
        .replace("SHA256", "sha256")
        .into();
    store.archive(&sandbox, "odd.tar", &[odd], &[]);
    assert!(refused_archive(&sandbox, "odd.tar").contains("is no digest"));
}

#[test]
fn an_index_that_lists_nothing_is_told_as_that() {
    let mut store = Store::default();
    let index = store.index(&[]);
    store.name("none", &index, INDEX);
    let refused = built(&store.serve(), "none", "linux/amd64").unwrap_err();
    assert!(refused.contains("it lists none"), "{refused}");
}
