//! Hosts run, and commands in them behave as if typed there.

use std::io::Write as _;
use std::process::{Command, Stdio};

use crate::support::{CLUSTER, bare, up};

#[test]
fn every_host_runs_systemd_without_a_failed_unit() {
    let lab = up(&bare("units"));
    for host in CLUSTER {
        assert_eq!(
            lab.read(host, &["systemctl", "is-system-running"]).unwrap(),
            "running\n"
        );
        assert_eq!(lab.read(host, &["cat", "/proc/1/comm"]).unwrap(), "systemd\n");
        assert_eq!(lab.read(host, &["hostname"]).unwrap(), format!("{host}\n"));
        // Its own cgroups are all that it sees.
        let cgroups = lab.read(host, &["cat", "/proc/1/cgroup"]).unwrap();
        assert!(!cgroups.contains(&lab.options().name), "{cgroups}");
    }
}

#[test]
fn the_jumpbox_logs_into_every_host_by_name_and_by_address() {
    let lab = up(&bare("ssh"));
    for host in CLUSTER {
        let address = lab.layout().host(host).unwrap().address.to_string();
        let fqdn = format!("{host}.kubernetes.local");
        for target in [host, &fqdn, &address] {
            let ssh = [
                "ssh",
                "-o",
                "BatchMode=yes",
                "-o",
                "StrictHostKeyChecking=yes",
                target,
                "hostname",
            ];
            assert_eq!(
                lab.read("jumpbox", &ssh).unwrap(),
                format!("{host}\n"),
                "{target}"
            );
        }
    }
    for file in ["machines.txt", "media/site.yaml", ".ssh/known_hosts"] {
        lab.read("jumpbox", &["test", "-s", file]).unwrap();
    }
}

#[test]
fn exec_passes_bytes_and_exit_codes_through() {
    let lab = up(&bare("exec"));
    let name = &lab.options().name;
    let bytes: Vec<u8> = (0..=255).cycle().take(1 << 20).collect();
    for host in ["server", "jumpbox", "connected"] {
        let mut child = Command::new(env!("CARGO_BIN_EXE_lab"))
            .args(["exec", "--name", name, host, "--", "sh", "-c", "cat; exit 42"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let input = bytes.clone();
        let writer = std::thread::spawn(move || stdin.write_all(&input));
        let output = child.wait_with_output().unwrap();
        writer.join().unwrap().unwrap();
        assert_eq!(output.status.code(), Some(42), "{host}");
        assert_eq!(output.stdout, bytes, "{host}");
    }
}

#[test]
fn a_wrong_host_is_a_usage_error_that_names_the_hosts() {
    let lab = up(&bare("wrong"));
    let output = Command::new(env!("CARGO_BIN_EXE_lab"))
        .args(["exec", "--name", &lab.options().name, "node-7", "--", "true"])
        .output()
        .unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(64), "{said}");
    assert!(
        said.contains("no host node-7; there are server, node-0, jumpbox, connected"),
        "{said}"
    );
}

#[test]
fn status_names_the_hosts_and_files_that_are_there() {
    let lab = up(&bare("status"));
    let output = Command::new(env!("CARGO_BIN_EXE_lab"))
        .args(["status", "--json", "--name", &lab.options().name])
        .output()
        .unwrap();
    assert!(output.status.success());
    let status: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(status["version"], 1);
    assert_eq!(status["phase"], "up");
    assert_eq!(status["hosts"][1]["address"], "192.168.10.101");
    assert_eq!(status["hosts"][1]["running"], true);
    for key in ["sshKey", "knownHosts", "machines", "media", "connected"] {
        assert!(
            std::path::Path::new(status[key].as_str().unwrap()).exists(),
            "{key}"
        );
    }
}
