//! What a check comes to: findings, each with its severity and cause, or why nothing was judged. Values only.

use std::fmt;

use cli::Shown;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use super::evidence::bounded;
use super::{Cause, Evidence, Line, Phrase, cause, phrase};

/// How a check ended, from best to worst; a skip counts for nothing.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// It was not looked at, for a reason that is stated.
    Skip,
    /// It is as it should be.
    Pass,
    /// All that was found is known, and somebody answers for it until a day.
    Accepted,
    /// It works, and something about it deserves attention.
    Warn,
    /// It could not be looked at.
    Error,
    /// The thing under test is wrong, does not answer, answers late or refuses.
    Fail,
}

impl Outcome {
    /// Returns the word of the report.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Skip => "skip",
            Self::Pass => "pass",
            Self::Accepted => "accepted",
            Self::Warn => "warn",
            Self::Error => "error",
            Self::Fail => "fail",
        }
    }
}

/// How bad a finding is.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// It works, and something about it deserves attention.
    Warn,
    /// It could not be looked at.
    Error,
    /// The thing under test is wrong, does not answer, answers late or refuses.
    Fail,
}

impl Severity {
    /// Returns the word of the report.
    pub const fn word(self) -> &'static str {
        self.outcome().word()
    }

    /// Returns the outcome of a check whose worst finding is this bad.
    pub const fn outcome(self) -> Outcome {
        match self {
            Self::Warn => Outcome::Warn,
            Self::Error => Outcome::Error,
            Self::Fail => Outcome::Fail,
        }
    }
}

/// One thing that a judge found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// What it is.
    pub cause: Cause,
    /// What it is about, where the check looks at several: a file, a certificate, an image, a pod.
    pub subject: Option<Shown>,
    /// Whether it stands after one reading; else, where the check is confirmed, a second one must show it too.
    pub sure: bool,
    /// Who answers for it, where the site has accepted it.
    pub accepted: Option<Accepted>,
}

/// That somebody answers for a finding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// Why.
    pub reason: String,
    /// Who.
    pub by: String,
    /// The last day, UTC, the day itself included.
    pub until: Date,
}

impl Finding {
    fn new(severity: Severity, cause: impl Into<Cause>) -> Self {
        Self {
            severity,
            cause: cause.into(),
            subject: None,
            sure: false,
            accepted: None,
        }
    }

    /// Returns a finding that fails the check.
    pub fn fail(cause: impl Into<Cause>) -> Self {
        Self::new(Severity::Fail, cause)
    }

    /// Returns a finding that deserves attention.
    pub fn warn(cause: impl Into<Cause>) -> Self {
        Self::new(Severity::Warn, cause)
    }

    /// Returns a finding of something that could not be looked at.
    pub fn error(cause: impl Into<Cause>) -> Self {
        Self::new(Severity::Error, cause)
    }

    /// Says what it is about.
    #[must_use]
    pub fn of(mut self, subject: impl fmt::Display) -> Self {
        self.subject = Some(Shown::new(&subject));
        self
    }

    /// Returns whether it says that something could not be looked at.
    pub fn could_not_look(&self) -> bool {
        self.severity == Severity::Error
    }

    /// Says that one reading is enough: it does not pass by itself.
    #[must_use]
    pub const fn sure(mut self) -> Self {
        self.sure = true;
        self
    }
}

/// Why a check has nothing to judge. It never becomes a pass.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Unjudged {
    /// There is nothing to look at here, or something else must work first.
    Skip(Cause),
    /// We could not look.
    Error(Cause),
}

impl Unjudged {
    /// Returns a skip with its reason.
    pub fn skip(cause: impl Into<Cause>) -> Self {
        Self::Skip(cause.into())
    }

    /// Returns an error with its cause.
    pub fn error(cause: impl Into<Cause>) -> Self {
        Self::Error(cause.into())
    }

    /// Returns the error of a defect of the verifier itself.
    pub fn internal(what: &dyn fmt::Display) -> Self {
        Self::error(cause::Internal { message: what })
    }

    /// Returns why.
    pub const fn cause(&self) -> &Cause {
        match self {
            Self::Skip(cause) | Self::Error(cause) => cause,
        }
    }

    /// Returns why.
    pub fn into_cause(self) -> Cause {
        match self {
            Self::Skip(cause) | Self::Error(cause) => cause,
        }
    }
}

/// How much of what a judge found a report lists, in bytes of text. The worst of it comes first.
const LISTED: usize = 64 * 1024;
/// What a finding counts beside its text.
const FINDING: usize = 256;

/// What a judge says: what it found, or why there is nothing to judge.
pub type Judged = Result<Vec<Finding>, Unjudged>;

/// What a check comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// The findings, the worst first.
    findings: Vec<Finding>,
    /// Why nothing was looked at; then there are no findings.
    skipped: Option<Cause>,
    evidence: Vec<Evidence>,
}

impl Verdict {
    /// Returns the verdict over what a judge says: a pass where it found nothing.
    pub fn of(judged: Judged, evidence: Vec<Evidence>) -> Self {
        let (mut findings, skipped) = match judged {
            Ok(findings) => (findings, None),
            Err(Unjudged::Error(cause)) => (vec![Finding::error(cause)], None),
            Err(Unjudged::Skip(cause)) => (Vec::new(), Some(cause)),
        };
        // Stable: among the equally bad the first found stays first.
        // What is accepted comes behind all that is not.
        findings.sort_by_key(|finding| (finding.accepted.is_some(), std::cmp::Reverse(finding.severity)));
        let more = cut(&mut findings);
        let more = Evidence::lines(phrase::MoreFindings, more.map(Line::said));
        let evidence = more.into_iter().chain(evidence).collect();
        Self {
            findings,
            skipped,
            evidence: bounded(evidence),
        }
    }

    /// Returns how the check ended.
    pub fn outcome(&self) -> Outcome {
        match (self.findings.first(), &self.skipped) {
            (Some(worst), _) if worst.accepted.is_some() => Outcome::Accepted,
            (Some(worst), _) => worst.severity.outcome(),
            (None, Some(_)) => Outcome::Skip,
            (None, None) => Outcome::Pass,
        }
    }

    /// Returns the first of the worst causes, or the reason of a skip; none on a pass.
    pub fn cause(&self) -> Option<&Cause> {
        let worst = self.findings.first().map(|finding| &finding.cause);
        worst.or(self.skipped.as_ref())
    }

    /// Returns all that was found, the worst first.
    pub fn findings(&self) -> &[Finding] {
        &self.findings
    }

    /// Returns what a person can look at.
    pub fn evidence(&self) -> &[Evidence] {
        &self.evidence
    }
}

/// Cuts findings to what a report lists; the first and worst is always one of them. Returns how many were left out.
fn cut(findings: &mut Vec<Finding>) -> Option<Phrase> {
    let mut listed = 0_usize;
    let mut fits = |finding: &Finding| {
        let texts = finding.cause.args().values().chain(&finding.subject);
        listed += texts.map(|text| text.len()).sum::<usize>() + FINDING;
        listed <= LISTED
    };
    let kept = findings.iter().take_while(|finding| fits(finding)).count().max(1);
    let count = findings.len().checked_sub(kept).filter(|count| *count > 0)?;
    findings.truncate(kept);
    Some(phrase::MoreFindingsLine { count: &count }.into())
}

impl From<Unjudged> for Verdict {
    fn from(unjudged: Unjudged) -> Self {
        Self::of(Err(unjudged), Vec::new())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_finding_comes_first_and_none_is_lost() {
        let cordoned = Finding::warn(cause::NodeCordoned { node: &"a" });
        let missing = Finding::fail(cause::NodeMissing { node: &"a" }).of("a");
        let verdict = Verdict::of(Ok(vec![cordoned.clone(), missing.clone()]), Vec::new());
        assert_eq!(verdict.outcome(), Outcome::Fail);
        assert_eq!(verdict.cause(), Some(&missing.cause));
        assert_eq!(verdict.findings(), [missing, cordoned]);
    }

    #[test]
    fn findings_without_number_are_cut_and_counted_and_the_outcome_stays() {
        let cordoned = Finding::warn(cause::NodeCordoned { node: &"a" });
        let missing = Finding::fail(cause::NodeMissing { node: &"b" });
        let mut found = vec![cordoned; 100_000];
        found.push(missing.clone());
        let verdict = Verdict::of(Ok(found), Vec::new());
        assert_eq!(
            (verdict.outcome(), &verdict.findings()[0]),
            (Outcome::Fail, &missing)
        );
        let listed = verdict.findings().len();
        assert!(listed < 300, "{listed}");
        let Line::Said(note) = &verdict.evidence()[0].lines[0] else {
            panic!("{:?}", verdict.evidence());
        };
        assert_eq!(note.args()["count"], *(100_001 - listed).to_string());
    }

    #[test]
    fn only_a_judge_that_found_nothing_passes() {
        assert_eq!(Verdict::of(Ok(Vec::new()), Vec::new()).outcome(), Outcome::Pass);
        let skip = Verdict::from(Unjudged::skip(cause::OneNode));
        assert_eq!((skip.outcome(), skip.findings().len()), (Outcome::Skip, 0));
        let error = Verdict::from(Unjudged::internal(&"x"));
        assert_eq!((error.outcome(), error.findings().len()), (Outcome::Error, 1));
    }
}
