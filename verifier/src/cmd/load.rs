//! `verifier load`: the images of a bundle into containerd of every node.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::PathBuf;

use bundle::{BundleFile, Origin};
use clap::Args;
use cli::{Failure, Kind, ResultExt as _, Shown, TrustArgs, chain};
use serde::Serialize;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::connect;
use super::interrupt::{interruptible, until};
use super::lang::LangArg;
use super::programs::programs;
use crate::carrier::local;
use crate::findings::{Lang, Logins, catalogue};
use crate::load::{Depth, Ledger, LoadEnd, LoadError, LoadHost, LoadResults, Loaded, Reading};
use crate::report::{List, Look, Reporter as _};
use crate::run::{self, How};
use crate::site::Role;
use crate::suite::{Event, Events};

#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the command")]
pub(super) struct LoadArgs {
    /// The bundle: an archive, a directory that it was unpacked into, or - for standard input
    file: PathBuf,
    #[command(flatten)]
    trust: TrustArgs,
    #[command(flatten)]
    fresh: FreshArgs,
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
    /// Read every blob and every file of every image afterwards; what is damaged is loaded once more
    #[arg(long)]
    deep: bool,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    lang: LangArg,
}

/// What became of a host, for programs.
#[derive(Serialize)]
struct HostEntry {
    host: Shown,
    ok: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<Shown>,
    blobs_written: usize,
    bytes_written: u64,
    layers_unpacked: usize,
    images_written: Vec<Shown>,
    not_pinned: Vec<Shown>,
    /// With --deep: files that were read and found right, and layers that were damaged before.
    files_proven: u64,
    layers_repaired: usize,
}

/// A host that could not be loaded, or was not even reached.
type Failed = BTreeMap<String, String>;

pub(super) async fn run(args: LoadArgs) -> Result<u8, Failure> {
    let stop = interruptible();
    Box::pin(until(&stop, run_until(args, &stop))).await
}

async fn run_until(args: LoadArgs, stop: &CancellationToken) -> Result<u8, Failure> {
    let bundle = cli::open_bundle(&args.file, &args.trust.trust()?)?;
    let ledger = args.site.as_deref().map(Ledger::beside);
    if let Some(ledger) = &ledger {
        args.fresh.check(ledger, &bundle)?;
    }
    let (events, showing) = shown(args.lang.get());
    let (hosts, mut failed) = if args.local {
        let agent = local::agent().await.kind(Kind::Error)?;
        let host = LoadHost {
            name: "local".to_owned(),
            agent,
            socket: None,
            // Nobody says which node of which site this machine is.
            without: BTreeSet::new(),
        };
        (vec![host], Failed::new())
    } else {
        reach(&args, &bundle, &events, stop).await?
    };
    let how = How {
        pin: !args.no_pin,
        reading: Reading::AsNeeded,
        depth: if args.deep {
            Depth::Contents
        } else {
            Depth::Records
        },
        keep: BTreeSet::new(),
    };
    let ended = run::load_all(&bundle, hosts, how, &events).await;
    events.tell(Event::Talk(run::provenance(bundle.origin()))).await;
    let loaded = |ended: &LoadEnd| ended.hosts.values().any(Result::is_ok);
    if let Some(ledger) = ledger.filter(|_| ended.as_ref().is_ok_and(loaded))
        && let Some(told) = run::keep(&ledger, &bundle)
    {
        events.tell(Event::Talk(told)).await;
    }
    drop(events);
    showing.await.kind(Kind::Error)?;
    let ended = ended.map_err(|error| match error {
        LoadError::Bundle { source } => cli::bundle_failure(bundle.path(), source),
        LoadError::Reader => Failure::new(Kind::Error, error).hint("run it again"),
    })?;
    let entries = entries(&ended.hosts, &mut failed);
    if args.json {
        let value = serde_json::json!({"version": 1, "bundle": bundle.id(), "hosts": entries});
        cli::tell_json(&mut io::stdout(), &value);
    }
    Ok(if failed.is_empty() {
        cli::exit::PASS
    } else {
        cli::exit::ERROR
    })
}

/// Returns where events go, and the task that shows them on stderr until there are no more.
fn shown(lang: Lang) -> (Events, JoinHandle<()>) {
    let (sender, mut receiver) = mpsc::channel(64);
    let mut list = List::new(
        io::sink(),
        Look {
            lang,
            terminal: false,
            verbose: false,
            directory: None,
            logins: Logins::default(),
        },
    );
    let showing = tokio::task::spawn_blocking(move || {
        while let Some(event) = receiver.blocking_recv() {
            // What it writes goes to stderr; nothing can be done about a closed one.
            let _ = list.event(&event);
        }
    });
    (Events::new(sender), showing)
}

/// Says in words who made a bundle.
pub(super) fn provenance(origin: &Origin, lang: Lang) -> String {
    catalogue::say(run::provenance(origin), lang)
}

/// Whether an older bundle may be loaded.
#[derive(Clone, Copy, Debug, Args)]
pub(super) struct FreshArgs {
    /// Load the bundle even if a newer one of its name was loaded from this site file before
    #[arg(long)]
    allow_older: bool,
}

impl FreshArgs {
    /// Refuses a bundle that is older than what was loaded last, or of which that cannot be said.
    pub(super) fn check(self, ledger: &Ledger, bundle: &BundleFile) -> Result<(), Failure> {
        if self.allow_older {
            return Ok(());
        }
        let judged = ledger.judge(bundle).map_err(|error| {
            Failure::new(Kind::Error, error).hint(
                "nobody knows what was loaded last: put the file back from a copy, or move it away; --allow-older goes on without it",
            )
        })?;
        judged.map_err(|stale| {
            Failure::new(Kind::BadBundle, stale)
                .hint("nothing of it was used: load the newest, or say --allow-older if this one is wanted all the same")
        })
    }
}

/// A `--node` that is no host of the site.
#[derive(Debug, thiserror::Error)]
#[error("{node} is no host of the site file")]
struct NoHost {
    node: String,
}

async fn reach(
    args: &LoadArgs,
    bundle: &BundleFile,
    events: &Events,
    stop: &CancellationToken,
) -> Result<(Vec<LoadHost>, Failed), Failure> {
    let Some(path) = &args.site else {
        return Ok((Vec::new(), Failed::new()));
    };
    let mut site = connect::read_site(path)?;
    for node in &args.node {
        if site.host(node).is_none() {
            return Err(Failure::new(Kind::Usage, NoHost { node: node.clone() })
                .hint("see the names of the hosts in the site file"));
        }
    }
    site.hosts
        .retain(|host| args.node.is_empty() || args.node.contains(&host.name));
    let say = |talk| events.nudge(Some(Event::Talk(talk)));
    let targets = connect::targets(&site, stop).await?;
    let hosts = run::connect(&targets, &programs(Some(bundle))?, &say).await;
    // Wherever a kubelet runs there are pods, whatever the file calls the host.
    let running = run::running(&site, &hosts).await;
    for host in site.hosts.iter_mut().filter(|host| running.contains(&host.name)) {
        host.roles.push(Role::Worker);
    }
    let nodes = bundle.image_nodes();
    let nodes = nodes.map_err(|error| cli::bundle_failure(bundle.path(), error))?;
    let workers = run::workers(&site, &hosts, &nodes);
    let mut failed: Failed = workers.unreached.into_iter().collect();
    let loaded = |name: &String| workers.reached.iter().any(|host| host.name == *name);
    for node in args.node.iter().filter(|node| !loaded(node)) {
        failed
            .entry(node.clone())
            .or_insert_with(|| match hosts.get(node) {
                Some(Err(error)) => chain(error),
                _ => "no kubelet runs there".to_owned(),
            });
    }
    Ok((workers.reached, failed))
}

/// Returns what became of every host, and adds those that failed.
fn entries(results: &LoadResults, failed: &mut Failed) -> Vec<HostEntry> {
    let mut entries: Vec<HostEntry> = failed
        .iter()
        .map(|(host, error)| entry(host, Err(error)))
        .collect();
    for (host, result) in results {
        match result {
            Ok(loaded) => entries.push(entry(host, Ok(loaded))),
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

fn entry(host: &str, result: Result<&Loaded, &String>) -> HostEntry {
    let Loaded {
        reply,
        proven,
        repaired,
        ..
    } = result.ok().cloned().unwrap_or_default();
    HostEntry {
        host: Shown::new(host),
        ok: result.is_ok(),
        error: result.err().map(Shown::new),
        blobs_written: reply.blobs_written,
        bytes_written: reply.bytes_written,
        layers_unpacked: reply.layers_unpacked,
        images_written: reply.images_written.iter().map(Shown::new).collect(),
        not_pinned: reply.not_pinned.iter().map(Shown::new).collect(),
        files_proven: proven,
        layers_repaired: repaired,
    }
}
