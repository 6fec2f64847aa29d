//! Runs that end before their time: what they made is gone at once after Ctrl-C, and after kill -9 by the next start.
//! What only looks like ours stays, and a live run of a colleague is left alone.

use std::time::Duration;

use e2e::soak::{kill_after, moments, two_at_once, until_nothing_is_left};
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

    kill_after(&closed, &moments(1, 2, Duration::from_secs(6)));
    until_nothing_is_left(&closed);
    assert_lookalikes_stay(&closed);
}
