//! `verifier site`: `init` here, `hostkeys` beside.

use std::io;
use std::path::{Path, PathBuf};

use bundle::{AtomicFile, UserFile};
use clap::{Args, Subcommand};
use cli::{Failure, Kind, Progress, ResultExt as _};

use super::hostkeys::{self, HostkeysArgs};
use super::lang;
use crate::cluster::{NodeFacts, Target as ApiTarget};
use crate::findings::{catalogue, phrase};
use crate::site::{self, Machine};

#[derive(Debug, Subcommand)]
pub(super) enum SiteCommand {
    /// Make a site file from machines.txt, or from the nodes of the API
    #[command(
        after_help = "Example:\n  verifier site init --machines machines.txt --kubeconfig admin.kubeconfig -o site.yaml"
    )]
    Init(InitArgs),
    /// Show the key of each host and bastion; --accept pins the new ones in known_hosts
    #[command(
        after_help = "Examples:\n  verifier site hostkeys --site site.yaml\n  verifier site hostkeys --site site.yaml --accept\n  verifier site hostkeys --site site.yaml --accept --expect fingerprints"
    )]
    Hostkeys(HostkeysArgs),
}

#[derive(Debug, Args)]
pub(super) struct InitArgs {
    /// The page's list: IPV4 FQDN HOST POD_SUBNET a line, no subnet for the control plane
    #[arg(long, value_name = "FILE")]
    machines: Option<PathBuf>,
    /// The administrator's kubeconfig
    #[arg(long, value_name = "FILE")]
    kubeconfig: PathBuf,
    /// Where to write it; it must not exist. Absent: stdout
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

const MACHINES: UserFile = UserFile::new("a list of machines", 1 << 20).or_pipe();

/// Why no site file was made.
#[derive(Debug, thiserror::Error)]
enum InitFailure {
    #[error("cannot read {}", path.display())]
    Read { path: PathBuf, source: io::Error },
}

/// Runs a subcommand of `verifier site`.
pub(super) async fn run(command: SiteCommand) -> Result<u8, Failure> {
    match command {
        SiteCommand::Init(args) => init(args).await,
        SiteCommand::Hostkeys(args) => hostkeys::hostkeys(args).await,
    }
}

async fn init(args: InitArgs) -> Result<u8, Failure> {
    let kubeconfig = seen_from(args.output.as_deref(), &args.kubeconfig)?;
    let yaml = if let Some(path) = &args.machines {
        let text = MACHINES
            .read_text(path)
            .map_err(|source| InitFailure::Read {
                path: path.clone(),
                source,
            })
            .kind(Kind::Error)
            .map_err(|failure| failure.hint("name a list with a line IPV4 FQDN HOST POD_SUBNET for each machine, or leave --machines out to ask the API"))?;
        let machines = site::machines(&path.display().to_string(), &text).map_err(unusable)?;
        site::from_machines(&machines, &kubeconfig)
    } else {
        let target = ApiTarget::read(&args.kubeconfig).await.kind(Kind::Error)?;
        let nodes = target
            .open(None)
            .kind(Kind::Error)?
            .nodes()
            .await
            .kind(Kind::Error)?;
        let machines: Vec<Machine> = nodes.iter().map(machine).collect();
        if !machines.iter().any(|machine| machine.control_plane) {
            Progress::stderr(false).say(&catalogue::say(phrase::NoControlPlane, lang::ambient()));
        }
        site::from_nodes(&machines, &kubeconfig)
    };
    let Some(path) = &args.output else {
        cli::write_file(&mut io::stdout(), &yaml)?;
        return Ok(cli::exit::PASS);
    };
    let write = || {
        let mut file = AtomicFile::create(path)?;
        file.put(yaml.as_bytes())?;
        file.commit_new()
    };
    write()
        .kind(Kind::Error)
        .map_err(|failure| failure.hint("an existing file is never overwritten: name another one"))?;
    let written = phrase::SiteWritten {
        path: &path.display(),
    };
    cli::tell_text(
        &mut io::stdout(),
        &(catalogue::say(written, lang::ambient()) + "\n"),
    );
    Ok(cli::exit::PASS)
}

/// Returns the failure of a list of machines that makes no site.
fn unusable(error: site::InitError) -> Failure {
    match error {
        site::InitError::Machines { problems } => {
            let count = format!("{} lines of the list name no machine", problems.len());
            Failure::new(Kind::Usage, count).details(problems)
        }
        error @ site::InitError::Empty { .. } => Failure::new(Kind::Usage, error),
    }
}

/// Returns the kubeconfig's path as the site file must name it: relative paths start at the site file.
fn seen_from(output: Option<&Path>, kubeconfig: &Path) -> Result<PathBuf, Failure> {
    let beside = output
        .and_then(Path::parent)
        .is_none_or(|parent| parent.as_os_str().is_empty());
    if beside {
        return Ok(kubeconfig.to_owned());
    }
    std::path::absolute(kubeconfig).kind(Kind::Error)
}

/// Returns the machine behind a Node.
fn machine(node: &NodeFacts) -> Machine {
    // What is no address, the site file could not take.
    let address = |kind: &str| {
        let of_kind = |(name, text): &&(String, String)| name == kind && site::is_address(text);
        node.addresses.iter().find(of_kind).map(|(_, text)| text.clone())
    };
    let control_plane = node.labels.contains_key("node-role.kubernetes.io/control-plane");
    Machine {
        name: node.name.clone(),
        address: address("InternalIP")
            .or_else(|| address("Hostname"))
            .unwrap_or_else(|| node.name.clone()),
        pod_cidrs: node
            .pod_cidrs
            .iter()
            .filter_map(|network| network.parse().ok())
            .collect(),
        control_plane,
        worker: true,
        node_name: None,
    }
}
