//! `verifier snapshot save`: from a member of etcd through its host into a file that is there whole or not at all.

use std::io::{self, IsTerminal as _};
use std::path::PathBuf;

use bundle::AtomicFile;
use clap::Args;
use cli::{Failure, Kind, Progress, ResultExt as _};
use tokio_util::sync::CancellationToken;

use crate::cmd::connect;
use crate::cmd::interrupt::{interruptible, until};
use crate::cmd::lang::LangArg;
use crate::cmd::programs::programs;
use crate::findings::{catalogue, phrase};
use crate::report::SnapshotSeen;
use crate::run::{self, SaveError, Saving};
use crate::site::Role;

#[derive(Debug, Args)]
pub(in crate::cmd) struct SaveArgs {
    /// The site file
    #[arg(long, value_name = "FILE")]
    site: PathBuf,
    /// The file that is written
    #[arg(long, short, value_name = "FILE")]
    output: PathBuf,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    lang: LangArg,
}

pub(super) async fn run(args: SaveArgs) -> Result<u8, Failure> {
    let stop = interruptible();
    Box::pin(until(&stop, save(&args, &stop))).await
}

async fn save(args: &SaveArgs, stop: &CancellationToken) -> Result<u8, Failure> {
    let lang = args.lang.get();
    let mut site = connect::read_site(&args.site)?;
    site.hosts.retain(|host| host.roles.contains(&Role::Etcd));
    let mut file = AtomicFile::create_private(&args.output)
        .kind(Kind::Error)
        .map_err(|failure| {
            failure.hint("nothing was asked yet; name a file in a directory that can be written")
        })?;
    let progress = Progress::stderr(args.json && !io::stderr().is_terminal());
    let targets = connect::targets(&site, stop).await?;
    let say = |talk| progress.say(&catalogue::say(talk, lang));
    let hosts = run::connect(&targets, &programs(None)?, &say).await;
    let told = |saving: Saving<'_>| match saving {
        Saving::Begun(giver, bytes) => {
            let (member, host) = (&giver.member, &giver.host);
            progress.say(&catalogue::say(phrase::SnapshotComes { member, host }, lang));
            progress.begin(&catalogue::say(phrase::WorkSnapshot, lang), bytes);
        }
        Saving::Came(bytes) => progress.add(bytes),
        Saving::Failed(error) => {
            let reason = &cli::chain(error);
            progress.say(&catalogue::say(phrase::SnapshotFailed { reason }, lang));
        }
    };
    let saved = run::save(&site, &hosts, &mut file, &told).await;
    progress.end();
    let saved = saved.map_err(failure)?;
    file.commit().kind(Kind::Error)?;
    let now = jiff::Timestamp::now().as_second();
    let name = args.output.display().to_string();
    let seen = SnapshotSeen {
        file: &name,
        facts: &saved.facts,
        written: now,
        now,
    };
    if args.json {
        let mut value = seen.to_json();
        value["host"] = saved.giver.host.into();
        value["member"] = saved.giver.member.into();
        cli::tell_json(&mut io::stdout(), &value);
    } else {
        cli::tell_text(&mut io::stdout(), &(seen.lines(lang).join("\n") + "\n"));
    }
    Ok(cli::exit::PASS)
}

fn failure(error: SaveError) -> Failure {
    let (kind, hint) = match &error {
        SaveError::NotWhole { .. } => (
            Kind::Error,
            "nothing was kept; look at that member: its journal, its disk, `verifier smoke --only 'etcd.*'`",
        ),
        SaveError::NoHost => (
            Kind::Usage,
            "give the hosts that run etcd that role in the site file",
        ),
        SaveError::Write(_) => (Kind::Error, "nothing was kept; look at the room there: `df -h`"),
        SaveError::Broken { .. } => (Kind::Error, "nothing was kept; run it again"),
        SaveError::NoMember { .. } | SaveError::Refused { .. } => (
            Kind::Error,
            "check etcd in the site file: endpoints, ca, cert and key as seen from its hosts; `verifier smoke --only 'etcd.*'`",
        ),
    };
    Failure::new(kind, error).hint(hint)
}
