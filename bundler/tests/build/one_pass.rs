//! One pass: each byte is fetched and written once, whatever ends the build in between, and wherever bytes come from the
//! archive is the same.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::MetadataExt as _;
use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant};

use bundle::Digest;
use serde_json::{Value, json};

use crate::images::{noise, plain_http, push, registry, simple};
use crate::proxy::{Fault, Proxy};
use crate::sandbox::Sandbox;
use crate::server::{Answer, Server};

const MIB: u64 = 1 << 20;

/// The spec of these images, pulled from an address and named without it.
fn spec(sandbox: &Sandbox, address: SocketAddr, names: &[&str]) {
    let images = names
        .iter()
        .map(|name| format!("{{name: 'a.example/{name}:1', from: '{address}/{name}:1'}}"));
    let images: Vec<String> = images.collect();
    sandbox.spec(&format!(
        "images: [{}]\n{}",
        images.join(", "),
        plain_http(address)
    ));
}

/// Builds without a cache and returns the report.
fn build(sandbox: &Sandbox, more: &[&str]) -> Value {
    sandbox.build(&[&["--cache", "none"], more].concat())
}

#[test]
fn a_build_killed_at_any_moment_goes_on_where_it_was() {
    let (sandbox, registry) = (Sandbox::new(), registry());
    let layers: Vec<Vec<u8>> = (0..4).map(|seed| noise(140 + seed, 4_000_000)).collect();
    let (layout, _) = simple(sandbox.path("image"), &layers);
    push(&layout, &format!("{}/app:1", registry.address()), &[]);
    let line = Proxy::new(
        registry.address(),
        Fault::Slow {
            pause: Duration::from_millis(20),
        },
    );
    spec(&sandbox, line.address(), &["app"]);
    let begin = Instant::now();
    build(&sandbox, &[]);
    let took = begin.elapsed();
    let (whole, once) = (sandbox.archive(), line.bytes());
    fs::remove_file(sandbox.path("site.tar")).unwrap();
    // KILLS: more of them, by hand.
    let wanted = std::env::var("KILLS").map_or(8, |kills| kills.parse().unwrap());
    let (mut kills, mut wholes, mut left) = (0_u64, 1, 0);
    while kills < wanted {
        let mut command = sandbox.command(&["build", "-o", "site.tar", "-q", "--cache", "none"]);
        let mut child = command.stderr(Stdio::null()).spawn().unwrap();
        // Moments that look like chance and are the same each time.
        let chance = (kills + wholes).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 58;
        thread::sleep(took * (4 + u32::try_from(chance).unwrap()) / 128);
        if let Some(ended) = child.try_wait().unwrap() {
            assert!(ended.success());
            assert_eq!(sandbox.archive(), whole);
            fs::remove_file(sandbox.path("site.tar")).unwrap();
            (wholes, left) = (wholes + 1, 0);
            continue;
        }
        child.kill().unwrap();
        child.wait().unwrap();
        kills += 1;
        // What was there is there still. Where nothing is, it ended just now, or has not begun.
        let begun = sandbox.begun();
        let ended = sandbox.path("site.tar").exists();
        assert!(left <= begun || ended, "{left} and then {begun}");
        if ended {
            assert_eq!(sandbox.archive(), whole);
            fs::remove_file(sandbox.path("site.tar")).unwrap();
            wholes += 1;
        }
        left = if ended { 0 } else { begun };
    }
    build(&sandbox, &[]);
    wholes += 1;
    assert_eq!(sandbox.archive(), whole);
    // Four connections at once, at most 1 MiB of each again.
    let again = line.bytes().saturating_sub(wholes * once);
    assert!(
        again <= kills * 4 * MIB,
        "{again} bytes came again after {kills} kills of {wholes} builds"
    );
    if std::env::var("KILLS").is_ok() {
        eprintln!("{kills} kills of {wholes} builds: {again} bytes came again");
    }
    assert_eq!(sandbox.workshop(), None);
}

#[test]
fn an_earlier_bundle_gives_what_it_has() {
    let (sandbox, registry) = (Sandbox::new(), registry());
    for (name, seed) in [("one", 150), ("two", 160), ("three", 170)] {
        let (layout, _) = simple(sandbox.path(name), &[noise(seed, 400_000), noise(seed + 1, 3000)]);
        push(&layout, &format!("{}/{name}:1", registry.address()), &[]);
    }
    let line = Proxy::new(registry.address(), Fault::Stall { after: u64::MAX });
    spec(&sandbox, line.address(), &["one", "two"]);
    build(&sandbox, &[]);
    fs::rename(sandbox.path("site.tar"), sandbox.path("old.tar")).unwrap();
    spec(&sandbox, line.address(), &["one", "two", "three"]);
    let pulled = |report: &Value| report["pulled"]["bytes"].as_u64().unwrap();
    let before = line.bytes();
    let report = build(&sandbox, &["--from", "old.tar"]);
    assert!((400_000..500_000).contains(&pulled(&report)), "{report}");
    assert!(line.bytes() - before < 500_000);
    let whole = sandbox.archive();
    // What has the output's name now is taken from by itself.
    let report = build(&sandbox, &[]);
    assert_eq!((pulled(&report), sandbox.archive()), (0, whole));
    fs::remove_file(sandbox.path("site.tar")).unwrap();
    assert!(pulled(&build(&sandbox, &[])) > 1_200_000);
    assert_eq!(sandbox.archive(), whole);
}

#[test]
fn an_earlier_bundle_that_lies_is_told_and_not_believed() {
    let (sandbox, registry) = (Sandbox::new(), registry());
    let (layout, _) = simple(
        sandbox.path("image"),
        &[noise(180, 1_500_000), noise(181, 1_500_000)],
    );
    push(&layout, &format!("{}/app:1", registry.address()), &[]);
    spec(&sandbox, registry.address(), &["app"]);
    build(&sandbox, &[]);
    let whole = sandbox.archive();
    let mut bytes = fs::read(sandbox.path("site.tar")).unwrap();
    let middle = bytes.len() - 100_000;
    bytes[middle] ^= 1;
    fs::write(sandbox.path("site.tar"), &bytes).unwrap();
    let report = build(&sandbox, &[]);
    assert_eq!(sandbox.archive(), whole);
    let warning = report["warnings"][0].as_str().unwrap();
    assert!(
        warning.contains("site.tar is damaged: its blobs/sha256/"),
        "{warning}"
    );
    assert!(
        report["pulled"]["bytes"].as_u64().unwrap() < 1_600_000,
        "{report}"
    );
    // What is no bundle is refused where it was named, and passed over where it was not.
    sandbox.write("site.tar", b"something else");
    let refused = sandbox.run(&["build", "-o", "other.tar", "--from", "site.tar", "-q"]);
    assert_eq!(refused.code, Some(2));
    assert!(
        refused.stderr.contains("nothing can be taken from site.tar"),
        "{}",
        refused.stderr
    );
    build(&sandbox, &[]);
    assert_eq!(sandbox.archive(), whole);
}

#[test]
fn every_byte_is_written_once() {
    let (sandbox, registry) = (Sandbox::new(), registry());
    let (layout, _) = simple(
        sandbox.path("image"),
        &[noise(190, 3_000_000), noise(191, 2_000_000)],
    );
    push(&layout, &format!("{}/app:1", registry.address()), &[]);
    let address = registry.address();
    let archive = "{name: 'b.example/app:1', archive: image}";
    sandbox.spec(&format!(
        "images: [{{name: 'a.example/app:1', from: '{address}/app:1'}}, {archive}]\n{}",
        plain_http(address)
    ));
    // What a process hands to the file system, caches and temporary files with it (proc(5), io).
    let mut command = sandbox.command(&["build", "-o", "site.tar", "-q", "--cache", "none"]);
    let mut child = command.spawn().unwrap();
    let (mut written, deadline) = (0, Instant::now() + Duration::from_mins(2));
    while child.try_wait().unwrap().is_none() {
        assert!(Instant::now() < deadline);
        let held: u64 = fs::read_dir(sandbox.path(""))
            .unwrap()
            .flatten()
            .map(|entry| room(&entry.path()))
            .sum();
        written = held.max(written);
    }
    let size = fs::metadata(sandbox.path("site.tar")).unwrap().len();
    let before: u64 = room(&sandbox.path("image")) + room(&sandbox.path("verifier"));
    assert!(
        written - before < size * 105 / 100 + 64 * 1024,
        "{written} - {before} of {size}"
    );
    assert!(!sandbox.path(".cache").exists());
    assert_eq!(sandbox.run(&["check", "--deep", "site.tar"]).code, Some(0));
    let sums = fs::read_to_string(sandbox.path("site.tar.sha256")).unwrap();
    assert_eq!(sums, format!("{}  site.tar\n", sandbox.archive().hex()));
}

/// Returns what a file or a directory takes on the disk.
fn room(path: &std::path::Path) -> u64 {
    let Ok(metadata) = fs::symlink_metadata(path) else {
        return 0;
    };
    let below = if metadata.is_dir() {
        let entries = fs::read_dir(path).into_iter().flatten().flatten();
        entries.map(|entry| room(&entry.path())).sum()
    } else {
        0
    };
    metadata.blocks() * 512 + below
}

#[test]
fn wherever_the_bytes_come_from_the_archive_is_the_same() {
    let (sandbox, registry) = (Sandbox::new(), registry());
    let layers: Vec<Vec<u8>> = (0..9).map(|seed| noise(200 + seed, 60_000)).collect();
    let (layout, _) = simple(sandbox.path("image"), &layers);
    push(&layout, &format!("{}/app:1", registry.address()), &[]);
    spec(&sandbox, registry.address(), &["app"]);
    let ways: [(&str, &[&str]); 5] = [
        ("nothing is there", &["--cache", "none"]),
        ("a cache is filled", &["--cache", "here"]),
        ("a cache has it", &["--cache", "here"]),
        ("the last output has it", &["--cache", "none"]),
        ("each layer is proven", &["--cache", "none", "--deep"]),
    ];
    let environments = [
        ("UTC", "C", "022", ""),
        ("Asia/Seoul", "ko_KR.UTF-8", "077", "taskset -c 0 "),
    ];
    let mut made = Vec::new();
    for (zone, locale, umask, before) in environments {
        for output in ["site.tar", "elsewhere/other.tar"] {
            fs::create_dir_all(sandbox.path("elsewhere")).unwrap();
            for (way, more) in ways {
                let program = env!("CARGO_BIN_EXE_bundler");
                let script = format!(
                    "umask {umask} && {before}{program} build -q -o {output} {}",
                    more.join(" ")
                );
                let mut command = std::process::Command::new("sh");
                command
                    .args(["-c", &script])
                    .current_dir(sandbox.path(""))
                    .env_clear();
                command.env("PATH", "/usr/bin:/bin").env("HOME", sandbox.path(""));
                let ended = command.env("TZ", zone).env("LC_ALL", locale).status().unwrap();
                assert!(ended.success(), "{way}");
                made.push((way, Digest::of(fs::read(sandbox.path(output)).unwrap())));
            }
            fs::remove_file(sandbox.path(output)).unwrap();
        }
        fs::remove_dir_all(sandbox.path("here")).unwrap();
    }
    assert_eq!(made.len(), 20);
    for (way, digest) in &made {
        assert_eq!(digest, &made[0].1, "{way}");
    }
}

/// What a registry answers to a request for a part of these bytes.
type Part = Box<dyn Fn(&[u8]) -> Answer + Send + Sync>;

/// A registry of one image with one layer, that answers requests for a part as `part` says.
fn serve(
    layer: &[u8],
    plain: &[u8],
    media_type: &str,
    part: impl Fn(&[u8]) -> Answer + Send + Sync + 'static,
) -> Server {
    const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
    let config = json!({"os": "linux", "architecture": "amd64",
        "rootfs": {"type": "layers", "diff_ids": [Digest::of(plain).to_string()]}});
    let blob = |media_type: &str, bytes: &[u8]| json!({"mediaType": media_type, "digest": Digest::of(bytes).to_string(), "size": bytes.len()});
    let config = config.to_string().into_bytes();
    let manifest = json!({"schemaVersion": 2, "mediaType": MANIFEST, "layers": [blob(media_type, layer)],
        "config": blob("application/vnd.oci.image.config.v1+json", &config)});
    let manifest = manifest.to_string().into_bytes();
    let blobs = [layer.to_vec(), config, manifest.clone()];
    Server::new(move |asked| {
        let last = asked.path.rsplit('/').next().unwrap();
        let Some(bytes) = blobs.iter().find(|bytes| Digest::of(bytes).to_string() == last) else {
            return Answer::new(200, manifest.clone()).header("Content-Type", MANIFEST);
        };
        if asked.headers.contains_key("range") {
            part(bytes)
        } else {
            Answer::new(200, bytes.clone())
        }
    })
}

#[test]
fn what_a_registry_tells_of_a_layer_is_held_against_the_layer() {
    const GZIP: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
    let plain = crate::images::tar_of(&noise(220, 20_000).repeat(2));
    let layer = crate::images::gzip(&plain);
    let tail = |bytes: &[u8], tail: [u8; 4]| {
        let (first, size) = (bytes.len() - 4, bytes.len());
        let range = format!("bytes {first}-{}/{size}", size - 1);
        Answer::new(206, tail.to_vec()).header("Content-Range", range)
    };
    let (size, length) = (layer.len(), json!(plain.len()));
    assert!(size > 1000);
    let cases: [(&str, &str, Part, &Value); 5] = [
        (
            "honest",
            GZIP,
            Box::new(move |bytes| tail(bytes, bytes[bytes.len() - 4..].try_into().unwrap())),
            &length,
        ),
        (
            "a lie",
            GZIP,
            Box::new(move |bytes| tail(bytes, [0, 0, 0, 9])),
            &length,
        ),
        (
            "no ranges",
            GZIP,
            Box::new(|bytes| Answer::new(200, bytes.to_vec())),
            &Value::Null,
        ),
        (
            "a refusal",
            GZIP,
            Box::new(|_| Answer::new(416, "{}")),
            &Value::Null,
        ),
        // Its media type is wrong: it is plain, and no end need be asked.
        (
            "plain",
            "application/vnd.oci.image.layer.v1.tar",
            Box::new(|_| Answer::new(500, "{}")),
            &length,
        ),
    ];
    for (name, media_type, part, expected) in cases {
        let (sandbox, server) = (Sandbox::new(), serve(&layer, &plain, media_type, part));
        spec(&sandbox, server.address(), &["app"]);
        let report = build(&sandbox, &[]);
        let layers = &sandbox.index()["images"][0]["platforms"][0]["layers"];
        assert_eq!(&layers[0]["unpacked"], expected, "{name}: {report}");
        assert_eq!(
            sandbox.run(&["check", "--deep", "site.tar"]).code,
            Some(0),
            "{name}"
        );
        assert_eq!(report["pulled"]["blobs"], 1, "{name}: {report}");
        assert_eq!(sandbox.workshop(), None);
    }
}

/// The front, which reads the archive while it grows, is what large members wait for.
#[test]
fn an_archive_that_cannot_be_read_back_ends_the_build() {
    let sandbox = Sandbox::new();
    let _ = simple(
        sandbox.path("image"),
        &[noise(160, 3_000_000), noise(161, 3_000_000)],
    );
    sandbox.spec("images: [{name: 'app:1', archive: image}]\n");
    // A disk that gives its bytes no more, from the second reading of the archive on.
    let archive = sandbox.path(".bundler-2a5b03d6fac3/archive");
    for when in ["2+", "4"] {
        let mut build = std::process::Command::new("timeout");
        build
            .args([
                "--signal=KILL",
                "60",
                "strace",
                "-f",
                "-qq",
                "-o",
                "/dev/null",
                "-P",
            ])
            .arg(&archive)
            .arg("-e")
            .arg(format!("inject=pread64:error=EIO:when={when}"))
            .arg(env!("CARGO_BIN_EXE_bundler"))
            .args(["build", "-q", "-o", "site.tar", "--cache", "none"])
            .current_dir(sandbox.path(""))
            .env("HOME", sandbox.path(""));
        let built: crate::sandbox::Finished = build.output().unwrap().into();
        assert_eq!(built.code, Some(2), "{when}: {built:?}");
        assert!(
            built.stderr.contains("site.tar cannot be completed")
                && built.stderr.contains("Input/output error"),
            "{}",
            built.stderr
        );
        sandbox.assert_no_archive();
    }
    // What was there is still good.
    assert_eq!(build(&sandbox, &[])["pulled"]["blobs"], 0);
    assert_eq!(sandbox.run(&["check", "site.tar"]).code, Some(0));
}
