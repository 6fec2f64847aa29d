//! `verifier run`: check the bundle, load it, check the cluster, one report.

use std::collections::BTreeMap;
use std::io::{self, IsTerminal as _, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use bundle::{BundleFile, Checked};
use clap::Args;
use cli::{Failure, Kind, Progress, ResultExt as _};
use jiff::Timestamp;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::{Patience, connect, load};
use crate::check::fixtures::{Removal, sweep};
use crate::check::{self, CheckText, Ctx, CtxParts, Event, Limits, Row, Suite, Watch, chain, random};
use crate::checks;
use crate::hosts::Hosts;
use crate::report::{self, List, Report};
use crate::site::Site;

#[derive(Debug, Args)]
pub(super) struct RunArgs {
    /// The bundle: an archive, or a directory that it was unpacked into
    file: PathBuf,
    /// The site file
    #[arg(long, value_name = "FILE")]
    site: PathBuf,
    /// Write report.json, evidence/ and SHA256SUMS into this directory
    #[arg(long, value_name = "DIR")]
    report: Option<PathBuf>,
    /// Write the report as JSON to this file
    #[arg(long, value_name = "FILE")]
    report_json: Option<PathBuf>,
    /// Print the report as JSON
    #[arg(long)]
    json: bool,
    /// Exit with 1 on warnings too
    #[arg(long)]
    strict: bool,
    /// Do not pin the images: the kubelet may collect them
    #[arg(long)]
    no_pin: bool,
    #[command(flatten)]
    patience: Patience,
}

/// Why a report was not written.
#[derive(Debug, thiserror::Error)]
#[error("cannot write {}", path.display())]
struct Unwritten {
    path: PathBuf,
    source: io::Error,
}

/// The members that the suite applies.
const SUITE: &str = "manifests/smoke/";
/// The longest of them that is read, in bytes.
const MANIFEST: u64 = 1 << 20;

/// Runs the whole way and returns the exit code of the verdict.
pub(super) async fn run(args: RunArgs) -> Result<u8, Failure> {
    let (started, since) = (Timestamp::now(), Instant::now());
    let site = connect::read_site(&args.site)?;
    if let Some(directory) = &args.report {
        report::check_target(directory)
            .kind(Kind::Usage)
            .map_err(|failure| failure.hint("name a directory that does not exist yet"))?;
    }
    let targets = connect::targets(&site)?;
    let progress = Progress::stderr(false);
    let stop = interruptible();
    let (checked, hosts) = futures::join!(
        check_file(&args.file, &progress),
        connect::connect(&targets, &progress)
    );
    let checked = checked?;
    progress.say(&format!("{}: good, bundle {}", args.file.display(), checked.id));
    let bundle = load::open(&args.file)?;
    if bundle.id() != checked.id {
        let changed = bundle::ReadError::Changed {
            path: args.file.clone(),
        };
        return Err(cli::bundle_failure(&args.file, changed));
    }
    let unloaded = tokio::select! {
        unloaded = load_workers(&bundle, &site, &hosts, &args, &progress) => unloaded?,
        () = stop.cancelled() => true,
    };
    let parts = parts(&bundle, site, hosts, &args).await?;
    let ctx = Ctx::new(parts);
    let (rows, removed) = check_all(&ctx, &args, &stop).await?;
    let about = report::About {
        run: ctx.run.clone(),
        started,
        took: since.elapsed(),
        bundle: Some(checked.id.to_string()),
    };
    let report = Report::new(about, &rows);
    write(&args, &report, &rows)?;
    if stop.is_cancelled() {
        return Ok(cli::exit::INTERRUPTED);
    }
    let code = report.exit_code(args.strict);
    // A host that was not loaded, or something left behind, is never a pass.
    Ok(if code == cli::exit::PASS && (unloaded || !removed) {
        cli::exit::ERROR
    } else {
        code
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

/// Reads every byte of the bundle.
async fn check_file(file: &Path, progress: &Progress) -> Result<Checked, Failure> {
    let (path, talk) = (file.to_owned(), progress.clone());
    let checked = tokio::task::spawn_blocking(move || {
        bundle::check(&path, &mut |event| match event {
            bundle::Event::Start { bytes, .. } => talk.begin("check", bytes),
            bundle::Event::Bytes(bytes) => talk.add(bytes),
            _ => {}
        })
    });
    let checked = checked.await.kind(Kind::Error)?;
    progress.end();
    checked.map_err(|error| cli::bundle_failure(file, error))
}

/// Loads the workers; returns whether one of them was not loaded.
async fn load_workers(
    bundle: &BundleFile,
    site: &Site,
    hosts: &Hosts,
    args: &RunArgs,
    progress: &Progress,
) -> Result<bool, Failure> {
    let (workers, failed) = load::workers(site, hosts);
    let results = load::load_all(bundle, workers, !args.no_pin, progress).await?;
    Ok(!failed.is_empty() || results.values().any(Result::is_err))
}

async fn parts(bundle: &BundleFile, site: Site, hosts: Hosts, args: &RunArgs) -> Result<CtxParts, Failure> {
    let api = connect::open_api(&site, &hosts).await;
    Ok(CtxParts {
        run: format!("{:010x}", random() >> 24),
        holder: holder(),
        suite: Some(suite(bundle)?),
        site,
        hosts,
        api,
        limits: Limits {
            timeout: args.patience.timeout,
            deadline: args.patience.deadline,
        },
    })
}

/// Returns `user@host`, for colleagues who find the run's namespace.
fn holder() -> String {
    let user = std::env::var("USER").unwrap_or_else(|_| "root".to_owned());
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    format!("{user}@{host}")
}

/// Reads what the suite uses of the bundle.
fn suite(bundle: &BundleFile) -> Result<Suite, Failure> {
    let failed = |error| cli::bundle_failure(bundle.path(), error);
    let wanted = bundle
        .index()
        .members
        .iter()
        .filter(|member| member.path.as_str().starts_with(SUITE) && member.size <= MANIFEST);
    let wanted = wanted.map(|member| member.path.clone()).collect();
    let mut reader = bundle.reader().map_err(failed)?.only(wanted);
    let mut manifests = BTreeMap::new();
    while let Some(mut entry) = reader.next_entry().map_err(failed)? {
        let path = entry.member().path.to_string();
        let mut bytes = Vec::new();
        entry
            .read_to_end(&mut bytes)
            .map_err(|error| match bundle::ReadError::from_io(error) {
                Ok(error) => failed(error),
                Err(source) => failed(bundle::ReadError::Read {
                    during: path.clone(),
                    source,
                }),
            })?;
        manifests.insert(path, bytes);
    }
    Ok(Suite {
        index: bundle.index().as_ref().clone(),
        identity: bundle.id(),
        manifests,
    })
}

/// Runs every check, shows it live, and removes what was made; returns the rows and whether all was removed.
async fn check_all(
    ctx: &Arc<Ctx>,
    args: &RunArgs,
    stop: &CancellationToken,
) -> Result<(Vec<Row>, bool), Failure> {
    let (sender, receiver) = mpsc::channel(256);
    let watch = Watch(sender);
    let showing = tokio::task::spawn_blocking({
        let json = args.json;
        move || show(receiver, json)
    });
    let swept = tokio::spawn({
        let (ctx, watch) = (Arc::clone(ctx), watch.clone());
        async move {
            for note in sweep(&ctx).await {
                watch.tell(Event::Note(note)).await;
            }
        }
    });
    let rows = check::run(Arc::clone(ctx), checks::ALL, &watch, stop).await;
    watch.tell(Event::Cleaning).await;
    let removal = ctx.fixtures().remove(ctx).await;
    // It has deadlines of its own; a run that was interrupted does not wait for it.
    if !stop.is_cancelled() {
        let _ = swept.await;
    }
    let removed = match &removal {
        Removal::Nothing | Removal::Gone => true,
        Removal::Late { namespace } => {
            watch
                .tell(Event::Note(format!(
                    "namespace {namespace} is being removed, but is not gone yet"
                )))
                .await;
            false
        }
        Removal::Failed { namespace, error } => {
            let note = format!(
                "namespace {namespace} could not be removed: {}; the next run does it",
                chain(error)
            );
            watch.tell(Event::Note(note)).await;
            false
        }
    };
    drop(watch);
    showing.await.kind(Kind::Error)?.kind(Kind::Error)?;
    Ok((rows, removed))
}

/// Shows events until there are no more: results on stdout, or nothing but the status where JSON goes there.
fn show(mut events: mpsc::Receiver<Event>, json: bool) -> io::Result<()> {
    let texts: BTreeMap<&'static str, CheckText> = checks::ALL
        .iter()
        .map(|check| {
            (
                check.id,
                CheckText {
                    by_hand: check.by_hand,
                    explain: check.explain,
                },
            )
        })
        .collect();
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

/// Writes the report wherever it was asked for.
fn write(args: &RunArgs, report: &Report, rows: &[Row]) -> Result<(), Failure> {
    if let Some(directory) = &args.report {
        report::write_directory(directory, report, rows).kind(Kind::Error)?;
    }
    if let Some(path) = &args.report_json {
        let text = serde_json::to_string_pretty(report).kind(Kind::Error)? + "\n";
        std::fs::write(path, text)
            .map_err(|source| Unwritten {
                path: path.clone(),
                source,
            })
            .kind(Kind::Error)?;
    }
    if args.json {
        return cli::write_json(&mut io::stdout(), report);
    }
    let mut out = anstream::stdout();
    report::write_verdict(&mut out, report, args.report.as_deref()).kind(Kind::Error)
}
