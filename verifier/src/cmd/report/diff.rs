//! `verifier report diff`: what changed between two reports.

use std::io;
use std::path::PathBuf;

use clap::Args;
use cli::{Failure, Form};

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

pub(super) fn diff(args: &DiffArgs) -> Result<u8, Failure> {
    let diff = ReportDiff::of(&read(&args.before)?, &read(&args.after)?);
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
