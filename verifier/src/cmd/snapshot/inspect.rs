//! `verifier snapshot inspect`: a file, read once from its beginning to its end.

use std::fs::File;
use std::io::{self, IsTerminal as _};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use clap::Args;
use cli::{Failure, Kind, Progress, ResultExt as _};

use crate::cmd::lang::LangArg;
use crate::findings::{catalogue, phrase};
use crate::protocol::SnapshotFacts;
use crate::report::SnapshotSeen;
use crate::stored::{Form, Wanted, read};

#[derive(Debug, Args)]
pub(in crate::cmd) struct InspectArgs {
    /// The snapshot, as it is or packed by gzip or zstd
    file: PathBuf,
    /// The API server's --etcd-prefix
    #[arg(long, value_name = "PREFIX", default_value = "/registry")]
    prefix: String,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    lang: LangArg,
}

/// A file that cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("cannot read {}", path.display())]
pub(super) struct Unread {
    path: PathBuf,
    source: io::Error,
}

/// Looks at a file and returns 0 where it is whole, else 1.
pub(super) fn run(args: &InspectArgs) -> Result<u8, Failure> {
    let progress = Progress::stderr(args.json && !io::stderr().is_terminal());
    let (facts, written) = facts(&args.file, &args.prefix, Form::Snapshot, &progress).kind(Kind::Error)?;
    let file = args.file.display().to_string();
    let seen = SnapshotSeen {
        file: &file,
        facts: &facts,
        written,
        now: jiff::Timestamp::now().as_second(),
    };
    if args.json {
        cli::tell_json(&mut io::stdout(), &seen.to_json());
    } else {
        let text = seen.lines(args.lang.get()).join("\n") + "\n";
        cli::tell_text(&mut io::stdout(), &text);
    }
    Ok(if facts.is_whole() {
        cli::exit::PASS
    } else if facts.unread {
        cli::exit::ERROR
    } else {
        cli::exit::FAIL
    })
}

/// Reads a file, and returns what it is and when it was written.
pub(super) fn facts(
    path: &Path,
    prefix: &str,
    form: Form,
    progress: &Progress,
) -> Result<(SnapshotFacts, i64), Unread> {
    let unread = |source| Unread {
        path: path.to_owned(),
        source,
    };
    let file = File::open(path).map_err(unread)?;
    let metadata = file.metadata().map_err(unread)?;
    progress.begin(
        &catalogue::say(phrase::WorkSnapshot, crate::cmd::lang::ambient()),
        metadata.len(),
    );
    let wanted = Wanted {
        form,
        prefix: format!("/{}", prefix.trim_matches('/')),
        keys: Vec::new(),
    };
    let mut each = |bytes: usize| {
        progress.add(bytes as u64);
        Ok(())
    };
    let read = read(file, wanted, &mut each);
    progress.end();
    let (_, facts) = read.map_err(unread)?;
    let written = metadata
        .modified()
        .ok()
        .and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    let written = written.map(|since| i64::try_from(since.as_secs()).unwrap_or_default());
    Ok((facts, written.unwrap_or_default()))
}
