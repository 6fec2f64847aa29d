//! A site file with a secret on every line, each line damaged in turn: what is wrong is said by its place, the secret is not.

use std::fs;
use std::path::Path;

use cli::planted::{misplaced, planted_behind};

use super::{PLANTED, asks_the_api, damages, in_halves, leaks, verifier, with_line};

/// Fields whose values are names that a run has to say: hosts, users, files, the CNI. What a proxy command writes to stderr is
/// the user's own, as with OpenSSH: a shell names there what it does not find.
const NAMES: [&str; 14] = [
    "kubeconfig",
    "user",
    "identity",
    "knownHosts",
    "certificate",
    "bastion",
    "name",
    "address",
    "nodeName",
    "runtime",
    "ca",
    "prefix",
    "cni",
    "proxyCommand",
];

/// A site file with all fields; every line holds a secret behind its value, and one is a command with a password.
fn text() -> String {
    let lines = [
        "apiVersion: site/v1",
        "kubeconfig: kubeconfig",
        "ssh:",
        "  user: root",
        "  identity: key",
        "  certificate: key-cert.pub",
        "  knownHosts: known_hosts",
        "  become: none",
        "  passwordFile: password",
        "  agent: false",
        "  port: 1",
        "  bastion: none",
        "api:",
        "  via: direct",
        "hosts:",
        "- name: a",
        "  address: 127.0.0.1",
        "  roles:",
        "  - worker",
        "  podCIDRs: [10.200.0.0/24]",
        "  nodeName: a",
        "  nodeIPs: [10.0.0.1]",
        "  runtime: /run/containerd/containerd.sock",
        "  schedulable: true",
        "- name: b",
        "  address: 127.0.0.2",
        "  roles: [control-plane]",
        "  ssh:",
        "    proxyCommand: exit 3",
        "etcd:",
        "  endpoints: ['http://127.0.0.1:1']",
        "  ca: /nowhere",
        "  prefix: /registry",
        "expect:",
        "  encryption:",
        "    provider: aescbc",
        "  serviceCIDRs: [10.32.0.0/24]",
        "  cni: bridge",
        "  nodePortFrom: [local, a]",
    ];
    planted_behind(&lines).replace("exit 3", &format!("exit 3 {PLANTED}99"))
}

/// Runs the suite's first check against the site, and returns what came out that should not.
fn leaked(directory: &Path, site: &[u8], line: &str) -> Vec<String> {
    fs::write(directory.join("site.yaml"), site).unwrap();
    // Nothing of the try before.
    let _ = fs::remove_dir_all(directory.join("report"));
    let output = asks_the_api(directory);
    let named = NAMES
        .iter()
        .any(|name| line.trim_start_matches([' ', '-']).starts_with(name));
    // What is taken as a name is said as one.
    if output.status.code() != Some(64) && named {
        return Vec::new();
    }
    leaks(&output, &directory.join("report"))
}

#[test]
fn what_stands_in_a_site_file_never_comes_out() {
    let text = text();
    let directory = tempfile::tempdir().unwrap();
    let whole = leaked(directory.path(), text.as_bytes(), "");
    assert!(whole.is_empty(), "{whole:?}");
    assert!(directory.path().join("report/evidence/site.yaml").is_file());
    let lines: Vec<(usize, &str)> = text.lines().enumerate().collect();
    let found = in_halves(&lines, |directory, (at, line)| {
        let mut all = damages(line);
        all.extend(misplaced(line));
        let mut found = Vec::new();
        for damaged in all {
            let leaked = leaked(directory, &with_line(&text, *at, &damaged), line);
            let damaged = String::from_utf8_lossy(&damaged).into_owned();
            found.extend(leaked.iter().map(|leak| format!("{damaged} => {leak}")));
        }
        found
    });
    assert!(found.is_empty(), "{} leaks:\n{}", found.len(), found.join("\n"));
}

#[test]
fn a_password_in_the_place_of_its_file_is_not_shown() {
    let directory = tempfile::tempdir().unwrap();
    let site = format!(
        "apiVersion: site/v1\nkubeconfig: k\nssh: {{become: sudo, passwordFile: {PLANTED}}}\nhosts:\n- {{name: a, address: 127.0.0.1, roles: [worker]}}\n"
    );
    fs::write(directory.path().join("site.yaml"), site).unwrap();
    let arguments = ["smoke", "--site", "site.yaml", "--only", "api.ready"];
    let output = verifier(directory.path(), &arguments);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(
        said.contains("ssh.passwordFile") && said.contains("No such file") && said.contains("hint"),
        "{said}"
    );
    assert_eq!(
        leaks(&output, &directory.path().join("report")),
        Vec::<String>::new()
    );
}

#[test]
fn what_stands_in_a_list_of_machines_never_comes_out() {
    let directory = tempfile::tempdir().unwrap();
    for line in [
        PLANTED.to_owned(),
        format!("{PLANTED} a.example a"),
        format!("10.0.0.1 a.example {PLANTED}/+"),
        format!("10.0.0.1 a.example a {PLANTED}"),
        format!("10.0.0.1 {PLANTED} a 10.200.0.0/24 {PLANTED}"),
        format!("10.0.0.1 a {PLANTED}\n10.0.0.2 b {PLANTED}"),
    ] {
        fs::write(directory.path().join("machines.txt"), &line).unwrap();
        let arguments = ["site", "init", "--machines", "machines.txt", "--kubeconfig", "k"];
        let output = verifier(directory.path(), &arguments);
        assert_eq!(output.status.code(), Some(64), "{line}");
        assert_eq!(
            leaks(&output, directory.path()).len(),
            1,
            "the list itself alone: {line}"
        );
    }
}
