//! `verifier gather`: the facts of this machine as one file, for sites without SSH.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use bundle::AtomicFile;
use bytesize::ByteSize;
use clap::Args;
use cli::{Failure, Kind, Progress, ResultExt as _};

use super::connect;
use super::interrupt::{Interrupted, interruptible};
use super::lang::LangArg;
use crate::checks;
use crate::findings::{Phrase, catalogue, phrase};
use crate::run::{self, GatherError, Gathering};
use crate::suite::Check;

#[derive(Debug, Args)]
pub(super) struct GatherArgs {
    /// Of this machine. There is no other way yet: a host that is reached is judged at once
    #[arg(long, required = true)]
    local: bool,
    /// The file; it is written whole or not at all, for its owner alone
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
    /// Ask the API server too, with this kubeconfig; one host of a site is enough
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
    /// The site file, if it lies here: then everything is asked just as its checks ask it
    #[arg(long, value_name = "FILE")]
    site: Option<PathBuf>,
    /// What this machine is called in the site file; absent: its own name and addresses say it
    #[arg(long, value_name = "NAME")]
    host: Option<String>,
    /// Ask what only the audits ask too: containerd's store, under a lease that ends with it, and TLS Secrets
    #[arg(long)]
    audits: bool,
    /// How long all of it may take
    #[arg(long, value_name = "TIME", default_value = "10m", value_parser = cli::duration)]
    deadline: Duration,
    #[command(flatten)]
    lang: LangArg,
}

/// Gathers and returns the exit code.
pub(super) async fn run(args: GatherArgs) -> Result<u8, Failure> {
    let lang = args.lang.get();
    let site = args.site.as_deref().map(connect::read_site).transpose()?;
    let mut file = AtomicFile::create_private(&args.output)
        .kind(Kind::Error)
        .map_err(|failure| {
            failure.hint("nothing was looked at yet; name a file in a directory that can be written")
        })?;
    let progress = Progress::stderr(false);
    let say = |words: Phrase| progress.say(&catalogue::say(words, lang));
    let order = Gathering {
        site,
        name: args.host,
        kubeconfig: args.kubeconfig,
        checks: checks(args.audits),
        deadline: args.deadline,
    };
    let stop = interruptible();
    let gathered = Box::pin(run::gather(order, &say, &stop)).await.map_err(failed)?;
    file.put(&gathered.bytes).kind(Kind::Error)?;
    file.commit().kind(Kind::Error)?;
    let written = phrase::Gathered {
        file: &args.output.display(),
        host: &gathered.host,
        answers: &gathered.answers,
        bytes: &ByteSize(gathered.bytes.len() as u64),
    };
    let mut text = catalogue::say(written, lang) + "\n";
    if !gathered.api {
        text += &(catalogue::say(phrase::GatheredWithoutApi, lang) + "\n");
    }
    cli::write_text(&mut io::stdout(), &text)?;
    Ok(cli::exit::PASS)
}

/// Returns the checks whose questions are asked: those that need nothing to be made.
fn checks(audits: bool) -> Vec<Check> {
    let all = checks::all().filter(|check| check.needs.is_empty());
    all.filter(|check| audits || !check.on_demand).copied().collect()
}

fn failed(error: GatherError) -> Failure {
    let hint = match &error {
        GatherError::Interrupted => return Interrupted.into(),
        GatherError::Stranger { .. } => "name it as the site file does: --host NAME",
        GatherError::Late(_) => "give it longer: --deadline 30m; `verifier smoke --list` names what is asked",
        GatherError::Api(_) => "correct --kubeconfig, or leave it out: then the API server is not asked",
        GatherError::Agent(_) => "please report this",
    };
    let kind = if error.is_usage() {
        Kind::Usage
    } else {
        Kind::Error
    };
    Failure::new(kind, error).hint(hint)
}
