//! What a check comes to: outcome, cause, evidence. Values only.

use serde::{Deserialize, Serialize};

use super::{Cause, CauseId};

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
            Self::Warn => "warn",
            Self::Error => "error",
            Self::Fail => "fail",
        }
    }
}

/// Something that a person can look at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Evidence {
    /// What it is: `routes`, `kubelet.service, last lines`.
    pub title: String,
    /// The text.
    pub text: String,
}

impl Evidence {
    /// Returns a piece of evidence.
    pub fn new(title: impl Into<String>, text: impl Into<String>) -> Self {
        Self {
            title: title.into(),
            text: text.into(),
        }
    }

    /// Returns lines as a piece of evidence, or none where there are no lines.
    pub fn lines(title: impl Into<String>, lines: &[String]) -> Option<Self> {
        (!lines.is_empty()).then(|| Self::new(title, lines.join("\n")))
    }
}

/// One thing that a judge found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// How bad it is.
    pub outcome: Outcome,
    /// What it is.
    pub cause: Cause,
}

impl Finding {
    /// Returns a finding that fails the check.
    pub const fn fail(cause: Cause) -> Self {
        Self {
            outcome: Outcome::Fail,
            cause,
        }
    }

    /// Returns a finding that deserves attention.
    pub const fn warn(cause: Cause) -> Self {
        Self {
            outcome: Outcome::Warn,
            cause,
        }
    }
}

/// What a check comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// How it ended.
    pub outcome: Outcome,
    /// The worst cause; none on a pass.
    pub cause: Option<Cause>,
    /// The other causes, in the order found.
    pub also: Vec<Cause>,
    /// What a person can look at.
    pub evidence: Vec<Evidence>,
}

impl Verdict {
    /// Returns the verdict over findings: a pass without any, else the first of the worst.
    pub fn of(findings: Vec<Finding>) -> Self {
        let Some(outcome) = findings.iter().map(|finding| finding.outcome).max() else {
            return Self::pass();
        };
        let worst = findings.iter().position(|finding| finding.outcome == outcome);
        let mut causes: Vec<Cause> = findings.into_iter().map(|finding| finding.cause).collect();
        let cause = worst.map(|at| causes.remove(at));
        Self {
            outcome,
            cause,
            also: causes,
            evidence: Vec::new(),
        }
    }

    /// Returns a pass.
    pub const fn pass() -> Self {
        Self {
            outcome: Outcome::Pass,
            cause: None,
            also: Vec::new(),
            evidence: Vec::new(),
        }
    }

    /// Returns a verdict of one cause.
    pub const fn new(outcome: Outcome, cause: Cause) -> Self {
        Self {
            outcome,
            cause: Some(cause),
            also: Vec::new(),
            evidence: Vec::new(),
        }
    }

    /// Adds evidence.
    #[must_use]
    pub fn with(mut self, evidence: impl IntoIterator<Item = Evidence>) -> Self {
        self.evidence.extend(evidence);
        self
    }
}

/// Why a check could not look.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// `error` or `skip`; never a pass.
    pub outcome: Outcome,
    /// Why.
    pub cause: Cause,
    /// What a person can look at.
    pub evidence: Vec<Evidence>,
}

impl Trouble {
    /// Returns the trouble that makes an error.
    pub const fn error(cause: Cause) -> Self {
        Self {
            outcome: Outcome::Error,
            cause,
            evidence: Vec::new(),
        }
    }

    /// Returns the trouble that makes a skip.
    pub const fn skip(cause: Cause) -> Self {
        Self {
            outcome: Outcome::Skip,
            cause,
            evidence: Vec::new(),
        }
    }

    /// Returns the trouble of a defect of the verifier itself.
    pub fn internal(what: &dyn std::fmt::Display) -> Self {
        Self::error(Cause::new(CauseId::Internal).with("message", what))
    }
}

impl From<Trouble> for Verdict {
    fn from(trouble: Trouble) -> Self {
        Self::new(trouble.outcome, trouble.cause).with(trouble.evidence)
    }
}
