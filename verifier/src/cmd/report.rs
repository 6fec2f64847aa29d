//! `verifier report`: its subcommands.

mod check;
mod diff;
mod forms;

use clap::Subcommand;
use cli::Failure;

use crate::report::ReportForm;
use check::{CheckArgs, SignArgs};
use diff::DiffArgs;
use forms::{FormArgs, RevealArgs};

pub(super) use check::signer;
pub(super) use forms::read;

#[derive(Debug, Subcommand)]
pub(super) enum ReportCommand {
    /// A page to look at, to print and to sign: one file, without script
    #[command(
        after_help = "Examples:\n  verifier report html report/report.json -o report.html\n  verifier report html report --lang ko -o report.html\n  verifier report html report --redact site.names -o redacted.html"
    )]
    Html(FormArgs),
    /// JUnit's XML, as GitLab and Jenkins read it
    #[command(after_help = "Example:\n  verifier report xml report/report.json -o report.xml")]
    Xml(FormArgs),
    /// SARIF 2.1.0: causes are rules, findings are results
    #[command(after_help = "Example:\n  verifier report sarif report/report.json -o report.sarif")]
    Sarif(FormArgs),
    /// CSV: a row for each finding, and for what was skipped
    #[command(after_help = "Example:\n  verifier report csv report/report.json -o findings.csv")]
    Csv(FormArgs),
    /// Markdown, for a ticket
    #[command(after_help = "Example:\n  verifier report md report/report.json --lang ko")]
    Md(FormArgs),
    /// The report itself: to be handed out, with --redact
    #[command(
        after_help = "Example:\n  verifier report json report/report.json --redact site.names -o redacted.json"
    )]
    Json(FormArgs),
    /// Turn the pseudonyms of a redacted report back, with the key file
    #[command(after_help = "Example:\n  verifier report reveal answer.txt --key site.names")]
    Reveal(RevealArgs),
    /// Say whether a report's directory is as it was written, and with --key who signed it
    #[command(
        after_help = "Examples:\n  verifier report check report\n  verifier report check report --key inspector.pub\n  ssh-keygen -Y verify -f allowed_signers -I inspector -n verifier-report -s report/SHA256SUMS.sig < report/SHA256SUMS\n\nExit codes: 0 as it was written, 1 not so, 2 it cannot be read"
    )]
    Check(CheckArgs),
    /// Sign a report's directory with an SSH key
    #[command(after_help = "Example:\n  verifier report sign report --key ~/.ssh/id_ed25519")]
    Sign(SignArgs),
    /// Say what changed between two reports: results, findings, hosts, certificates, images
    #[command(
        after_help = "Examples:\n  verifier report diff 2025/report.json 2026/report.json\n  verifier report diff 2025 2026 --json\n\nExit codes: 0 nothing changed, 1 something did, 2 a file cannot be read, 64 it is no report of this verifier's form"
    )]
    Diff(DiffArgs),
}

/// Runs a subcommand of `verifier report`.
pub(super) fn run(command: ReportCommand) -> Result<u8, Failure> {
    match command {
        ReportCommand::Html(args) => forms::write(&args, ReportForm::Html),
        ReportCommand::Xml(args) => forms::write(&args, ReportForm::Xml),
        ReportCommand::Sarif(args) => forms::write(&args, ReportForm::Sarif),
        ReportCommand::Csv(args) => forms::write(&args, ReportForm::Csv),
        ReportCommand::Md(args) => forms::write(&args, ReportForm::Markdown),
        ReportCommand::Json(args) => forms::write(&args, ReportForm::Json),
        ReportCommand::Reveal(args) => forms::reveal(&args),
        ReportCommand::Check(args) => check::check(&args),
        ReportCommand::Sign(args) => check::sign(&args),
        ReportCommand::Diff(args) => diff::diff(&args),
    }
}
