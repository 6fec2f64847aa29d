//! `verifier clean`: removes what dead runs left, and what `--keep` kept.

use std::io;
use std::path::PathBuf;

use clap::Args;
use cli::{Failure, Kind, Progress, ResultExt as _};
use tokio_util::sync::CancellationToken;

use super::connect;
use super::interrupt::{interruptible, until};
use super::lang::LangArg;
use crate::carrier::ssh::own_program;
use crate::findings::{catalogue, phrase};
use crate::run;
use crate::suite::fixtures::clean;

#[derive(Debug, Args)]
pub(super) struct CleanArgs {
    /// The site file
    #[arg(long, value_name = "FILE")]
    site: PathBuf,
    /// Only this run
    #[arg(long, value_name = "ID")]
    run: Option<String>,
    #[command(flatten)]
    lang: LangArg,
}

/// A run that left nothing.
#[derive(Debug, thiserror::Error)]
#[error("there is nothing of the run {run}")]
struct NoRun {
    run: String,
}

pub(super) async fn run(args: CleanArgs) -> Result<u8, Failure> {
    let stop = interruptible();
    Box::pin(until(&stop, run_until(args, &stop))).await
}

async fn run_until(args: CleanArgs, stop: &CancellationToken) -> Result<u8, Failure> {
    let lang = args.lang.get();
    let mut site = connect::read_site(&args.site)?;
    // Only the host through which the API is reached has to be logged into.
    let via = match &site.api {
        crate::site::Via::Direct => None,
        crate::site::Via::Host(name) => Some(name.clone()),
    };
    site.hosts.retain(|host| Some(&host.name) == via.as_ref());
    let hosts = if site.hosts.is_empty() {
        crate::carrier::Hosts::default()
    } else {
        let progress = Progress::stderr(false);
        let say = |talk| progress.say(&catalogue::say(talk, lang));
        run::connect(&connect::targets(&site, stop).await?, &own_program(), &say).await
    };
    let api = run::open_api(&site, &hosts).await.kind(Kind::Error)?;
    let place = site.suite.namespace.as_deref();
    let cleaned = clean(&api, args.run.as_deref(), place).await.kind(Kind::Error)?;
    if let Some(run) = args.run.filter(|_| cleaned.notes.is_empty()) {
        return Err(Failure::new(Kind::Error, NoRun { run })
            .hint("kubectl get namespaces -l app.kubernetes.io/managed-by=verifier"));
    }
    let notes = if cleaned.notes.is_empty() {
        vec![phrase::NothingLeft.into()]
    } else {
        cleaned.notes
    };
    let lines = notes.into_iter().map(|note| catalogue::say(note, lang) + "\n");
    cli::tell_text(&mut io::stdout(), &lines.collect::<String>());
    Ok(if cleaned.complete {
        cli::exit::PASS
    } else {
        cli::exit::ERROR
    })
}
