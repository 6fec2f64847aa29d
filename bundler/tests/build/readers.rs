//! What others make of the archive: coreutils, tar, skopeo.

use crate::images::{noise, plain_http, push, registry, simple};
use crate::sandbox::{Sandbox, tool};

#[test]
fn coreutils_tar_and_skopeo_read_the_archive() {
    let (sandbox, registry) = (Sandbox::new(), registry());
    let address = registry.address();
    let (layout, manifest) = simple(sandbox.path("image"), &[noise(41, 100_000)]);
    push(&layout, &format!("{address}/nginx:1"), &["--preserve-digests"]);
    push(&layout, &format!("{address}/nginx:docker"), &["--format", "v2s2"]);
    sandbox.write("docs/runbook.txt", b"read me");
    sandbox.write(
        "deploy/web.yaml",
        b"kind: Pod\nspec: {containers: [{image: 'nginx:1'}]}\n",
    );
    sandbox.spec(&format!(
        "images: [{{name: 'nginx:1', from: '{address}/nginx:1'}}, '{address}/nginx:docker']\n\
         smoke: {{image: 'nginx:1'}}\nmanifests: ['builtin:smoke', 'deploy/*.yaml']\n\
         files: [{{from: docs/runbook.txt, to: runbook.txt}}]\n\
         crictl: {{runtime-endpoint: unix:///run/containerd/containerd.sock, timeout: 10}}\n{}",
        plain_http(address)
    ));
    sandbox.build(&[]);
    let here = sandbox.path("");
    assert_eq!(
        tool("sha256sum", &["-c", "site.tar.sha256"], &here),
        "site.tar: OK\n"
    );
    std::fs::create_dir(sandbox.path("out")).unwrap();
    tool("tar", &["-xf", "site.tar", "-C", "out"], &here);
    tool(
        "sha256sum",
        &["-c", "--quiet", "SHA256SUMS"],
        &sandbox.path("out"),
    );
    for file in [
        "verifier-linux-amd64",
        "config/crictl.yaml",
        "files/runbook.txt",
        "manifests/deploy/web.yaml",
    ] {
        assert!(sandbox.path("out").join(file).is_file(), "{file}");
    }
    let deployment = std::fs::read_to_string(sandbox.path("out/manifests/smoke/deployment.yaml")).unwrap();
    assert!(deployment.contains("image: \"docker.io/library/nginx:1\"\n          imagePullPolicy: Never"));
    let source = "oci-archive:site.tar:docker.io/library/nginx:1";
    tool(
        "skopeo",
        &[
            "--insecure-policy",
            "copy",
            "-q",
            "--preserve-digests",
            source,
            "dir:copied",
        ],
        &here,
    );
    let copied = std::fs::read(sandbox.path("copied/manifest.json")).unwrap();
    assert_eq!(bundle::Digest::of(copied), manifest.digest);
    let docker = sandbox.index()["images"][0].clone();
    assert_eq!(
        docker["mediaType"],
        "application/vnd.docker.distribution.manifest.v2+json"
    );
}

#[test]
fn compressed_archives_have_the_same_bytes_twice_and_are_read() {
    let (sandbox, registry) = (Sandbox::new(), registry());
    let address = registry.address();
    let (layout, _) = simple(sandbox.path("image"), &[vec![7; 300_000]]);
    push(&layout, &format!("{address}/app:1"), &[]);
    sandbox.spec(&format!("images: ['{address}/app:1']\n{}", plain_http(address)));
    for compression in ["gzip", "zstd"] {
        sandbox.build(&["--compress", compression]);
        let first = sandbox.archive();
        assert_eq!(sandbox.run(&["check", "site.tar"]).code, Some(0), "{compression}");
        assert_eq!(
            tool("sha256sum", &["-c", "site.tar.sha256"], &sandbox.path("")),
            "site.tar: OK\n"
        );
        sandbox.build(&["--compress", compression]);
        assert_eq!(sandbox.archive(), first, "{compression}");
    }
}

#[test]
fn the_time_of_the_members_is_the_source_date() {
    let (sandbox, registry) = (Sandbox::new(), registry());
    let address = registry.address();
    let (layout, _) = simple(sandbox.path("image"), &[noise(42, 10)]);
    push(&layout, &format!("{address}/app:1"), &[]);
    sandbox.spec(&format!("images: ['{address}/app:1']\n{}", plain_http(address)));
    let dated = |date: &str| {
        let built = sandbox
            .command(&["build", "-o", "site.tar", "-q"])
            .env("SOURCE_DATE_EPOCH", date)
            .output();
        assert!(built.unwrap().status.success());
        tool(
            "tar",
            &["--utc", "--full-time", "-tvf", "site.tar"],
            &sandbox.path(""),
        )
    };
    assert!(dated("").lines().all(|line| line.contains("1970-01-01 00:00:00")));
    assert!(
        dated("1000000000")
            .lines()
            .all(|line| line.contains("2001-09-09 01:46:40"))
    );
    let bad = sandbox
        .command(&["build", "-o", "x.tar"])
        .env("SOURCE_DATE_EPOCH", "today")
        .output()
        .unwrap();
    assert_eq!(bad.status.code(), Some(64));
}
