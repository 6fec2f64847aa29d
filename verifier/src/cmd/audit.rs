//! `verifier audit`: the checks that take an inventory, with their lists.

use std::path::PathBuf;

use bundle::AtomicError;
use clap::{Args, Subcommand};
use cli::{Failure, Kind};

use super::connect;
use super::interrupt::interruptible;
use super::programs::programs;
use super::suite::{Stdout, SuiteArgs};
use crate::checks;
use crate::report::{
    CertificatesCsv, CertificatesFile, CertificatesForm, CertificatesTable, Reporter, Selection,
};
use crate::run::{Order, Work};
use crate::suite::Check;

/// The checks of the audit of certificates.
const CERTS: &str = "certs.";

#[derive(Debug, Subcommand)]
pub(super) enum AuditCommand {
    /// Every certificate and key of the site in one list, each judged beside those that it meets
    #[command(
        after_help = "Examples:\n  verifier audit certs --site site.yaml\n  verifier audit certs --site site.yaml --csv > certificates.csv\n  verifier audit certs --site site.yaml --ics certificates.ics --prometheus certificates.prom"
    )]
    Certs(CertsArgs),
}

#[derive(Debug, Args)]
pub(super) struct CertsArgs {
    /// The site file
    #[arg(long, value_name = "FILE")]
    site: PathBuf,
    /// Print the list as CSV
    #[arg(long, conflicts_with = "json")]
    csv: bool,
    /// Write a calendar of the days on which certificates end to this file
    #[arg(long, value_name = "FILE")]
    ics: Option<PathBuf>,
    /// Write figures for node_exporter's textfile collector to this file
    #[arg(long, value_name = "FILE")]
    prometheus: Option<PathBuf>,
    #[command(flatten)]
    suite: SuiteArgs,
}

/// Runs an audit and returns the exit code of its report.
pub(super) async fn run(command: AuditCommand) -> Result<u8, Failure> {
    match command {
        AuditCommand::Certs(args) => certs(args).await,
    }
}

async fn certs(args: CertsArgs) -> Result<u8, Failure> {
    let site = connect::read_site(&args.site)?;
    let stdout = if args.csv { Stdout::Taken } else { Stdout::Free };
    let reporters = args.suite.reporters_with(&site, args.lists()?, stdout)?;
    let stop = interruptible();
    let checks: Vec<Check> = checks::all()
        .filter(|check| check.id.starts_with(CERTS))
        .copied()
        .collect();
    let left = checks::all().filter(|check| !check.id.starts_with(CERTS));
    let order = Order {
        targets: connect::targets(&site, &stop).await?,
        programs: programs(None)?,
        site,
        work: Work::Nothing,
        checks,
        selection: Selection {
            only: vec![format!("{CERTS}*")],
            skip: Vec::new(),
        },
        not_run: left.map(|check| check.id).collect(),
        days: args.suite.days(),
        after_reboot: None,
        keep: false,
        limits: args.suite.limits(),
    };
    Ok(args.suite.run(order, reporters, &stop).await)
}

impl CertsArgs {
    /// Returns who writes the lists.
    fn lists(&self) -> Result<Vec<Box<dyn Reporter>>, Failure> {
        let mut lists: Vec<Box<dyn Reporter>> = Vec::new();
        let files = [
            (&self.ics, CertificatesForm::Calendar),
            (&self.prometheus, CertificatesForm::Metrics),
        ];
        for (path, form) in files {
            if let Some(path) = path {
                let file = CertificatesFile::begin(path.clone(), form).map_err(unwritten)?;
                lists.push(Box::new(file));
            }
        }
        if self.csv {
            lists.push(Box::new(CertificatesCsv));
        } else if !self.suite.json {
            lists.push(Box::new(CertificatesTable::new(
                anstream::stdout(),
                self.suite.lang.get(),
            )));
        }
        Ok(lists)
    }
}

fn unwritten(error: AtomicError) -> Failure {
    Failure::new(Kind::Error, error)
        .hint("nothing was looked at yet; name a file in a directory that can be written")
}
