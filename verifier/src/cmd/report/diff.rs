//! `verifier report diff`: what changed between two reports.

use std::io;
use std::path::PathBuf;

use clap::Args;
use cli::{Failure, Form, Kind};

use super::forms::read;
use crate::cmd::lang::LangArg;
use crate::report::ReportDiff;

#[derive(Debug, Args)]
pub(in crate::cmd) struct DiffArgs {
    /// The earlier report.json, or the directory that holds it
    before: PathBuf,
    /// The later one
    after: PathBuf,
    /// Print the changes as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    lang: LangArg,
}

/// Names beside pseudonyms: each would be gone and new.
#[derive(Debug, thiserror::Error)]
#[error("{} has pseudonyms in the place of names, and {} has not", redacted.display(), plain.display())]
struct OneRedacted {
    redacted: PathBuf,
    plain: PathBuf,
}

pub(super) fn diff(args: &DiffArgs) -> Result<u8, Failure> {
    let (before, after) = (read(&args.before)?, read(&args.after)?);
    let sides = [(&args.before, &args.after), (&args.after, &args.before)];
    let one = match (before.report.redacted, after.report.redacted) {
        (true, false) => Some(sides[0]),
        (false, true) => Some(sides[1]),
        _ => None,
    };
    if let Some((redacted, plain)) = one {
        let (redacted, plain) = (redacted.clone(), plain.clone());
        return Err(Failure::new(Kind::Usage, OneRedacted { redacted, plain })
            .hint("compare the originals, or both redacted with one key file: verifier report json --redact KEYFILE"));
    }
    let diff = ReportDiff::of(&before, &after);
    if Form::from_flag(args.json) == Form::Json {
        cli::write_json(&mut io::stdout(), &diff)?;
    } else {
        cli::write_text(&mut io::stdout(), &diff.text(args.lang.get()))?;
    }
    Ok(if diff.is_empty() {
        cli::exit::PASS
    } else {
        cli::exit::FAIL
    })
}
