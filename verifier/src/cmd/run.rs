//! `verifier run`: check the bundle, load it, check the cluster, one report.

use std::path::PathBuf;

use clap::Args;
use cli::{Failure, Form, TrustArgs};

use super::interrupt::interruptible;
use super::load::FreshArgs;
use super::programs::programs;
use super::suite::SuiteArgs;
use super::{connect, plan};
use crate::checks;
use crate::load::Ledger;
use crate::protocol::StoreDepth;
use crate::report::Selection;
use crate::run::plan::{Plan, Planned, only_reads};
use crate::run::{Loading, Order, Work};
use crate::site::Site;
use crate::suite::Check;

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
    /// Say what a run would touch, and touch nothing: no connection is made
    #[arg(long)]
    plan: bool,
    /// Only the checks that make nothing: nothing is loaded, and nothing is made, changed or removed at the API
    #[arg(long)]
    read_only: bool,
    #[command(flatten)]
    suite: SuiteArgs,
}

/// Which checks are run, and which are not.
fn chosen(read_only: bool) -> (Vec<Check>, Vec<&'static str>) {
    let (run, left): (Vec<&Check>, Vec<&Check>) =
        checks::of_runs().partition(|check| !read_only || only_reads(check));
    (
        run.into_iter().copied().collect(),
        left.into_iter().map(|check| check.id).collect(),
    )
}

/// Runs the whole way and returns the exit code of the report.
pub(super) async fn run(args: RunArgs) -> Result<u8, Failure> {
    let site = connect::read_site(&args.site)?;
    if args.plan {
        return planned(&args, &site).await;
    }
    let trust = args.trust.trust()?;
    let reporters = args.suite.paper.reporters(&site)?;
    let after_reboot = args.suite.after_reboot()?;
    let bundle = cli::open_bundle(&args.file, &trust)?;
    let ledger = Ledger::beside(&args.site);
    args.fresh.check(&ledger, &bundle)?;
    let (checks, not_run) = chosen(args.read_only);
    let snapshot = args.suite.snapshot(&checks)?;
    let stop = interruptible();
    let programs = programs(Some(&bundle))?;
    let loading = Loading {
        bundle,
        pin: !args.no_pin,
        ledger,
    };
    let order = Order {
        targets: connect::targets(&site, &stop).await?,
        programs,
        site,
        work: if args.read_only {
            Work::Check(loading)
        } else {
            Work::Load(loading)
        },
        checks,
        selection: Selection {
            read_only: args.read_only,
            ..Selection::default()
        },
        not_run,
        reads: args.read_only,
        days: args.suite.paper.days(),
        depth: StoreDepth::Ends,
        after_reboot,
        keep: false,
        snapshot,
        limits: args.suite.limits(),
    };
    Ok(Box::pin(args.suite.run(order, reporters, &stop)).await)
}

/// Prints what the run would touch.
async fn planned(args: &RunArgs, site: &Site) -> Result<u8, Failure> {
    let bundle = cli::open_bundle(&args.file, &args.trust.trust()?)?;
    let (checks, not_run) = chosen(args.read_only);
    let writes = args.suite.written();
    let plan = Plan::of(Planned {
        site,
        bundle: Some(&bundle),
        loads: !args.read_only,
        reads: args.read_only,
        checks: &checks,
        not_run: not_run.into_iter().map(str::to_owned).collect(),
        server: plan::server(site).await,
        programs: plan::programs(Some(&bundle))?,
        here: plan::here(site, &args.site, Some(&args.file), writes),
    });
    plan::print(
        &plan,
        Form::from_flag(args.suite.paper.json),
        args.suite.paper.lang.get(),
    )
}
