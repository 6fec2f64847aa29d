//! `verifier audit`: the checks that take an inventory, with their lists.

mod images;

use std::path::{Path, PathBuf};
use std::time::Duration;

use bundle::AtomicError;
use clap::{Args, Subcommand};
use cli::{Failure, Kind, ResultExt as _};

use super::connect;
use super::interrupt::interruptible;
use super::programs::programs;
use super::suite::{Stdout, SuiteArgs};
use crate::carrier::local;
use crate::carrier::ssh::Target;
use crate::checks;
use crate::protocol::{Certificates, StoreDepth};
use crate::report::{
    CertificatesCsv, CertificatesFile, CertificatesForm, CertificatesTable, Reporter, Selection,
};
use crate::run::{self, Order, Work};
use crate::site::Site;
use crate::suite::Check;

/// The checks of the audit of certificates.
const CERTS: &str = "certs.";
/// Stands for the site where there is none: this machine.
const NOWHERE: &str = "apiVersion: site/v1\nkubeconfig: none\nhosts: [{name: this-machine, address: 127.0.0.1, roles: [worker]}]\n";
/// Reading files is bounded by the agent itself.
const LONGEST: Duration = Duration::from_mins(1);

/// Why nothing can be looked at.
#[derive(Debug, thiserror::Error)]
enum AuditError {
    #[error("cannot look at {}", path.display())]
    Path { path: PathBuf, source: std::io::Error },
    #[error("{} is named for the calendar and for the figures", path.display())]
    OneFile { path: PathBuf },
    #[error("{} is there, and none that the verifier wrote", path.display())]
    NotOurs { path: PathBuf },
}

#[derive(Debug, Subcommand)]
pub(super) enum AuditCommand {
    /// Every certificate and key of the site in one list, each judged beside those that it meets
    #[command(
        after_help = "Examples:\n  verifier audit certs --site site.yaml\n  verifier audit certs --site site.yaml --csv > certificates.csv\n  verifier audit certs --site site.yaml --ics certificates.ics --prometheus certificates.prom\n  verifier audit certs --path /etc/kubernetes"
    )]
    Certs(CertsArgs),
    /// What images each node holds and runs, against what bundles have, and what objects name that no node has
    #[command(
        after_help = "Examples:\n  verifier audit images --site site.yaml --bundle site.tar\n  verifier audit images --site site.yaml --bundle base.tar --bundle apps.tar --deep\n  verifier audit images --site site.yaml --bundle site.tar --csv > images.csv\n  verifier audit images --site site.yaml --bundle site.tar --cyclonedx images.cdx.json"
    )]
    Images(images::ImagesArgs),
}

#[derive(Debug, Args)]
pub(super) struct CertsArgs {
    /// The site file
    #[arg(long, value_name = "FILE", required_unless_present = "path")]
    site: Option<PathBuf>,
    /// Look at this directory or kubeconfig of this machine, without site or cluster
    #[arg(long, value_name = "PATH", conflicts_with = "site")]
    path: Option<PathBuf>,
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
        AuditCommand::Certs(args) => Box::pin(certs(args)).await,
        AuditCommand::Images(args) => Box::pin(images::run(args)).await,
    }
}

async fn certs(args: CertsArgs) -> Result<u8, Failure> {
    let Some(site) = &args.site else {
        return named(&args).await;
    };
    let site = connect::read_site(site)?;
    let stdout = if args.csv { Stdout::Taken } else { Stdout::Free };
    let reporters = args.suite.paper.reporters_with(&site, args.lists()?, stdout)?;
    let stop = interruptible();
    let targets = connect::targets(&site, &stop).await?;
    let order = order(&args, site, targets)?;
    Ok(Box::pin(args.suite.run(order, reporters, &stop)).await)
}

fn order(args: &CertsArgs, site: Site, targets: Vec<Target>) -> Result<Order, Failure> {
    let chosen = Chosen::of(|id| id.starts_with(CERTS));
    Ok(Order {
        targets,
        programs: programs(None)?,
        site,
        work: Work::Nothing,
        checks: chosen.checks,
        selection: Selection {
            only: vec![format!("{CERTS}*")],
            skip: Vec::new(),
            read_only: false,
        },
        not_run: chosen.left,
        reads: false,
        days: args.suite.paper.days(),
        depth: StoreDepth::Ends,
        after_reboot: None,
        keep: false,
        snapshot: None,
        limits: args.suite.limits(),
    })
}

/// The checks of an audit, and the others.
struct Chosen {
    checks: Vec<Check>,
    left: Vec<&'static str>,
}

impl Chosen {
    fn of(is: impl Fn(&str) -> bool) -> Self {
        let (checks, left): (Vec<Check>, Vec<Check>) = checks::all().copied().partition(|check| is(check.id));
        Self {
            checks,
            left: left.iter().map(|check| check.id).collect(),
        }
    }
}

/// Looks at what lies on this machine.
async fn named(args: &CertsArgs) -> Result<u8, Failure> {
    let path = args.path.clone().unwrap_or_default();
    let path = std::fs::canonicalize(&path)
        .map_err(|source| AuditError::Path { path, source })
        .kind(Kind::Usage)
        .map_err(|failure| failure.hint("name a directory or a file of this machine: ls -ld PATH"))?;
    let path = path.display().to_string();
    let site = crate::site::parse("site.yaml", NOWHERE, Path::new("")).kind(Kind::Error)?;
    let stdout = if args.csv { Stdout::Taken } else { Stdout::Free };
    let reporters = args.suite.paper.reporters_with(&site, args.lists()?, stdout)?;
    let agent = local::agent().await.kind(Kind::Error)?;
    let ask = Certificates {
        below: Some(path.clone()),
    };
    let reply = agent.ask(ask, LONGEST).await.kind(Kind::Error)?;
    let now = jiff::Timestamp::now().as_second();
    let row = checks::named_certificates(&reply, &path, now, args.suite.paper.days());
    let order = order(args, site, Vec::new())?;
    let report = run::report(&order, &[row], reporters).await;
    Ok(args.suite.paper.exit_code(&report))
}

impl CertsArgs {
    /// Returns who writes the lists.
    fn lists(&self) -> Result<Vec<Box<dyn Reporter>>, Failure> {
        let mut lists: Vec<Box<dyn Reporter>> = Vec::new();
        if let Some(path) = self
            .ics
            .clone()
            .filter(|path| Some(path) == self.prometheus.as_ref())
        {
            return Err(Failure::new(Kind::Usage, AuditError::OneFile { path })
                .hint("name two files: the second would replace the first"));
        }
        let files = [
            (&self.ics, CertificatesForm::Calendar),
            (&self.prometheus, CertificatesForm::Metrics),
        ];
        for (path, form) in files {
            if let Some(path) = path {
                if !form.may_replace(path) {
                    let path = path.clone();
                    return Err(Failure::new(Kind::Usage, AuditError::NotOurs { path }).hint(
                        "nothing was looked at yet; only an earlier calendar or list of figures of the verifier is replaced: name another file",
                    ));
                }
                let file = CertificatesFile::begin(path.clone(), form).map_err(unwritten)?;
                lists.push(Box::new(file));
            }
        }
        if self.csv {
            lists.push(Box::new(CertificatesCsv));
        } else if !self.suite.paper.json {
            lists.push(Box::new(CertificatesTable::new(
                anstream::stdout(),
                self.suite.paper.lang.get(),
            )));
        }
        Ok(lists)
    }
}

fn unwritten(error: AtomicError) -> Failure {
    Failure::new(Kind::Error, error)
        .hint("nothing was looked at yet; name a file in a directory that can be written")
}
