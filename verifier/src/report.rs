//! What a run comes to, as JSON, as a list on a terminal, as a directory of evidence. Reads events and results and
//! changes no verdict.

mod by_hand;
mod certificates;
mod checked;
mod diff;
mod directory;
mod entries;
mod file_name;
mod findings_csv;
mod form;
mod held;
mod html;
mod images;
mod list;
mod markdown;
mod place;
mod pseudonyms;
mod redacted;
mod reporter;
mod sarif;
mod snapshot;
mod stored;
mod translated;
mod written;
mod wrong;
mod xml;

use std::time::Duration;

use cli::{Provenance, Shown};
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::certs::Listed;
use crate::distribution::Distribution;
use crate::findings::{Cause, CauseId, Evidence, Finding, Lang, Logins, Outcome, Phrase, catalogue, phrase};
use crate::images::Totals;
use crate::protocol::TOOL;
use crate::site::SuiteSettings;
use crate::suite::Row;

pub use by_hand::commands;
pub use certificates::{CertificatesCsv, CertificatesFile, CertificatesTable, Form as CertificatesForm};
pub use checked::{CheckedReport, ProblemKind, ReportProblem, Verify};
pub use diff::{
    CertificateChange, CertificateSide, Change, DiffSide, FieldChange, FindingChange, ReportDiff,
    ResultChange,
};
pub use directory::{Directory, Measure, Paper, Sign, sign_directory};
pub use entries::{
    AcceptanceEntry, AcceptanceState, AcceptedEntry, By, CauseEntry, ClusterEntry, Counts, EvidenceEntry,
    FindingEntry, HostEntry, LoginEntry, ResultEntry, Selection, TouchedEntry, TouchedHost,
};
pub use form::ReportForm;
pub use images::{ImagesBill, ImagesCsv, ImagesFile, ImagesTable};
pub use list::{List, Look};
pub use place::{DirectoryError, NAMESPACE};
pub use pseudonyms::{Pseudonyms, PseudonymsError};
pub use redacted::redacted;
pub use reporter::{Ended, Reporter, ReporterError};
pub use snapshot::SnapshotSeen;
pub use stored::{Stored, StoredError, report_file};
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
    /// Who made the bundle, or each of several; absent where none was given.
    #[serde(default, rename = "bundleMade", skip_serializing_if = "Vec::is_empty")]
    pub bundle_made: Vec<Provenance>,
    /// Who ran it, and where.
    pub by: By,
    /// The cluster; null where its API server did not answer.
    pub cluster: Option<ClusterEntry>,
    /// The hosts of the site, in the order of its file.
    pub hosts: Vec<HostEntry>,
    /// Which checks were asked for.
    pub selection: Selection,
    /// The checks that were not asked for: where there is any, the run is a partial one.
    #[serde(rename = "notRun")]
    pub not_run: Vec<String>,
    /// What no check looks at, in words.
    pub untested: Vec<String>,
    /// The worst of fail, error, warn and pass; error where nothing passed.
    pub outcome: Outcome,
    /// How many results there are of each outcome.
    pub counts: Counts,
    /// One for each check and each member of its scope.
    pub results: Vec<ResultEntry>,
    /// The certificates of the site, each where it stands; absent where the run looked at none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub certificates: Vec<Listed>,
    /// The kubeconfig by which commands by hand ask the API; absent: the one that kubectl takes by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub kubeconfig: Option<Shown>,
    /// Whether pseudonyms stand for names and addresses; absent: they do not.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub redacted: bool,
    /// The images of the site, each on each host that holds it or should; absent where the run looked at none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub images: Vec<crate::images::Listed>,
    /// What the images of each host take, and what a clean-up would free.
    #[serde(default, rename = "imageStores", skip_serializing_if = "Vec::is_empty")]
    pub image_stores: Vec<Totals>,
    /// What the site file changes of the suite's own objects; absent: nothing.
    #[serde(default, skip_serializing_if = "SuiteSettings::is_own")]
    pub suite: SuiteSettings,
    /// What the site file accepts, and what became of that; absent: nothing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub acceptances: Vec<AcceptanceEntry>,
    /// What the run touched, and what of it was not planned; absent where nothing was connected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub touched: Option<TouchedEntry>,
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
    /// Who made it, or each of several.
    pub made: Vec<Provenance>,
    /// Who ran it, and where.
    pub by: By,
    /// The cluster.
    pub cluster: Option<ClusterEntry>,
    /// The hosts of the site.
    pub hosts: Vec<HostEntry>,
    /// How they are logged into by hand.
    pub logins: Logins,
    /// Which checks were asked for.
    pub selection: Selection,
    /// The checks that were not.
    pub not_run: Vec<&'static str>,
    /// Whether every host was started again since an earlier report.
    pub restarted: bool,
    /// What the site file changes of the suite.
    pub suite: SuiteSettings,
    /// What it accepts, and what became of that.
    pub acceptances: Vec<AcceptanceEntry>,
    /// What the run touched.
    pub touched: Option<TouchedEntry>,
}

/// Returns what no check looks at. A report says so: who signs it must know.
fn untested(restarted: bool) -> Vec<String> {
    let reboot: Option<Phrase> = (!restarted).then(|| phrase::UntestedReboot.into());
    let others: [Phrase; 5] = [
        phrase::UntestedFailover.into(),
        phrase::UntestedStorage.into(),
        phrase::UntestedBackup.into(),
        phrase::UntestedIngress.into(),
        phrase::UntestedPolicy.into(),
    ];
    let all = reboot.into_iter().chain(others);
    all.map(|phrase| catalogue::say(phrase, LANG)).collect()
}

impl Report {
    /// Returns the report over rows.
    pub fn new(about: About, rows: &[Row]) -> Self {
        let results: Vec<ResultEntry> = rows
            .iter()
            .map(|row| ResultEntry::of(row, &about.logins))
            .collect();
        let counts = Counts::of_results(&results);
        Self {
            version: VERSION,
            tool: tool(),
            run: about.run,
            started: about.started.round(jiff::Unit::Second).unwrap_or(about.started),
            seconds: seconds(about.took),
            bundle: about.bundle,
            bundle_made: about.made,
            by: about.by,
            cluster: about.cluster,
            hosts: with_logins(about.hosts, &about.logins),
            selection: about.selection,
            not_run: about.not_run.into_iter().map(str::to_owned).collect(),
            untested: untested(about.restarted),
            outcome: counts.outcome(),
            counts,
            results,
            certificates: rows.iter().flat_map(|row| row.certificates.clone()).collect(),
            kubeconfig: about.logins.kubeconfig().map(Shown::line),
            redacted: false,
            images: rows.iter().flat_map(|row| row.images.images.clone()).collect(),
            suite: about.suite,
            acceptances: about.acceptances,
            touched: about.touched,
            image_stores: rows.iter().filter_map(|row| row.images.totals.clone()).collect(),
        }
    }

    /// Returns whether checks were left out.
    pub fn is_partial(&self) -> bool {
        !self.not_run.is_empty()
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
            Outcome::Warn | Outcome::Accepted if !strict => cli::exit::PASS,
            Outcome::Warn | Outcome::Accepted | Outcome::Fail => cli::exit::FAIL,
            Outcome::Error | Outcome::Skip => cli::exit::ERROR,
        }
    }
}

impl Counts {
    fn of_results(results: &[ResultEntry]) -> Self {
        let mut counts = Self::default();
        for result in results {
            *counts.of(result.outcome) += 1;
        }
        counts
    }

    fn of(&mut self, outcome: Outcome) -> &mut usize {
        match outcome {
            Outcome::Pass => &mut self.pass,
            Outcome::Accepted => &mut self.accepted,
            Outcome::Warn => &mut self.warn,
            Outcome::Fail => &mut self.fail,
            Outcome::Error => &mut self.error,
            Outcome::Skip => &mut self.skip,
        }
    }

    /// Returns the worst outcome. Skips do not count, and no pass at all is an error. What is accepted counts as a warning.
    fn outcome(self) -> Outcome {
        if self.fail > 0 {
            Outcome::Fail
        } else if self.error > 0 || self.pass + self.warn == 0 {
            Outcome::Error
        } else if self.warn + self.accepted > 0 {
            Outcome::Warn
        } else {
            Outcome::Pass
        }
    }
}

impl ResultEntry {
    fn of(row: &Row, logins: &Logins) -> Self {
        let cause = row.verdict.cause();
        let hint = |cause: &Cause| catalogue::hint(cause, LANG, logins.at(row.distribution));
        let finding = |finding: &Finding| FindingEntry {
            severity: finding.severity,
            subject: finding.subject.clone(),
            cause: CauseEntry::of(&finding.cause, row.distribution),
            hint: hint(&finding.cause),
            accepted: finding.accepted.as_ref().map(|accepted| AcceptedEntry {
                reason: Shown::new(&accepted.reason),
                by: Shown::new(&accepted.by),
                until: accepted.until.to_string(),
            }),
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
            by_hand: by_hand(row, LANG, logins),
            layout: row.distribution,
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

/// Returns hosts with how a person logs in to them.
fn with_logins(mut hosts: Vec<HostEntry>, logins: &Logins) -> Vec<HostEntry> {
    for host in &mut hosts {
        let login = logins.of(&host.name);
        host.login = login.and_then(|login| {
            Some(LoginEntry {
                command: Shown::line(login.command.as_ref()?),
                sudo: login.sudo,
            })
        });
    }
    hosts
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

/// Returns the words of a verdict.
fn verdict(outcome: Outcome) -> Phrase {
    match outcome {
        Outcome::Pass => phrase::VerdictPass.into(),
        Outcome::Warn | Outcome::Accepted => phrase::VerdictWarn.into(),
        Outcome::Fail => phrase::VerdictFail.into(),
        Outcome::Error | Outcome::Skip => phrase::VerdictError.into(),
    }
}

/// Returns an outcome in words.
fn outcome_word(outcome: Outcome) -> Phrase {
    match outcome {
        Outcome::Pass => phrase::OutcomePass.into(),
        Outcome::Accepted => phrase::OutcomeAccepted.into(),
        Outcome::Warn => phrase::OutcomeWarn.into(),
        Outcome::Fail => phrase::OutcomeFail.into(),
        Outcome::Error => phrase::OutcomeError.into(),
        Outcome::Skip => phrase::OutcomeSkip.into(),
    }
}

/// Returns who answers for a finding, in words.
fn accepted(entry: &AcceptedEntry) -> Phrase {
    let AcceptedEntry { reason, by, until } = entry;
    phrase::AcceptedBy { reason, by, until }.into()
}

/// Returns what is accepted, each with its result.
fn all_accepted(report: &Report) -> impl Iterator<Item = (&ResultEntry, &FindingEntry, &AcceptedEntry)> {
    let results = report.results.iter();
    results.flat_map(|result| {
        let marked = result.findings.iter();
        marked.filter_map(move |finding| Some((result, finding, finding.accepted.as_ref()?)))
    })
}

/// Returns a result's check and host.
fn member(result: &ResultEntry) -> String {
    let host = result.host.as_deref();
    host.map_or_else(|| result.id.clone(), |host| format!("{} {host}", result.id))
}

/// Returns how to redo a check by hand on a host.
fn by_hand(row: &Row, lang: Lang, logins: &Logins) -> String {
    if let Some(by_hand) = &row.by_hand {
        // A phrase has its commands between backticks.
        return catalogue::say(by_hand.clone(), lang).trim_matches('`').to_owned();
    }
    let host = row.host.as_deref().unwrap_or_else(|| logins.first());
    catalogue::by_hand(row.id, lang, host, logins.at(row.distribution))
}

#[cfg(test)]
mod nasty;
#[cfg(test)]
mod tests {
    use super::*;
    use crate::findings::{Unjudged, Verdict, cause};
    use crate::images::HostImages;
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
            Outcome::Accepted => Ok(vec![Finding {
                accepted: Some(crate::findings::Accepted {
                    reason: "the ticket 4711 is open".to_owned(),
                    by: "kim".to_owned(),
                    until: "2027-03-31".parse().unwrap(),
                }),
                ..Finding::fail(cause).of("10.200.1.0/24")
            }]),
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
            by_hand: None,
            certificates: Vec::new(),
            images: HostImages::default(),
        }
    }

    pub(super) fn report(outcomes: &[Outcome]) -> Report {
        let rows: Vec<Row> = outcomes
            .iter()
            .map(|outcome| row("network.pod-reachable", Some("server"), *outcome))
            .collect();
        Report::new(about(), &rows)
    }

    pub(super) fn about() -> About {
        About {
            run: "1a2b3c".to_owned(),
            started: "2026-11-23T09:00:00Z".parse().unwrap(),
            took: Duration::from_millis(41_200),
            bundle: Some("sha256:00".to_owned()),
            made: Vec::new(),
            by: By {
                user: Shown::new("root"),
                machine: Shown::new("jumpbox"),
            },
            cluster: Some(ClusterEntry {
                server: Shown::new("https://server:6443"),
                version: Some(Shown::new("v1.37.2")),
                uid: Some(Shown::new("0c0ffee0-0000-4000-8000-000000000000")),
                ca: Some("sha256:00".to_owned()),
            }),
            hosts: vec![HostEntry {
                name: Shown::new("node-0"),
                address: Shown::new("192.168.10.101"),
                roles: vec!["worker".to_owned()],
                kubelet: Some(Shown::new("v1.37.2")),
                runtime: Some(Shown::new("containerd://2.4.2")),
                kernel: Some(Shown::new("6.18.5")),
                system: Some(Shown::new("Debian GNU/Linux 12 (bookworm)")),
                boot: Some(Shown::new("0b00b00b-0000-4000-8000-000000000000")),
                node: None,
                login: None,
            }],
            logins: Logins::default(),
            selection: Selection::default(),
            not_run: Vec::new(),
            restarted: false,
            suite: SuiteSettings::default(),
            acceptances: Vec::new(),
            touched: None,
        }
    }

    #[test]
    fn a_report_of_some_checks_says_which_were_not_run() {
        let rows = [row("hosts.reach", Some("node-0"), Outcome::Pass)];
        let of = |not_run| Report::new(About { not_run, ..about() }, &rows);
        assert!(!of(Vec::new()).is_partial());
        let some = of(vec!["api.ready"]);
        assert!(some.is_partial());
        assert_eq!(serde_json::to_value(&some).unwrap()["notRun"][0], "api.ready");
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
            Report::new(about(), &[row]).exit_code(false)
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
        insta::assert_json_snapshot!(Report::new(about(), &rows));
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
