//! What containerd has of images: every record of every namespace, and for those of the CRI's whether documents, blobs and
//! snapshots are there, by reading them: a record says nothing of the bytes below it. Changes nothing that stays.

mod document;
mod files;
mod unpacked;

use std::collections::BTreeMap;

use bundle::{Digest, Hasher};
use futures::{FutureExt as _, StreamExt as _, TryStreamExt as _, stream};
use tonic::Code;

use super::client::{Containerd, NAMESPACE};
use super::error::Error;
use super::runtime::runtime;
use super::snapshots::Snapshots;
use super::{content, images, namespaces};
use crate::protocol::{
    BlobState, ImageStore, SnapshotState, Store, StoreDepth, StoredImage, StoredLayer, chain_ids,
};
use content::Part;
use document::Described;

/// Calls that run at once.
const PARALLEL: usize = 8;
/// The most images that are looked at; a node has some dozens.
const IMAGES: usize = 4096;

/// Returns what containerd has; none where the runtime behind the socket is another one.
pub async fn store(ask: &ImageStore, discards: bool) -> Result<Option<Store>, Error> {
    let containerd = Containerd::connect(ask.socket.as_deref()).await?;
    let records = match images::list(&containerd).await {
        Err(error) if error.has_code(Code::Unimplemented) => return Ok(None),
        records => records?,
    };
    let runtime = runtime(&containerd).await?;
    let snapshots = Snapshots {
        containerd: containerd.clone(),
        snapshotter: runtime.snapshotter,
    };
    let mut store = Store {
        snapshotter: snapshots.snapshotter.clone(),
        discards,
        blobs: content::bytes(&containerd).await?,
        others: others(&containerd).await?,
        ..Store::default()
    };
    let described = described(&containerd, records).await?;
    let chains = lay_out(&mut store, described);
    blobs(&containerd, ask.depth, &mut store.layers).await?;
    unpacked::look(&snapshots, ask.depth, &chains, &mut store).await?;
    Ok(Some(store))
}

/// Returns the records of the namespaces that are not the CRI's. One that goes meanwhile has none.
async fn others(containerd: &Containerd) -> Result<BTreeMap<String, Vec<(String, String)>>, Error> {
    let mut others = BTreeMap::new();
    for name in namespaces::list(containerd).await? {
        let Some(there) = containerd.in_namespace(&name).filter(|_| name != NAMESPACE) else {
            continue;
        };
        let records = images::list(&there).await?.into_iter().take(IMAGES);
        let records = records.map(|(name, target)| (name, target.digest));
        others.insert(name, records.collect());
    }
    Ok(others)
}

/// Reads what the names stand for, each target once.
async fn described(
    containerd: &Containerd,
    records: Vec<(String, super::proto::types::Descriptor)>,
) -> Result<Vec<Described>, Error> {
    let mut targets: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (name, target) in records {
        targets.entry(target.digest).or_default().push(name);
    }
    let reads = targets.into_iter().take(IMAGES).map(|(target, mut names)| {
        names.sort();
        document::describe(containerd.clone(), target, names).boxed()
    });
    stream::iter(reads).buffered(PARALLEL).try_collect().await
}

/// The layers up to one, as their diff ids name them together; none where the configuration does not say.
type Chain = Option<Digest>;

/// Puts the images into the store, each layer once, and returns the chain id of each layer.
fn lay_out(store: &mut Store, described: Vec<Described>) -> Vec<Chain> {
    let mut places: BTreeMap<(String, Chain), usize> = BTreeMap::new();
    let mut chains = Vec::new();
    for Described {
        mut image,
        layers,
        diff_ids,
    } in described
    {
        let known = diff_ids.len() == layers.len();
        let ids: Vec<Chain> = if known {
            chain_ids(diff_ids).into_iter().map(Some).collect()
        } else {
            vec![None; layers.len()]
        };
        for ((digest, size), chain) in layers.into_iter().zip(ids) {
            let place = *places.entry((digest.clone(), chain)).or_insert_with(|| {
                store.layers.push(StoredLayer {
                    digest,
                    size,
                    snapshot: SnapshotState::Gone,
                    ..StoredLayer::default()
                });
                chains.push(chain);
                store.layers.len() - 1
            });
            image.layers.push(place);
        }
        store.images.push(image);
    }
    chains
}

/// Reads the blobs of the layers, each once.
async fn blobs(containerd: &Containerd, depth: StoreDepth, layers: &mut [StoredLayer]) -> Result<(), Error> {
    let sizes: BTreeMap<String, u64> = layers
        .iter()
        .map(|layer| (layer.digest.clone(), layer.size))
        .collect();
    // Boxed, and with a connection of their own: a future over borrowed items is one that no task can take.
    let reads = sizes
        .into_iter()
        .map(|(digest, size)| blob(containerd.clone(), depth, digest, size).boxed());
    let states: BTreeMap<String, BlobState> = stream::iter(reads).buffered(PARALLEL).try_collect().await?;
    for layer in layers {
        layer.blob = states.get(&layer.digest).copied().unwrap_or_default();
    }
    Ok(())
}

async fn blob(
    containerd: Containerd,
    depth: StoreDepth,
    name: String,
    size: u64,
) -> Result<(String, BlobState), Error> {
    // Another algorithm than the one that every registry uses.
    let Ok(digest) = name.parse::<Digest>() else {
        return Ok((name, BlobState::Spoilt));
    };
    let state = match depth {
        StoreDepth::Ends => ends(&containerd, digest, size).await?,
        StoreDepth::Hashes => hashed(&containerd, digest, size).await?,
    };
    Ok((name, state))
}

/// Reads the first and the last byte of a blob.
async fn ends(containerd: &Containerd, digest: Digest, size: u64) -> Result<BlobState, Error> {
    for offset in [0, size.saturating_sub(1)] {
        let part = Part { offset, size: 1 };
        let found = hash(containerd, digest, part).await;
        match (state(&found), found) {
            (Some(BlobState::Whole), Ok((_, 0))) if size > 0 => return Ok(BlobState::Cut),
            (Some(BlobState::Whole), _) => {}
            (Some(other), _) => return Ok(other),
            (None, found) => return found.map(|_| BlobState::Whole),
        }
    }
    Ok(BlobState::Whole)
}

/// Reads all of a blob.
async fn hashed(containerd: &Containerd, digest: Digest, size: u64) -> Result<BlobState, Error> {
    let found = hash(containerd, digest, Part::WHOLE).await;
    match (state(&found), found) {
        (_, Ok((hash, _))) if hash == digest => Ok(BlobState::Whole),
        (_, Ok((_, bytes))) if bytes < size => Ok(BlobState::Cut),
        (_, Ok(_)) => Ok(BlobState::Spoilt),
        (Some(other), _) => Ok(other),
        (None, Err(error)) => Err(error),
    }
}

/// Reads bytes of a blob; returns their digest and how many there are.
async fn hash(containerd: &Containerd, digest: Digest, part: Part) -> Result<(Digest, u64), Error> {
    let (mut hasher, mut bytes) = (Hasher::new(), 0_u64);
    let mut parts = content::read(containerd, digest, part).await?;
    while let Some(part) = parts.next().await? {
        hasher.update(&part);
        bytes += part.len() as u64;
    }
    Ok((hasher.finish(), bytes))
}

/// Returns what an answer says of a blob; none where nobody answered, so that nothing is known of it.
fn state<T>(answer: &Result<T, Error>) -> Option<BlobState> {
    match answer {
        Ok(_) => Some(BlobState::Whole),
        Err(error) if error.has_code(Code::NotFound) => Some(BlobState::Gone),
        Err(error) if error.has_code(Code::OutOfRange) => Some(BlobState::Cut),
        Err(error @ Error::Call { .. }) if !error.is_gone() => Some(BlobState::Spoilt),
        Err(_) => None,
    }
}

/// Reads a document and returns its bytes, or how it is instead.
async fn document(containerd: &Containerd, digest: &str) -> Result<Result<Vec<u8>, BlobState>, Error> {
    let Ok(digest) = digest.parse::<Digest>() else {
        return Ok(Err(BlobState::Spoilt));
    };
    let blob = crate::protocol::Blob { digest, size: 0 };
    let read = content::document(containerd, blob).await;
    match (state(&read), read) {
        (_, Ok(bytes)) if Digest::of(&bytes) == digest => Ok(Ok(bytes)),
        (_, Ok(_)) => Ok(Err(BlobState::Spoilt)),
        (Some(state), Err(_)) => Ok(Err(state)),
        (None, Err(error)) => Err(error),
    }
}

impl StoredImage {
    /// Returns an image of which only the names are known.
    fn named(target: String, names: Vec<String>) -> Self {
        Self {
            target,
            names,
            ..Self::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_layer_that_two_images_share_stands_there_once() {
        let image = |name: &str, tops: &[&str]| Described {
            image: StoredImage::named(name.to_owned(), vec![name.to_owned()]),
            layers: tops.iter().map(|top| (Digest::of(top).to_string(), 7)).collect(),
            diff_ids: tops.iter().map(Digest::of).collect(),
        };
        let mut store = Store::default();
        let described = vec![
            image("a", &["base", "a"]),
            image("b", &["base", "b"]),
            image("c", &["a"]),
        ];
        let chains = lay_out(&mut store, described);
        let places: Vec<&[usize]> = store.images.iter().map(|image| &*image.layers).collect();
        // The blob of `a` at the bottom is another layer than the same one above the base.
        assert_eq!(places, [&[0, 1][..], &[0, 2], &[3]]);
        assert_eq!((chains.len(), chains[0]), (4, Some(Digest::of("base"))));
    }

    #[test]
    fn a_configuration_that_does_not_say_its_layers_has_no_chain() {
        let described = Described {
            image: StoredImage::default(),
            layers: vec![(Digest::of("a").to_string(), 7)],
            diff_ids: Vec::new(),
        };
        assert_eq!(lay_out(&mut Store::default(), vec![described]), [None]);
    }
}
