//! The network or containerd goes in the middle of a load or a run: whom it hit is named, the others are served, nothing
//! half-made stays, and the next try is enough.

use std::io::Read as _;
use std::process::{Child, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use e2e::{Closed, Finished, Report, left};
use lab::{JUMPBOX, Options};

/// Longest wait for anything here.
const PATIENCE: Duration = Duration::from_mins(2);
/// What containerd holds of blobs that are not whole yet, in bytes.
const HALF: &str = "du -sb /var/lib/containerd/io.containerd.content.v1.content/ingest 2>/dev/null | cut -f1";
const LOAD: [&str; 5] = ["load", "site.tar", "--site", "site.yaml", "--json"];
const SMOKE: [&str; 6] = ["smoke", "--bundle", "site.tar", "--site", "site.yaml", "--json"];

/// Runs a script on a host, which must succeed, and returns what it printed.
#[track_caller]
fn sh(closed: &Closed, host: &str, script: &str) -> String {
    let done = closed.on(host, &["sh", "-c", script]);
    assert_eq!(done.code, Some(0), "{host}: {script}: {}", done.stderr);
    done.stdout
}

/// Waits until a look is content with what it sees.
#[track_caller]
fn until(what: &str, mut look: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !look() {
        assert!(begin.elapsed() < PATIENCE, "{what}");
        thread::sleep(Duration::from_millis(50));
    }
}

fn start(closed: &Closed, arguments: &[&str]) -> Child {
    let mut command = closed.verifier_command(arguments);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command.spawn().expect("start the verifier")
}

fn end(mut child: Child) -> Finished {
    // Both pipes are read at once, so that neither fills.
    let mut errors = child.stderr.take().expect("a pipe");
    let errors = thread::spawn(move || {
        let mut bytes = Vec::new();
        errors.read_to_end(&mut bytes).map(|_| bytes)
    });
    let mut output = child.wait_with_output().expect("the verifier's end");
    output.stderr = errors.join().expect("a reader").expect("its stderr");
    output.into()
}

/// Starts a load over a slow network, does something while `node` has half of a blob, and returns how the load ended.
fn in_the_middle_of_a_load(closed: &Closed, node: &str, meanwhile: impl FnOnce()) -> Finished {
    sh(
        closed,
        JUMPBOX,
        "tc qdisc replace dev eth1 root tbf rate 60mbit burst 64kb latency 400ms",
    );
    let load = start(closed, &LOAD);
    until("a half-written blob", || {
        sh(closed, node, HALF)
            .trim()
            .parse()
            .is_ok_and(|bytes: u64| bytes > 1 << 20)
    });
    meanwhile();
    let finished = end(load);
    sh(closed, JUMPBOX, "tc qdisc del dev eth1 root");
    finished
}

/// Removes the images of a node, so that a load has something to do.
fn empty(closed: &Closed, node: &str) {
    let ctr = "/opt/containerd/bin/ctr -n k8s.io images";
    sh(closed, node, &format!("{ctr} ls -q | xargs -r {ctr} rm --sync"));
}

/// Makes sure that nothing of a broken load is on the node.
#[track_caller]
fn assert_nothing_half_made(closed: &Closed, node: &str) {
    let ctr = "/opt/containerd/bin/ctr -n k8s.io";
    until("the agents' end", || left(closed).is_empty());
    assert_eq!(
        sh(
            closed,
            node,
            &format!("{ctr} leases ls -q | grep -i verifier || true")
        ),
        ""
    );
    assert_eq!(
        sh(closed, node, &format!("{ctr} content active | tail -n +2")).trim(),
        ""
    );
}

/// Returns what `load --json` says of a host: whether it was loaded, and else why not.
#[track_caller]
fn loaded(finished: &Finished, name: &str) -> Result<(), String> {
    let value: serde_json::Value =
        serde_json::from_str(&finished.stdout).unwrap_or_else(|error| panic!("{error}: {finished:?}"));
    let mut hosts = value["hosts"].as_array().into_iter().flatten();
    let host = hosts
        .find(|host| host["host"] == name)
        .unwrap_or_else(|| panic!("{name}: {value}"));
    match host["error"].as_str() {
        None if host["ok"] == true => Ok(()),
        error => Err(error.unwrap_or_default().to_owned()),
    }
}

fn a_node_that_the_network_loses_is_named_and_the_others_are_loaded(closed: &Closed) {
    let rules = |action: &str| {
        format!("iptables {action} INPUT -i eth1 -j DROP && iptables {action} OUTPUT -o eth1 -j DROP")
    };
    let load = in_the_middle_of_a_load(closed, "node-1", || {
        sh(closed, "node-1", &rules("-I"));
    });
    sh(closed, "node-1", &rules("-D"));
    assert_eq!(load.code, Some(2), "{load:?}");
    assert_eq!(loaded(&load, "node-0"), Ok(()));
    assert!(loaded(&load, "node-1").is_err(), "{load:?}");
    assert!(load.stderr.contains("--node node-1"), "{}", load.stderr);
    assert_nothing_half_made(closed, "node-1");
    closed.load();
}

fn a_containerd_that_is_restarted_is_named_and_keeps_nothing_half_made(closed: &Closed) {
    for node in ["node-0", "node-1"] {
        empty(closed, node);
    }
    let load = in_the_middle_of_a_load(closed, "node-0", || {
        sh(closed, "node-0", "systemctl restart containerd");
    });
    assert_eq!(load.code, Some(2), "{load:?}");
    assert_eq!(loaded(&load, "node-1"), Ok(()));
    let error = loaded(&load, "node-0").expect_err("containerd went away");
    assert!(error.contains("the connection to containerd broke"), "{error}");
    assert_nothing_half_made(closed, "node-0");
    closed.load();
}

fn a_run_whose_containerd_is_restarted_ends_with_a_report_and_nothing_left(closed: &Closed) {
    closed.assert_healthy();
    let run = start(closed, &SMOKE);
    until("the run's pods", || {
        sh(
            closed,
            "server",
            "kubectl --kubeconfig /root/admin.kubeconfig get pods -A",
        )
        .contains("verifier-")
    });
    sh(closed, "node-0", "systemctl restart containerd");
    let run = end(run);
    let report = Report::parse(&run.stdout);
    // Whether a check saw the gap is a matter of moments; that the code is the report's is not.
    let code = match report.outcome() {
        "pass" | "warn" => 0,
        "fail" => 1,
        _ => 2,
    };
    assert_eq!(run.code, Some(code), "{:?} {}", report.troubles(), run.stderr);
    let only_there = |line: &String| line.contains("node-0") || !line.contains("node-1");
    assert!(
        report.troubles().iter().all(only_there),
        "{:?}",
        report.troubles()
    );
    assert_eq!(left(closed), Vec::<String>::new());
    until("a healthy cluster", || closed.smoke(&[]).0.code == Some(0));
}

#[test]
fn what_breaks_in_the_middle_is_named_and_the_next_try_is_enough() {
    let closed = Closed::up(&Options {
        name: "e2e-cut".into(),
        ..Options::default()
    });
    a_node_that_the_network_loses_is_named_and_the_others_are_loaded(&closed);
    a_containerd_that_is_restarted_is_named_and_keeps_nothing_half_made(&closed);
    a_run_whose_containerd_is_restarted_ends_with_a_report_and_nothing_left(&closed);
}
