//! The other forms of a report, made from its report.json.

use std::io;
use std::path::{Path, PathBuf};

use bundle::{AtomicFile, Digest, UserFile};
use clap::Args;
use cli::{Failure, Kind, ResultExt as _};

use crate::cmd::lang::LangArg;
use crate::report::{Pseudonyms, PseudonymsError, ReportForm, Stored, StoredError, redacted, report_file};

#[derive(Debug, Args)]
pub(in crate::cmd) struct FormArgs {
    /// The report.json, or the directory that holds it
    report: PathBuf,
    /// Write to this file, which only you may read; absent: standard output
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Put pseudonyms in the place of addresses, names and subjects. This file keeps their key, and the names to turn them
    /// back (`report reveal`); it is made where there is none
    #[arg(long, value_name = "KEYFILE")]
    redact: Option<PathBuf>,
    #[command(flatten)]
    lang: LangArg,
}

#[derive(Debug, Args)]
pub(in crate::cmd) struct RevealArgs {
    /// A text with pseudonyms: any form of a redacted report, or what somebody wrote about it; `-`: standard input
    file: PathBuf,
    /// The key file
    #[arg(long, value_name = "KEYFILE")]
    key: PathBuf,
    /// Write to this file, which only you may read; absent: standard output
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// What somebody sends back.
const ANSWER: UserFile = UserFile::new("a text", 256 << 20).or_pipe();

/// A report that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("cannot use {} as a report", path.display())]
struct Unusable {
    path: PathBuf,
    source: StoredError,
}

/// A text that cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("cannot read {}", path.display())]
struct Unread {
    path: PathBuf,
    source: io::Error,
}

/// Reads a report.
pub(in crate::cmd) fn read(path: &Path) -> Result<Stored, Failure> {
    Stored::read(path).map_err(|source| {
        let (kind, hint) = match &source {
            StoredError::Unread(_) => (
                Kind::Error,
                "name the report.json of a run, or the directory that `--report` made",
            ),
            StoredError::Form(_) => (
                Kind::Usage,
                "name the report.json of a run, or the directory that `--report` made",
            ),
            StoredError::Newer { .. } | StoredError::Other { .. } => (
                Kind::Usage,
                "use the verifier that made it: the bundle of that run has it",
            ),
        };
        let path = report_file(path);
        Failure::new(kind, Unusable { path, source }).hint(hint)
    })
}

/// Writes a report in a form.
pub(super) fn write(args: &FormArgs, form: ReportForm) -> Result<u8, Failure> {
    let mut stored = read(&args.report)?;
    if let Some(key) = &args.redact {
        let mut pseudonyms = Pseudonyms::open(key).map_err(unusable)?;
        stored.report = redacted(stored.report, &mut pseudonyms);
        pseudonyms.keep().map_err(unusable)?;
        // What leaves the site is known by its own hash, not by that of what stays.
        let json = ReportForm::Json.of(&stored.report, stored.digest, args.lang.get());
        stored.digest = Digest::of(json.as_bytes());
    }
    let text = form.of(&stored.report, stored.digest, args.lang.get());
    put(args.output.as_deref(), &text)?;
    Ok(cli::exit::PASS)
}

/// Writes a text to a file, which appears whole or not at all, or to standard output.
pub(super) fn put(output: Option<&Path>, text: &str) -> Result<(), Failure> {
    let Some(path) = output else {
        return cli::write_file(&mut io::stdout(), text);
    };
    let write = || {
        let mut file = AtomicFile::create_private(path)?;
        file.put(text.as_bytes())?;
        file.commit()
    };
    write().kind(Kind::Error).map_err(|failure| {
        failure.hint("name a file in a directory that can be written, or no file for standard output")
    })
}

fn unusable(error: PseudonymsError) -> Failure {
    let hint = match &error {
        PseudonymsError::Readable { .. } => "chmod 600 it, if nobody else has read it; else make a new one",
        PseudonymsError::Form { .. } => {
            "name the file that an earlier --redact made, or one that does not exist yet"
        }
        _ => "name a file in a directory that can be written",
    };
    Failure::new(Kind::Error, error).hint(hint)
}

/// Turns pseudonyms back.
pub(super) fn reveal(args: &RevealArgs) -> Result<u8, Failure> {
    let pseudonyms = Pseudonyms::read(&args.key).map_err(unusable)?;
    let file = if args.file.as_os_str() == "-" {
        Path::new("/dev/stdin")
    } else {
        &args.file
    };
    let text = ANSWER.read_text(file).map_err(|source| Unread {
        path: file.to_owned(),
        source,
    });
    let text = text.kind(Kind::Error).map_err(|failure| {
        failure.hint("name a text file: a form of a redacted report, or an answer about it")
    })?;
    put(args.output.as_deref(), &pseudonyms.revealed(&text))?;
    Ok(cli::exit::PASS)
}
