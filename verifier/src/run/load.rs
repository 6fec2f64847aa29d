//! Loading as a part of a run, or alone: what happens becomes events, what came of a host a row.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use bundle::nodes::ImageNodes;
use bundle::{BundleFile, MemberPath};
use bytesize::ByteSize;
use cli::chain;

use super::steps::{self, Step};
use crate::carrier::Hosts;
use crate::findings::{Finding, Phrase, cause, phrase};
use crate::load::{
    self, Depth, HostError, Ledger, LoadEnd, LoadError, LoadEvent, LoadHost, LoadOptions, LoadResults,
    Loaded, Patience, Reading, Say,
};
use crate::site::{Role, Site};
use crate::suite::{Event, Events, Row};

/// The workers of a site: those that can be loaded, and those that cannot be reached, with the reason.
pub struct Workers {
    /// Those that can be loaded.
    pub reached: Vec<LoadHost>,
    /// Those that cannot be, by name.
    pub unreached: Vec<(String, String)>,
}

/// Returns the workers of a site; `nodes` says which images of a bundle are for which of them.
pub fn workers(site: &Site, hosts: &Hosts, nodes: &ImageNodes) -> Workers {
    let mut workers = Workers {
        reached: Vec::new(),
        unreached: Vec::new(),
    };
    for host in site.with_role(Role::Worker) {
        match hosts.get(&host.name) {
            Some(Ok(agent)) => workers.reached.push(LoadHost {
                name: host.name.clone(),
                agent: agent.clone(),
                socket: host.runtime.clone(),
                without: host.without(nodes),
            }),
            Some(Err(error)) => workers.unreached.push((host.name.clone(), chain(error))),
            None => {}
        }
    }
    workers
}

/// How the hosts are loaded.
#[derive(Clone, Debug)]
pub struct How {
    /// Whether the images are pinned.
    pub pin: bool,
    /// How much of the archive is read.
    pub reading: Reading,
    /// How much is proven afterwards.
    pub depth: Depth,
    /// Members that are wanted here too.
    pub keep: BTreeSet<MemberPath>,
}

/// Loads the hosts and tells of it.
///
/// # Errors
/// When the bundle cannot be read, or is bad: then no host keeps anything.
pub async fn load_all(
    bundle: &BundleFile,
    hosts: Vec<LoadHost>,
    how: How,
    events: &Events,
) -> Result<LoadEnd, LoadError> {
    let told = events.clone();
    let say: Say = Arc::new(move |event| told.nudge(translated(event)));
    let options = LoadOptions {
        pin: how.pin,
        reading: how.reading,
        depth: how.depth,
        keep: how.keep,
        patience: Patience::default(),
        say,
    };
    let results = load::load(bundle, hosts, &options).await;
    events.tell(Event::WorkEnded).await;
    results
}

/// Keeps the serial of a bundle that was loaded; returns what is to be told where it cannot be kept. That changes no verdict.
pub fn keep(ledger: &Ledger, bundle: &BundleFile) -> Option<Phrase> {
    let error = ledger.keep(bundle).err()?;
    let told = phrase::SerialUnkept {
        path: &ledger.path().display(),
        reason: &chain(&error),
    };
    Some(told.into())
}

fn translated(event: LoadEvent<'_>) -> Option<Event> {
    let talk = match event {
        LoadEvent::Start { bytes, hosts } => {
            let name = if hosts == 0 {
                phrase::WorkCheck.into()
            } else {
                phrase::WorkLoad.into()
            };
            return Some(Event::Work { name, bytes });
        }
        LoadEvent::Bytes(bytes) => return Some(Event::Worked(bytes)),
        LoadEvent::Asked { host, missing } if missing.images.is_empty() => {
            phrase::HostHasAll { host: &host }.into()
        }
        LoadEvent::Asked { host, missing } => phrase::HostLacks {
            host: &host,
            images: &missing.images.len(),
            blobs: &missing.blobs.len(),
        }
        .into(),
        LoadEvent::Read {
            host,
            files,
            damaged: 0,
        } => phrase::HostProven {
            host: &host,
            files: &files,
        }
        .into(),
        LoadEvent::Read { host, damaged, .. } => phrase::HostDamaged {
            host: &host,
            layers: &damaged,
        }
        .into(),
        // One that lacked nothing has said so.
        LoadEvent::Done { reply, .. } if reply.images_written.is_empty() => return None,
        LoadEvent::Done { host, reply } => phrase::HostLoaded {
            host: &host,
            images: &reply.images_written.len(),
            bytes: &ByteSize(reply.bytes_written),
        }
        .into(),
        LoadEvent::Failed { host, error } => phrase::HostNotLoaded {
            host: &host,
            reason: &chain(error),
        }
        .into(),
    };
    Some(Event::Talk(talk))
}

/// Returns a row for each worker.
pub(super) fn rows(unreached: &[(String, String)], results: &LoadResults, took: Duration) -> Vec<Row> {
    let lost = unreached.iter().map(|(host, reason)| {
        let finding = Finding::error(cause::HostUnreachable { host, reason });
        steps::row(Step::Load, Some(host), vec![finding], took)
    });
    let loaded = results
        .iter()
        .map(|(host, result)| steps::row(Step::Load, Some(host), findings(host, result), took));
    lost.chain(loaded).collect()
}

fn findings(host: &str, result: &Result<Loaded, HostError>) -> Vec<Finding> {
    match result {
        Err(error) => vec![Finding::error(cause::LoadFailed {
            host: &host,
            reason: &chain(error),
        })],
        // A runtime that knows no pins is images.present's to tell.
        Ok(_) => Vec::new(),
    }
}
