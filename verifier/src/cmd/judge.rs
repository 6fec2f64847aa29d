//! `verifier judge`: the verdict over files that were gathered on the hosts.

use std::collections::BTreeSet;
use std::path::PathBuf;

use clap::Args;
use cli::{Failure, TrustArgs};

use super::connect;
use super::interrupt::interruptible;
use super::programs::programs;
use super::smoke::{Choice, not_chosen};
use super::suite::PaperArgs;
use crate::gathered::Gathered;
use crate::protocol::StoreDepth;
use crate::run::{self, FactsFile, Order, Work};
use crate::suite::Limits;

#[derive(Debug, Args)]
pub(super) struct JudgeArgs {
    /// The files that `verifier gather` wrote, one a host
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// The site file
    #[arg(long, value_name = "FILE")]
    site: PathBuf,
    /// The bundle whose images the nodes are to have; repeatable
    #[arg(long, value_name = "FILE")]
    bundle: Vec<PathBuf>,
    #[command(flatten)]
    trust: TrustArgs,
    #[command(flatten)]
    choice: Choice,
    #[command(flatten)]
    paper: PaperArgs,
}

/// Judges and returns the exit code of the report.
pub(super) async fn run(args: JudgeArgs) -> Result<u8, Failure> {
    let checks = args.choice.checks()?;
    let site = connect::read_site(&args.site)?;
    let reporters = args.paper.reporters(&site)?;
    let trust = args.trust.trust()?;
    let bundles = args.bundle.iter().map(|path| cli::open_bundle(path, &trust));
    let bundles = bundles.collect::<Result<Vec<_>, _>>()?;
    let files = args.files.iter().map(|path| FactsFile {
        path: path.clone(),
        read: Gathered::read(path),
    });
    let files: Vec<FactsFile> = files.collect();
    // What needs something that a run makes was not run, though it has its rows.
    let live = checks
        .iter()
        .filter(|check| !check.needs.is_empty())
        .map(|check| check.id);
    let not_run: BTreeSet<&'static str> = not_chosen(&checks).into_iter().chain(live).collect();
    let order = Order {
        site,
        targets: Vec::new(),
        programs: programs(None)?,
        work: if bundles.is_empty() {
            Work::Nothing
        } else {
            Work::Compare(bundles)
        },
        not_run: not_run.into_iter().collect(),
        selection: args.choice.selection(),
        checks,
        days: args.paper.days(),
        depth: StoreDepth::Ends,
        after_reboot: None,
        keep: false,
        snapshot: None,
        reads: true,
        limits: Limits::default(),
    };
    let report = Box::pin(run::judge(order, files, reporters, &interruptible())).await;
    Ok(args.paper.exit_code(&report))
}
