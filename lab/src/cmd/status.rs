//! `lab status`.

use std::io::Write as _;
use std::path::PathBuf;

use clap::Args;
use cli::{Failure, Kind, ResultExt as _};
use lab::{Lab, Options, Phase, Role};
use serde::Serialize;

use super::failure;

/// Arguments of `lab status`.
#[derive(Debug, Args)]
pub(super) struct Status {
    /// Prints JSON.
    #[arg(long)]
    json: bool,
}

/// What `--json` prints, version 1.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Report {
    version: u32,
    name: String,
    phase: Phase,
    options: Options,
    hosts: Vec<HostReport>,
    kubeconfig: PathBuf,
    ssh_key: PathBuf,
    known_hosts: PathBuf,
    machines: PathBuf,
    /// The machine's path of what the jumpbox sees as `/root/media`.
    media: PathBuf,
    /// A directory for what the connected side makes.
    connected: PathBuf,
    /// Where the registry listens on the connected side; none in a bare lab.
    #[serde(skip_serializing_if = "Option::is_none")]
    registry: Option<&'static str>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct HostReport {
    name: String,
    address: std::net::Ipv4Addr,
    role: Role,
    #[serde(skip_serializing_if = "Option::is_none")]
    pod_network: Option<String>,
    running: bool,
    /// The machine's way to the host's root directory.
    #[serde(skip_serializing_if = "Option::is_none")]
    root: Option<PathBuf>,
}

impl Status {
    pub(super) fn run(&self, name: &str) -> Result<u8, Failure> {
        let lab = Lab::open(name).map_err(failure)?;
        let report = report(&lab).map_err(failure)?;
        let text = if self.json {
            serde_json::to_string_pretty(&report).kind(Kind::Error)?
        } else {
            table(&report)
        };
        writeln!(anstream::stdout(), "{text}").kind(Kind::Error)?;
        let whole = report.phase == Phase::Up && report.hosts.iter().all(|host| host.running);
        Ok(if whole { cli::exit::PASS } else { cli::exit::ERROR })
    }
}

fn report(lab: &Lab) -> Result<Report, lab::Error> {
    let paths = lab.paths();
    let host = |host: &lab::Host| HostReport {
        name: host.name.clone(),
        address: host.address,
        role: host.role,
        pod_network: host.pod_network.map(|network| network.to_string()),
        running: lab.is_running(host),
        root: lab.root(&host.name).ok(),
    };
    Ok(Report {
        version: 1,
        name: lab.options().name.clone(),
        phase: lab.phase()?,
        options: lab.options().clone(),
        hosts: lab.layout().hosts.iter().map(host).collect(),
        kubeconfig: paths.kubeconfig(),
        ssh_key: paths.ssh_key(),
        known_hosts: paths.known_hosts(),
        machines: paths.machines(),
        media: paths.media(),
        connected: paths.connected(),
        registry: (!lab.options().bare).then_some(lab::REGISTRY),
    })
}

fn table(report: &Report) -> String {
    use std::fmt::Write as _;
    let phase = match report.phase {
        Phase::Starting => "booting, or its boot was broken off",
        Phase::Up => "up",
    };
    let mut text = format!("lab {}: {phase}\n", report.name);
    for host in &report.hosts {
        let state = if host.running { "running" } else { "NOT RUNNING" };
        let pods = host.pod_network.as_deref().unwrap_or_default();
        writeln!(
            text,
            "  {:<10} {:<15} {state:<12} {pods}",
            host.name,
            host.address.to_string()
        )
        .unwrap_or_default();
    }
    for (what, path) in [
        ("kubeconfig", &report.kubeconfig),
        ("SSH key", &report.ssh_key),
        ("known_hosts", &report.known_hosts),
        ("machines.txt", &report.machines),
        ("media", &report.media),
        ("connected", &report.connected),
    ] {
        writeln!(text, "  {what:<13} {}", path.display()).unwrap_or_default();
    }
    if let Some(registry) = report.registry {
        writeln!(text, "  {:<13} {registry}, on the connected side", "registry").unwrap_or_default();
    }
    text.truncate(text.trim_end().len());
    text
}
