//! A kubeconfig with a secret on every line, each line damaged in turn: what is wrong is said, the secret is not.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::{PLANTED, asks_the_api, damages, in_halves, leaks, verifier, with_line};

const SITE: &str = "apiVersion: site/v1\nkubeconfig: kubeconfig\nhosts:\n- {name: a, address: 127.0.0.1, roles: [worker], ssh: {port: 1}}\n";

/// A kubeconfig; every line holds a secret, as its value or behind it.
fn text(user: &str) -> String {
    let pem = STANDARD.encode(format!(
        "-----BEGIN CERTIFICATE-----\n{PLANTED}\n-----END CERTIFICATE-----\n"
    ));
    format!(
        "apiVersion: v1 # {PLANTED}01\n\
         kind: Config # {PLANTED}02\n\
         current-context: {PLANTED}03\n\
         clusters: # {PLANTED}04\n\
         - name: {PLANTED}05\n\
         \x20 cluster: # {PLANTED}06\n\
         \x20   server: https://u:{PLANTED}07@127.0.0.1:1\n\
         \x20   certificate-authority-data: {pem}\n\
         contexts: # {PLANTED}10\n\
         - name: {PLANTED}03\n\
         \x20 context: # {PLANTED}12\n\
         \x20   cluster: {PLANTED}05\n\
         \x20   namespace: {PLANTED}14\n\
         \x20   user: {PLANTED}15\n\
         users: # {PLANTED}16\n\
         - name: {PLANTED}15\n\
         \x20 user: # {PLANTED}18\n\
         {user}"
    )
}

/// Runs the suite's first check against the kubeconfig, and returns what came out that should not.
fn leaked(directory: &Path, kubeconfig: &[u8]) -> Vec<String> {
    fs::write(directory.join("site.yaml"), SITE).unwrap();
    fs::write(directory.join("kubeconfig"), kubeconfig).unwrap();
    let report = directory.join("report");
    let output = asks_the_api(directory);
    let said =
        String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout);
    assert!(!said.is_empty(), "an end without a word");
    leaks(&output, &report)
}

/// Damages each line of a kubeconfig in turn, and tries it whole.
fn try_all(user: &str) {
    let text = text(user);
    let directory = tempfile::tempdir().unwrap();
    let mut found = leaked(directory.path(), text.as_bytes());
    // Every form of a user has the same first lines: they are tried with the first form alone.
    let from = if user.contains("client-key-data") { 0 } else { 17 };
    let lines: Vec<(usize, &str)> = text.lines().enumerate().skip(from).collect();
    found.extend(in_halves(&lines, |directory, (at, line)| {
        let mut found = Vec::new();
        for damaged in damages(line) {
            let leaked = leaked(directory, &with_line(&text, *at, &damaged));
            let damaged = String::from_utf8_lossy(&damaged).into_owned();
            found.extend(leaked.iter().map(|leak| format!("{damaged} => {leak}")));
        }
        found
    }));
    assert!(found.is_empty(), "{} leaks:\n{}", found.len(), found.join("\n"));
}

#[test]
fn keys_and_certificates_never_come_out() {
    let certificate = STANDARD.encode(format!("-----BEGIN CERTIFICATE-----\n{PLANTED}\n"));
    try_all(&format!(
        "\x20   client-certificate-data: {certificate}\n\x20   client-key-data: {PLANTED}20\n"
    ));
    let key = STANDARD.encode(format!(
        "-----BEGIN PRIVATE KEY-----\n{PLANTED}\n-----END {PLANTED}-----\n"
    ));
    try_all(&format!(
        "\x20   client-certificate: {PLANTED}19\n\x20   client-key-data: {key}\n"
    ));
}

#[test]
fn tokens_and_passwords_never_come_out() {
    try_all(&format!("\x20   token: {PLANTED}19\n\x20   as: {PLANTED}20\n"));
    try_all(&format!("\x20   tokenFile: {PLANTED}19\n"));
    try_all(&format!(
        "\x20   username: \"{PLANTED}\\u000019\"\n\x20   password: \"{PLANTED}\\n20\"\n"
    ));
}

#[test]
fn what_is_wrong_is_said_by_place_and_field() {
    for (user, said) in [
        (
            "    token: [x]\n",
            "line 18, column 12: users[0].user.token is not what",
        ),
        ("    token: \"x\n", "it is no YAML there"),
        (
            "    token: \"x\\n\"\n",
            "the token has characters that a header cannot carry",
        ),
        (
            "    tokenFile: x\n",
            "the file that tokenFile names cannot be read: No such file",
        ),
        (
            "    client-certificate-data: eA==\n    client-key-data: '-'\n",
            "client-key-data of the current",
        ),
        (
            "    client-certificate-data: eA==\n    client-key-data: eA==\n",
            "holds no private key in PEM",
        ),
        (
            "    exec: {command: /bin/false}\n",
            "the program that exec.command names failed (exit status: 1)",
        ),
        (
            "    exec: {command: /bin/true}\n",
            "gave no ExecCredential with a status",
        ),
    ] {
        let directory = tempfile::tempdir().unwrap();
        let text = text(user).replace("certificate-authority-data", "ignored");
        fs::write(directory.path().join("site.yaml"), SITE).unwrap();
        fs::write(directory.path().join("kubeconfig"), text).unwrap();
        let output = verifier(
            directory.path(),
            &["smoke", "--site", "site.yaml", "--only", "api.ready"],
        );
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(text.contains(said), "{user}: {text}");
        assert_eq!(output.status.code(), Some(2), "{user}");
    }
}

#[test]
fn what_a_plugin_is_given_and_says_never_comes_out() {
    let directory = tempfile::tempdir().unwrap();
    let plugins = [
        format!("#!/bin/sh\necho {PLANTED}; echo {PLANTED} >&2; exit 3\n"),
        format!("#!/bin/sh\necho '{{\"status\": {{\"token\": [\"{PLANTED}\"]}}}}'; echo {PLANTED} >&2\n"),
        format!(
            "#!/bin/sh\necho '{{\"status\": {{\"token\": \"{PLANTED}\\n\", \"clientKeyData\": \"{PLANTED}\"'\n"
        ),
        format!(
            "#!/bin/sh\necho '{{\"status\": {{\"token\": \"{PLANTED}\", \"expirationTimestamp\": \"{PLANTED}\"}}}}'\n"
        ),
        format!(
            "#!/bin/sh\necho '{{\"status\": {{\"clientCertificateData\": \"{PLANTED}\", \"clientKeyData\": \"{PLANTED}\"}}}}'\n"
        ),
    ];
    for (number, plugin) in plugins.iter().enumerate() {
        let path = directory.path().join(format!("plugin{number}"));
        fs::write(&path, plugin).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        for mode in ["Never", "IfAvailable", "Always"] {
            let user = format!(
                "    exec:\n      apiVersion: client.authentication.k8s.io/v1\n      command: {}\n      args: [{PLANTED}]\n      env: [{{name: TOKEN, value: {PLANTED}}}]\n      interactiveMode: {mode}\n",
                path.display()
            );
            let found = leaked(directory.path(), text(&user).as_bytes());
            assert!(found.is_empty(), "{plugin}: {found:?}");
        }
    }
    try_all(&format!(
        "    exec:\n      command: /{PLANTED}19\n      args: [{PLANTED}20]\n      env: [{{name: A, value: {PLANTED}21}}]\n"
    ));
    try_all(&format!(
        "    auth-provider:\n      name: gcp\n      config:\n        cmd-path: /{PLANTED}22\n        cmd-args: {PLANTED}23\n        expiry: {PLANTED}24\n        access-token: {PLANTED}25\n"
    ));
}
