//! What a run is to do, and with what.

use std::slice;
use std::sync::Arc;

use bundle::{AtomicFile, BundleFile, Index};
use cli::Provenance;

use crate::carrier::ssh::{Programs, Target};
use crate::certs::Days;
use crate::load::Ledger;
use crate::protocol::StoreDepth;
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
    /// Where the snapshot of etcd is kept that the run reads; absent: nowhere.
    pub snapshot: Option<AtomicFile>,
    /// Whether nothing is made, changed or removed.
    pub reads: bool,
    /// How close the end of a certificate may come.
    pub days: Days,
    /// How much of the stores of images is read.
    pub depth: StoreDepth,
    /// How long things may take.
    pub limits: Limits,
}

/// What a run has to run.
pub enum Work {
    /// What a bundle carries, after it was checked and loaded.
    Load(Loading),
    /// What a bundle carries that was loaded before.
    Bundle(BundleFile),
    /// Nothing: the bundle is checked, and what it carries is what judges measure against.
    Check(Loading),
    /// Nothing: what the nodes hold is compared with what all of these carry together.
    Compare(Vec<BundleFile>),
    /// An image that is on the nodes already.
    Image(String),
    /// Nothing: only the checks that need nothing can look.
    Nothing,
}

/// A bundle to be loaded.
pub struct Loading {
    /// The bundle.
    pub bundle: BundleFile,
    /// Whether its images are pinned.
    pub pin: bool,
    /// Where its serial is kept.
    pub ledger: Ledger,
}

/// What judges measure against, as a report names it.
pub(super) struct Given {
    /// The identity of the bundle; of several all of them, with a space between.
    pub(super) id: String,
    /// Who made it, or each of them.
    pub(super) made: Vec<Provenance>,
    /// Its index; of several one that has all images.
    pub(super) index: Arc<Index>,
}

impl Work {
    /// Returns the bundles that were given.
    pub(super) fn bundles(&self) -> &[BundleFile] {
        match self {
            Self::Load(Loading { bundle, .. })
            | Self::Check(Loading { bundle, .. })
            | Self::Bundle(bundle) => slice::from_ref(bundle),
            Self::Compare(bundles) => bundles,
            Self::Image(_) | Self::Nothing => &[],
        }
    }

    pub(super) fn given(&self) -> Option<Given> {
        let bundles = self.bundles();
        let ids: Vec<String> = bundles.iter().map(|bundle| bundle.id().to_string()).collect();
        let indexes: Vec<&Index> = bundles.iter().map(|bundle| bundle.index().as_ref()).collect();
        let index = match (bundles, &indexes[..]) {
            ([], _) => return None,
            ([one], _) => Arc::clone(one.index()),
            (_, indexes) => Arc::new(together(indexes)),
        };
        Some(Given {
            id: ids.join(" "),
            made: bundles
                .iter()
                .map(|bundle| Provenance::of(bundle.origin()))
                .collect(),
            index,
        })
    }
}

/// Returns an index that has the images of all of these: what judges measure against, and no bundle.
pub(super) fn together(indexes: &[&Index]) -> Index {
    let names: Vec<&str> = indexes.iter().map(|index| index.name.as_str()).collect();
    let mut index = Index {
        format: bundle::FORMAT,
        name: names.join(" + "),
        serial: None,
        created: None,
        tool: indexes
            .iter()
            .map(|index| index.tool.clone())
            .next()
            .unwrap_or_default(),
        platforms: indexes.iter().flat_map(|index| index.platforms.clone()).collect(),
        requires: Vec::new(),
        smoke: None,
        images: indexes.iter().flat_map(|index| index.images.clone()).collect(),
        members: Vec::new(),
    };
    index.sort();
    index.platforms.dedup();
    index.images.dedup();
    index
}
