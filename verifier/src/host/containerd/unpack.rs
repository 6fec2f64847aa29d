//! Layers into snapshots, as soon as their blobs are there, several at once.
//!
//! Every chain id is one task. It waits for its blob and for the chain below it. Where the snapshotter can rebase, the
//! layer is unpacked without waiting for those below and only committed on top of them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use bundle::Digest;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

use super::content;
use super::error::Error;
use super::proto::types::Mount;
use super::room::Guard;
use super::snapshots::Snapshots;
use super::survey::{Survey, due_layers};
use crate::protocol::{LoadPlan, PlannedLayer};

/// Something that tasks wait for: true once it is there. Its end without that means that it never will be.
type Gate = watch::Receiver<bool>;

/// What all tasks share.
struct Shared {
    snapshots: Snapshots,
    rebase: bool,
    /// Layers that are unpacked at once: containerd inflates each on one core.
    slots: Semaphore,
    /// Makes the keys of this load's snapshots its own.
    load: String,
    guard: Guard,
    /// The layers that are being unpacked.
    growing: Mutex<BTreeSet<Digest>>,
}

/// A layer to unpack.
struct Task {
    image: String,
    chain: Digest,
    parent: Option<Digest>,
    layer: PlannedLayer,
}

/// Starts a task for every layer that is not unpacked. `blobs` are the gates of the blobs on their way. The tasks end
/// with the set that is returned; each gives whether it unpacked something.
pub(super) fn start(
    plan: &LoadPlan,
    found: &Survey,
    blobs: &BTreeMap<Digest, Gate>,
    unpacker: Unpacker,
) -> JoinSet<Result<bool, Error>> {
    let shared = Arc::new(Shared {
        snapshots: unpacker.snapshots,
        rebase: unpacker.rebase,
        slots: Semaphore::new(
            std::thread::available_parallelism()
                .map_or(2, usize::from)
                .clamp(2, 8),
        ),
        load: unpacker.load,
        guard: unpacker.guard,
        growing: Mutex::default(),
    });
    let absent = due_layers(plan, &found.due);
    let absent = absent
        .into_keys()
        .filter(|chain| !found.snapshots.contains(chain));
    let gates: BTreeMap<Digest, (watch::Sender<bool>, Gate)> =
        absent.map(|chain| (chain, watch::channel(false))).collect();
    let receivers: BTreeMap<Digest, Gate> = gates
        .iter()
        .map(|(chain, (_, gate))| (*chain, gate.clone()))
        .collect();
    let mut senders: BTreeMap<Digest, watch::Sender<bool>> = gates
        .into_iter()
        .map(|(chain, (sender, _))| (chain, sender))
        .collect();
    let mut tasks = JoinSet::new();
    for task in due_tasks(plan, found) {
        let Some(done) = senders.remove(&task.chain) else {
            continue;
        };
        let parent = task.parent.and_then(|parent| receivers.get(&parent).cloned());
        let blob = blobs.get(&task.layer.blob.digest).cloned();
        let shared = Arc::clone(&shared);
        tasks.spawn(async move {
            let unpacked = run(&shared, &task, blob, parent).await?;
            done.send_replace(true);
            Ok(unpacked)
        });
    }
    tasks
}

/// How layers are unpacked here.
pub(super) struct Unpacker {
    /// The snapshotter.
    pub(super) snapshots: Snapshots,
    /// Whether it can unpack a layer before those below it.
    pub(super) rebase: bool,
    /// A name of the load that no other has.
    pub(super) load: String,
    /// Watches the room.
    pub(super) guard: Guard,
}

fn due_tasks<'a>(plan: &'a LoadPlan, found: &'a Survey) -> impl Iterator<Item = Task> + 'a {
    found
        .due
        .iter()
        .map(|place| &plan.images[*place])
        .flat_map(|image| {
            let chains = image.chain_ids();
            let parents = std::iter::once(None).chain(chains.clone().into_iter().map(Some));
            let layers = chains.into_iter().zip(parents).zip(&image.layers);
            layers.map(|((chain, parent), layer)| Task {
                image: image.name.clone(),
                chain,
                parent,
                layer: *layer,
            })
        })
}

async fn run(shared: &Shared, task: &Task, blob: Option<Gate>, parent: Option<Gate>) -> Result<bool, Error> {
    let key = format!("{}-{}", shared.load, task.chain);
    if !shared.rebase {
        wait(parent.clone(), task).await?;
    }
    wait(blob, task).await?;
    let Some(()) = unpack(shared, task, &key).await? else {
        return Ok(false);
    };
    let rebase = task.parent.filter(|_| shared.rebase);
    let commit = async {
        wait(parent, task).await?;
        shared.snapshots.commit(&key, task.chain, rebase).await
    };
    if let Err(error) = commit.await {
        // The first error is the one to tell; the lease's end removes what this cannot.
        let _ = shared.snapshots.remove(&key).await;
        return Err(error);
    }
    let label = (
        "containerd.io/uncompressed".to_owned(),
        task.layer.diff_id.to_string(),
    );
    content::label(
        &shared.snapshots.containerd,
        task.layer.blob.digest,
        [label].into(),
    )
    .await?;
    Ok(true)
}

/// Unpacks under a temporary key; `None`: somebody else has done it meanwhile.
async fn unpack(shared: &Shared, task: &Task, key: &str) -> Result<Option<()>, Error> {
    let Ok(_slot) = shared.slots.acquire().await else {
        return Err(given_up(task));
    };
    let snapshots = &shared.snapshots;
    let parent = task.parent.filter(|_| !shared.rebase);
    let Some(mounts) = snapshots.prepare(key, task.chain, parent).await? else {
        return Ok(None);
    };
    let above = shared.rebase && task.parent.is_some() && snapshots.snapshotter == "overlayfs";
    let mounts = if above { as_overlay(mounts) } else { mounts };
    let applied = grow(shared, task, mounts).await;
    let judged = applied.and_then(|found| {
        if found == task.layer.diff_id.to_string() {
            return Ok(());
        }
        Err(Error::WrongLayer {
            image: task.image.clone(),
            layer: task.layer.blob.digest,
            expected: task.layer.diff_id,
            found,
        })
    });
    if let Err(error) = judged {
        let _ = snapshots.remove(key).await;
        return Err(error);
    }
    Ok(Some(()))
}

/// Unpacks while there is room for it. Which of several layers takes the room is not seen from here: all are named.
async fn grow(shared: &Shared, task: &Task, mounts: Vec<Mount>) -> Result<String, Error> {
    let layer = task.layer.blob.digest;
    let growing = || shared.growing.lock().unwrap_or_else(PoisonError::into_inner);
    growing().insert(layer);
    let applied = tokio::select! {
        biased;
        why = shared.guard.breach() => {
            let layers: Vec<String> = growing().iter().map(Digest::to_string).collect();
            Err(Error::Full { layers: layers.join(", "), why })
        }
        applied = shared.snapshots.apply(task.layer.blob, mounts) => applied,
    };
    growing().remove(&layer);
    applied
}

/// Without a parent the overlay snapshotter gives a bind mount. A layer that will lie on others must be unpacked with
/// its whiteouts in overlay's form, which containerd does where the mount is an overlay (core/unpack/unpacker.go,
/// bindToOverlay; containerd issue 13030).
fn as_overlay(mounts: Vec<Mount>) -> Vec<Mount> {
    match mounts.as_slice() {
        [bind] if bind.r#type == "bind" => {
            let options = bind.options.iter().filter(|option| *option != "rbind").cloned();
            let upper = format!("upperdir={}", bind.source);
            vec![Mount {
                r#type: "overlay".to_owned(),
                source: "overlay".to_owned(),
                target: String::new(),
                options: options.chain([upper]).collect(),
            }]
        }
        _ => mounts,
    }
}

async fn wait(gate: Option<Gate>, task: &Task) -> Result<(), Error> {
    let Some(mut gate) = gate else { return Ok(()) };
    let opened = gate.wait_for(|open| *open).await;
    opened.map(drop).map_err(|_| given_up(task))
}

fn given_up(task: &Task) -> Error {
    Error::GivenUp {
        layer: task.layer.blob.digest,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bind_mount_becomes_an_overlay_that_names_its_upper_directory() {
        let bind = Mount {
            r#type: "bind".into(),
            source: "/s/1/fs".into(),
            target: String::new(),
            options: vec!["rw".into(), "rbind".into()],
        };
        let overlay = as_overlay(vec![bind]);
        assert_eq!(overlay[0].r#type, "overlay");
        assert_eq!(overlay[0].options, ["rw", "upperdir=/s/1/fs"]);
        assert_eq!(as_overlay(overlay.clone()), overlay);
    }
}
