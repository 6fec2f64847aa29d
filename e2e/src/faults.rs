//! Plants one fault at a time in a real cluster and compares what the verifier says with what it must say.

mod round;
mod table;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use lab::Lab;
use lab::faults::{Asked, Expectation, Fault, matches};

pub use round::{round, rounds};
pub use table::{head, keep, row, today};

use crate::{Closed, REPORT, Report};

/// How the verifier did on a fault.
#[derive(Debug, Default)]
pub struct Tried {
    /// The fault's name.
    pub name: &'static str,
    /// Expectations that were met.
    pub found: Vec<String>,
    /// Expected checks that failed with another outcome or cause.
    pub wrongly_named: Vec<String>,
    /// Expected checks that passed, or have no result.
    pub missed: Vec<String>,
    /// Checks that the fault does not touch and that are fail, error or warn.
    pub false_alarms: Vec<String>,
    /// Checks that passed though the fault makes the truth unknowable.
    pub false_passes: Vec<String>,
    /// Other checks that are fail, error or warn, by outcome, cause and host: what the fault drags along.
    pub also: BTreeMap<String, Vec<String>>,
    /// How long the run took.
    pub time: Duration,
    /// The exit code of the run.
    pub code: Option<i32>,
    /// Why the fault could not be tried, where it could not.
    pub broken: Option<String>,
}

impl Tried {
    /// Returns whether every expectation was met.
    pub fn is_found(&self) -> bool {
        self.broken.is_none() && self.wrongly_named.is_empty() && self.missed.is_empty()
    }

    /// Returns whether it was found and nothing else was judged wrongly.
    pub fn is_right(&self) -> bool {
        self.is_found() && self.false_alarms.is_empty() && self.false_passes.is_empty()
    }

    /// Returns what a fault comes to that could not be tried.
    fn broken(name: &'static str, why: String) -> Self {
        Self {
            name,
            broken: Some(why),
            ..Self::default()
        }
    }

    /// Compares a report with what it must say of a fault.
    fn judge(fault: &Fault, report: &Report) -> Self {
        let mut tried = Self {
            name: fault.name,
            ..Self::default()
        };
        for expectation in fault.expect {
            tried.expected(report, expectation);
        }
        for result in report.results() {
            let text = |key: &str| result[key].as_str().unwrap_or("-");
            let (id, host, outcome) = (text("id"), text("host"), text("outcome"));
            if outcome == "pass" && fault.never_passes.iter().any(|pattern| matches(pattern, id)) {
                tried.false_passes.push(format!("{id} on {host}"));
            }
            let is_expected = |e: &Expectation| e.check == id && e.host.unwrap_or("-") == host;
            if matches!(outcome, "pass" | "skip") || fault.expect.iter().any(is_expected) {
                continue;
            }
            let cause = result["cause"]["id"].as_str().unwrap_or_default();
            // Where something is broken packets are lost and sent again; that is true, and no alarm.
            let counted = id == "run.counters" && outcome == "warn";
            if counted || fault.touches.iter().any(|touch| touch.covers(id, host)) {
                let how = format!("{outcome} {cause} on {host}");
                tried.also.entry(how).or_default().push(id.to_owned());
            } else {
                let line = format!("{id} on {host}: {outcome} {cause}");
                tried.false_alarms.push(line);
            }
        }
        tried
    }

    fn expected(&mut self, report: &Report, expectation: &Expectation) {
        let host = expectation.host.unwrap_or("-");
        let outcome = report.of(expectation.check, host).unwrap_or("no result");
        let cause = report.cause(expectation.check, host);
        let text = format!("{} on {host}: {outcome} {cause}", expectation.check);
        let wanted = format!("{text} (wanted {} {})", expectation.outcome, expectation.cause);
        match outcome {
            _ if outcome == expectation.outcome && cause == expectation.cause => self.found.push(text),
            "pass" | "skip" | "no result" => self.missed.push(wanted),
            _ => self.wrongly_named.push(wanted),
        }
    }
}

/// Plants `fault`, runs the checks, heals, and returns how it went. The fault is healed also when the run panics.
/// The run leaves its report as [`REPORT`]; `TIMEOUT` in the environment is the run's longest wait, in place of its own default.
///
/// # Panics
///
/// When planting or healing fails, or the run prints no report.
pub fn try_fault(closed: &Closed, fault: &'static Fault) -> Tried {
    let lab = closed.lab();
    let _cure = Cure { lab };
    lab.plant(fault)
        .unwrap_or_else(|error| panic!("plant {}: {error:?}", fault.name));
    let begin = Instant::now();
    let timeout = std::env::var("TIMEOUT").ok();
    let mut arguments = vec!["--report", REPORT];
    arguments.extend(timeout.iter().flat_map(|time| ["--timeout", time]));
    let (finished, report) = match fault.asked {
        Asked::Suite => closed.smoke(&arguments),
        Asked::Certificates => closed.audit_certs(&arguments),
        Asked::Images => closed.audit_images(closed.exact_site(), &arguments),
    };
    Tried {
        time: begin.elapsed(),
        code: finished.code,
        ..Tried::judge(fault, &report)
    }
}

/// Heals at the end, whatever happens before.
struct Cure<'a> {
    lab: &'a Lab,
}

impl Drop for Cure<'_> {
    fn drop(&mut self) {
        match self.lab.heal() {
            Err(error) if !std::thread::panicking() => panic!("heal: {error:?}"),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use lab::faults::find;

    use super::*;

    fn tried(fault: &str, results: &str) -> Tried {
        let report = Report::parse(&format!(r#"{{"version": 1, "results": [{results}]}}"#));
        Tried::judge(find(fault).expect("a fault of the lab"), &report)
    }

    fn result(id: &str, host: &str, outcome: &str, cause: &str) -> String {
        format!(r#"{{"id": "{id}", "host": "{host}", "outcome": "{outcome}", "cause": {{"id": "{cause}"}}}}"#)
    }

    #[test]
    fn the_right_outcome_with_the_right_cause_is_found_and_another_cause_is_not() {
        let id = "runtime.crictl-config";
        let found = tried(
            "crictl-dead-socket",
            &result(id, "node-0", "fail", "crictl-dead-socket"),
        );
        assert!(found.is_right(), "{found:?}");
        let other = tried(
            "crictl-dead-socket",
            &result(id, "node-0", "fail", "crictl-unknown-key"),
        );
        assert_eq!((other.wrongly_named.len(), other.missed.len()), (1, 0));
        let passed = tried("crictl-dead-socket", &result(id, "node-0", "pass", ""));
        assert_eq!((passed.wrongly_named.len(), passed.missed.len()), (0, 1));
        assert_eq!(tried("crictl-dead-socket", "").missed.len(), 1);
    }

    #[test]
    fn what_a_fault_does_not_touch_is_a_false_alarm() {
        let dragged = result("kubectl.logs", "node-1", "error", "x");
        let alarm = result("kubectl.logs", "node-0", "error", "x");
        let tried = tried("kubelet-stopped", &format!("{dragged},{alarm}"));
        assert_eq!(tried.also["error x on node-1"], ["kubectl.logs"]);
        assert_eq!(tried.false_alarms, ["kubectl.logs on node-0: error x"]);
    }

    #[test]
    fn a_pass_that_nobody_can_know_is_a_false_pass() {
        let tried = tried("proxy-answers", &result("nodes.ready", "node-0", "pass", ""));
        assert_eq!(tried.false_passes, ["nodes.ready on node-0"]);
        assert!(!tried.is_right());
    }
}
