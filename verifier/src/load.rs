//! A bundle into containerd of every host: what is missing is asked first, the archive is read once, and every blob
//! goes to all hosts that lack it. Each host makes its images' records when the whole archive was verified.
//!
//! It talks to agents only. A host that is down, slow or refuses is reported and stops no other.

mod ask;
mod deep;
mod freshness;
mod plan;
mod pump;
mod turns;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use bundle::{BundleFile, Digest, MemberPath, ReadError};
use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use tokio_util::sync::CancellationToken;

use crate::carrier::{Agent, AskError};
use crate::protocol::{Load, LoadReply, MissingReply};
use ask::Due;
pub use freshness::{Ledger, LedgerError, Stale};
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

/// How to load.
#[derive(Clone)]
pub struct LoadOptions {
    /// Whether the images are pinned, so that no kubelet collects them.
    pub pin: bool,
    /// How much of the archive is read.
    pub reading: Reading,
    /// How much is proven afterwards.
    pub depth: Depth,
    /// Members that are wanted here too: small ones, for they are kept in memory.
    pub keep: BTreeSet<MemberPath>,
    /// How long to wait for what.
    pub patience: Patience,
    /// Is told what happens.
    pub say: Say,
}

/// How much of the archive a load reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reading {
    /// Nothing where nobody lacks anything, and no more once nobody takes it.
    AsNeeded,
    /// All of it, whoever takes it: the pass is the check of the bundle.
    ToTheEnd,
}

/// How much of what is on the hosts is proven after a load.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Depth {
    /// Nothing more: containerd's records say it.
    #[default]
    Records,
    /// Every blob and every file of every image is read; what is damaged is loaded once more.
    Contents,
}

/// Is told what happens, from any thread.
pub type Say = Arc<dyn Fn(LoadEvent<'_>) + Send + Sync>;

/// How long to wait for what.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// For the answer what is missing.
    pub ask: Duration,
    /// For a host that takes no byte; it is left behind then.
    pub stall: Duration,
    /// For a host to unpack the rest after the last byte.
    pub finish: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            ask: Duration::from_mins(1),
            stall: Duration::from_mins(2),
            finish: Duration::from_hours(1),
        }
    }
}

/// What happens during a load.
#[derive(Clone, Copy, Debug)]
pub enum LoadEvent<'a> {
    /// A host has said what it lacks; there is room for it.
    Asked {
        /// The host.
        host: &'a str,
        /// What it lacks.
        missing: &'a MissingReply,
    },
    /// The archive is about to be read.
    Start {
        /// Bytes of its members.
        bytes: u64,
        /// Hosts that lack something.
        hosts: usize,
    },
    /// So many more bytes of members were read, and sent to every host that lacks them.
    Bytes(u64),
    /// A host has all images.
    Done {
        /// The host.
        host: &'a str,
        /// What was written.
        reply: &'a LoadReply,
    },
    /// All images of a host were read.
    Read {
        /// The host.
        host: &'a str,
        /// How many files were compared.
        files: u64,
        /// How many layers are damaged.
        damaged: usize,
    },
    /// A host could not be loaded.
    Failed {
        /// The host.
        host: &'a str,
        /// Why not.
        error: &'a HostError,
    },
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

/// Why a host could not be loaded.
#[derive(Debug, thiserror::Error)]
pub enum HostError {
    /// Its agent calls a platform what is none.
    #[error("the agent's platform {platform:?} is none")]
    Platform {
        /// What it said.
        platform: String,
    },
    /// The bundle does not fit the host.
    #[error("the bundle cannot be loaded on this host")]
    Plan {
        /// Why not.
        #[source]
        source: PlanError,
    },
    /// It could not say what it lacks.
    #[error("cannot tell what is missing")]
    Ask {
        /// Why not.
        #[source]
        source: AskError,
    },
    /// The load would fill the file system so far that the kubelet deletes images or evicts pods.
    #[error("too little room: {need} bytes are needed, {room} may be used, {short} are missing ({why})")]
    Room {
        /// Bytes that are needed.
        need: u64,
        /// Bytes that may be used.
        room: u64,
        /// The difference.
        short: u64,
        /// How `room` came about.
        why: String,
    },
    /// A blob of a base bundle that was not loaded here.
    #[error("blob {digest} of a base bundle is not here: load the base first")]
    Base {
        /// The blob.
        digest: Digest,
    },
    /// It did not finish.
    #[error("the load failed")]
    Load {
        /// Why.
        #[source]
        source: AskError,
    },
    /// It took no byte for too long and was left behind.
    #[error("the host took no data for {} s and was left behind", stall.as_secs())]
    Stalled {
        /// How long.
        stall: Duration,
    },
    /// It took so little that the others had to wait for it, and was left behind.
    #[error("the host took {} a second while the others waited for it, and was left behind; load it alone", bytesize::ByteSize(*bytes_a_second).display().iec())]
    Slow {
        /// What it took.
        bytes_a_second: u64,
    },
    /// What is there is not what it should be, also after it was loaded once more.
    #[error(
        "what is on the disk is not what was loaded: {reason}; where containers or other images stand on it, remove those first (crictl rm, crictl rmi) and load again"
    )]
    Damaged {
        /// What is wrong.
        reason: String,
    },
    /// It did not unpack the rest in time.
    #[error("the host did not finish within {} s after the last byte", finish.as_secs())]
    Late {
        /// How long.
        finish: Duration,
    },
}

/// Why nothing could be loaded anywhere.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The archive is bad or cannot be read. No host keeps anything of it.
    #[error("the bundle cannot be loaded, no host keeps anything of it")]
    Bundle {
        /// In what.
        #[source]
        source: ReadError,
    },
    /// The thread that reads the archive came to no end.
    #[error("the archive's reader has stopped")]
    Reader,
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
