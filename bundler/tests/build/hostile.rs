//! Archives that somebody made to harm, or that were damaged: refused in words that name the part, and at no cost.

use bundle::Digest;
use serde_json::{Value, json};

use crate::images::{gzip, tar_of};
use crate::sandbox::{Sandbox, tool};
use crate::store::{GZIP, INDEX, MANIFEST, Store, built, named, with};

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
