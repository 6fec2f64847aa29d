//! The run's own steps: what is no check, and must be in the report all the same.

use std::time::Duration;

use crate::distribution::Distribution;
use crate::findings::{Finding, Verdict};
use crate::images::HostImages;
use crate::suite::Row;

/// A step of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Every byte of the bundle is read.
    Bundle,
    /// Its images are loaded.
    Load,
    /// Each worker was looked at.
    Coverage,
    /// Each host was started again since a report.
    Reboot,
    /// What went wrong in the kernels of the hosts while the checks ran.
    Counters,
    /// What the run made is removed.
    Removal,
    /// The report is written.
    Report,
    /// The site file is compared with what is there.
    Site,
    /// What was gathered is taken for what is there.
    Facts,
}

impl Step {
    /// Every step, in order.
    pub const ALL: [Self; 9] = [
        Self::Bundle,
        Self::Load,
        Self::Coverage,
        Self::Reboot,
        Self::Counters,
        Self::Removal,
        Self::Report,
        Self::Site,
        Self::Facts,
    ];

    /// Returns its id in reports, beside those of the checks.
    pub const fn id(self) -> &'static str {
        match self {
            Self::Bundle => "run.bundle",
            Self::Load => "run.load",
            Self::Coverage => "run.coverage",
            Self::Reboot => "run.reboot",
            Self::Counters => "run.counters",
            Self::Removal => "run.removal",
            Self::Report => "run.report",
            Self::Site => "site.check",
            Self::Facts => "run.facts",
        }
    }
}

/// Returns the result of a step.
pub(super) fn row(step: Step, host: Option<&str>, findings: Vec<Finding>, took: Duration) -> Row {
    Row {
        id: step.id(),
        host: host.map(str::to_owned),
        took,
        verdict: Verdict::of(Ok(findings), Vec::new()),
        seen: None,
        distribution: Distribution::default(),
        by_hand: None,
        certificates: Vec::new(),
        images: HostImages::default(),
    }
}
