//! `verifier load`: the images of a bundle into containerd of every node.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use bundle::BundleFile;
use bytesize::ByteSize;
use clap::Args;
use cli::{Failure, Kind, Progress, ResultExt as _, chain};
use serde::Serialize;

use super::connect;
use super::programs::programs;
use crate::carrier::{Hosts, local};
use crate::load::{self, LoadError, LoadEvent, LoadHost, LoadOptions, LoadResults, Patience, Say};
use crate::site::{Role, Site};

#[derive(Debug, Args)]
pub(super) struct LoadArgs {
    /// The bundle: an archive, or a directory that it was unpacked into
    file: PathBuf,
    /// The site file
    #[arg(long, value_name = "FILE", required_unless_present = "local")]
    site: Option<PathBuf>,
    /// Load into containerd of this machine
    #[arg(long, conflicts_with_all = ["site", "node"])]
    local: bool,
    /// Only this node; repeatable
    #[arg(long, value_name = "NAME")]
    node: Vec<String>,
    /// Do not pin the images: the kubelet may collect them
    #[arg(long)]
    no_pin: bool,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

/// What became of a host, for programs.
#[derive(Serialize)]
struct HostEntry {
    host: String,
    ok: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    blobs_written: usize,
    bytes_written: u64,
    layers_unpacked: usize,
    images_written: Vec<String>,
    not_pinned: Vec<String>,
}

/// A host that could not be loaded, or was not even reached.
pub(super) type Failed = BTreeMap<String, String>;

pub(super) async fn run(args: LoadArgs) -> Result<u8, Failure> {
    let bundle = open(&args.file)?;
    let progress = Progress::stderr(false);
    let (hosts, mut failed) = if args.local {
        let agent = local::agent().await.kind(Kind::Error)?;
        let host = LoadHost {
            name: "local".to_owned(),
            agent,
            socket: None,
        };
        (vec![host], Failed::new())
    } else {
        reach(&args, &bundle, &progress).await?
    };
    let results = load_all(&bundle, hosts, !args.no_pin, &progress).await?;
    let entries = entries(&results, &mut failed);
    if args.json {
        let value = serde_json::json!({"version": 1, "bundle": bundle.id(), "hosts": entries});
        cli::write_json(&mut io::stdout(), &value)?;
    }
    Ok(if failed.is_empty() {
        cli::exit::PASS
    } else {
        cli::exit::ERROR
    })
}

/// Opens a bundle; nothing but its index is read.
pub(super) fn open(file: &std::path::Path) -> Result<BundleFile, Failure> {
    BundleFile::open(file).map_err(|error| cli::bundle_failure(file, error))
}

/// A `--node` that is no worker of the site.
#[derive(Debug, thiserror::Error)]
#[error("{node} is no worker of the site file")]
struct NoWorker {
    node: String,
}

async fn reach(
    args: &LoadArgs,
    bundle: &BundleFile,
    progress: &Progress,
) -> Result<(Vec<LoadHost>, Failed), Failure> {
    let Some(path) = &args.site else {
        return Ok((Vec::new(), Failed::new()));
    };
    let mut site = connect::read_site(path)?;
    for node in &args.node {
        if !site.with_role(Role::Worker).any(|host| host.name == *node) {
            return Err(Failure::new(Kind::Usage, NoWorker { node: node.clone() })
                .hint("see the hosts with the role worker in the site file"));
        }
    }
    site.hosts.retain(|host| {
        host.roles.contains(&Role::Worker) && (args.node.is_empty() || args.node.contains(&host.name))
    });
    let hosts = connect::connect(&connect::targets(&site)?, &programs(Some(bundle))?, progress).await;
    Ok(workers(&site, &hosts))
}

/// Returns the workers that can be loaded, and those that cannot be reached.
pub(super) fn workers(site: &Site, hosts: &Hosts) -> (Vec<LoadHost>, Failed) {
    let mut reached = Vec::new();
    let mut failed = Failed::new();
    for host in site.with_role(Role::Worker) {
        match hosts.get(&host.name) {
            Some(Ok(agent)) => reached.push(LoadHost {
                name: host.name.clone(),
                agent: agent.clone(),
                socket: host.runtime.clone(),
            }),
            Some(Err(error)) => {
                failed.insert(host.name.clone(), chain(error));
            }
            None => {}
        }
    }
    (reached, failed)
}

/// Loads the hosts and tells of it on `progress`.
pub(super) async fn load_all(
    bundle: &BundleFile,
    hosts: Vec<LoadHost>,
    pin: bool,
    progress: &Progress,
) -> Result<LoadResults, Failure> {
    let talk = progress.clone();
    let say: Say = Arc::new(move |event| tell(&talk, event));
    let options = LoadOptions {
        pin,
        patience: Patience::default(),
        say,
    };
    let results = load::load(bundle, hosts, &options).await;
    progress.end();
    results.map_err(|error| match error {
        LoadError::Bundle { source } => cli::bundle_failure(bundle.path(), source),
        LoadError::Reader => Failure::new(Kind::Error, error).hint("run it again"),
    })
}

fn tell(progress: &Progress, event: LoadEvent<'_>) {
    match event {
        LoadEvent::Asked { host, missing } if missing.images.is_empty() => {
            progress.say(&format!("{host}: has every image"));
        }
        LoadEvent::Asked { host, missing } => {
            progress.say(&format!(
                "{host}: lacks {} images, {} blobs",
                missing.images.len(),
                missing.blobs.len()
            ));
        }
        LoadEvent::Start { bytes, .. } => progress.begin("load", bytes),
        LoadEvent::Bytes(bytes) => progress.add(bytes),
        // One that lacked nothing has said so.
        LoadEvent::Done { reply, .. } if reply.images_written.is_empty() => {}
        LoadEvent::Done { host, reply } => {
            let (images, bytes) = (reply.images_written.len(), ByteSize(reply.bytes_written));
            progress.say(&format!("{host}: loaded, {images} images and {bytes} written"));
        }
        LoadEvent::Failed { host, error } => progress.say(&format!("{host}: not loaded: {}", chain(error))),
    }
}

/// Returns what became of every host, and adds those that failed.
fn entries(results: &LoadResults, failed: &mut Failed) -> Vec<HostEntry> {
    let mut entries: Vec<HostEntry> = failed
        .iter()
        .map(|(host, error)| entry(host, Err(error)))
        .collect();
    for (host, result) in results {
        match result {
            Ok(loaded) => entries.push(entry(host, Ok(&loaded.reply))),
            Err(error) => {
                let error = chain(error);
                entries.push(entry(host, Err(&error)));
                failed.insert(host.clone(), error);
            }
        }
    }
    entries.sort_by(|a, b| a.host.cmp(&b.host));
    entries
}

fn entry(host: &str, result: Result<&crate::protocol::LoadReply, &String>) -> HostEntry {
    let reply = result.ok().cloned().unwrap_or_default();
    HostEntry {
        host: host.to_owned(),
        ok: result.is_ok(),
        error: result.err().cloned(),
        blobs_written: reply.blobs_written,
        bytes_written: reply.bytes_written,
        layers_unpacked: reply.layers_unpacked,
        images_written: reply.images_written,
        not_pinned: reply.not_pinned,
    }
}
