//! What a run leaves where its outputs fail: the report and the verdict, whatever happens to the terminal, the pipe behind
//! it, the disk. The program itself, against an API server that is not there.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

/// A directory with a site whose API server and host refuse every connection.
fn site() -> tempfile::TempDir {
    let home = tempfile::tempdir().expect("the test's own files and programs");
    let closed = std::net::TcpListener::bind("127.0.0.1:0").expect("the test's own files and programs");
    let port = closed
        .local_addr()
        .expect("the test's own files and programs")
        .port();
    drop(closed);
    fs::write(
        home.path().join("kubeconfig"),
        format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: c\nclusters: [{{name: c, cluster: {{server: 'http://127.0.0.1:{port}'}}}}]\n\
             contexts: [{{name: c, context: {{cluster: c, user: u}}}}]\nusers: [{{name: u, user: {{token: t}}}}]\n"
        ),
    )
    .expect("the test's own files and programs");
    fs::write(
        home.path().join("site.yaml"),
        format!(
            "apiVersion: site/v1\nkubeconfig: kubeconfig\nssh: {{user: root, port: {port}, knownHosts: known_hosts}}\n\
             hosts:\n  - {{name: node-0, address: 127.0.0.1, roles: [control-plane, worker]}}\n"
        ),
    )
    .expect("the test's own files and programs");
    fs::write(home.path().join("known_hosts"), "").expect("the test's own files and programs");
    home
}

fn smoke(home: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_verifier"));
    command
        .current_dir(home)
        .env_remove("LANG")
        .env("LC_ALL", "C")
        .args(["smoke", "--site", "site.yaml", "--only", "api.ready"])
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

fn run(command: &mut Command) -> Output {
    command
        .spawn()
        .expect("the test's own files and programs")
        .wait_with_output()
        .expect("the test's own files and programs")
}

fn full() -> File {
    File::options()
        .write(true)
        .open("/dev/full")
        .expect("the test's own files and programs")
}

/// Returns the write end of a pipe that nobody reads.
fn closed() -> Stdio {
    let (reader, writer) = io::pipe().expect("the test's own files and programs");
    drop(reader);
    writer.into()
}

fn report(home: &Path) -> serde_json::Value {
    serde_json::from_slice(&fs::read(home.join("r/report.json")).expect("the test's own files and programs"))
        .expect("the test's own files and programs")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn a_closed_or_full_stdout_costs_no_report_no_verdict_and_no_exit_code() {
    let home = site();
    let whole = run(&mut smoke(home.path(), &["--report", "r"]));
    let said = text(&whole.stdout);
    assert_eq!(whole.status.code(), Some(1), "{said} {}", text(&whole.stderr));
    assert!(said.contains("fail: "), "{said}");
    for json in [false, true] {
        for name in ["closed", "full"] {
            fs::remove_dir_all(home.path().join("r")).unwrap();
            let mut arguments = vec!["--report", "r"];
            arguments.extend(json.then_some("--json"));
            let cut = run(smoke(home.path(), &arguments).stdout(if name == "closed" {
                closed()
            } else {
                full().into()
            }));
            let said = text(&cut.stderr);
            assert_eq!(cut.status.code(), whole.status.code(), "{name}: {said}");
            assert_eq!(report(home.path())["outcome"], "fail", "{name}");
            assert!(
                said.contains("fail: ") && said.contains("standard output did not take"),
                "{name}: {said}"
            );
        }
    }
}

#[test]
fn a_closed_or_full_stderr_costs_nothing() {
    let home = site();
    for place in [closed(), full().into()] {
        let cut = run(smoke(home.path(), &["--report", "r"]).stderr(place));
        assert_eq!(cut.status.code(), Some(1), "{}", text(&cut.stdout));
        assert!(
            text(&cut.stdout).contains("report: r/report.json"),
            "{}",
            text(&cut.stdout)
        );
        assert_eq!(report(home.path())["outcome"], "fail");
    }
}

#[test]
fn what_cannot_be_written_is_known_before_the_run() {
    let home = site();
    fs::create_dir(home.path().join("mine")).unwrap();
    fs::write(home.path().join("mine/thesis.doc"), "years").unwrap();
    let cases = [
        (["--report", "/sys/r"], 2),
        (["--report", "no/such/r"], 64),
        (["--report", "mine"], 64),
        (["--report", "site.yaml"], 64),
        (["--report-json", "/nonexistent/x"], 2),
        (["--report-json", "/dev/null"], 2),
        (["--report-json", "mine"], 2),
    ];
    for (arguments, code) in cases {
        let refused = run(&mut smoke(home.path(), &arguments));
        let said = text(&refused.stderr);
        assert_eq!(refused.status.code(), Some(code), "{arguments:?}: {said}");
        assert!(
            said.contains(arguments[1].trim_end_matches("/r")) && said.contains("hint"),
            "{arguments:?}: {said}"
        );
        // Nothing was looked at.
        assert_eq!(text(&refused.stdout), "", "{arguments:?}");
    }
    assert_eq!(fs::read_dir(home.path()).unwrap().count(), 4);
}

/// The limit on a file's length stands for a disk that fills while the run goes on: the first bytes still go.
#[test]
fn a_disk_that_fills_meanwhile_costs_no_verdict_and_what_is_missing_is_named() {
    let home = site();
    for (flag, place) in [("--report", "r"), ("--report-json", "r.json")] {
        let script = "trap '' XFSZ; ulimit -f 0; exec \"$@\"";
        let mut limited = Command::new("bash");
        limited.args([
            "-c",
            &script.replace("-f 0", if flag == "--report" { "-f 1" } else { "-f 0" }),
            "bash",
        ]);
        let plain = smoke(home.path(), &[flag, place]);
        limited
            .arg(plain.get_program())
            .args(plain.get_args())
            .current_dir(home.path());
        let cut = limited.env("LC_ALL", "C").output().unwrap();
        let said = text(&cut.stdout);
        assert_eq!(cut.status.code(), Some(1), "{said} {}", text(&cut.stderr));
        assert!(
            said.contains("report-unwritten") && said.contains("too large"),
            "{said}"
        );
        assert!(said.contains("fail: 1 fail, 1 error"), "{said}");
        assert!(!said.contains("report: r/report.json"), "{said}");
        assert!(!home.path().join(place).exists());
    }
    let hidden = fs::read_dir(home.path()).unwrap().count();
    assert_eq!(hidden, 3, "nothing is left of what could not be written");
}

#[test]
fn a_report_is_its_owners_alone_whatever_the_umask() {
    let home = site();
    for mask in ["000", "022", "777"] {
        let plain = smoke(home.path(), &["--report", "r", "--report-json", "r.json"]);
        let mut masked = Command::new("sh");
        masked.args(["-c", "umask $0; exec \"$@\"", mask]);
        masked
            .arg(plain.get_program())
            .args(plain.get_args())
            .current_dir(home.path());
        assert_eq!(masked.output().unwrap().status.code(), Some(1));
        let mode = |path: &str| fs::metadata(home.path().join(path)).unwrap().permissions().mode() & 0o7777;
        assert_eq!(
            (
                mode("r"),
                mode("r/evidence"),
                mode("r/report.json"),
                mode("r.json")
            ),
            (0o700, 0o700, 0o600, 0o600),
            "umask {mask}"
        );
    }
}

#[test]
fn who_reads_no_more_of_help_completions_and_lists_is_no_failure() {
    let home = site();
    for arguments in [
        &["--help"][..],
        &["completion", "bash"],
        &["smoke", "--list"],
        &["explain"],
    ] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_verifier"));
        command
            .current_dir(home.path())
            .args(arguments)
            .stdout(closed())
            .stderr(Stdio::piped());
        let cut = run(&mut command);
        assert_eq!(
            (cut.status.code(), text(&cut.stderr).as_str()),
            (Some(0), ""),
            "{arguments:?}"
        );
    }
    let mut command = Command::new(env!("CARGO_BIN_EXE_verifier"));
    command
        .args(["completion", "bash"])
        .stdout(full())
        .stderr(Stdio::piped());
    let lost = run(&mut command);
    assert_eq!(lost.status.code(), Some(2), "{}", text(&lost.stderr));
}
