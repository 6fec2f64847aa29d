//! What a user reads when it does not work: what, where, why, and the next step.

use std::net::TcpListener;
use std::process::Command;

use lab::registry::{Options, Registry, Storage, Transport};

use crate::images::{noise, plain_http, push, registry, simple};
use crate::sandbox::{Finished, Sandbox};

/// Builds, expects exit code 2 and no archive, and returns what was said, with the port left out.
fn refused(sandbox: &Sandbox, port: u16) -> String {
    let built = sandbox.run(&["build", "-o", "site.tar", "-q"]);
    assert_eq!(built.code, Some(2), "{}", built.stderr);
    sandbox.assert_no_archive();
    built.stderr.replace(&port.to_string(), "PORT")
}

fn secure(login: bool) -> Registry {
    let options = Options {
        transport: Transport::Https,
        storage: Storage::Empty,
        login: login.then(|| ("op".to_owned(), "secret".to_owned())),
        ..Options::default()
    };
    Registry::start(&options).unwrap()
}

#[test]
fn a_registry_that_is_not_there() {
    let sandbox = Sandbox::new();
    // The port is free again as soon as the listener is gone.
    let port = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    sandbox.spec(&format!("images: ['127.0.0.1:{port}/app:1']\n"));
    insta::assert_snapshot!(refused(&sandbox, port));
}

#[test]
fn a_ca_that_is_not_known() {
    let (sandbox, registry) = (Sandbox::new(), secure(false));
    let address = registry.address();
    sandbox.spec(&format!("images: ['{address}/app:1']\n"));
    insta::assert_snapshot!(refused(&sandbox, address.port()));
}

#[test]
fn a_registry_without_tls_where_nobody_said_so() {
    let (sandbox, registry) = (Sandbox::new(), registry());
    let address = registry.address();
    sandbox.spec(&format!("images: ['{address}/app:1']\n"));
    insta::assert_snapshot!(refused(&sandbox, address.port()));
}

#[test]
fn a_registry_that_wants_a_login() {
    let (sandbox, registry) = (Sandbox::new(), secure(true));
    let address = registry.address();
    std::fs::copy(registry.ca().unwrap(), sandbox.path("ca.pem")).unwrap();
    sandbox.spec(&format!(
        "images: ['{address}/app:1']\nregistries: {{\"{address}\": {{ca: ca.pem}}}}\n"
    ));
    insta::assert_snapshot!("login_missing", refused(&sandbox, address.port()));
    sandbox.write("password", b"wrong");
    sandbox.spec(&format!(
        "images: ['{address}/app:1']\n\
         registries: {{\"{address}\": {{ca: ca.pem, username: op, passwordFile: password}}}}\n"
    ));
    insta::assert_snapshot!("login_wrong", refused(&sandbox, address.port()));
}

#[test]
fn a_tag_that_does_not_exist() {
    let (sandbox, registry) = (Sandbox::new(), registry());
    let address = registry.address();
    sandbox.spec(&format!("images: ['{address}/app:1']\n{}", plain_http(address)));
    insta::assert_snapshot!(refused(&sandbox, address.port()));
}

#[test]
fn a_digest_that_is_not_what_the_storage_holds() {
    let sandbox = Sandbox::new();
    let storage = sandbox.path("storage");
    std::fs::create_dir(&storage).unwrap();
    let options = Options {
        storage: Storage::Directory(storage.clone()),
        ..Options::default()
    };
    let registry = Registry::start(&options).unwrap();
    let address = registry.address();
    let (layout, _) = simple(sandbox.path("image"), &[noise(51, 50_000)]);
    push(&layout, &format!("{address}/app:1"), &[]);
    let found = Command::new("find")
        .arg(&storage)
        .args(["-name", "data", "-size", "+20k"])
        .output()
        .unwrap();
    let data = String::from_utf8(found.stdout).unwrap();
    let mut bytes = std::fs::read(data.trim()).unwrap();
    bytes[9999] ^= 1;
    std::fs::write(data.trim(), bytes).unwrap();
    sandbox.spec(&format!("images: ['{address}/app:1']\n{}", plain_http(address)));
    insta::assert_snapshot!(refused(&sandbox, address.port()));
}

#[test]
fn a_disk_that_is_full() {
    let (sandbox, registry) = (Sandbox::new(), registry());
    let address = registry.address();
    let (layout, _) = simple(sandbox.path("image"), &[noise(52, 3_000_000)]);
    push(&layout, &format!("{address}/app:1"), &[]);
    sandbox.spec(&format!("images: ['{address}/app:1']\n{}", plain_http(address)));
    std::fs::create_dir(sandbox.path("small")).unwrap();
    // In a mount namespace of its own, so that nothing stays mounted.
    let in_small = |arguments: &str| -> Finished {
        let script = format!(
            "mount -t tmpfs -o size=1m tmpfs small && {} build {arguments}; code=$?; ls -A small >&2; exit $code",
            env!("CARGO_BIN_EXE_bundler")
        );
        let mut command = Command::new("unshare");
        command
            .args(["--mount", "sh", "-c", &script])
            .current_dir(sandbox.path(""))
            .env("HOME", sandbox.path(""));
        command.output().unwrap().into()
    };
    let cache = in_small("-o site.tar --cache small");
    assert_eq!(cache.code, Some(0), "{}", cache.stderr);
    assert!(
        cache.stderr.contains("blobs are not kept in the cache"),
        "{}",
        cache.stderr
    );
    assert_eq!(sandbox.run(&["check", "site.tar"]).code, Some(0));
    std::fs::remove_file(sandbox.path("site.tar")).unwrap();
    let output = in_small("-o small/site.tar");
    assert_eq!(output.code, Some(2), "{}", output.stderr);
    assert!(
        output.stderr.contains("small/site.tar needs"),
        "{}",
        output.stderr
    );
    assert!(output.stderr.contains("free some room"), "{}", output.stderr);
    assert!(
        output.stderr.ends_with('\n') && !output.stderr.contains(".tmp"),
        "{}",
        output.stderr
    );
}
