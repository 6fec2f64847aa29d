//! What `run` and `smoke` share: the flags of the suite, who draws and keeps it.

use std::io::{self, IsTerminal as _};
use std::path::PathBuf;
use std::time::Duration;

use bundle::AtomicFile;
use clap::Args;
use cli::{Failure, Kind, ResultExt as _};
use tokio_util::sync::CancellationToken;

use super::lang::LangArg;
use crate::certs::Days;
use crate::report::{Directory, JsonFile, JsonStdout, List, Look, Paper, Report};
use crate::run::{self, Order, Reporters};
use crate::site::Site;
use crate::suite::{Check, Limits};

/// What a report is judged by and where it goes.
#[derive(Debug, Args)]
pub(super) struct PaperArgs {
    /// Write report.json, report.html, report.xml, evidence/ and SHA256SUMS into this directory
    #[arg(long, value_name = "DIR")]
    report: Option<PathBuf>,
    /// Sign the report with this SSH key: SHA256SUMS.sig, which `ssh-keygen -Y verify` and `report check --key` take
    #[arg(long, value_name = "KEY", requires = "report")]
    sign: Option<PathBuf>,
    /// Write the report as JSON to this file
    #[arg(long, value_name = "FILE")]
    report_json: Option<PathBuf>,
    /// Print the report as JSON
    #[arg(long)]
    pub(super) json: bool,
    /// Exit with 1 on warnings too
    #[arg(long)]
    strict: bool,
    /// Warn of certificates that end within so many days
    #[arg(long, value_name = "DAYS", default_value_t = 90)]
    warn_days: u16,
    /// Fail on certificates that end within so many days
    #[arg(long, value_name = "DAYS", default_value_t = 30)]
    fail_days: u16,
    /// Say where the time went
    #[arg(long, short)]
    verbose: bool,
    #[command(flatten)]
    pub(super) lang: LangArg,
}

/// How the suite runs, and its report.
#[derive(Debug, Args)]
pub(super) struct SuiteArgs {
    #[command(flatten)]
    pub(super) paper: PaperArgs,
    /// The longest single wait
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = cli::duration)]
    timeout: Duration,
    /// The whole run of the checks
    #[arg(long, value_name = "TIME", default_value = "10m", value_parser = cli::duration)]
    deadline: Duration,
    /// Keep the snapshot of etcd that etcd.snapshot takes: in this file, which must not exist yet and only its owner may read
    #[arg(long, value_name = "FILE")]
    keep_snapshot: Option<PathBuf>,
    /// An earlier report.json: each host must have been started again since
    #[arg(long, value_name = "REPORT")]
    after_reboot: Option<PathBuf>,
}

/// The check that takes a snapshot of etcd.
const SNAPSHOT: &str = "etcd.snapshot";

/// Why a snapshot cannot be kept.
#[derive(Debug, thiserror::Error)]
enum KeepError {
    #[error("--keep-snapshot keeps what etcd.snapshot takes, which is not among the checks to run")]
    NotChosen,
    #[error("{} exists", .0.display())]
    Exists(PathBuf),
}

/// Whether something else than the list of results goes to standard output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stdout {
    /// Nothing does.
    Free,
    /// Something does.
    Taken,
}

impl SuiteArgs {
    /// Returns how long things may take.
    pub(super) const fn limits(&self) -> Limits {
        Limits {
            timeout: self.timeout,
            deadline: self.deadline,
        }
    }

    /// Returns the report since which every host is to have been started again.
    pub(super) fn after_reboot(&self) -> Result<Option<Box<Report>>, Failure> {
        let Some(path) = &self.after_reboot else {
            return Ok(None);
        };
        super::report::read(path).map(|stored| Some(Box::new(stored.report)))
    }

    /// Begins the file that the snapshot of etcd is kept in, before a run of minutes: what cannot be written is known at once.
    pub(super) fn snapshot(&self, checks: &[Check]) -> Result<Option<AtomicFile>, Failure> {
        let Some(path) = &self.keep_snapshot else {
            return Ok(None);
        };
        if !checks.iter().any(|check| check.id == SNAPSHOT) {
            let failure = Failure::new(Kind::Usage, KeepError::NotChosen);
            return Err(failure.hint("leave out --read-only, or choose that check too: --only etcd.snapshot"));
        }
        if path.symlink_metadata().is_ok() {
            let failure = Failure::new(Kind::Usage, KeepError::Exists(path.clone()));
            return Err(failure.hint("name a file that does not exist yet: nothing is overwritten"));
        }
        let file = AtomicFile::create_private(path).kind(Kind::Error);
        file.map(Some).map_err(|failure| {
            failure.hint("nothing was looked at yet; name a file in a directory that can be written")
        })
    }

    /// Returns what a run writes on this machine.
    pub(super) fn written(&self) -> Vec<String> {
        let mut written = self.paper.written();
        written.extend(self.keep_snapshot.iter().map(|path| path.display().to_string()));
        written
    }

    /// Carries out an order and returns the exit code: the report's.
    pub(super) async fn run(&self, order: Order, reporters: Reporters, stop: &CancellationToken) -> u8 {
        let report = Box::pin(run::run(order, reporters, stop)).await;
        self.paper.exit_code(&report)
    }
}

impl PaperArgs {
    /// Returns how close the end of a certificate may come.
    pub(super) fn days(&self) -> Days {
        Days {
            warn: self.warn_days.into(),
            fail: self.fail_days.into(),
        }
    }

    /// Returns who keeps and draws the run. Files come before what is shown: a full terminal costs no report. They are begun
    /// here, before a run of minutes: what cannot be written is known at once.
    pub(super) fn reporters(&self, site: &Site) -> Result<Reporters, Failure> {
        self.reporters_with(site, Vec::new(), Stdout::Free)
    }

    /// Returns them with others, which come before what is shown.
    pub(super) fn reporters_with(
        &self,
        site: &Site,
        others: Reporters,
        stdout: Stdout,
    ) -> Result<Reporters, Failure> {
        let mut reporters: Reporters = Vec::new();
        if let Some(path) = self.report.clone() {
            let paper = Paper {
                lang: self.lang.get(),
                sign: self.sign.as_deref().map(super::report::signer).transpose()?,
            };
            let directory = Directory::begin(path, paper).map_err(|error| {
                let usage = error.is_usage();
                let failure = Failure::new(if usage { Kind::Usage } else { Kind::Error }, error);
                failure.hint(if usage {
                    "name a directory that does not exist yet, in one that does"
                } else {
                    "nothing was looked at yet; name a place that can be written: `df -h`, `ls -ld`"
                })
            })?;
            reporters.push(Box::new(directory));
        }
        if let Some(path) = self.report_json.clone() {
            let file = JsonFile::begin(path).kind(Kind::Error).map_err(|failure| {
                failure.hint("nothing was looked at yet; name a file in a directory that can be written, or --json for standard output")
            })?;
            reporters.push(Box::new(file));
        }
        reporters.extend(others);
        let look = Look {
            lang: self.lang.get(),
            terminal: io::stderr().is_terminal(),
            verbose: self.verbose,
            directory: self.report.clone(),
            logins: run::logins(site),
        };
        // Results go to stdout, or to stderr where JSON goes to stdout.
        if self.json {
            reporters.push(Box::new(JsonStdout));
        }
        if self.json || stdout == Stdout::Taken {
            reporters.push(Box::new(List::new(anstream::stderr(), look)));
        } else {
            reporters.push(Box::new(List::new(anstream::stdout(), look)));
        }
        Ok(reporters)
    }

    /// Returns where the report is written.
    fn written(&self) -> Vec<String> {
        let places = [&self.report, &self.report_json];
        places
            .into_iter()
            .flatten()
            .map(|path| path.display().to_string())
            .collect()
    }

    /// Returns the exit code of a report.
    pub(super) fn exit_code(&self, report: &Report) -> u8 {
        report.exit_code(self.strict)
    }
}
