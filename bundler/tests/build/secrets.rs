//! No secret reaches the terminal, whatever is wrong with the files that hold it: a spec, Docker's config.json, podman's
//! auth.json and a helper's answer with a secret on every line, each line damaged in turn.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use cli::planted::{PLANTED, damages, damages_of_json, leak, misplaced, planted_behind, with_line};

use crate::sandbox::{Finished, Sandbox};
use crate::server::{Answer, Server};

/// Names what came out of a build that should not.
fn leaked(built: &Finished) -> Vec<String> {
    assert_ne!(built.code, Some(101), "a panic: {}", built.stderr);
    assert!(built.code != Some(0) || built.stderr.is_empty() || !built.stdout.is_empty());
    [("stdout", &built.stdout), ("stderr", &built.stderr)]
        .into_iter()
        .filter_map(|(name, text)| leak(name, text.as_bytes()))
        .collect()
}

fn assert_none(found: &[String]) {
    assert!(found.is_empty(), "{} leaks:\n{}", found.len(), found.join("\n"));
}

/// Tries a text whole and with each line damaged, and names what came out.
fn try_all(
    text: &str,
    damages: impl Fn(&str) -> Vec<Vec<u8>>,
    mut build: impl FnMut(&[u8]) -> Finished,
) -> Vec<String> {
    let mut found = leaked(&build(text.as_bytes()));
    for (at, line) in text.lines().enumerate() {
        for damaged in damages(line) {
            let leaks = leaked(&build(&with_line(text, at, &damaged)));
            let damaged = String::from_utf8_lossy(&damaged).into_owned();
            found.extend(leaks.iter().map(|leak| format!("{damaged} => {leak}")));
        }
    }
    found
}

#[test]
fn what_stands_in_a_spec_never_comes_out() {
    let lines = [
        "apiVersion: bundle/v1",
        "name: test",
        "platforms:",
        "- linux/amd64",
        "verifier: [verifier]",
        "images:",
        "- 127.0.0.1:1/app:1",
        "- name: 127.0.0.1:1/b:1",
        "  from: 127.0.0.1:1/c:1",
        "- name: 127.0.0.1:1/d:1",
        "  archive: gone.tar",
        "registries:",
        "  127.0.0.1:1:",
        "    plainHttp: true",
        "    mirror: http://127.0.0.1:1/hub",
        "    username: me",
        "    passwordFile: password",
        "  127.0.0.1:2:",
        "    ca: ca.pem",
        "crictl:",
        "  runtime-endpoint: unix:///run/containerd/containerd.sock",
        "  timeout: 10",
        "  debug: false",
        "manifests:",
        "- manifests/*.yaml",
        "files:",
        "- from: file",
        "  to: file",
        "smoke:",
        "  image: 127.0.0.1:1/app:1",
    ];
    // A login before a host, where a name stands, is none.
    let names = ["name", "from", "- 127", "username", "image", "127"];
    let sandbox = Sandbox::new();
    for file in ["password", "ca.pem", "file"] {
        sandbox.write(file, format!("{PLANTED}\n").as_bytes());
    }
    sandbox.write(
        "manifests/a.yaml",
        format!("kind: Pod # {PLANTED}\nimage: [{PLANTED}\n").as_bytes(),
    );
    let text = planted_behind(&lines);
    let build = |spec: &[u8]| {
        sandbox.write("bundle.yaml", spec);
        sandbox.run(&["build", "-o", "site.tar", "--dry-run"])
    };
    let mut found = try_all(&text, damages, build);
    found.extend(try_all(&text, misplaced, build).into_iter().filter(|leak| {
        // A name that could be an image's or a user's is one, and is said.
        !names
            .iter()
            .any(|name| leak.trim_start_matches([' ', '-']).starts_with(name))
    }));
    assert_none(&found);
}

#[test]
fn a_password_in_the_place_of_its_file_is_not_shown() {
    let sandbox = Sandbox::new();
    sandbox.spec(&format!(
        "images: ['127.0.0.1:1/a:1']\nregistries: {{'127.0.0.1:1': {{username: me, passwordFile: {PLANTED}}}}}\n"
    ));
    let built = sandbox.run(&["build", "-o", "site.tar"]);
    assert_eq!(built.code, Some(64), "{}", built.stderr);
    assert!(
        built
            .stderr
            .contains("bundle.yaml:6:58: the file that this names"),
        "{}",
        built.stderr
    );
    assert_none(&leaked(&built));
}

/// A registry that takes no login.
fn strict() -> Server {
    Server::new(|_| Answer::new(401, "{}").header("WWW-Authenticate", "Basic realm=\"kit\""))
}

fn spec(sandbox: &Sandbox, server: &Server) {
    let address = server.address();
    sandbox.spec(&format!(
        "images: ['{address}/a/b:1']\nregistries: {{\"{address}\": {{plainHttp: true}}}}\n"
    ));
}

#[test]
fn what_stands_in_dockers_and_podmans_files_of_logins_never_comes_out() {
    let (sandbox, server) = (Sandbox::new(), strict());
    let address = server.address();
    spec(&sandbox, &server);
    let docker = format!(
        "{{\n\"auths\": {{\n\"{address}\": {{\n\"auth\": \"{PLANTED}01\",\n\"username\": \"{PLANTED}02\",\n\"password\": \"{PLANTED}03\",\n\
         \"identitytoken\": \"{PLANTED}04\",\n\"registrytoken\": \"{PLANTED}05\"\n}},\n\"{PLANTED}06\": {{\n\"auth\": \"{PLANTED}07\"\n}}\n}},\n\
         \"credHelpers\": {{\n\"{PLANTED}08\": \"{PLANTED}09\",\n\"{address}\": \"{PLANTED}10\"\n}},\n\"credsStore\": \"{PLANTED}11\",\n\"HttpHeaders\": {{\n\"X\": \"{PLANTED}12\"\n}}\n}}\n"
    );
    let podman = format!(
        "{{\n\"auths\": {{\n\"{address}/a\": {{\n\"auth\": \"{PLANTED}01\"\n}},\n\"{address}/a/b\": {{\n\"username\": \"{PLANTED}02\",\n\"password\": \"{PLANTED}03\"\n}}\n}}\n}}\n"
    );
    let mut found = Vec::new();
    for text in [docker, podman] {
        found.extend(try_all(&text, damages_of_json, |config| {
            sandbox.write(".docker/config.json", config);
            sandbox.run(&["build", "-o", "site.tar"])
        }));
    }
    assert_none(&found);
}

#[test]
fn what_a_credential_helper_answers_never_comes_out() {
    let (sandbox, server) = (Sandbox::new(), strict());
    spec(&sandbox, &server);
    sandbox.write(".docker/config.json", br#"{"credsStore": "test"}"#);
    let helper = "bin/docker-credential-test";
    let script = format!("#!/bin/sh\ncat answer\necho {PLANTED} >&2\nexit $(cat code)\n");
    sandbox.write(helper, script.as_bytes());
    fs::set_permissions(sandbox.path(helper), fs::Permissions::from_mode(0o755)).unwrap();
    let text = format!(
        "{{\n\"ServerURL\": \"{PLANTED}01\",\n\"Username\": \"{PLANTED}02\",\n\"Secret\": \"{PLANTED}03\"\n}}\n"
    );
    let mut found = Vec::new();
    for code in ["0", "1"] {
        sandbox.write("code", code.as_bytes());
        found.extend(try_all(&text, damages_of_json, |answer| {
            sandbox.write("answer", answer);
            sandbox.run(&["build", "-o", "site.tar"])
        }));
    }
    assert_none(&found);
}
