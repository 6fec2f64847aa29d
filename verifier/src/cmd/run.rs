//! `verifier run`: check the bundle, load it, check the cluster, one report.

use std::path::PathBuf;

use clap::Args;
use cli::{Failure, TrustArgs};

use super::connect;
use super::interrupt::interruptible;
use super::load::FreshArgs;
use super::programs::programs;
use super::suite::SuiteArgs;
use crate::checks;
use crate::load::Ledger;
use crate::protocol::StoreDepth;
use crate::report::Selection;
use crate::run::{Loading, Order, Work};

#[derive(Debug, Args)]
pub(super) struct RunArgs {
    /// The bundle: an archive, a directory that it was unpacked into, or - for standard input
    file: PathBuf,
    #[command(flatten)]
    trust: TrustArgs,
    #[command(flatten)]
    fresh: FreshArgs,
    /// The site file
    #[arg(long, value_name = "FILE")]
    site: PathBuf,
    /// Do not pin the images: the kubelet may collect them
    #[arg(long)]
    no_pin: bool,
    #[command(flatten)]
    suite: SuiteArgs,
}

/// Runs the whole way and returns the exit code of the report.
pub(super) async fn run(args: RunArgs) -> Result<u8, Failure> {
    let site = connect::read_site(&args.site)?;
    let trust = args.trust.trust()?;
    let reporters = args.suite.reporters(&site)?;
    let after_reboot = args.suite.after_reboot()?;
    let bundle = cli::open_bundle(&args.file, &trust)?;
    let ledger = Ledger::beside(&args.site);
    args.fresh.check(&ledger, &bundle)?;
    let stop = interruptible();
    let order = Order {
        targets: connect::targets(&site, &stop).await?,
        programs: programs(Some(&bundle))?,
        site,
        work: Work::Load(Loading {
            bundle,
            pin: !args.no_pin,
            ledger,
        }),
        checks: checks::of_runs().copied().collect(),
        selection: Selection::default(),
        not_run: Vec::new(),
        days: args.suite.days(),
        depth: StoreDepth::Ends,
        after_reboot,
        keep: false,
        limits: args.suite.limits(),
    };
    Ok(args.suite.run(order, reporters, &stop).await)
}
