//! `verifier run`: check the bundle, load it, check the cluster, one report.

use std::path::{Path, PathBuf};

use bundle::{BundleFile, Checked};
use clap::Args;
use cli::{Failure, Kind, Progress, ResultExt as _};

use super::programs::programs;
use super::suite::{self, Begun, Carried, Ground, SuiteArgs};
use super::{connect, load};
use crate::carrier::Hosts;
use crate::checks;
use crate::site::Site;

#[derive(Debug, Args)]
pub(super) struct RunArgs {
    /// The bundle: an archive, or a directory that it was unpacked into
    file: PathBuf,
    /// The site file
    #[arg(long, value_name = "FILE")]
    site: PathBuf,
    /// Do not pin the images: the kubelet may collect them
    #[arg(long)]
    no_pin: bool,
    #[command(flatten)]
    suite: SuiteArgs,
}

/// Runs the whole way and returns the exit code of the verdict.
pub(super) async fn run(args: RunArgs) -> Result<u8, Failure> {
    let site = connect::read_site(&args.site)?;
    let begun = suite::begin(&args.suite)?;
    match whole(&args, &begun, site.clone()).await {
        Err(failure) if failure.kind() == Kind::BadBundle => {
            Err(suite::refused(&args.suite, &begun, &site, failure))
        }
        ended => ended,
    }
}

async fn whole(args: &RunArgs, begun: &Begun, site: Site) -> Result<u8, Failure> {
    let targets = connect::targets(&site)?;
    let bundle = load::open(&args.file)?;
    let programs = programs(Some(&bundle))?;
    let progress = Progress::stderr(false);
    let together = async {
        futures::join!(
            check_file(&args.file, &progress),
            connect::connect(&targets, &programs, &progress)
        )
    };
    let (checked, hosts) = tokio::select! {
        done = together => done,
        () = begun.stop.cancelled() => return suite::interrupted(&args.suite, begun, site, checks::all().copied().collect()).await,
    };
    begun.laps.end("bundle and connections");
    let checked = checked?;
    progress.say(&format!("{}: good, bundle {}", args.file.display(), checked.id));
    if bundle.id() != checked.id {
        let changed = bundle::ReadError::Changed {
            path: args.file.clone(),
        };
        return Err(cli::bundle_failure(&args.file, changed));
    }
    let incomplete = tokio::select! {
        incomplete = load_workers(&bundle, &site, &hosts, !args.no_pin, &progress) => incomplete?,
        () = begun.stop.cancelled() => true,
    };
    begun.laps.end("load");
    let ground = Ground {
        site,
        hosts,
        carried: Carried::Bundle(bundle),
        checks: checks::all().copied().collect(),
        keep: false,
    };
    suite::run(&args.suite, begun, ground, incomplete).await
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
    pin: bool,
    progress: &Progress,
) -> Result<bool, Failure> {
    let (workers, failed) = load::workers(site, hosts);
    let results = load::load_all(bundle, workers, pin, progress).await?;
    Ok(!failed.is_empty() || results.values().any(Result::is_err))
}
