//! What is said of a store is read, not taken from its records: what is moved away below containerd is missed.

use std::path::{Path, PathBuf};

use verifier::host::containerd::store;
use verifier::protocol::{BlobState, ImageStore, LoadPlan, SnapshotState, Store, StoreDepth};

use crate::daemon::Daemon;

async fn look(daemon: &Daemon, depth: StoreDepth) -> Store {
    let ask = ImageStore {
        socket: Some(daemon.socket()),
        depth,
    };
    store(&ask, false).await.unwrap().unwrap()
}

fn is_whole(store: &Store) -> bool {
    let layers = store.layers.iter();
    let whole = layers.fold(true, |whole, layer| {
        whole && layer.blob.is_whole() && layer.snapshot.is_whole() && layer.unpacked > 0
    });
    whole && store.images.iter().all(|image| image.lost.is_empty())
}

/// Looks at a store that holds the plan: whole, then with a blob and a directory moved away and altered, then whole again.
pub(crate) async fn proven(daemon: &Daemon, plan: &LoadPlan) {
    let found = look(daemon, StoreDepth::Hashes).await;
    assert!(is_whole(&found), "{found:?}");
    assert_eq!((found.images.len(), found.layers.len()), (2, 3));
    assert!(found.blobs > 0 && found.snapshots > 0 && found.unread.is_none());
    for (image, planned) in found.images.iter().zip(&plan.images) {
        let id = planned.config.digest.to_string();
        assert!(found.images.iter().any(|image| image.id.as_ref() == Some(&id)));
        assert_eq!(image.platform, Some(bundle::Platform::current().to_string()));
        assert_eq!(image.names.len(), 3);
    }
    blobs(daemon, &found).await;
    snapshots(daemon).await;
    let found = look(daemon, StoreDepth::Ends).await;
    assert!(is_whole(&found), "{found:?}");
}

async fn blobs(daemon: &Daemon, found: &Store) {
    let digest = &found.layers[0].digest;
    let hex = digest.strip_prefix("sha256:").unwrap();
    let root = daemon
        .directory
        .path()
        .join("root/io.containerd.content.v1.content/blobs/sha256");
    let (path, aside) = (root.join(hex), root.join("aside"));
    let state = async |depth| {
        let found = look(daemon, depth).await;
        found
            .layers
            .into_iter()
            .find(|layer| layer.digest == *digest)
            .unwrap()
            .blob
    };
    std::fs::rename(&path, &aside).unwrap();
    assert_eq!(state(StoreDepth::Ends).await, BlobState::Gone);
    let mut bytes = std::fs::read(&aside).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&path, &bytes).unwrap();
    assert_eq!(state(StoreDepth::Hashes).await, BlobState::Spoilt);
    bytes.pop();
    std::fs::write(&path, &bytes).unwrap();
    assert_eq!(state(StoreDepth::Ends).await, BlobState::Cut);
    std::fs::rename(&aside, &path).unwrap();
}

async fn snapshots(daemon: &Daemon) {
    let root = daemon
        .directory
        .path()
        .join("root/io.containerd.snapshotter.v1.overlayfs/snapshots");
    let directories = std::fs::read_dir(&root).unwrap();
    let mut directories: Vec<PathBuf> = directories.map(|entry| entry.unwrap().path()).collect();
    directories.sort();
    assert_eq!(directories.len(), 3);
    let states = async || {
        let found = look(daemon, StoreDepth::Ends).await;
        let states = found.layers.into_iter().map(|layer| layer.snapshot);
        states.filter(|state| !state.is_whole()).collect::<Vec<_>>()
    };
    // Not beside them: a collection of containerd's removes what it does not know there.
    let aside = daemon.directory.path().join("aside");
    for directory in &directories {
        std::fs::rename(directory, &aside).unwrap();
        assert_eq!(states().await, [SnapshotState::Lost], "{}", directory.display());
        std::fs::rename(&aside, directory).unwrap();
        let file = first_file(&directory.join("fs"));
        std::fs::rename(&file, &aside).unwrap();
        let found = states().await;
        assert!(
            matches!(found[..], [SnapshotState::Hollow { found, recorded }] if found + 1 == recorded),
            "{found:?}"
        );
        std::fs::rename(&aside, &file).unwrap();
    }
}

fn first_file(directory: &Path) -> PathBuf {
    let mut todo = vec![directory.to_owned()];
    while let Some(directory) = todo.pop() {
        for entry in std::fs::read_dir(&directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_file() {
                return path;
            }
            todo.extend(path.is_dir().then_some(path));
        }
    }
    panic!("no file below {}", directory.display());
}
