//! What `run` and `smoke` share: the suite on a connected site, shown live, cleaned up after, reported.

use std::io::{self, IsTerminal as _};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bundle::BundleFile;
use clap::Args;
use cli::{Failure, Kind, Progress, ResultExt as _, chain};
use jiff::Timestamp;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::laps::{Laps, lap};
use super::{carried, connect};
use crate::carrier::Hosts;
use crate::checks;
use crate::findings::{Cause, CauseId};
use crate::report::{self, List, Measure, Report};
use crate::site::Site;
use crate::suite::fixtures::{Removal, sweep};
use crate::suite::{self, Check, CheckText, Ctx, CtxParts, Event, Events, Limits, Row, random};

/// How the suite runs and where its report goes.
#[derive(Debug, Args)]
pub(super) struct SuiteArgs {
    /// Write report.json, evidence/ and SHA256SUMS into this directory
    #[arg(long, value_name = "DIR")]
    pub(super) report: Option<PathBuf>,
    /// Write the report as JSON to this file
    #[arg(long, value_name = "FILE")]
    pub(super) report_json: Option<PathBuf>,
    /// Print the report as JSON
    #[arg(long)]
    pub(super) json: bool,
    /// Exit with 1 on warnings too
    #[arg(long)]
    pub(super) strict: bool,
    /// The longest single wait
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = cli::duration)]
    pub(super) timeout: Duration,
    /// The whole run of the checks
    #[arg(long, value_name = "TIME", default_value = "10m", value_parser = cli::duration)]
    pub(super) deadline: Duration,
    /// Say where the time went
    #[arg(long, short)]
    pub(super) verbose: bool,
}

/// Why a report was not written.
#[derive(Debug, thiserror::Error)]
#[error("cannot write {}", path.display())]
struct Unwritten {
    path: PathBuf,
    source: io::Error,
}

/// The beginning of a run.
pub(super) struct Begun {
    started: Timestamp,
    since: Instant,
    /// Cancelled by the first Ctrl-C.
    pub(super) stop: CancellationToken,
    /// Where the time goes.
    pub(super) laps: Laps,
}

/// What the suite runs on.
pub(super) struct Ground {
    /// The site.
    pub(super) site: Site,
    /// Its hosts.
    pub(super) hosts: Hosts,
    /// What it runs.
    pub(super) carried: Carried,
    /// The checks to run.
    pub(super) checks: Vec<Check>,
    /// Whether what the run makes is left there.
    pub(super) keep: bool,
}

/// What a run has to run.
pub(super) enum Carried {
    /// What a bundle carries.
    Bundle(BundleFile),
    /// An image that is on the nodes already.
    Image(String),
    /// Nothing: only the checks that need nothing can look.
    Nothing,
}

/// Begins a run: proves that its report can be written, and listens for Ctrl-C.
pub(super) fn begin(args: &SuiteArgs) -> Result<Begun, Failure> {
    if let Some(directory) = &args.report {
        report::check_target(directory)
            .kind(Kind::Usage)
            .map_err(|failure| failure.hint("name a directory that does not exist yet"))?;
    }
    let stop = interruptible();
    Ok(Begun {
        started: Timestamp::now(),
        since: Instant::now(),
        stop,
        laps: Laps::start(),
    })
}

/// Returns a token that the first Ctrl-C (or SIGTERM) cancels; the second ends the process.
fn interruptible() -> CancellationToken {
    let stop = CancellationToken::new();
    let token = stop.clone();
    tokio::spawn(async move {
        signal().await;
        token.cancel();
        signal().await;
        std::process::exit(i32::from(cli::exit::INTERRUPTED));
    });
    stop
}

async fn signal() {
    use tokio::signal::unix::{SignalKind, signal};
    let Ok(mut terminate) = signal(SignalKind::terminate()) else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = terminate.recv() => {}
    }
}

/// Runs the suite, writes the report and returns the exit code. `incomplete` says that something before the suite
/// did not work on every host: no pass then.
pub(super) async fn run(
    args: &SuiteArgs,
    begun: &Begun,
    ground: Ground,
    incomplete: bool,
) -> Result<u8, Failure> {
    let api = connect::open_api(&ground.site, &ground.hosts).await;
    let suite = match &ground.carried {
        Carried::Bundle(bundle) => Some(carried::read(bundle)?),
        Carried::Image(image) => Some(carried::around(image)),
        Carried::Nothing => None,
    };
    let bundle = suite
        .as_ref()
        .and_then(|suite| suite.identity)
        .map(|identity| identity.to_string());
    let ctx = Ctx::new(CtxParts {
        run: format!("{:010x}", random() >> 24),
        holder: holder(),
        site: ground.site,
        suite,
        hosts: ground.hosts,
        api,
        limits: Limits {
            timeout: args.timeout,
            deadline: args.deadline,
        },
        permissions: ground.checks.iter().flat_map(Check::permissions).collect(),
        keep: ground.keep,
    });
    let (rows, removed) = check_all(&ctx, &ground.checks, args.json, begun).await?;
    let about = report::About {
        run: ctx.run.clone(),
        started: begun.started,
        took: begun.since.elapsed(),
        bundle,
    };
    let report = Report::new(about, &rows);
    write(args, &report, &rows, measure(&ctx))?;
    if args.verbose {
        Progress::stderr(false).say(&time(begun, &ctx, &rows));
    }
    if begun.stop.is_cancelled() {
        return Ok(cli::exit::INTERRUPTED);
    }
    let code = report.exit_code(args.strict);
    Ok(if code == cli::exit::PASS && (incomplete || !removed) {
        cli::exit::ERROR
    } else {
        code
    })
}

/// Returns what the judges of a run measured against.
fn measure(ctx: &Ctx) -> Measure<'_> {
    Measure {
        site: &ctx.site.text,
        index: ctx.suite.as_ref().and_then(|suite| suite.index.as_ref()),
    }
}

/// Returns where the time went.
fn time(begun: &Begun, ctx: &Ctx, rows: &[Row]) -> String {
    let fixtures = ctx.fixtures().times();
    let fixtures: Vec<String> = fixtures.iter().map(|(name, took)| lap(name, *took)).collect();
    let longest = rows.iter().max_by_key(|row| row.took).map(|row| {
        let host = row
            .host
            .as_ref()
            .map(|host| format!(" {host}"))
            .unwrap_or_default();
        lap(&format!("longest {}{host}", row.id), row.took)
    });
    let checks: Vec<String> = fixtures.into_iter().chain(longest).collect();
    format!("time: {} (of the checks: {})", begun.laps, checks.join(", "))
}

/// Writes the report of a run that was interrupted before its checks, and returns the exit code.
pub(super) async fn interrupted(
    args: &SuiteArgs,
    begun: &Begun,
    site: Site,
    checks: Vec<Check>,
) -> Result<u8, Failure> {
    let ground = Ground {
        site,
        hosts: Hosts::default(),
        carried: Carried::Nothing,
        checks,
        keep: false,
    };
    run(args, begun, ground, true).await
}

/// Writes the report of a run whose bundle is bad, as far as one was asked for, and returns the failure.
pub(super) fn refused(args: &SuiteArgs, begun: &Begun, site: &Site, failure: Failure) -> Failure {
    let reason = Cause::new(CauseId::BundleBad).with("message", chain(&failure));
    let rows = suite::not_run(site, checks::all(), &reason);
    let about = report::About {
        run: format!("{:010x}", random() >> 24),
        started: begun.started,
        took: begun.since.elapsed(),
        bundle: None,
    };
    let measure = Measure {
        site: &site.text,
        index: None,
    };
    match write_files(args, &Report::new(about, &rows), &rows, measure) {
        Ok(()) => failure,
        Err(unwritten) => failure.hint(format!("the report was not written: {}", chain(&unwritten))),
    }
}

/// Returns `user@host`, for colleagues who find the run's namespace.
fn holder() -> String {
    let user = std::env::var("USER").unwrap_or_else(|_| "root".to_owned());
    format!("{user}@{}", rustix::system::uname().nodename().to_string_lossy())
}

/// Runs the checks, shows them live, and removes what was made; returns the rows and whether all was removed.
async fn check_all(
    ctx: &Arc<Ctx>,
    checks: &[Check],
    json: bool,
    begun: &Begun,
) -> Result<(Vec<Row>, bool), Failure> {
    let stop = &begun.stop;
    let (sender, receiver) = mpsc::channel(256);
    let events = Events(sender);
    let showing = tokio::task::spawn_blocking(move || show(receiver, json));
    let swept = tokio::spawn({
        let (ctx, events) = (Arc::clone(ctx), events.clone());
        async move {
            for note in sweep(&ctx).await {
                events.tell(Event::Note(note)).await;
            }
        }
    });
    let rows = suite::run(Arc::clone(ctx), checks, &events, stop).await;
    begun.laps.end("checks");
    events.tell(Event::Cleaning).await;
    let removed = remove(ctx, &events).await;
    begun.laps.end("removal");
    // It has deadlines of its own; a run that was interrupted does not wait for it.
    if stop.is_cancelled() {
        swept.abort();
    }
    let _ = swept.await;
    drop(events);
    showing.await.kind(Kind::Error)?.kind(Kind::Error)?;
    Ok((rows, removed))
}

/// Removes what the run made; returns whether nothing is left that should not be.
async fn remove(ctx: &Ctx, events: &Events) -> bool {
    let note = match ctx.fixtures().remove(ctx).await {
        Removal::Nothing | Removal::Gone => return true,
        Removal::Kept { namespace } => {
            let text = format!(
                "namespace {namespace} was kept; verifier clean --run {} removes it",
                ctx.run
            );
            events.tell(Event::Note(text)).await;
            return true;
        }
        Removal::Late { namespace } => format!("namespace {namespace} is being removed, but is not gone yet"),
        Removal::Failed { namespace, error } => {
            format!(
                "namespace {namespace} could not be removed: {}; the next run does it",
                chain(&error)
            )
        }
    };
    events.tell(Event::Note(note)).await;
    false
}

/// Shows events until there are no more: results on stdout, or on stderr where JSON goes to stdout.
fn show(mut events: mpsc::Receiver<Event>, json: bool) -> io::Result<()> {
    let text = |check: &Check| CheckText {
        by_hand: check.by_hand,
        explain: check.explain,
    };
    let texts = checks::all().map(|check| (check.id, text(check))).collect();
    let out: Box<dyn io::Write> = if json {
        Box::new(anstream::stderr())
    } else {
        Box::new(anstream::stdout())
    };
    let mut list = List::new(out, io::stderr().is_terminal(), texts);
    while let Some(event) = events.blocking_recv() {
        list.event(&event)?;
    }
    list.end()
}

/// Writes the report wherever it was asked for, and the verdict for a person.
fn write(args: &SuiteArgs, report: &Report, rows: &[Row], measure: Measure<'_>) -> Result<(), Failure> {
    write_files(args, report, rows, measure)?;
    if args.json {
        return Ok(());
    }
    report::write_verdict(&mut anstream::stdout(), report, args.report.as_deref()).kind(Kind::Error)
}

/// Writes the report wherever it was asked for.
fn write_files(args: &SuiteArgs, report: &Report, rows: &[Row], measure: Measure<'_>) -> Result<(), Failure> {
    if let Some(directory) = &args.report {
        report::write_directory(directory, report, rows, measure).kind(Kind::Error)?;
    }
    if let Some(path) = &args.report_json {
        let text = serde_json::to_string_pretty(report).kind(Kind::Error)? + "\n";
        let written = std::fs::write(path, text).map_err(|source| Unwritten {
            path: path.clone(),
            source,
        });
        written.kind(Kind::Error)?;
    }
    if args.json {
        cli::write_json(&mut io::stdout(), report)?;
    }
    Ok(())
}
