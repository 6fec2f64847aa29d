//! `verifier clean`: removes what dead runs left, and what `--keep` kept.

use std::io;
use std::path::PathBuf;

use clap::Args;
use cli::{Failure, Kind, Progress, ResultExt as _};

use super::connect;
use crate::suite::fixtures::clean;

#[derive(Debug, Args)]
pub(super) struct CleanArgs {
    /// The site file
    #[arg(long, value_name = "FILE")]
    site: PathBuf,
    /// Only this run
    #[arg(long, value_name = "ID")]
    run: Option<String>,
}

/// A run that left nothing.
#[derive(Debug, thiserror::Error)]
#[error("there is nothing of the run {run}")]
struct NoRun {
    run: String,
}

pub(super) async fn run(args: CleanArgs) -> Result<u8, Failure> {
    let mut site = connect::read_site(&args.site)?;
    // Only the host through which the API is reached has to be logged into.
    let via = match &site.api {
        crate::site::Via::Direct => None,
        crate::site::Via::Host(name) => Some(name.clone()),
    };
    site.hosts.retain(|host| Some(&host.name) == via.as_ref());
    let progress = Progress::stderr(false);
    let hosts = if site.hosts.is_empty() {
        crate::carrier::Hosts::default()
    } else {
        connect::connect(
            &connect::targets(&site)?,
            &crate::carrier::ssh::own_program(),
            &progress,
        )
        .await
    };
    let api = connect::open_api(&site, &hosts).await.kind(Kind::Error)?;
    let cleaned = clean(&api, args.run.as_deref()).await.kind(Kind::Error)?;
    if let Some(run) = args.run.filter(|_| cleaned.notes.is_empty()) {
        return Err(Failure::new(Kind::Error, NoRun { run })
            .hint("kubectl get namespaces -l app.kubernetes.io/managed-by=verifier"));
    }
    let text = if cleaned.notes.is_empty() {
        "nothing was left\n".to_owned()
    } else {
        cleaned.notes.join("\n") + "\n"
    };
    cli::write_text(&mut io::stdout(), &text)?;
    Ok(if cleaned.complete {
        cli::exit::PASS
    } else {
        cli::exit::ERROR
    })
}
