//! What a run comes to, as JSON, as a list on a terminal, as a directory of evidence. Reads events and results and
//! changes no verdict.

mod directory;
mod file_name;
mod list;
mod place;
mod reporter;
mod written;

use std::collections::BTreeMap;
use std::time::Duration;

use cli::Shown;
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::distribution::Distribution;
use crate::findings::{Cause, CauseId, Evidence, Finding, Lang, Outcome, Severity, catalogue};
use crate::protocol::TOOL;
use crate::suite::Row;

pub use directory::{Directory, Measure};
pub use list::{List, Look};
pub use place::DirectoryError;
pub use reporter::{Ended, Reporter, ReporterError};
pub use written::{JsonFile, JsonStdout};

/// The language of reports: programs and colleagues elsewhere read them.
const LANG: Lang = Lang::En;

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
    #[schemars(with = "Option<String>")]
    pub host: Option<Shown>,
    /// How it ended.
    pub outcome: Outcome,
    /// How long it took.
    pub seconds: f64,
    /// What the check proves.
    pub summary: String,
    /// Why it is no pass: that of the worst finding, or the reason of a skip; null on a pass.
    pub cause: Option<CauseEntry>,
    /// What to do next; null on a pass.
    pub hint: Option<String>,
    /// All that was found, the worst first.
    pub findings: Vec<FindingEntry>,
    /// What a person can look at.
    pub evidence: Vec<EvidenceEntry>,
}

/// A finding.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FindingEntry {
    /// How bad it is.
    pub severity: Severity,
    /// What it is about, where the check looks at several: a file, a certificate, an image, a pod.
    #[schemars(with = "Option<String>")]
    pub subject: Option<Shown>,
    /// What it is.
    pub cause: CauseEntry,
    /// What to do next.
    pub hint: String,
}

/// Something that a person can look at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EvidenceEntry {
    /// What it is.
    pub title: String,
    /// The text.
    pub text: String,
}

/// A cause.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CauseEntry {
    /// Its stable id.
    pub id: String,
    /// What it concerns, by name.
    #[schemars(with = "BTreeMap<String, String>")]
    pub args: BTreeMap<String, Shown>,
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

    /// Returns the exit code: 0 passed (warnings too, unless `strict`), 1 fail, 2 error, 3 a bundle whose contents are
    /// bad, 130 interrupted. It follows from the results alone.
    pub fn exit_code(&self, strict: bool) -> u8 {
        let is = |cause: CauseId| {
            let names = |result: &ResultEntry| {
                result
                    .cause
                    .as_ref()
                    .is_some_and(|found| found.id == cause.name())
            };
            self.results.iter().any(names)
        };
        match self.outcome {
            _ if is(CauseId::Interrupted) => cli::exit::INTERRUPTED,
            _ if is(CauseId::BundleBad) => cli::exit::BAD_BUNDLE,
            Outcome::Pass => cli::exit::PASS,
            Outcome::Warn if !strict => cli::exit::PASS,
            Outcome::Warn | Outcome::Fail => cli::exit::FAIL,
            Outcome::Error | Outcome::Skip => cli::exit::ERROR,
        }
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
        let cause = row.verdict.cause();
        let hint = |cause: &Cause| catalogue::hint(cause, LANG, row.distribution);
        let finding = |finding: &Finding| FindingEntry {
            severity: finding.severity,
            subject: finding.subject.clone(),
            cause: CauseEntry::of(&finding.cause, row.distribution),
            hint: hint(&finding.cause),
        };
        let evidence = |evidence: &Evidence| {
            let (title, text) = catalogue::show(evidence, LANG);
            EvidenceEntry { title, text }
        };
        Self {
            id: row.id.to_owned(),
            host: row.host.as_deref().map(Shown::new),
            outcome: row.outcome(),
            seconds: seconds(row.took),
            summary: catalogue::summary(row.id, LANG).to_owned(),
            cause: cause.map(|cause| CauseEntry::of(cause, row.distribution)),
            hint: cause.map(hint),
            findings: row.verdict.findings().iter().map(finding).collect(),
            evidence: row.verdict.evidence().iter().map(evidence).collect(),
        }
    }
}

impl CauseEntry {
    fn of(cause: &Cause, distribution: Distribution) -> Self {
        Self {
            id: cause.id().name().to_owned(),
            args: cause.args().clone(),
            text: catalogue::text(cause, LANG, distribution),
        }
    }
}

/// Returns seconds with three places.
fn seconds(time: Duration) -> f64 {
    (time.as_secs_f64() * 1000.0).round() / 1000.0
}

/// Returns the program with its version.
pub fn tool() -> String {
    TOOL.to_owned()
}

/// Returns the JSON Schema of a report, as it stands in docs/report.schema.json.
pub fn schema() -> String {
    let schema = schemars::schema_for!(Report);
    serde_json::to_string_pretty(&schema).unwrap_or_default() + "\n"
}

/// Returns how to redo a check by hand on a host.
fn by_hand(row: &Row, lang: Lang) -> String {
    let host = row.host.as_deref().unwrap_or("server");
    catalogue::by_hand(row.id, lang, host, row.distribution)
}

#[cfg(test)]
mod nasty;
#[cfg(test)]
mod tests {
    use super::*;
    use crate::findings::{Unjudged, Verdict, cause, phrase};
    use crate::suite::{Kept, Seen};

    pub(super) fn row(id: &'static str, host: Option<&str>, outcome: Outcome) -> Row {
        let cause: Cause = cause::RouteMissing {
            network: &"10.200.1.0/24",
            via: &"192.168.10.102",
            node: &"node-1",
            host: &"server",
        }
        .into();
        let judged = match outcome {
            Outcome::Pass => Ok(Vec::new()),
            Outcome::Warn => Ok(vec![Finding::warn(cause)]),
            Outcome::Error => Err(Unjudged::Error(cause)),
            Outcome::Fail => Ok(vec![
                Finding::warn(cause::NodeCordoned { node: &"node-1" }),
                Finding::fail(cause).of("10.200.1.0/24"),
            ]),
            Outcome::Skip => Err(Unjudged::skip(cause::Needs {
                what: &"workload.scale",
            })),
        };
        let evidence = Evidence::lines(phrase::Routes, ["192.168.10.0/24 dev eth1"]);
        Row {
            id,
            host: host.map(str::to_owned),
            took: Duration::from_millis(1234),
            verdict: Verdict::of(judged, evidence.into_iter().collect()),
            seen: Some(Kept::Whole(Seen {
                facts: serde_json::json!({"asked": []}).into(),
                again: None,
                depth: None,
            })),
            distribution: Distribution::default(),
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
    fn the_exit_code_of_a_bad_bundle_and_of_an_interrupted_run_is_the_report_s() {
        let code = |cause: Cause| {
            let mut row = row("run.bundle", None, Outcome::Fail);
            row.verdict = Verdict::of(Ok(vec![Finding::fail(cause)]), Vec::new());
            let about = About {
                run: String::new(),
                started: Timestamp::UNIX_EPOCH,
                took: Duration::ZERO,
                bundle: None,
            };
            Report::new(about, &[row]).exit_code(false)
        };
        assert_eq!(
            code(cause::BundleBad { message: &"x" }.into()),
            cli::exit::BAD_BUNDLE
        );
        assert_eq!(code(cause::Interrupted.into()), cli::exit::INTERRUPTED);
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
