//! `build --deep`: every layer is unpacked in memory while it comes, and must be what its images say.

use std::collections::BTreeMap;
use std::io;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::{self, JoinHandle};

use bundle::{Digest, LayerError, LayerProof, Unpacking};

use crate::error::Reason;
use crate::resolved::{ResolvedImage, ResolvedLayer};

/// So many pieces may wait, each of at most a MiB.
const WAITING: usize = 2;

/// A thread that unpacks a layer and keeps nothing of it.
pub(crate) struct Proof {
    bytes: SyncSender<Vec<u8>>,
    thread: JoinHandle<Result<Unpacking, LayerError>>,
}

impl Proof {
    pub(crate) fn start() -> io::Result<Self> {
        let (bytes, pieces) = sync_channel::<Vec<u8>>(WAITING);
        let prove = move || {
            let mut proof = LayerProof::new();
            for piece in pieces {
                proof.update(&piece);
            }
            proof.finish()
        };
        let thread = thread::Builder::new().name("prove".to_owned()).spawn(prove)?;
        Ok(Self { bytes, thread })
    }

    /// Takes in the next bytes, and waits while too many wait already.
    pub(crate) fn update(&self, bytes: &[u8]) {
        // A thread that is gone has panicked: `finish` says so.
        let _ = self.bytes.send(bytes.to_vec());
    }

    /// Returns what the whole layer unpacks to.
    pub(crate) fn finish(self) -> Result<Unpacking, LayerError> {
        drop(self.bytes);
        self.thread.join().unwrap_or_else(|_| {
            Err(LayerError::Compressed {
                reason: "the unpacking thread panicked".to_owned(),
            })
        })
    }
}

/// What the images say of their layers.
pub(crate) struct Claims(BTreeMap<Digest, Vec<(ResolvedLayer, String)>>);

impl Claims {
    pub(crate) fn of(images: &[ResolvedImage]) -> Self {
        let mut claims: BTreeMap<Digest, Vec<(ResolvedLayer, String)>> = BTreeMap::new();
        for image in images {
            for layer in image.platforms.iter().flat_map(|platform| &platform.layers) {
                let of_layer = claims.entry(layer.blob.digest).or_default();
                of_layer.push((*layer, image.name.clone()));
            }
        }
        Self(claims)
    }

    /// Returns whether a blob is a layer.
    pub(crate) fn is_layer(&self, digest: &Digest) -> bool {
        self.0.contains_key(digest)
    }

    /// Holds what was proven of a layer against what its images say; returns its unpacked length.
    pub(crate) fn judge(&self, digest: Digest, proven: Result<Unpacking, LayerError>) -> Result<u64, Reason> {
        let claims = self.0.get(&digest).map(Vec::as_slice).unwrap_or_default();
        let unpacked = proven.map_err(|source| Reason::Layer {
            image: claims.first().map(|(_, image)| image.clone()).unwrap_or_default(),
            digest,
            source,
        })?;
        match claims.iter().find(|(layer, _)| layer.diff_id != unpacked.diff_id) {
            None => Ok(unpacked.size),
            Some((layer, image)) => Err(Reason::DiffId {
                image: image.clone(),
                digest,
                expected: layer.diff_id,
                found: unpacked.diff_id,
            }),
        }
    }
}
