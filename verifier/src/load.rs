//! A bundle into containerd of every host: what is missing is asked first, the archive is read once, and every blob
//! goes to all hosts that lack it. Each host makes its images' records when the whole archive was verified.
//!
//! It talks to agents only. A host that is down, slow or refuses is reported and stops no other.

mod ask;
mod deep;
mod error;
mod freshness;
mod options;
mod plan;
mod pump;
mod turns;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use bundle::{BundleFile, MemberPath};
use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use tokio_util::sync::CancellationToken;

use crate::carrier::Agent;
use crate::protocol::{Load, LoadReply, MissingReply};
use ask::Due;
pub use error::{HostError, LoadError};
pub use freshness::{Ledger, LedgerError, Stale};
pub use options::{Depth, LoadEvent, LoadOptions, Patience, Reading, Say};
pub use plan::{PlanError, load_plan};
use turns::Behind;

/// The longest that a load may take. What ends one that hangs is that no byte is taken.
const WHOLE: Duration = Duration::from_hours(24 * 7);

/// A host to load.
#[derive(Clone)]
pub struct LoadHost {
    /// Its name in the site file.
    pub name: String,
    /// Its agent.
    pub agent: Agent,
    /// The socket of its containerd; absent: the usual ones in turn.
    pub socket: Option<String>,
    /// The images that are not for it.
    pub without: BTreeSet<String>,
}

/// What became of a host.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Loaded {
    /// What was missing before.
    pub missing: MissingReply,
    /// What was written; nothing where nothing was missing.
    pub reply: LoadReply,
    /// How many files were read and found right; nothing where none was read.
    pub proven: u64,
    /// How many layers were damaged and are right now.
    pub repaired: usize,
}

/// What became of every host, by name.
pub type LoadResults = BTreeMap<String, Result<Loaded, HostError>>;

/// What a load came to.
#[derive(Debug, Default)]
pub struct LoadEnd {
    /// What became of every host.
    pub hosts: LoadResults,
    /// Whether the archive was read and verified to its end.
    pub verified: bool,
    /// The members that were to be kept, as far as it was read.
    pub kept: Kept,
}

/// Members in memory.
pub type Kept = BTreeMap<MemberPath, Vec<u8>>;

/// Loads the images of `bundle` on all hosts, and proves by reading what is there where that is wanted.
///
/// # Errors
/// When the archive is bad or cannot be read: then no host keeps anything. What fails on one host is in the results.
pub async fn load(
    bundle: &BundleFile,
    hosts: Vec<LoadHost>,
    options: &LoadOptions,
) -> Result<LoadEnd, LoadError> {
    let mut ended = bring(bundle, hosts.clone(), options).await?;
    if options.depth == Depth::Contents {
        prove(bundle, hosts, options, &mut ended.hosts).await?;
    }
    Ok(ended)
}

/// Proves what is on the hosts that were loaded, and loads once more what is damaged.
async fn prove(
    bundle: &BundleFile,
    mut hosts: Vec<LoadHost>,
    options: &LoadOptions,
    results: &mut LoadResults,
) -> Result<(), LoadError> {
    hosts.retain(|host| results.get(&host.name).is_some_and(Result::is_ok));
    let mut due = Vec::new();
    for (host, found) in deep::prove(bundle, hosts, options).await {
        let name = host.name.clone();
        let damaged = match found {
            Ok(found) if found.is_whole() => {
                note(results, &name, |loaded| loaded.proven = found.files);
                continue;
            }
            Ok(found) => deep::again(bundle.index(), host, &found, options),
            Err(error) => Err(error),
        };
        match damaged {
            Ok(again) => due.push(again),
            Err(error) => fail(results, name, error, options),
        }
    }
    if due.is_empty() {
        return Ok(());
    }
    let again: Vec<LoadHost> = due.iter().map(|due| due.host.clone()).collect();
    for (name, result) in send(bundle, due, options).await?.hosts {
        match result {
            Ok(loaded) => note(results, &name, |all| all.repaired = loaded.reply.layers_unpacked),
            Err(error) => fail(results, name, error, options),
        }
    }
    let loaded = |host: &LoadHost| results.get(&host.name).is_some_and(Result::is_ok);
    let again = again.into_iter().filter(loaded).collect();
    for (host, found) in deep::prove(bundle, again, options).await {
        match found {
            Ok(found) if found.is_whole() => note(results, &host.name, |loaded| loaded.proven = found.files),
            Ok(found) => fail(results, host.name, found.error(), options),
            Err(error) => fail(results, host.name, error, options),
        }
    }
    Ok(())
}

fn note(results: &mut LoadResults, name: &str, change: impl FnOnce(&mut Loaded)) {
    if let Some(Ok(loaded)) = results.get_mut(name) {
        change(loaded);
    }
}

fn fail(results: &mut LoadResults, name: String, error: HostError, options: &LoadOptions) {
    (options.say)(LoadEvent::Failed {
        host: &name,
        error: &error,
    });
    results.insert(name, Err(error));
}

/// Brings to all hosts what they lack.
async fn bring(
    bundle: &BundleFile,
    hosts: Vec<LoadHost>,
    options: &LoadOptions,
) -> Result<LoadEnd, LoadError> {
    let mut results = LoadResults::new();
    let mut due = Vec::new();
    for (name, asked) in ask::ask(bundle.index(), hosts, options).await {
        match asked {
            Ok(asked) if asked.missing.images.is_empty() => {
                let missing = asked.missing;
                let reply = LoadReply::default();
                (options.say)(LoadEvent::Done {
                    host: &name,
                    reply: &reply,
                });
                let loaded = Loaded {
                    missing,
                    reply,
                    ..Loaded::default()
                };
                results.insert(name, Ok(loaded));
            }
            Ok(asked) => due.push(asked),
            Err(error) => {
                (options.say)(LoadEvent::Failed {
                    host: &name,
                    error: &error,
                });
                results.insert(name, Err(error));
            }
        }
    }
    if due.is_empty() && options.reading == Reading::AsNeeded {
        return Ok(LoadEnd {
            hosts: results,
            ..LoadEnd::default()
        });
    }
    let mut ended = send(bundle, due, options).await?;
    ended.hosts.extend(results);
    Ok(ended)
}

/// Reads the archive once and loads all hosts from it.
async fn send(bundle: &BundleFile, due: Vec<Due>, options: &LoadOptions) -> Result<LoadEnd, LoadError> {
    (options.say)(LoadEvent::Start {
        bytes: bundle.index().total_size(),
        hosts: due.len(),
    });
    let over = CancellationToken::new();
    let mut sinks = Vec::new();
    let mut uploads = FuturesUnordered::new();
    for due in due {
        let (sink, body) = pump::channel(&due);
        let ends = Ends {
            left: sink.left.clone(),
            over: over.clone(),
        };
        sinks.push(sink);
        uploads.push(upload(due, body, ends, options));
    }
    let (bundle, say) = (bundle.clone(), Arc::clone(&options.say));
    let pace = pump::Pace {
        runtime: tokio::runtime::Handle::current(),
        stall: options.patience.stall,
        reading: options.reading,
        keep: options.keep.clone(),
    };
    let reading = move || pump::run(&bundle, sinks, &pace, &*say);
    let mut reading = tokio::task::spawn_blocking(reading);
    let mut read = None;
    let mut results = LoadResults::new();
    let finish = tokio::time::sleep(Duration::ZERO);
    tokio::pin!(finish);
    while !uploads.is_empty() {
        tokio::select! {
            ended = &mut reading, if read.is_none() => {
                read = Some(ended.map_err(|_| LoadError::Reader)?);
                finish.as_mut().reset(tokio::time::Instant::now() + options.patience.finish);
            }
            Some((name, result)) = uploads.next() => {
                results.insert(name, result);
            }
            () = &mut finish, if read.is_some() && !over.is_cancelled() => over.cancel(),
        }
    }
    let read = match read {
        Some(read) => read,
        None => reading.await.map_err(|_| LoadError::Reader)?,
    };
    let pump::Read { verified, kept } = read.map_err(|source| LoadError::Bundle { source })?;
    Ok(LoadEnd {
        hosts: results,
        verified,
        kept,
    })
}

/// What ends an upload before its reply.
struct Ends {
    left: pump::Left,
    over: CancellationToken,
}

async fn upload(
    due: Due,
    body: pump::Body,
    ends: Ends,
    options: &LoadOptions,
) -> (String, Result<Loaded, HostError>) {
    let Due {
        host,
        plan,
        send,
        missing,
    } = due;
    let Patience { stall, finish, .. } = options.patience;
    let result = tokio::select! {
        sent = host.agent.upload(Load { plan, send }, body, WHOLE) => {
            let loaded = sent.map(|reply| Loaded {
                missing,
                reply,
                ..Loaded::default()
            });
            loaded.map_err(|source| HostError::Load { source })
        }
        why = ends.left.left() => Err(match why {
            Behind::Stalled => HostError::Stalled { stall },
            Behind::Slow { bytes_a_second } => HostError::Slow { bytes_a_second },
        }),
        () = ends.over.cancelled() => Err(HostError::Late { finish }),
    };
    match &result {
        Ok(loaded) => (options.say)(LoadEvent::Done {
            host: &host.name,
            reply: &loaded.reply,
        }),
        Err(error) => (options.say)(LoadEvent::Failed {
            host: &host.name,
            error,
        }),
    }
    (host.name, result)
}
