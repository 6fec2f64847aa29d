//! Runs that end before their time: what they made is gone at once after Ctrl-C, and after kill -9 by the next start.
//! What only looks like ours stays, and a live run of a colleague is left alone.

use std::time::Duration;

use e2e::soak::{give_up, kill_after, moments, two_at_once, until_nothing_is_left};
use e2e::{Closed, MEDIA, Report, assert_lookalikes_stay, left, make_lookalikes};
use lab::{JUMPBOX, Options};

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

/// Deletes a run's namespace under it: it says so, and blames no part of the cluster.
fn namespace_deleted(closed: &Closed) {
    let deleted = smoke_and(
        closed,
        "kubectl delete namespace --wait=false $(kubectl -n default get ns -o name | grep /verifier- | grep -v lookalike | cut -d/ -f2)",
    );
    let (code, report) = deleted;
    assert_eq!(code, 2, "{:?}", report.troubles());
    let troubles = report.troubles();
    assert!(
        troubles.iter().any(|line| line.contains("namespace-taken")),
        "{troubles:?}"
    );
    assert!(
        troubles.iter().all(|line| !line.contains(" fail ")),
        "{troubles:?}"
    );
}

/// Stops a run for longer than a minute, while another starts, and lets it go on: it is alive. What it had asked when it was
/// stopped is late then, which is an error.
fn stopped_and_continued(closed: &Closed) {
    let meanwhile = "kill -STOP $pid; sleep 70; ./verifier smoke --site site.yaml --only api.ready >other 2>&1; kill -CONT $pid";
    let (_, report) = smoke_and(closed, meanwhile);
    let troubles = report.troubles();
    let wrong = |line: &&String| line.contains("namespace-taken") || line.contains(" fail ");
    assert_eq!(troubles.iter().find(wrong), None, "{troubles:?}");
    let other = std::fs::read_to_string(closed.media().join("other")).expect("what the other run said");
    assert!(other.contains("another run is at work"), "{other}");
}

/// Runs the suite and, once its Deployment is up, a script beside it; returns its exit code and report.
fn smoke_and(closed: &Closed, script: &str) -> (i32, Report) {
    let script = format!(
        "cd {MEDIA} && rm -rf cut && export KUBECONFIG=/root/admin.kubeconfig; \
         ./verifier smoke --bundle site.tar --site site.yaml --timeout 3m --report cut >cut.out 2>&1 & pid=$!; \
         until grep -q '^pass  workload.deployment' cut.out; do kill -0 $pid || break; sleep 0.02; done; \
         {{ {script}; }} >/dev/null 2>&1; wait $pid; echo $?"
    );
    let done = closed.on(JUMPBOX, &["bash", "-c", &script]);
    let code = done.stdout.trim().parse().unwrap_or_else(|_| panic!("{done:?}"));
    let text =
        std::fs::read_to_string(closed.media().join("cut/report.json")).expect("the report of the run");
    (code, Report::parse(&text))
}

#[test]
fn what_a_run_made_is_gone_after_ctrl_c_and_after_kill_by_the_next_start() {
    let closed = Closed::up(&Options {
        name: "e2e-ends".into(),
        ..Options::default()
    });
    closed.assert_healthy();
    make_lookalikes(&closed);
    two_at_once(&closed);

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

    namespace_deleted(&closed);
    stopped_and_continued(&closed);

    kill_after(&closed, &moments(1, 2, Duration::from_secs(6)));
    // That a dead run is known after five minutes `cargo xtask soak` waits for; here its Lease is given up.
    give_up(&closed);
    until_nothing_is_left(&closed);
    assert_lookalikes_stay(&closed);
}
