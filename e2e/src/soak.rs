//! The suite many times over: no flake in a healthy cluster, nothing left by runs that were killed at any moment, two
//! runs at once that do not touch each other.

use std::io::Read as _;
use std::process::Stdio;
use std::time::{Duration, Instant};

use lab::JUMPBOX;

use crate::{Closed, MEDIA, Report, left};

const SMOKE: [&str; 6] = ["smoke", "--bundle", "site.tar", "--site", "site.yaml", "--json"];
/// A dead run is known by its Lease after 5 minutes; this is for a machine that does other things meanwhile.
const PATIENCE: Duration = Duration::from_mins(9);

/// How many runs in a row were as they must be, and what was wrong with the others.
#[derive(Debug)]
pub struct Row {
    /// Seconds of each run.
    pub seconds: Vec<f32>,
    /// What was wrong: the number of the run, its results.
    pub flakes: Vec<String>,
}

/// Runs the suite `count` times. Every result must be a pass, but for those whose check is `accepted`, which may warn.
///
/// # Panics
///
/// When a run prints no report.
pub fn in_a_row(closed: &Closed, count: usize, accepted: &[&str]) -> Row {
    let mut row = Row {
        seconds: Vec::new(),
        flakes: Vec::new(),
    };
    for number in 1..=count {
        let begin = Instant::now();
        let (finished, report) = closed.smoke(&[]);
        row.seconds.push(begin.elapsed().as_secs_f32());
        let troubles: Vec<String> = unexpected(&report, accepted);
        if finished.code != Some(0) || !troubles.is_empty() || !report.outcome().starts_with(['p', 'w']) {
            row.flakes.push(format!(
                "run {number}: exit code {:?}: {troubles:?} {}",
                finished.code, finished.stderr
            ));
        }
    }
    row
}

/// Returns the results that are neither a pass nor a warning of an accepted check. Skips need a reason, and have one.
fn unexpected(report: &Report, accepted: &[&str]) -> Vec<String> {
    let is_accepted = |line: &String| {
        accepted
            .iter()
            .any(|id| line.starts_with(&format!("{id} ")) && line.contains(" warn "))
    };
    report
        .troubles()
        .into_iter()
        .filter(|line| !is_accepted(line))
        .collect()
}

/// Kills a run after each of these times, with SIGKILL. Returns how many were alive until then.
///
/// # Panics
///
/// When the jumpbox cannot be used.
pub fn kill_after(closed: &Closed, times: &[Duration]) -> usize {
    let killed = |time: &&Duration| {
        let script = format!(
            "cd {MEDIA}; ./verifier {} >/dev/null 2>&1 & pid=$!; sleep {:.3}; kill -KILL $pid 2>/dev/null; wait $pid 2>/dev/null; echo $?",
            SMOKE.join(" "),
            time.as_secs_f32()
        );
        closed.on(JUMPBOX, &["bash", "-c", &script]).stdout.trim() == "137"
    };
    times.iter().filter(killed).count()
}

/// Returns `count` moments within `span`, the same for the same seed (xorshift).
pub fn moments(seed: u64, count: usize, span: Duration) -> Vec<Duration> {
    let mut state = seed | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let millis = u64::try_from(span.as_millis()).unwrap_or(u64::MAX).max(1);
    (0..count)
        .map(|_| Duration::from_millis(next() % millis))
        .collect()
}

/// Gives up the Leases of all runs, as a sweep does before it removes them: the next start need not wait until they are old.
/// A run that was killed before it made its Lease gets one that nobody holds.
///
/// # Panics
///
/// When the API server cannot be asked.
pub fn give_up(closed: &Closed) {
    let script = "export KUBECONFIG=/root/admin.kubeconfig; set -e; \
        for n in $(kubectl get ns -l app.kubernetes.io/managed-by=verifier,verifier.dev/run -o name | grep /verifier-); do \
        if kubectl -n ${n#*/} get lease run >/dev/null 2>&1; then \
        kubectl -n ${n#*/} patch lease run --type merge -p '{\"spec\":{\"holderIdentity\":null}}'; \
        elif kubectl get $n | grep -q Active; then \
        printf 'apiVersion: coordination.k8s.io/v1\nkind: Lease\nmetadata: {name: run}\n' | kubectl -n ${n#*/} create -f -; fi; done";
    let done = closed.on(JUMPBOX, &["bash", "-c", script]);
    assert_eq!(done.code, Some(0), "{}", done.stderr);
}

/// Starts short runs until nothing is left of the dead ones, and returns how long that took.
///
/// # Panics
///
/// When something is still there after nine minutes, or a run ends otherwise than with 0.
#[track_caller]
pub fn until_nothing_is_left(closed: &Closed) -> Duration {
    let begin = Instant::now();
    loop {
        let there = left(closed);
        if there.is_empty() {
            return begin.elapsed();
        }
        assert!(begin.elapsed() < PATIENCE, "still there: {there:?}");
        let (finished, _) = closed.smoke(&["--only", "api.ready"]);
        assert_eq!(finished.code, Some(0), "{}", finished.stderr);
    }
}

/// Runs the suite twice at once. Both must pass: neither sees the other's objects as wrong, nor removes them.
///
/// # Panics
///
/// When one of them ends otherwise than with 0, or something is left of either.
#[track_caller]
pub fn two_at_once(closed: &Closed) {
    let start = || {
        let mut command = closed.verifier_command(&SMOKE);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command.spawn().expect("start the verifier")
    };
    let runs = [start(), start()];
    let mut names = Vec::new();
    for mut run in runs {
        // One after the other is enough: a report is smaller than what the pipe of the second can wait with.
        let mut text = String::new();
        let out = run.stdout.as_mut().expect("stdout is a pipe");
        out.read_to_string(&mut text).expect("read the report");
        let finished = run.wait_with_output().expect("the end of a run");
        let said = String::from_utf8_lossy(&finished.stderr).into_owned();
        let report = Report::parse(&text);
        assert!(finished.status.success(), "{:?} {said}", report.troubles());
        names.push(report.run().to_owned());
    }
    assert_ne!(names.first(), names.last(), "two runs have names of their own");
    assert_eq!(left(closed), Vec::<String>::new());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_lie_within_the_span_and_differ() {
        let moments = moments(7, 50, Duration::from_secs(8));
        assert!(moments.iter().all(|moment| *moment < Duration::from_secs(8)));
        let mut sorted = moments.clone();
        sorted.sort_unstable();
        sorted.dedup();
        assert!(sorted.len() > 40, "{moments:?}");
    }

    #[test]
    fn a_warning_is_accepted_only_of_the_check_that_may_warn() {
        let report = Report::parse(
            r#"{"version": 1, "results": [
            {"id": "runtime.crictl-config", "host": "node-0", "outcome": "warn"},
            {"id": "runtime.crictl-config", "host": "node-1", "outcome": "fail"},
            {"id": "api.ready", "outcome": "pass"}]}"#,
        );
        assert_eq!(unexpected(&report, &["runtime.crictl-config"]).len(), 1);
        assert_eq!(unexpected(&report, &[]).len(), 2);
    }
}
