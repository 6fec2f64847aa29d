//! What a run comes to, as JSON, as a list on a terminal, as a directory of evidence. Reads events and results and
//! changes no verdict.

mod directory;
mod list;

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::findings::{Cause, Evidence, Outcome, catalogue};
use crate::suite::{CheckText, Row};

pub use directory::{DirectoryError, Measure, check_target, write_directory};
pub use list::{List, write_verdict};

/// The version of the report's form.
pub const VERSION: u32 = 1;

/// A report.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Report {
    /// The version of this form: 1.
    pub version: u32,
    /// The program with its version.
    pub tool: String,
    /// The run: the ending of the name of its namespace.
    pub run: String,
    /// When it began, UTC.
    #[schemars(with = "String")]
    pub started: Timestamp,
    /// How long it took.
    pub seconds: f64,
    /// The identity of the bundle; null where none was given.
    pub bundle: Option<String>,
    /// The worst of fail, error, warn and pass; error where nothing passed.
    pub outcome: Outcome,
    /// How many results there are of each outcome.
    pub counts: Counts,
    /// One for each check and each member of its scope.
    pub results: Vec<ResultEntry>,
}

/// How many results there are of each outcome.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Counts {
    /// As it should be.
    pub pass: usize,
    /// Works, and deserves attention.
    pub warn: usize,
    /// Wrong.
    pub fail: usize,
    /// Could not be looked at.
    pub error: usize,
    /// Not looked at, with a reason.
    pub skip: usize,
}

/// A result.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ResultEntry {
    /// The check.
    pub id: String,
    /// The host; absent where the scope is the cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// How it ended.
    pub outcome: Outcome,
    /// How long it took.
    pub seconds: f64,
    /// What the check proves.
    pub summary: String,
    /// Why it is no pass; null on a pass.
    pub cause: Option<CauseEntry>,
    /// What to do next; null on a pass.
    pub hint: Option<String>,
    /// What a person can look at.
    pub evidence: Vec<Evidence>,
}

/// A cause.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CauseEntry {
    /// Its stable id.
    pub id: String,
    /// What it concerns, by name.
    pub args: BTreeMap<String, String>,
    /// The sentence. Not stable.
    pub text: String,
}

/// What a report is about.
#[derive(Clone, Debug)]
pub struct About {
    /// The run.
    pub run: String,
    /// When it began.
    pub started: Timestamp,
    /// How long it took.
    pub took: Duration,
    /// The identity of the bundle.
    pub bundle: Option<String>,
}

impl Report {
    /// Returns the report over rows.
    pub fn new(about: About, rows: &[Row]) -> Self {
        let results: Vec<ResultEntry> = rows.iter().map(ResultEntry::from).collect();
        let mut counts = Counts::default();
        for result in &results {
            *counts.of(result.outcome) += 1;
        }
        Self {
            version: VERSION,
            tool: tool(),
            run: about.run,
            started: about.started.round(jiff::Unit::Second).unwrap_or(about.started),
            seconds: seconds(about.took),
            bundle: about.bundle,
            outcome: counts.outcome(),
            counts,
            results,
        }
    }

    /// Returns the exit code: 0 passed (warnings too, unless `strict`), 1 fail, 2 error.
    pub fn exit_code(&self, strict: bool) -> u8 {
        match self.outcome {
            Outcome::Pass => cli::exit::PASS,
            Outcome::Warn if !strict => cli::exit::PASS,
            Outcome::Warn | Outcome::Fail => cli::exit::FAIL,
            Outcome::Error | Outcome::Skip => cli::exit::ERROR,
        }
    }

    /// Returns the last line: the verdict with its counts.
    pub fn verdict(&self) -> String {
        let Counts {
            pass,
            warn,
            fail,
            error,
            skip,
        } = self.counts;
        let parts = [
            (pass, "pass"),
            (warn, "warn"),
            (fail, "fail"),
            (error, "error"),
            (skip, "skip"),
        ];
        let parts: Vec<String> = parts
            .iter()
            .filter(|(count, _)| *count > 0)
            .map(|(count, word)| format!("{count} {word}"))
            .collect();
        let parts = if parts.is_empty() {
            "nothing was checked".to_owned()
        } else {
            parts.join(", ")
        };
        format!("{}: {parts}, in {:.1} s", self.outcome.word(), self.seconds)
    }
}

impl Counts {
    fn of(&mut self, outcome: Outcome) -> &mut usize {
        match outcome {
            Outcome::Pass => &mut self.pass,
            Outcome::Warn => &mut self.warn,
            Outcome::Fail => &mut self.fail,
            Outcome::Error => &mut self.error,
            Outcome::Skip => &mut self.skip,
        }
    }

    /// Returns the worst outcome. Skips do not count, and no pass at all is an error.
    fn outcome(self) -> Outcome {
        if self.fail > 0 {
            Outcome::Fail
        } else if self.error > 0 || self.pass + self.warn == 0 {
            Outcome::Error
        } else if self.warn > 0 {
            Outcome::Warn
        } else {
            Outcome::Pass
        }
    }
}

impl From<&Row> for ResultEntry {
    fn from(row: &Row) -> Self {
        let mut evidence = row.evidence.clone();
        if !row.also.is_empty() {
            let also: Vec<String> = row
                .also
                .iter()
                .map(|cause| format!("{}: {}", cause.id, catalogue::text(cause)))
                .collect();
            evidence.insert(0, Evidence::new("also found", also.join("\n")));
        }
        Self {
            id: row.id.to_owned(),
            host: row.host.clone(),
            outcome: row.outcome,
            seconds: seconds(row.took),
            summary: row.summary.to_owned(),
            cause: row.cause.as_ref().map(CauseEntry::from),
            hint: row.cause.as_ref().map(catalogue::hint),
            evidence,
        }
    }
}

impl From<&Cause> for CauseEntry {
    fn from(cause: &Cause) -> Self {
        Self {
            id: cause.id.name().to_owned(),
            args: cause.args.clone(),
            text: catalogue::text(cause),
        }
    }
}

/// Returns seconds with three places.
fn seconds(time: Duration) -> f64 {
    (time.as_secs_f64() * 1000.0).round() / 1000.0
}

/// Returns the program with its version.
pub fn tool() -> String {
    format!("verifier {}", env!("CARGO_PKG_VERSION"))
}

/// Returns the JSON Schema of a report, as it stands in docs/report.schema.json.
pub fn schema() -> String {
    let schema = schemars::schema_for!(Report);
    serde_json::to_string_pretty(&schema).unwrap_or_default() + "\n"
}

/// Returns how to redo a check by hand on a host.
fn by_hand(texts: &BTreeMap<&'static str, CheckText>, row: &Row) -> Option<String> {
    let text = texts.get(row.id)?;
    let host = row.host.as_deref().unwrap_or("server");
    Some(text.by_hand.replace("{host}", host))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::findings::CauseId;

    pub(super) fn row(id: &'static str, host: Option<&str>, outcome: Outcome) -> Row {
        let cause = Cause::new(CauseId::RouteMissing)
            .with("network", "10.200.1.0/24")
            .with("via", "192.168.10.102")
            .with("pod", "nginx-b")
            .with("node", "node-1")
            .with("host", "server");
        Row {
            id,
            host: host.map(str::to_owned),
            outcome,
            took: Duration::from_millis(1234),
            summary: "every pod answers HTTP from this host",
            cause: (outcome != Outcome::Pass).then_some(cause),
            also: Vec::new(),
            evidence: vec![Evidence::new("routes", "192.168.10.0/24 dev eth1")],
            facts: Some(serde_json::json!({"asked": []})),
        }
    }

    pub(super) fn report(outcomes: &[Outcome]) -> Report {
        let rows: Vec<Row> = outcomes
            .iter()
            .map(|outcome| row("network.pod-reachable", Some("server"), *outcome))
            .collect();
        let about = About {
            run: "1a2b3c".to_owned(),
            started: "2026-11-23T09:00:00Z".parse().unwrap(),
            took: Duration::from_millis(41_200),
            bundle: Some("sha256:00".to_owned()),
        };
        Report::new(about, &rows)
    }

    #[test]
    fn the_worst_outcome_counts_and_skips_do_not() {
        use Outcome::{Error, Fail, Pass, Skip, Warn};
        let cases: [(&[Outcome], Outcome, u8); 7] = [
            (&[Pass, Skip], Pass, 0),
            (&[Pass, Warn, Skip], Warn, 0),
            (&[Pass, Warn, Error], Error, 2),
            (&[Pass, Error, Fail], Fail, 1),
            (&[Skip, Skip], Error, 2),
            (&[], Error, 2),
            (&[Fail], Fail, 1),
        ];
        for (outcomes, expected, code) in cases {
            let report = report(outcomes);
            assert_eq!(
                (report.outcome, report.exit_code(false)),
                (expected, code),
                "{outcomes:?}"
            );
        }
        assert_eq!(report(&[Pass, Warn]).exit_code(true), 1);
    }

    #[test]
    fn the_report_has_the_form_that_is_documented() {
        let rows = [
            row("api.ready", None, Outcome::Pass),
            row("network.pod-reachable", Some("server"), Outcome::Fail),
        ];
        let about = About {
            run: "1a2b3c".to_owned(),
            started: "2026-11-23T09:00:00Z".parse().unwrap(),
            took: Duration::from_millis(41_200),
            bundle: Some("sha256:00".to_owned()),
        };
        insta::assert_json_snapshot!(Report::new(about, &rows));
    }

    #[test]
    fn the_stored_schema_is_that_of_the_report_and_accepts_it() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/report.schema.json");
        let now = schema();
        if std::env::var_os("UPDATE_SCHEMAS").is_some() {
            std::fs::write(path, &now).unwrap();
        }
        let stored = std::fs::read_to_string(path).unwrap_or_default();
        assert_eq!(
            stored, now,
            "run the tests with UPDATE_SCHEMAS=1 and look at the difference"
        );
        let schema: serde_json::Value = serde_json::from_str(&stored).unwrap();
        let validator = jsonschema::validator_for(&schema).unwrap();
        let report = serde_json::to_value(report(&[Outcome::Pass, Outcome::Fail])).unwrap();
        assert!(validator.is_valid(&report));
        assert!(!validator.is_valid(&serde_json::json!({"version": 1})));
    }
}
