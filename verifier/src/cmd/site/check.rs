//! `verifier site check`: a site file against what is there.

use std::io::{self, IsTerminal as _};
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use cli::{Failure, TrustArgs};

use crate::cmd::connect;
use crate::cmd::interrupt::interruptible;
use crate::cmd::lang::LangArg;
use crate::cmd::programs::programs;
use crate::protocol::StoreDepth;
use crate::report::{JsonStdout, List, Look, Selection};
use crate::run::{self, Order, Reporters, Work};
use crate::suite::Limits;

#[derive(Debug, Args)]
pub(in crate::cmd) struct CheckArgs {
    /// The site file
    #[arg(long, value_name = "FILE")]
    site: PathBuf,
    /// A bundle with the verifier for hosts of other platforms
    #[arg(long, value_name = "FILE")]
    bundle: Option<PathBuf>,
    #[command(flatten)]
    trust: TrustArgs,
    /// Print the result as JSON, in the form of a report
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    lang: LangArg,
}

/// Compares, changes nothing, and returns the exit code of the report: 0 all is as the file says, 1 something differs, 2
/// something could not be found out.
pub(super) async fn check(args: CheckArgs) -> Result<u8, Failure> {
    let site = connect::read_site(&args.site)?;
    let bundle = args.trust.open(args.bundle.as_deref())?;
    let look = Look {
        lang: args.lang.get(),
        terminal: io::stderr().is_terminal(),
        verbose: false,
        directory: None,
        logins: run::logins(&site),
    };
    let reporters: Reporters = if args.json {
        vec![
            Box::new(JsonStdout),
            Box::new(List::new(anstream::stderr(), look)),
        ]
    } else {
        vec![Box::new(List::new(anstream::stdout(), look))]
    };
    let stop = interruptible();
    let order = Order {
        targets: connect::targets(&site, &stop).await?,
        programs: programs(bundle.as_ref())?,
        site,
        work: Work::Nothing,
        checks: Vec::new(),
        selection: Selection::default(),
        not_run: Vec::new(),
        reads: false,
        days: crate::certs::Days::default(),
        depth: StoreDepth::Ends,
        after_reboot: None,
        keep: false,
        snapshot: None,
        limits: Limits {
            timeout: Duration::from_mins(1),
            deadline: Duration::from_mins(10),
        },
    };
    let report = Box::pin(run::check_site(order, reporters, &stop)).await;
    Ok(report.exit_code(false))
}
