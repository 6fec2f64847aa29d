//! What images take on a disk: layers that several share are there once.

use std::collections::{BTreeMap, BTreeSet};

use bytesize::ByteSize;

use crate::protocol::{BlobState, Store, StoredImage};

/// Returns a number of bytes as people read it.
pub(crate) fn bytes(count: u64) -> String {
    ByteSize(count).display().iec().to_string()
}

/// Bytes of an image.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sizes {
    /// Its blobs.
    pub(crate) blobs: u64,
    /// Its unpacked layers.
    pub(crate) snapshots: u64,
    /// What no other image shares.
    pub(crate) own: u64,
}

/// Returns what an image takes.
pub(crate) fn sizes(store: &Store, image: usize) -> Sizes {
    let Some(found) = store.images.get(image) else {
        return Sizes::default();
    };
    let layers = || found.layers.iter().filter_map(|place| store.layers.get(*place));
    // A blob may stand in an image twice.
    let blobs: BTreeMap<&str, u64> = layers()
        .filter(|layer| layer.blob != BlobState::Gone)
        .map(|layer| (layer.digest.as_str(), layer.size))
        .collect();
    Sizes {
        blobs: found.documents + blobs.values().sum::<u64>(),
        snapshots: layers().map(|layer| layer.unpacked).sum(),
        own: freed(store, &BTreeSet::from([image])),
    }
}

/// Returns how many bytes removing some of the images would free.
pub(crate) fn freed(store: &Store, removed: &BTreeSet<usize>) -> u64 {
    let kept = |place: &usize| !removed.contains(place);
    let kept: Vec<&StoredImage> = (0..store.images.len())
        .filter(kept)
        .map(|place| &store.images[place])
        .collect();
    let kept_layers: BTreeSet<usize> = kept.iter().flat_map(|image| &image.layers).copied().collect();
    let kept_blobs: BTreeSet<&str> = kept_layers
        .iter()
        .filter_map(|place| Some(store.layers.get(*place)?.digest.as_str()))
        .collect();
    let kept_documents: BTreeSet<&str> = kept.iter().filter_map(|image| image.id.as_deref()).collect();
    let gone = removed.iter().filter_map(|place| store.images.get(*place));
    let (mut documents, mut snapshots, mut blobs) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
    for image in gone {
        let id = image.id.as_deref().unwrap_or(&image.target);
        if !kept_documents.contains(id) {
            documents.insert(id, image.documents);
        }
        for place in &image.layers {
            let Some(layer) = store.layers.get(*place) else {
                continue;
            };
            if !kept_layers.contains(place) {
                snapshots.insert(*place, layer.unpacked);
            }
            if !kept_blobs.contains(layer.digest.as_str()) && layer.blob != BlobState::Gone {
                blobs.insert(layer.digest.as_str(), layer.size);
            }
        }
    }
    let sums = [
        documents.values().sum::<u64>(),
        snapshots.values().sum(),
        blobs.values().sum(),
    ];
    sums.into_iter().fold(0, u64::saturating_add)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::StoredLayer;

    fn store() -> Store {
        let layer = |name: &str, size| StoredLayer {
            digest: name.to_owned(),
            size,
            unpacked: size * 3,
            ..StoredLayer::default()
        };
        let image = |name: &str, layers: &[usize]| StoredImage {
            target: name.to_owned(),
            id: Some(name.to_owned()),
            documents: 1,
            layers: layers.to_vec(),
            ..StoredImage::default()
        };
        Store {
            images: vec![image("a", &[0, 1]), image("b", &[0, 2]), image("c", &[0, 2])],
            layers: vec![layer("base", 1000), layer("a", 100), layer("b", 10)],
            ..Store::default()
        }
    }

    #[test]
    fn a_shared_layer_counts_for_each_image_and_is_freed_with_the_last() {
        let store = store();
        let found = sizes(&store, 0);
        assert_eq!((found.blobs, found.snapshots, found.own), (1101, 3300, 401));
        assert_eq!(sizes(&store, 1).own, 1, "another image has the same layers");
        assert_eq!(freed(&store, &BTreeSet::from([1, 2])), 42);
        assert_eq!(freed(&store, &BTreeSet::from([0, 1, 2])), 3 + 4 * 1110);
        assert_eq!(freed(&store, &BTreeSet::new()), 0);
    }
}
