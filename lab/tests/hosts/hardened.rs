//! Hardened hosts.

use lab::{Options, Paths};

use crate::support::{bare, up};

const SSH: [&str; 5] = ["ssh", "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=yes"];

#[test]
fn a_hardened_host_lets_only_op_in_whose_sudo_asks_a_password() {
    let options = Options {
        hardened: true,
        ..bare("hard")
    };
    let lab = up(&options);
    let ssh = |arguments: &[&str]| lab.exec("jumpbox", &[&SSH, arguments].concat()).unwrap();
    let root = ssh(&["root@server", "true"]);
    let said = String::from_utf8(root.stderr).unwrap();
    assert!(
        !root.status.success() && said.contains("Permission denied"),
        "{said}"
    );
    assert_eq!(ssh(&["op@server", "id", "-un"]).stdout, b"op\n");
    assert!(!ssh(&["op@server", "sudo", "-n", "true"]).status.success());
    let sudo = format!(
        "{} op@server \"sudo -S -p '' id -un\" <op.password",
        SSH.join(" ")
    );
    assert_eq!(lab.read("jumpbox", &["sh", "-c", &sudo]).unwrap(), "root\n");
    let forward = ssh(&[
        "-o",
        "ExitOnForwardFailure=yes",
        "-W",
        "127.0.0.1:22",
        "op@server",
    ]);
    assert!(!forward.status.success(), "forwarding is not disabled");
    for dir in ["/tmp", "/dev/shm"] {
        let script = format!("cp /bin/true {dir}/t && {dir}/t");
        let run = lab.exec("server", &["sh", "-c", &script]).unwrap();
        assert!(
            String::from_utf8(run.stderr)
                .unwrap()
                .contains("Permission denied"),
            "{dir}"
        );
    }
    // What the verifier needs: a directory of op's own that lets programs run.
    let own = "cp /bin/true ~/t && ~/t";
    assert!(ssh(&["op@server", own]).status.success());
    let site = std::fs::read_to_string(Paths::new(&options.name).media().join("site.yaml")).unwrap();
    assert!(site.contains("user: op, become: sudo"), "{site}");
}

#[test]
fn a_standard_host_lets_programs_run_in_tmp() {
    let lab = up(&bare("soft"));
    lab.read("server", &["sh", "-c", "cp /bin/true /tmp/t && /tmp/t"])
        .unwrap();
}
