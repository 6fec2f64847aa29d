//! Registries as sites have them: two servers, TLS by a private CA, logins from every place, mirrors.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use lab::registry::{Options, Registry, Storage, Transport, Version};

use crate::images::{self, noise, plain_http, push, registry, simple};
use crate::proxy::{Fault, Proxy};
use crate::sandbox::Sandbox;

/// Starts a registry that speaks TLS and wants a login.
fn locked_registry(version: Version) -> Registry {
    let options = Options {
        version,
        transport: Transport::Https,
        storage: Storage::Empty,
        login: Some(("op".to_owned(), "secret".to_owned())),
        ..Options::default()
    };
    Registry::start(&options).unwrap()
}

#[test]
fn both_servers_are_read_over_http() {
    for version in [Version::Distribution3, Version::Debian28] {
        let sandbox = Sandbox::new();
        let options = Options {
            version,
            storage: Storage::Empty,
            ..Options::default()
        };
        let registry = Registry::start(&options).unwrap();
        let address = registry.address();
        let (layout, manifest) = simple(sandbox.path("image"), &[noise(1, 300_000), noise(2, 10)]);
        push(&layout, &format!("{address}/app:1"), &["--preserve-digests"]);
        sandbox.spec(&format!("images: ['{address}/app:1']\n{}", plain_http(address)));
        sandbox.build(&[]);
        assert_eq!(
            sandbox.index()["images"][0]["digest"],
            manifest.digest.to_string(),
            "{version:?}"
        );
        assert_eq!(sandbox.run(&["check", "site.tar"]).code, Some(0));
    }
}

#[test]
fn both_servers_are_read_over_tls_with_a_login_of_the_spec() {
    for version in [Version::Distribution3, Version::Debian28] {
        let sandbox = Sandbox::new();
        let registry = locked_registry(version);
        let address = registry.address();
        let (layout, _) = simple(sandbox.path("image"), &[noise(3, 100_000)]);
        push(
            &layout,
            &format!("{address}/team/app:1"),
            &["--dest-creds", "op:secret"],
        );
        fs::copy(registry.ca().unwrap(), sandbox.path("ca.pem")).unwrap();
        sandbox.write("password", b"secret\n");
        sandbox.spec(&format!(
            "images: ['{address}/team/app:1']\n\
             registries: {{\"{address}\": {{ca: ca.pem, username: op, passwordFile: password}}}}\n"
        ));
        assert_eq!(sandbox.build(&[])["images"], 1, "{version:?}");
    }
}

#[test]
fn logins_of_docker_are_used_from_the_file_and_from_a_helper() {
    let registry = locked_registry(Version::Distribution3);
    let address = registry.address();
    let ways = [
        // base64 of op:secret
        format!(r#"{{"auths": {{"{address}": {{"auth": "b3A6c2VjcmV0"}}}}}}"#),
        format!(r#"{{"credHelpers": {{"{address}": "test"}}}}"#),
        r#"{"credsStore": "test"}"#.to_owned(),
    ];
    for config in ways {
        let sandbox = Sandbox::new();
        let (layout, _) = simple(sandbox.path("image"), &[noise(4, 1000)]);
        push(
            &layout,
            &format!("{address}/app:1"),
            &["--dest-creds", "op:secret"],
        );
        fs::copy(registry.ca().unwrap(), sandbox.path("ca.pem")).unwrap();
        sandbox.write(".docker/config.json", config.as_bytes());
        let helper = format!(
            "#!/bin/sh\nread host\n[ \"$1 $host\" = 'get {address}' ] || {{ echo 'credentials not found'; exit 1; }}\n\
             echo '{{\"ServerURL\": \"{address}\", \"Username\": \"op\", \"Secret\": \"secret\"}}'\n"
        );
        sandbox.write("bin/docker-credential-test", helper.as_bytes());
        let path = sandbox.path("bin/docker-credential-test");
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
        sandbox.spec(&format!(
            "images: ['{address}/app:1']\nregistries: {{\"{address}\": {{ca: ca.pem}}}}\n"
        ));
        assert_eq!(sandbox.build(&[])["images"], 1, "{config}");
    }
}

#[test]
fn a_mirror_is_asked_first_and_its_registry_only_for_what_it_lacks() {
    let (sandbox, origin, mirror) = (Sandbox::new(), registry(), registry());
    let (at, near) = (origin.address(), mirror.address());
    let (both, _) = simple(sandbox.path("both"), &[noise(5, 1000)]);
    push(&both, &format!("{near}/cache/both:1"), &[]);
    let (only, _) = simple(sandbox.path("only"), &[noise(6, 1000)]);
    push(&only, &format!("{at}/only:1"), &[]);
    sandbox.spec(&format!(
        "images: ['{at}/both:1', '{at}/only:1']\n\
         registries: {{\"{at}\": {{plainHttp: true, mirror: 'http://{near}/cache'}}}}\n"
    ));
    let built = sandbox.run(&["build", "-o", "site.tar"]);
    assert_eq!(built.code, Some(0), "{}", built.stderr);
    assert!(
        built.stderr.contains("the mirror did not give it"),
        "{}",
        built.stderr
    );
    assert_eq!(sandbox.index()["images"][0]["name"], format!("{at}/both:1"));
}

#[test]
fn of_an_index_only_the_platforms_asked_for_are_taken_and_its_bytes_are_kept() {
    let (sandbox, registry) = (Sandbox::new(), registry());
    let address = registry.address();
    let layout = images::Layout::new(sandbox.path("image"));
    let amd64 = layout.image("amd64", &[noise(7, 1000)]);
    let arm64 = layout.image("arm64", &[noise(8, 1000)]);
    let index = layout.index(&[("amd64", amd64.clone()), ("arm64", arm64.clone())]);
    layout.name("image", &index, true);
    push(
        &layout,
        &format!("{address}/multi:1"),
        &["--all", "--preserve-digests"],
    );
    sandbox.spec(&format!("images: ['{address}/multi:1']\n{}", plain_http(address)));
    sandbox.build(&[]);
    let image = sandbox.index()["images"][0].clone();
    assert_eq!(image["digest"], index.digest.to_string());
    assert_eq!(image["platforms"].as_array().unwrap().len(), 1);
    assert_eq!(image["platforms"][0]["manifest"], amd64.digest.to_string());
    let blob = |digest: &bundle::Digest| format!("blobs/sha256/{}", digest.hex());
    assert_eq!(
        bundle::Digest::of(sandbox.member(&blob(&index.digest))),
        index.digest
    );
    let listing = crate::sandbox::tool("tar", &["-tf", "site.tar"], &sandbox.path(""));
    assert!(!listing.contains(&blob(&arm64.digest)));
    sandbox.build(&["--platform", "linux/arm64", "--platform", "linux/amd64"]);
    assert_eq!(
        sandbox.index()["images"][0]["platforms"]
            .as_array()
            .unwrap()
            .len(),
        2
    );
    assert_eq!(sandbox.run(&["check", "site.tar"]).code, Some(0));
    let missing = sandbox.run(&["build", "-o", "site.tar", "--platform", "linux/riscv64"]);
    assert_eq!(missing.code, Some(2));
    assert!(
        missing
            .stderr
            .contains("linux/riscv64 is not among its platforms: linux/amd64, linux/arm64")
    );
}

#[test]
fn shared_layers_are_pulled_and_stored_once() {
    let (sandbox, registry) = (Sandbox::new(), registry());
    let address = registry.address();
    let shared = noise(9, 500_000);
    for name in ["one", "two", "three"] {
        let own = name.as_bytes().to_vec();
        let (layout, _) = simple(sandbox.path(name), &[shared.clone(), own]);
        push(&layout, &format!("{address}/{name}:1"), &[]);
    }
    let images = ["one", "two", "three"]
        .map(|name| format!("'{address}/{name}:1'"))
        .join(", ");
    sandbox.spec(&format!("images: [{images}]\n{}", plain_http(address)));
    let built = sandbox.build(&[]);
    assert!(built["size"].as_u64().unwrap() < 700_000, "{built}");
    assert!(built["pulled"]["bytes"].as_u64().unwrap() < 600_000, "{built}");
}

#[test]
fn a_token_is_fetched_where_the_registry_wants_one_and_a_refusal_is_told() {
    let (sandbox, registry) = (Sandbox::new(), registry());
    // base64 of op:secret
    let proxy = Proxy::new(
        registry.address(),
        Fault::Token {
            basic: "b3A6c2VjcmV0",
        },
    );
    let (layout, _) = simple(sandbox.path("image"), &[noise(10, 1000)]);
    push(&layout, &format!("{}/app:1", registry.address()), &[]);
    let address = proxy.address();
    sandbox.write("password", b"secret");
    let spec = |login: &str| {
        sandbox.spec(&format!(
            "images: ['{address}/app:1']\nregistries: {{\"{address}\": {{plainHttp: true{login}}}}}\n"
        ));
    };
    spec("");
    let refused = sandbox.run(&["build", "-o", "site.tar", "-q"]);
    assert_eq!(refused.code, Some(2));
    let told = format!("its token server gives no token for {address}/app:1: you may not pull this");
    assert!(refused.stderr.contains(&told), "{}", refused.stderr);
    spec(", username: op, passwordFile: password");
    sandbox.build(&[]);
    assert_eq!(sandbox.run(&["check", "site.tar"]).code, Some(0));
}
