//! Plants one fault at a time in a real cluster and compares what the verifier says with what it must say.

use std::time::{Duration, Instant};

use lab::Lab;
use lab::faults::{Expectation, Fault};

use crate::{Closed, Report};

/// How the verifier did on a fault.
#[derive(Debug)]
pub struct Tried {
    /// The fault's name.
    pub name: &'static str,
    /// Expectations that were met.
    pub found: Vec<String>,
    /// Expected checks that failed with another outcome or cause.
    pub wrongly_named: Vec<String>,
    /// Expected checks that passed, or have no result.
    pub missed: Vec<String>,
    /// Other checks that are no pass: what the fault drags along.
    pub also: Vec<String>,
    /// How long the run took.
    pub time: Duration,
    /// The exit code of the run.
    pub code: Option<i32>,
}

impl Tried {
    /// Returns whether every expectation was met and the run did not end as a pass.
    pub fn is_found(&self) -> bool {
        self.wrongly_named.is_empty() && self.missed.is_empty()
    }

    /// Returns the row of the table in docs/faults.md.
    pub fn row(&self) -> String {
        let verdict = match (self.missed.is_empty(), self.wrongly_named.is_empty()) {
            (true, true) => "found",
            (true, false) => "wrongly named",
            (false, _) => "missed",
        };
        let list = |items: &[String]| {
            if items.is_empty() {
                "-".to_owned()
            } else {
                items.join("; ")
            }
        };
        let trouble: Vec<String> = self.wrongly_named.iter().chain(&self.missed).cloned().collect();
        format!(
            "| {} | {verdict} | {} | {} | {} | {:.0} |",
            self.name,
            list(&self.found),
            list(&trouble),
            list(&self.also),
            self.time.as_secs_f32()
        )
    }
}

/// The head of the table that [`Tried::row`] fills.
pub const TABLE_HEAD: &str =
    "| fault | verdict | as expected | otherwise | drags along | s |\n|---|---|---|---|---|---|";

/// Plants `fault`, runs the checks, heals, and returns how it went. The fault is healed also when the run panics.
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
    let (finished, report) = closed.smoke(&[]);
    let time = begin.elapsed();
    let mut tried = Tried {
        name: fault.name,
        found: Vec::new(),
        wrongly_named: Vec::new(),
        missed: Vec::new(),
        also: others(&report, fault),
        time,
        code: finished.code,
    };
    fault
        .expect
        .iter()
        .for_each(|expectation| tried.judge(&report, expectation));
    tried
}

impl Tried {
    fn judge(&mut self, report: &Report, expectation: &Expectation) {
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

/// Returns the results that are no pass and that the fault does not name.
fn others(report: &Report, fault: &Fault) -> Vec<String> {
    let expected = |id: &str, host: &str| {
        fault
            .expect
            .iter()
            .any(|e| e.check == id && e.host.unwrap_or("-") == host)
    };
    let text = |value: &serde_json::Value| value.as_str().unwrap_or("-").to_owned();
    let others = report
        .results()
        .iter()
        .filter(|result| result["outcome"] != "pass");
    let named = others.map(|result| (text(&result["id"]), text(&result["host"]), result));
    let left = named.filter(|(id, host, _)| !expected(id, host));
    left.map(|(id, host, result)| {
        format!(
            "{id} on {host}: {} {}",
            text(&result["outcome"]),
            text(&result["cause"]["id"])
        )
    })
    .collect()
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
