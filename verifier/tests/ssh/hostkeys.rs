//! `verifier site hostkeys`, the program itself: bastions first, and nothing pinned that nobody vouched for.

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use crate::sshd::{Kind, Sshd, run};

/// A site of one host behind a bastion, in the folder of the host; nothing is pinned.
fn site(inner: &Sshd, outer: &Sshd) -> std::path::PathBuf {
    outer.authorize(&inner.path("id.pub"));
    let text = format!(
        "apiVersion: site/v1\nkubeconfig: k\nssh: {{identity: id, agent: false, knownHosts: pins, bastion: 'root@127.0.0.1:{}'}}\n\
         hosts:\n- {{name: node-0, address: 127.0.0.1, roles: [worker], ssh: {{port: {}}}}}\n",
        outer.target().port,
        inner.target().port
    );
    let path = inner.path("site.yaml");
    fs::write(&path, text).unwrap();
    path
}

/// Runs it without a terminal.
fn hostkeys(site: &Path, arguments: &[&str]) -> Output {
    Command::new("setsid")
        .args([
            "--wait",
            env!("CARGO_BIN_EXE_verifier"),
            "site",
            "hostkeys",
            "--site",
        ])
        .arg(site)
        .args(arguments)
        .env("LANG", "C")
        .output()
        .unwrap()
}

/// Runs it on a terminal on which somebody types `answers`.
fn on_a_terminal(site: &Path, answers: &str) -> String {
    let command = format!(
        "{} site hostkeys --site {} --accept",
        env!("CARGO_BIN_EXE_verifier"),
        site.display()
    );
    let mut child = Command::new("script")
        .args(["-qec", &command, "/dev/null"])
        .env("LANG", "C")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut typed = child.stdin.take().unwrap();
    typed.write_all(answers.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    drop(typed);
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn states(output: &Output) -> Vec<String> {
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let hosts = json["hosts"].as_array().unwrap();
    hosts
        .iter()
        .map(|host| host["state"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn a_bastion_is_pinned_first_and_through_it_the_host_with_what_a_file_expects() {
    let (inner, outer) = (Sshd::start(&Kind::default()), Sshd::start(&Kind::default()));
    let site = site(&inner, &outer);
    let output = hostkeys(&site, &["--json"]);
    assert_eq!(states(&output), ["new", "unreached"]);
    assert_eq!(output.status.code(), Some(2));

    // What ssh-keygen prints on the console of each; only the host's at first.
    let sum = |host: &Sshd| run("ssh-keygen", &["-lf", host.path("host.pub").to_str().unwrap()]);
    let expect = inner.path("expect");
    let expect_text = expect.to_str().unwrap();
    fs::write(&expect, sum(&inner) + "\n").unwrap();
    let output = hostkeys(&site, &["--json", "--accept", "--expect", expect_text]);
    assert_eq!(states(&output), ["unexpected", "unreached"]);
    assert!(!inner.path("pins").exists());

    fs::write(&expect, format!("{}\n{}\n", sum(&inner), sum(&outer))).unwrap();
    let output = hostkeys(&site, &["--json", "--expect", expect_text]);
    assert_eq!(
        states(&output),
        ["new", "unreached"],
        "nothing is pinned unless it is to be"
    );
    let output = hostkeys(&site, &["--json", "--accept", "--expect", expect_text]);
    assert_eq!(states(&output), ["pinned", "pinned"]);
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(states(&hostkeys(&site, &["--json"])), ["known", "known"]);
    assert_eq!(fs::read_to_string(inner.path("pins")).unwrap().lines().count(), 2);
}

#[test]
fn without_a_terminal_nothing_is_accepted_and_a_file_that_is_none_is_named_with_its_line() {
    let (inner, outer) = (Sshd::start(&Kind::default()), Sshd::start(&Kind::default()));
    let site = site(&inner, &outer);
    let output = hostkeys(&site, &["--accept"]);
    assert_eq!(output.status.code(), Some(64));
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(text.contains("--expect"), "{text}");
    let expect = inner.path("expect");
    fs::write(&expect, "# the keys\nnode-0 SHA256\n").unwrap();
    let output = hostkeys(&site, &["--accept", "--expect", expect.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(64));
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(text.contains("line 2"), "{text}");
    assert!(!inner.path("pins").exists());
}

#[test]
fn on_a_terminal_the_fingerprints_are_shown_and_only_yes_pins_them() {
    let (inner, outer) = (Sshd::start(&Kind::default()), Sshd::start(&Kind::default()));
    let site = site(&inner, &outer);
    let said = on_a_terminal(&site, "y\n");
    assert!(said.contains("SHA256:") && said.contains("not pinned"), "{said}");
    assert!(!inner.path("pins").exists());
    let said = on_a_terminal(&site, "yes\nyes\n");
    assert!(said.contains("pinned 2 keys"), "{said}");
    assert_eq!(fs::read_to_string(inner.path("pins")).unwrap().lines().count(), 2);
}
