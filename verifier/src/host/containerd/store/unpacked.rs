//! The snapshots of layers: which snapshotter has them, and whether their directories still hold as many files as when they
//! were unpacked. Where a directory lies only a snapshot above it tells: one is made under a lease and removed at once.

use std::collections::{BTreeMap, BTreeSet};
use std::io::ErrorKind;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use bundle::Digest;
use futures::{FutureExt as _, StreamExt as _, stream};

use super::super::{leases, runtime, unpacked};
use super::{Chain, PARALLEL, files};
use crate::host::containerd::error::Error;
use crate::host::containerd::snapshots::Snapshots;
use crate::protocol::{SnapshotState, Store, StoreDepth};

/// How long files are counted; what is not counted then stays as its record says.
const COUNTING: Duration = Duration::from_secs(20);
/// Snapshotters whose layers are plain directories. Those of others may lie elsewhere, and reading them may fetch them.
const PLAIN: [&str; 2] = ["overlayfs", "fuse-overlayfs"];

/// What a snapshotter wrote down.
#[derive(Clone, Copy)]
struct Usage {
    bytes: u64,
    inodes: u64,
}

/// Says of each layer how its snapshot is.
pub(super) async fn look(
    snapshots: &Snapshots,
    depth: StoreDepth,
    chains: &[Chain],
    store: &mut Store,
) -> Result<(), Error> {
    let recorded = snapshots.committed().await?;
    let usages = usages(snapshots, &recorded).await;
    store.snapshots = usages
        .values()
        .fold(0, |sum, usage| usage.bytes.saturating_add(sum));
    let others = others(snapshots).await?;
    let mut counted = BTreeMap::new();
    if PLAIN.contains(&snapshots.snapshotter.as_str()) {
        let tops = tops(store, chains, &recorded);
        counted = count(snapshots, depth, tops, &usages, store).await?;
    }
    for (layer, chain) in store.layers.iter_mut().zip(chains) {
        let Some(chain) = chain else {
            layer.snapshot = SnapshotState::Recorded;
            continue;
        };
        let name = chain.to_string();
        layer.unpacked = usages.get(&name).map_or(0, |usage| usage.bytes);
        layer.snapshot = if recorded.contains(&name) {
            counted.remove(chain).unwrap_or(SnapshotState::Recorded)
        } else {
            let other = others.iter().find(|(_, names)| names.contains(&name));
            other.map_or(SnapshotState::Gone, |(snapshotter, _)| SnapshotState::Elsewhere {
                snapshotter: snapshotter.clone(),
            })
        };
    }
    Ok(())
}

/// Returns what each snapshot takes. One of which nothing is known is left out.
async fn usages(snapshots: &Snapshots, recorded: &BTreeSet<String>) -> BTreeMap<String, Usage> {
    // Names of their own: a closure over borrowed items would make the future one that no task can take.
    let names: Vec<String> = recorded.iter().cloned().collect();
    let asked = names
        .into_iter()
        .map(|name| usage(snapshots.clone(), name).boxed());
    let found: Vec<_> = stream::iter(asked).buffered(PARALLEL).collect().await;
    found.into_iter().flatten().collect()
}

async fn usage(snapshots: Snapshots, name: String) -> Option<(String, Usage)> {
    let usage = snapshots.usage(&name).await.ok()?;
    let positive = |number: i64| u64::try_from(number).unwrap_or_default();
    let usage = Usage {
        bytes: positive(usage.size),
        inodes: positive(usage.inodes),
    };
    Some((name, usage))
}

/// Returns what other snapshotters have. Plugins that cannot work here refuse, and have nothing.
async fn others(snapshots: &Snapshots) -> Result<BTreeMap<String, BTreeSet<String>>, Error> {
    let mut others = BTreeMap::new();
    for plugin in runtime::snapshotters(&snapshots.containerd).await? {
        if plugin.id == snapshots.snapshotter {
            continue;
        }
        let other = Snapshots {
            containerd: snapshots.containerd.clone(),
            snapshotter: plugin.id.clone(),
        };
        if let Ok(names) = other.committed().await
            && !names.is_empty()
        {
            others.insert(plugin.id, names);
        }
    }
    Ok(others)
}

/// Returns the chains that are recorded, each image's from the bottom as far as it goes, the longest first.
fn tops(store: &Store, chains: &[Chain], recorded: &BTreeSet<String>) -> Vec<Vec<Digest>> {
    let of_image = |layers: &[usize]| -> Vec<Digest> {
        let chain = layers.iter().map_while(|place| *chains.get(*place)?);
        chain
            .take_while(|chain| recorded.contains(&chain.to_string()))
            .collect()
    };
    let mut tops: Vec<Vec<Digest>> = store.images.iter().map(|image| of_image(&image.layers)).collect();
    tops.retain(|chain| !chain.is_empty());
    tops.sort_by_key(|chain| std::cmp::Reverse(chain.len()));
    tops
}

/// Looks where the layers lie and counts their files.
async fn count(
    snapshots: &Snapshots,
    depth: StoreDepth,
    tops: Vec<Vec<Digest>>,
    usages: &BTreeMap<String, Usage>,
    store: &mut Store,
) -> Result<BTreeMap<Digest, SnapshotState>, Error> {
    if tops.is_empty() {
        return Ok(BTreeMap::new());
    }
    let lease = leases::create(&snapshots.containerd).await?;
    let held = Snapshots {
        containerd: snapshots.containerd.leased(&lease),
        ..snapshots.clone()
    };
    let mut places = Places::default();
    for (number, chain) in tops.into_iter().enumerate() {
        places.add(&held, &format!("{lease}-{number}"), &chain).await;
    }
    leases::delete(&snapshots.containerd, &lease).await?;
    let Places {
        mut states,
        directories,
        unread,
    } = places;
    store.unread = unread.map(Into::into);
    let inodes: BTreeMap<Digest, u64> = directories
        .keys()
        .filter_map(|chain| Some((*chain, usages.get(&chain.to_string())?.inodes)))
        .collect();
    let until = (depth == StoreDepth::Ends).then(|| Instant::now() + COUNTING);
    let counted = tokio::task::spawn_blocking(move || {
        let state = |(chain, directory): (Digest, PathBuf)| {
            let recorded = inodes.get(&chain).copied().unwrap_or_default();
            (chain, counted(&directory, recorded, until))
        };
        directories.into_iter().map(state).collect::<Vec<_>>()
    });
    states.extend(counted.await.map_err(|_| Error::Stopped)?);
    Ok(states)
}

/// Returns how a snapshot is whose directory is known.
fn counted(directory: &std::path::Path, recorded: u64, until: Option<Instant>) -> SnapshotState {
    match files::count(directory, until) {
        Ok(Some(found)) if found < recorded => SnapshotState::Hollow { found, recorded },
        Ok(Some(_)) => SnapshotState::Whole,
        Ok(None) => SnapshotState::Recorded,
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            SnapshotState::Lost
        }
        Err(_) => SnapshotState::Unread,
    }
}

/// Where layers lie, as far as it could be found out.
#[derive(Default)]
struct Places {
    directories: BTreeMap<Digest, PathBuf>,
    /// Those of which something is known without their directory.
    states: BTreeMap<Digest, SnapshotState>,
    unread: Option<String>,
}

impl Places {
    /// Looks where the layers of a chain lie. Where the uppermost one is gone, nothing can be put on top of it: then it is
    /// looked below.
    async fn add(&mut self, held: &Snapshots, key: &str, chain: &[Digest]) {
        let mut chain = chain;
        while let Some((top, below)) = chain.split_last() {
            if self.directories.contains_key(top) || self.states.contains_key(top) {
                return;
            }
            match unpacked::directories(held, key, *top).await {
                Ok(found) if found.len() == chain.len() => {
                    self.directories.extend(chain.iter().copied().zip(found));
                    return;
                }
                // It does not say where.
                Ok(_) => return,
                Err(error) => {
                    let words = cli::chain(&error);
                    let state = if words.contains("no such file or directory") {
                        SnapshotState::Lost
                    } else {
                        self.unread.get_or_insert(words);
                        SnapshotState::Unread
                    };
                    self.states.insert(*top, state);
                    chain = below;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_is_judged_by_how_many_files_it_had() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("a"), "x").unwrap();
        let of = |recorded| counted(directory.path(), recorded, None);
        assert_eq!(of(2), SnapshotState::Whole);
        assert_eq!(
            of(3),
            SnapshotState::Hollow {
                found: 2,
                recorded: 3
            }
        );
        // A snapshotter that wrote nothing down.
        assert_eq!(of(0), SnapshotState::Whole);
        let gone = directory.path().join("gone");
        assert_eq!(counted(&gone, 2, None), SnapshotState::Lost);
    }

    #[test]
    fn chains_are_read_as_far_as_they_are_recorded() {
        let digests = ["a", "b", "c"].map(Digest::of);
        let mut store = Store::default();
        for layers in [vec![0], vec![0, 1, 2]] {
            store.images.push(crate::protocol::StoredImage {
                layers,
                ..crate::protocol::StoredImage::default()
            });
        }
        let recorded = digests[..2].iter().map(Digest::to_string).collect();
        let tops = tops(&store, &digests.map(Some), &recorded);
        assert_eq!(tops, [digests[..2].to_vec(), digests[..1].to_vec()]);
    }
}
