//! The spec from outside: `init`, and problems before any network.

use std::net::TcpListener;

use crate::sandbox::Sandbox;

#[test]
fn init_writes_a_spec_that_is_valid_and_overwrites_nothing() {
    let sandbox = Sandbox::new();
    let first = sandbox.run(&["init"]);
    assert_eq!(first.code, Some(0), "{}", first.stderr);
    let text = std::fs::read_to_string(sandbox.path("bundle.yaml")).unwrap();
    insta::assert_snapshot!("init", text);
    assert_eq!(bundler::Spec::parse("bundle.yaml", &text).map(|_| ()), Ok(()));
    let second = sandbox.run(&["init"]);
    assert_eq!(second.code, Some(64));
    assert!(
        second.stderr.contains("bundle.yaml is there already"),
        "{}",
        second.stderr
    );
    assert_eq!(
        std::fs::read_to_string(sandbox.path("bundle.yaml")).unwrap(),
        text
    );
}

#[test]
fn all_problems_come_before_the_network_is_touched() {
    let sandbox = Sandbox::new();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let port = listener.local_addr().unwrap().port();
    sandbox.write("ca.pem", b"no certificate");
    sandbox.write("script", b"#!/bin/sh\n");
    sandbox.write(
        "deploy/web.yaml",
        b"kind: Pod\nspec:\n  containers:\n    - image: redis:7\n",
    );
    let spec = "images: ['127.0.0.1:PORT/app:1']\nregistries: {'127.0.0.1:PORT': {ca: ca.pem}}\n\
        manifests: [deploy/*.yaml, none/*.yaml]\n";
    sandbox.spec(
        &spec
            .replace("PORT", &port.to_string())
            .replace("verifier: [verifier]", ""),
    );
    let built = sandbox.run(&["build", "-o", "site.tar"]);
    assert_eq!(built.code, Some(64));
    insta::assert_snapshot!("contents", built.stderr.replace(&port.to_string(), "PORT"));
    sandbox.write(
        "bundle.yaml",
        b"apiVersion: bundle/v1\nimages: [{name: 'a:1', archive: missing.tar}]\nverifier: [gone]\n",
    );
    let built = sandbox.run(&["build", "-o", "site.tar"]);
    assert_eq!(built.code, Some(64));
    insta::assert_snapshot!("paths", built.stderr);
    assert!(listener.accept().is_err(), "somebody was asked");
    sandbox.assert_no_archive();
}

#[test]
fn a_verifier_that_would_not_run_everywhere_is_refused() {
    let sandbox = Sandbox::new();
    sandbox.write("script", b"#!/bin/sh\necho");
    sandbox.write(
        "bundle.yaml",
        b"apiVersion: bundle/v1\nname: a\nplatforms: [linux/amd64]\nimages: ['a.example/a:1']\nverifier: [script, self]\n",
    );
    let built = sandbox.run(&["build", "-o", "site.tar"]);
    assert_eq!(built.code, Some(64));
    assert!(
        built
            .stderr
            .contains("bundle.yaml:5:12: ./script is no verifier: it is no Linux program (ELF)"),
        "{}",
        built.stderr
    );
}

#[test]
fn wrong_usage_is_64_and_a_missing_spec_is_2() {
    let sandbox = Sandbox::new();
    assert_eq!(sandbox.run(&["build"]).code, Some(64));
    assert_eq!(sandbox.run(&["build", "-o", "a", "--frobnicate"]).code, Some(64));
    assert_eq!(sandbox.run(&[]).code, Some(64));
    assert_eq!(sandbox.run(&["--help"]).code, Some(0));
    let missing = sandbox.run(&["build", "-o", "site.tar"]);
    assert_eq!(missing.code, Some(2));
    assert!(missing.stderr.contains("cannot read bundle.yaml") && missing.stderr.contains("bundler init"));
    let completion = sandbox.run(&["completion", "bash"]);
    assert!(completion.code == Some(0) && completion.stdout.contains("_bundler"));
}
