//! Runs that end before their time: what they made is gone at once after Ctrl-C, and after kill -9 by the next start.
//! What only looks like ours stays, and a live run of a colleague is left alone.

use std::time::{Duration, Instant};

use e2e::{Closed, MEDIA, Report};
use lab::{JUMPBOX, Options, SERVER};

/// How a namespace is made that looks like ours: the label without the name, the name without the label.
const LOOKALIKES: &str = "kubectl create ns other && kubectl label ns other app.kubernetes.io/managed-by=verifier \
    verifier.dev/run=zzz && kubectl create ns verifier-lookalike";

fn kubectl(closed: &Closed, script: &str) -> String {
    let script = format!("export KUBECONFIG=/root/admin.kubeconfig; {script}");
    let done = closed.on(SERVER, &["sh", "-c", &script]);
    assert_eq!(done.code, Some(0), "{script}: {}", done.stderr);
    done.stdout
}

/// Returns the namespaces that begin like those of runs.
fn left(closed: &Closed) -> Vec<String> {
    let names = kubectl(closed, "kubectl get ns -o name");
    let ours = names
        .lines()
        .filter(|name| name.contains("/verifier-") && !name.contains("lookalike"));
    ours.map(str::to_owned).collect()
}

/// Runs the suite and sends it a signal as soon as it has made pods; returns its exit code.
fn smoke_until_pods(closed: &Closed, signal: &str) -> i32 {
    let script = format!(
        "cd {MEDIA} && rm -rf cut && export KUBECONFIG=/root/admin.kubeconfig; \
         ./verifier smoke --bundle site.tar --site site.yaml --report cut >/dev/null 2>&1 & pid=$!; \
         until kubectl get pods -A 2>/dev/null | grep -q '^verifier-'; do kill -0 $pid || break; done; \
         kill -{signal} $pid; wait $pid; echo $?"
    );
    let done = closed.on(JUMPBOX, &["bash", "-c", &script]);
    done.stdout.trim().parse().unwrap_or_else(|_| panic!("{done:?}"))
}

#[test]
fn what_a_run_made_is_gone_after_ctrl_c_and_after_kill_by_the_next_start() {
    let closed = Closed::up(&Options {
        name: "e2e-ends".into(),
        ..Options::default()
    });
    closed.assert_healthy();
    kubectl(&closed, LOOKALIKES);

    assert_eq!(smoke_until_pods(&closed, "INT"), 130);
    assert_eq!(left(&closed), Vec::<String>::new());
    let text =
        std::fs::read_to_string(closed.media().join("cut/report.json")).expect("the report of the cut run");
    let cut = Report::parse(&text);
    assert!(
        cut.troubles().iter().any(|line| line.contains("interrupted")),
        "{:?}",
        cut.troubles()
    );

    assert_eq!(smoke_until_pods(&closed, "KILL"), 137);
    let dead = left(&closed);
    assert_eq!(dead.len(), 1, "{dead:?}");
    // It may still be alive for all that the next run knows, which names it and leaves it alone.
    let (finished, report) = closed.smoke(&[]);
    assert_eq!(
        finished.code,
        Some(0),
        "{:?} {}",
        report.troubles(),
        finished.stderr
    );
    assert!(
        finished.stderr.contains("another run is at work"),
        "{}",
        finished.stderr
    );
    assert_eq!(left(&closed), dead);

    let patience = Instant::now() + Duration::from_mins(3);
    while !left(&closed).is_empty() {
        assert!(Instant::now() < patience, "still there: {:?}", left(&closed));
        let (finished, _) = closed.smoke(&["--only", "api.ready"]);
        assert_eq!(finished.code, Some(0), "{}", finished.stderr);
    }
    assert_eq!(
        kubectl(&closed, "kubectl get ns other verifier-lookalike -o name")
            .lines()
            .count(),
        2
    );
}
