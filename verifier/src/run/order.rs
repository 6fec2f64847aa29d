//! What a run is to do, and with what.

use bundle::BundleFile;

use crate::carrier::ssh::{Programs, Target};
use crate::certs::Days;
use crate::report::{Report, Selection};
use crate::site::Site;
use crate::suite::{Check, Limits};

/// What a run is to do.
pub struct Order {
    /// The site.
    pub site: Site,
    /// How its hosts are logged into.
    pub targets: Vec<Target>,
    /// The verifier's programs for them.
    pub programs: Programs,
    /// What it has to run.
    pub work: Work,
    /// The checks to run.
    pub checks: Vec<Check>,
    /// How they were chosen.
    pub selection: Selection,
    /// The checks that were not.
    pub not_run: Vec<&'static str>,
    /// The report since which every host is to have been started again.
    pub after_reboot: Option<Box<Report>>,
    /// Whether what the run makes is left there.
    pub keep: bool,
    /// How close the end of a certificate may come.
    pub days: Days,
    /// How long things may take.
    pub limits: Limits,
}

/// What a run has to run.
pub enum Work {
    /// What a bundle carries, after it was checked and loaded; whether its images are pinned.
    Load(BundleFile, bool),
    /// What a bundle carries that was loaded before.
    Bundle(BundleFile),
    /// An image that is on the nodes already.
    Image(String),
    /// Nothing: only the checks that need nothing can look.
    Nothing,
}

impl Work {
    pub(super) fn bundle(&self) -> Option<&BundleFile> {
        match self {
            Self::Load(bundle, _) | Self::Bundle(bundle) => Some(bundle),
            Self::Image(_) | Self::Nothing => None,
        }
    }
}
