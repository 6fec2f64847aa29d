//! What changed between two reports of a site: results, findings, hosts, the cluster, certificates, images. Times and figures
//! that differ in every run are no change.

mod compared;
mod told;

use serde::Serialize;

use super::{ResultEntry, Stored};
use crate::findings::{Outcome, Severity};

pub(super) use compared::compare;

/// What changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ReportDiff {
    /// The version of this form: 1.
    pub version: u32,
    /// The earlier report.
    pub before: DiffSide,
    /// The later one.
    pub after: DiffSide,
    /// Whether both are about the same cluster, by its UID; null where one does not say.
    #[serde(rename = "sameCluster")]
    pub same_cluster: Option<bool>,
    /// Checks that ended otherwise.
    pub results: Vec<ResultChange>,
    /// Findings that came, went, or are worse or better.
    pub findings: Vec<FindingChange>,
    /// Hosts that came or went, and what is another about them; the cluster has no name.
    pub hosts: Vec<FieldChange>,
    /// Certificates that came, went, were renewed, or stand otherwise.
    pub certificates: Vec<CertificateChange>,
    /// Images that nodes have otherwise.
    pub images: Vec<FieldChange>,
}

/// One of the two.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DiffSide {
    /// The run.
    pub run: String,
    /// When it began, UTC.
    pub started: String,
    /// The program with its version.
    pub tool: String,
    /// The identity of the bundle.
    pub bundle: Option<String>,
    /// How it ended.
    pub outcome: Outcome,
    /// The SHA-256 of its report.json.
    pub report: String,
}

/// How something changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Change {
    /// It is worse.
    Worse,
    /// It was judged, and is not any more.
    Lost,
    /// It was not there.
    New,
    /// It is another.
    Changed,
    /// It was replaced by a later one of its kind.
    Renewed,
    /// It is not there any more.
    Gone,
    /// It is better.
    Better,
}

impl Change {
    /// Returns the word of the list.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Worse => "worse",
            Self::Lost => "lost",
            Self::New => "new",
            Self::Changed => "changed",
            Self::Renewed => "renewed",
            Self::Gone => "gone",
            Self::Better => "better",
        }
    }
}

/// A check that ended otherwise.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ResultChange {
    /// How.
    pub change: Change,
    /// The check.
    pub id: String,
    /// The host; null where the scope is the cluster.
    pub host: Option<String>,
    /// How it ended before; null where it was not there.
    pub before: Option<Outcome>,
    /// How it ends now; null where it is not there.
    pub after: Option<Outcome>,
    /// Why, as the later report says, or the earlier where that has nothing.
    pub text: Option<String>,
}

/// A finding that changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FindingChange {
    /// How.
    pub change: Change,
    /// The check.
    pub check: String,
    /// The host.
    pub host: Option<String>,
    /// What it is about.
    pub subject: Option<String>,
    /// The cause.
    pub cause: String,
    /// How bad it was.
    pub before: Option<Severity>,
    /// How bad it is.
    pub after: Option<Severity>,
    /// The sentence.
    pub text: String,
}

/// Something of a host, or of the cluster, that changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FieldChange {
    /// How.
    pub change: Change,
    /// The host; null where it is the cluster's.
    pub host: Option<String>,
    /// What it is.
    pub field: String,
    /// What it was.
    pub before: Option<String>,
    /// What it is now.
    pub after: Option<String>,
}

/// A certificate that changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CertificateChange {
    /// How.
    pub change: Change,
    /// The host that has it.
    pub host: Option<String>,
    /// Where it stands.
    pub place: String,
    /// Whom it names.
    pub subject: String,
    /// How it stood, and when it ended to be good.
    pub before: Option<CertificateSide>,
    /// How it stands, and when it ends to be good.
    pub after: Option<CertificateSide>,
}

/// A certificate in one of the two reports.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CertificateSide {
    /// SHA-256 of it.
    pub sha256: String,
    /// When it ends to be good.
    #[serde(rename = "notAfter")]
    pub not_after: String,
    /// How it stands.
    pub standing: crate::certs::Standing,
}

impl ReportDiff {
    /// Compares two reports.
    pub fn of(before: &Stored, after: &Stored) -> Self {
        compare(before, after)
    }

    /// Returns whether nothing changed.
    pub fn is_empty(&self) -> bool {
        self.results.is_empty()
            && self.findings.is_empty()
            && self.hosts.is_empty()
            && self.certificates.is_empty()
            && self.images.is_empty()
    }

    /// Returns it in words, a line for each change.
    pub fn text(&self, lang: crate::findings::Lang) -> String {
        told::text(self, lang)
    }
}

/// Returns how a result changed; nothing where it did not.
fn change(before: Option<Outcome>, after: Option<Outcome>) -> Option<Change> {
    let rank = |outcome| match outcome {
        Outcome::Pass => 0,
        Outcome::Accepted => 1,
        Outcome::Warn => 2,
        Outcome::Fail => 3,
        Outcome::Skip | Outcome::Error => 4,
    };
    let judged = |outcome| rank(outcome) < 4;
    Some(match (before, after) {
        (None, None) => return None,
        (None, Some(_)) => Change::New,
        (Some(_), None) => Change::Gone,
        (Some(before), Some(after)) if before == after => return None,
        (Some(Outcome::Warn | Outcome::Fail), Some(Outcome::Accepted)) => Change::Changed,
        (Some(before), Some(after)) if judged(before) && !judged(after) => Change::Lost,
        (Some(Outcome::Skip), Some(Outcome::Error)) | (_, Some(Outcome::Fail)) => Change::Worse,
        (Some(before), Some(after)) if judged(before) && rank(after) > rank(before) => Change::Worse,
        _ => Change::Better,
    })
}

/// Returns why a result is as it is.
fn why(result: &ResultEntry) -> Option<String> {
    result.cause.as_ref().map(|cause| cause.text.clone())
}

#[cfg(test)]
mod tests;
