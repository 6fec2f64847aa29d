//! `verifier audit images`: what the nodes hold, against one or several bundles.

use std::path::PathBuf;
use std::time::Duration;

use bundle::BundleFile;
use clap::Args;
use cli::{Failure, Kind, TrustArgs};

use super::{Chosen, unwritten};
use crate::cmd::connect;
use crate::cmd::interrupt::interruptible;
use crate::cmd::programs::programs;
use crate::cmd::suite::{Stdout, SuiteArgs};
use crate::protocol::StoreDepth;
use crate::report::{ImagesBill, ImagesCsv, ImagesFile, ImagesTable, Reporter, Selection};
use crate::run::{Order, Work};
use crate::suite::Limits;

/// The checks of the audit.
const CHECKS: [&str; 3] = ["images.inventory", "images.complete", "images.workloads"];
/// Stands for standard output where a file could stand.
const STDOUT: &str = "-";
/// Reading every byte of a node's images takes as long as its disk needs.
const DEEP: Duration = Duration::from_hours(4);

/// Two forms for one place.
#[derive(Debug, thiserror::Error)]
#[error("only one of --csv, --json and --cyclonedx can go to standard output")]
struct Crowded;

#[derive(Debug, Args)]
pub(in crate::cmd) struct ImagesArgs {
    /// The site file
    #[arg(long, value_name = "FILE")]
    site: PathBuf,
    /// A bundle whose images the nodes are to hold; repeatable. Without one nothing is missing or extra
    #[arg(long, value_name = "FILE")]
    bundle: Vec<PathBuf>,
    #[command(flatten)]
    trust: TrustArgs,
    /// Read every byte of every blob, and compare it with its digest
    #[arg(long)]
    deep: bool,
    /// Print the list as CSV
    #[arg(long, conflicts_with = "json")]
    csv: bool,
    /// Print what runs where as CycloneDX, or write it to this file
    #[arg(long, value_name = "FILE", num_args = 0..=1, default_missing_value = STDOUT)]
    cyclonedx: Option<PathBuf>,
    #[command(flatten)]
    suite: SuiteArgs,
}

pub(super) async fn run(args: ImagesArgs) -> Result<u8, Failure> {
    let site = connect::read_site(&args.site)?;
    let stdout = if args.csv || args.prints_bill() {
        Stdout::Taken
    } else {
        Stdout::Free
    };
    let reporters = args.suite.paper.reporters_with(&site, args.lists()?, stdout)?;
    let trust = args.trust.trust()?;
    let bundles = args.bundle.iter().map(|path| cli::open_bundle(path, &trust));
    let bundles: Vec<BundleFile> = bundles.collect::<Result<_, _>>()?;
    let stop = interruptible();
    let chosen = Chosen::of(|id| CHECKS.contains(&id));
    let order = Order {
        targets: connect::targets(&site, &stop).await?,
        programs: programs(bundles.first())?,
        site,
        work: Work::Compare(bundles),
        checks: chosen.checks,
        selection: Selection {
            only: CHECKS.map(str::to_owned).to_vec(),
            skip: Vec::new(),
            read_only: false,
        },
        not_run: chosen.left,
        reads: false,
        days: args.suite.paper.days(),
        depth: args.depth(),
        after_reboot: None,
        keep: false,
        snapshot: None,
        limits: args.limits(),
    };
    Ok(Box::pin(args.suite.run(order, reporters, &stop)).await)
}

impl ImagesArgs {
    const fn depth(&self) -> StoreDepth {
        if self.deep {
            StoreDepth::Hashes
        } else {
            StoreDepth::Ends
        }
    }

    /// Returns how long things may take: reading all takes longer than any other look.
    fn limits(&self) -> Limits {
        let limits = self.suite.limits();
        if !self.deep {
            return limits;
        }
        Limits {
            timeout: limits.timeout.max(DEEP),
            deadline: limits.deadline.max(DEEP * 2),
        }
    }

    fn prints_bill(&self) -> bool {
        self.cyclonedx
            .as_ref()
            .is_some_and(|path| path.as_os_str() == STDOUT)
    }

    /// Returns who writes the lists.
    fn lists(&self) -> Result<Vec<Box<dyn Reporter>>, Failure> {
        let mut lists: Vec<Box<dyn Reporter>> = Vec::new();
        if self.prints_bill() {
            if self.csv || self.suite.paper.json {
                return Err(Failure::new(Kind::Usage, Crowded).hint("write --cyclonedx FILE"));
            }
            lists.push(Box::new(ImagesBill));
            return Ok(lists);
        }
        if let Some(path) = &self.cyclonedx {
            let file = ImagesFile::begin(path.clone()).map_err(unwritten)?;
            lists.push(Box::new(file));
        }
        if self.csv {
            lists.push(Box::new(ImagesCsv));
        } else if !self.suite.paper.json {
            lists.push(Box::new(ImagesTable::new(
                anstream::stdout(),
                self.suite.paper.lang.get(),
            )));
        }
        Ok(lists)
    }
}
