//! `verifier site init` and `verifier site hostkeys`.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bundle::AtomicFile;
use clap::{Args, Subcommand};
use cli::{Failure, Form, Kind, Progress, ResultExt as _, Shown};
use comfy_table::Table;
use serde::Serialize;

use super::{connect, lang};
use crate::carrier::ssh::{self, ConnectError, HostKey, KeyState};
use crate::cluster::{NodeFacts, Target as ApiTarget};
use crate::findings::{Phrase, catalogue, phrase};
use crate::site::{self, Machine};

/// How long a host may take to show its key.
const PATIENCE: Duration = Duration::from_secs(15);

#[derive(Debug, Subcommand)]
pub(super) enum SiteCommand {
    /// Make a site file from machines.txt, or from the nodes of the API
    #[command(
        after_help = "Example:\n  verifier site init --machines machines.txt --kubeconfig admin.kubeconfig -o site.yaml"
    )]
    Init(InitArgs),
    /// Show the key of each host; --accept pins the new ones in known_hosts
    #[command(after_help = "Example:\n  verifier site hostkeys --site site.yaml --accept")]
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

#[derive(Debug, Args)]
pub(super) struct HostkeysArgs {
    /// The site file
    #[arg(long, value_name = "FILE")]
    site: PathBuf,
    /// Pin the keys that are new
    #[arg(long)]
    accept: bool,
    /// Print the keys as JSON
    #[arg(long)]
    json: bool,
}

/// Why no site file was made.
#[derive(Debug, thiserror::Error)]
enum InitFailure {
    #[error("cannot read {}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("cannot write {}", path.display())]
    Write { path: PathBuf, source: io::Error },
}

/// Runs a subcommand of `verifier site`.
pub(super) async fn run(command: SiteCommand) -> Result<u8, Failure> {
    match command {
        SiteCommand::Init(args) => init(args).await,
        SiteCommand::Hostkeys(args) => hostkeys(args).await,
    }
}

async fn init(args: InitArgs) -> Result<u8, Failure> {
    let kubeconfig = seen_from(args.output.as_deref(), &args.kubeconfig)?;
    let yaml = if let Some(path) = &args.machines {
        let text = std::fs::read_to_string(path)
            .map_err(|source| InitFailure::Read {
                path: path.clone(),
                source,
            })
            .kind(Kind::Error)?;
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

/// A host's key, or why there is none.
#[derive(Serialize)]
struct KeyLine {
    host: Shown,
    algorithm: Option<Shown>,
    fingerprint: Option<Shown>,
    state: State,
    /// The line of known_hosts that has another key, or revokes this one.
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<usize>,
    /// Why there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<Shown>,
}

/// What known_hosts says of a key.
#[derive(Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
enum State {
    Known,
    New,
    Pinned,
    Changed,
    Revoked,
    Unreached,
}

async fn hostkeys(args: HostkeysArgs) -> Result<u8, Failure> {
    let site = connect::read_site(&args.site)?;
    let targets = connect::targets_without_secrets(&site)?;
    let asks = targets.iter().map(|target| ssh::host_key(target, PATIENCE));
    let keys: Vec<Result<HostKey, ConnectError>> = futures::future::join_all(asks).await;
    let mut pinned = 0;
    if args.accept {
        for (target, key) in targets.iter().zip(&keys) {
            if let Ok(key) = key {
                pinned += ssh::accept(&target.known_hosts, std::slice::from_ref(key))
                    .map_err(|source| InitFailure::Write {
                        path: target.known_hosts.clone(),
                        source,
                    })
                    .kind(Kind::Error)?;
            }
        }
    }
    let shown: Vec<KeyLine> = site
        .hosts
        .iter()
        .zip(&keys)
        .map(|(host, key)| show(&host.name, key, args.accept))
        .collect();
    write(&shown, Form::from_flag(args.json));
    if pinned > 0 {
        let pinned = phrase::KeysPinned { keys: &pinned };
        Progress::stderr(false).say(&catalogue::say(pinned, lang::ambient()));
    }
    let bad = |key: &KeyLine| matches!(key.state, State::Changed | State::Revoked | State::Unreached);
    Ok(if shown.iter().any(bad) {
        cli::exit::ERROR
    } else {
        cli::exit::PASS
    })
}

fn show(host: &str, key: &Result<HostKey, ConnectError>, accept: bool) -> KeyLine {
    let (state, line) = match key {
        Ok(key) => match key.state {
            KeyState::Known => (State::Known, None),
            KeyState::New if accept => (State::Pinned, None),
            KeyState::New => (State::New, None),
            KeyState::Changed(line) => (State::Changed, Some(line)),
            KeyState::Revoked(line) => (State::Revoked, Some(line)),
        },
        Err(_) => (State::Unreached, None),
    };
    let known = key.as_ref().ok();
    KeyLine {
        host: Shown::new(host),
        algorithm: known.map(|key| Shown::new(&key.algorithm)),
        fingerprint: known.map(|key| Shown::new(&key.fingerprint)),
        state,
        line,
        error: key.as_ref().err().map(|error| Shown::new(&cli::chain(error))),
    }
}

impl KeyLine {
    /// Returns the state in words.
    fn words(&self) -> String {
        let line = self.line.unwrap_or_default();
        let phrase: Phrase = match self.state {
            State::Known => phrase::KeyKnown.into(),
            State::New => phrase::KeyNew.into(),
            State::Pinned => phrase::KeyPinned.into(),
            State::Changed => phrase::KeyChanged { line: &line }.into(),
            State::Revoked => phrase::KeyRevoked { line: &line }.into(),
            State::Unreached => return self.error.clone().unwrap_or_default().into(),
        };
        catalogue::say(phrase, lang::ambient())
    }
}

fn write(shown: &[KeyLine], form: Form) {
    if form == Form::Json {
        return cli::tell_json(
            &mut io::stdout(),
            &serde_json::json!({"version": 1, "hosts": shown}),
        );
    }
    let mut table = Table::new();
    table
        .load_style(comfy_table::presets::NOTHING)
        .set_header(["HOST", "ALGORITHM", "FINGERPRINT", "STATE"]);
    for key in shown {
        let text = |text: &Option<Shown>| text.clone().map(String::from).unwrap_or_default();
        table.add_row([
            key.host.to_string(),
            text(&key.algorithm),
            text(&key.fingerprint),
            key.words(),
        ]);
    }
    cli::tell_text(&mut io::stdout(), &format!("{}\n", table.trim_fmt()));
}
