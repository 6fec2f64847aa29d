//! Files that a person names, and what of them is no file: a FIFO, a device, a directory, ten gigabytes of nothing. Each is an
//! error that names it and its limit, at once and with little memory. And how many files may be open.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::fmt::Write as _;
use std::fs::{self, File, Permissions};
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::thread;
use std::time::Duration;

use serde_json::Value;

const VERIFIER: &str = env!("CARGO_BIN_EXE_verifier");

/// What is no file, under the name `odd`, each with what is said of it.
const ODD: [(&str, &str); 4] = [
    ("fifo", "it is no regular file but a FIFO"),
    ("directory", "it is no regular file but a directory"),
    ("device", "it is no regular file but a device"),
    ("sparse", "it is too long"),
];

fn make(directory: &Path, odd: &str) {
    let path = directory.join("odd");
    match odd {
        "fifo" => assert!(Command::new("mkfifo").arg(&path).status().unwrap().success()),
        "directory" => fs::create_dir(&path).unwrap(),
        "device" => symlink("/dev/zero", &path).unwrap(),
        _ => File::create(&path).unwrap().set_len(10 << 30).unwrap(),
    }
}

/// Runs the verifier behind some words of a shell, with 60 s and 1 GiB of addresses.
fn run(directory: &Path, before: &str, arguments: &[&str]) -> Output {
    let script = format!("ulimit -v 1048576; {before}; exec \"$0\" \"$@\"");
    Command::new("timeout")
        .args(["60", "bash", "-c", &script, VERIFIER])
        .args(arguments)
        .current_dir(directory)
        .env_remove("SSH_AUTH_SOCK")
        .env("HOME", directory)
        .env("LC_ALL", "C")
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

fn site(ssh: &str, hosts: usize, port: u16) -> String {
    let mut text =
        format!("apiVersion: site/v1\nkubeconfig: kubeconfig\nssh: {{port: {port}, {ssh}}}\nhosts:\n");
    for host in 1..=hosts {
        writeln!(
            text,
            "- {{name: n{host}, address: 127.0.0.{host}, roles: [worker]}}"
        )
        .unwrap();
    }
    text
}

/// A kubeconfig whose files are other ones.
fn kubeconfig(cluster: &str, user: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: c\nclusters: [{{name: c, cluster: {{server: 'https://127.0.0.1:1', {cluster}}}}}]\n\
         contexts: [{{name: c, context: {{cluster: c, user: u}}}}]\nusers: [{{name: u, user: {{{user}}}}}]\n"
    )
}

#[test]
fn what_is_no_file_is_an_error_that_names_it_and_its_limit_at_once() {
    let smoke = ["smoke", "--site", "site.yaml", "--only", "api.ready"];
    let hostkeys = ["site", "hostkeys", "--site", "site.yaml"];
    let expect = [&hostkeys[..], &["--accept", "--expect", "odd"]].concat();
    let init = ["site", "init", "--machines", "odd", "--kubeconfig", "k"];
    let plain = || site("user: root", 1, 1);
    let with = |cluster: &str, user: &str| (plain(), kubeconfig(cluster, user), &smoke[..]);
    let cases = [
        (
            "a site file",
            "4 MiB",
            (
                plain(),
                String::new(),
                &["smoke", "--site", "odd", "--only", "api.ready"][..],
            ),
        ),
        ("a list of machines", "1 MiB", (plain(), String::new(), &init[..])),
        ("a list of keys", "4 MiB", (plain(), String::new(), &expect[..])),
        (
            "a password file",
            "4 KiB",
            (
                site("become: sudo, passwordFile: odd", 1, 1),
                String::new(),
                &smoke[..],
            ),
        ),
        (
            "a file of known hosts",
            "4 MiB",
            (site("knownHosts: odd", 1, 1), String::new(), &hostkeys[..]),
        ),
        (
            "a kubeconfig",
            "8 MiB",
            (
                plain().replace("kubeconfig: kubeconfig", "kubeconfig: odd"),
                String::new(),
                &smoke[..],
            ),
        ),
        (
            "a file of certificates",
            "4 MiB",
            with("certificate-authority: odd", "token: x"),
        ),
        (
            "a file of certificates",
            "4 MiB",
            with("", "client-certificate: odd, client-key-data: eA=="),
        ),
        (
            "a private key",
            "1 MiB",
            with("", "client-certificate-data: eA==, client-key: odd"),
        ),
        ("a token", "64 KiB", with("", "tokenFile: odd")),
    ];
    for (odd, is) in ODD {
        for (kind, limit, (site, kubeconfig, arguments)) in &cases {
            let directory = tempfile::tempdir().unwrap();
            make(directory.path(), odd);
            fs::write(directory.path().join("site.yaml"), site).unwrap();
            fs::write(directory.path().join("kubeconfig"), kubeconfig).unwrap();
            let output = run(directory.path(), "true", arguments);
            let said = said(&output);
            assert_eq!(output.status.code(), Some(2), "{kind} that is a {odd}: {said}");
            assert!(
                said.contains(is) && said.contains(kind),
                "{kind} that is a {odd}: {said}"
            );
            if odd == "sparse" {
                assert!(said.contains(&format!("{kind} has at most {limit}")), "{said}");
            }
        }
    }
}

#[test]
fn an_archive_that_is_a_device_without_end_is_refused_at_once() {
    let directory = tempfile::tempdir().unwrap();
    make(directory.path(), "device");
    for command in [&["check", "odd"][..], &["unpack", "odd", "there"]] {
        let output = run(directory.path(), "true", command);
        let said = said(&output);
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains("it is no regular file but a device"), "{said}");
    }
}

#[test]
fn what_the_command_line_names_may_be_a_pipe_of_the_shell() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("site.yaml"), site("user: root", 1, 1)).unwrap();
    let piped = |script: &str| {
        let mut command = Command::new("timeout");
        command.args(["20", "bash", "-c", script, VERIFIER]);
        said(
            &command
                .current_dir(directory.path())
                .env("LC_ALL", "C")
                .output()
                .unwrap(),
        )
    };
    let machines = "echo 10.0.0.1 a.example a 10.200.0.0/24";
    for script in [
        format!("\"$0\" site init --machines <({machines}) --kubeconfig k"),
        format!("{machines} | \"$0\" site init --machines /dev/stdin --kubeconfig k"),
    ] {
        let said = piped(&script);
        assert!(said.contains("name: a") && said.contains("10.0.0.1"), "{said}");
    }
    // The file is read; nobody listens at the host's port.
    let said = piped(
        "\"$0\" site hostkeys --site <(cat site.yaml) --expect <(echo SHA256:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA)",
    );
    assert!(
        said.contains("n1") && said.contains("refuses connections"),
        "{said}"
    );
    // Endless, it is read to its limit.
    let said = piped("\"$0\" site hostkeys --site <(yes)");
    assert!(said.contains("a site file has at most 4 MiB"), "{said}");
}

#[test]
fn files_with_secrets_that_others_may_read_are_warned_of_and_used() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    fs::write(
        path("site.yaml"),
        site("identity: key, become: sudo, passwordFile: password", 1, 1),
    )
    .unwrap();
    fs::write(path("kubeconfig"), kubeconfig("", "token: x")).unwrap();
    for name in ["key", "password"] {
        File::create(path(name)).unwrap().write_all(b"x\n").unwrap();
    }
    let smoke = ["smoke", "--site", "site.yaml", "--only", "api.ready"];
    for (mode, warned) in [(0o644, true), (0o640, true), (0o600, false)] {
        for name in ["kubeconfig", "key", "password"] {
            fs::set_permissions(path(name), Permissions::from_mode(mode)).unwrap();
        }
        let output = run(directory.path(), "true", &smoke);
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        for name in ["kubeconfig", "key", "password"] {
            let words = format!("`chmod 600 {name}`");
            assert_eq!(stderr.contains(&words), warned, "{mode:o}: {stderr}");
        }
        assert!(said(&output).contains("api.ready"), "it goes on");
    }
}

#[test]
fn the_soft_limit_of_open_files_is_raised_and_a_hard_one_that_is_too_low_is_an_error_of_this_machine() {
    // It takes connections, holds each for a while, and then says what is no SSH.
    let listener = TcpListener::bind("0.0.0.0:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for connection in listener.incoming().flatten() {
            thread::spawn(move || {
                thread::sleep(Duration::from_secs(2));
                let _ = (&connection).write_all(b"SSH-2.0-none\r\n");
                let _ = (&connection).write_all(&[0xff; 64]);
                let _ = (&connection).read(&mut [0; 4096]);
            });
        }
    });
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("site.yaml"), site("user: root", 40, port)).unwrap();
    fs::write(directory.path().join("kubeconfig"), kubeconfig("", "token: x")).unwrap();
    let reach = |limit: &str| {
        let arguments = ["smoke", "--site", "site.yaml", "--only", "hosts.reach", "--json"];
        let output = run(directory.path(), limit, &arguments);
        serde_json::from_slice::<Value>(&output.stdout).unwrap()["results"].clone()
    };
    let of_files = |results: &Value| {
        let results = results.as_array().unwrap().clone();
        let of_files = |result: &Value| result["cause"]["id"] == "ssh-descriptors";
        results.into_iter().filter(of_files).collect::<Vec<_>>()
    };
    let found = of_files(&reach("ulimit -n 24"));
    assert!(found.len() > 16, "{}", found.len());
    for result in found {
        assert_eq!(result["outcome"], "error", "no failure of the host: {result}");
        let hint = result["hint"].as_str().unwrap();
        assert!(
            hint.contains("on this machine") && hint.contains("ulimit -Hn 4096"),
            "{hint}"
        );
    }
    assert_eq!(of_files(&reach("ulimit -Sn 24")), Vec::<Value>::new());
    // Too few for anything.
    let output = run(
        directory.path(),
        "ulimit -n 8",
        &["smoke", "--site", "site.yaml", "--only", "hosts.reach"],
    );
    let text = said(&output);
    assert_eq!(output.status.code(), Some(2), "{text}");
    assert!(text.contains("lets the program open 8 files"), "{text}");
}
