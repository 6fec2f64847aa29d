//! `build --deep`: every layer is unpacked in memory before it is packed, and must be what its image says.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read as _;
use std::sync::atomic::Ordering;

use bundle::{Digest, Hasher, LayerProof, MemberPath};
use cli::Progress;
use futures::{StreamExt as _, TryStreamExt as _};

use crate::cache::Cache;
use crate::error::Reason;
use crate::plan::total;
use crate::resolved::{ResolvedImage, ResolvedLayer};
use crate::seal::Stop;

/// So many layers are unpacked at the same time.
const AT_ONCE: usize = 2;
const BUFFER: usize = 1 << 20;

/// A layer and an image that has it.
type Wanted = (ResolvedLayer, String);

/// Proves all layers, which the cache must have; returns how long each is when unpacked.
pub(crate) async fn layers(
    images: &[ResolvedImage],
    cache: &Cache,
    (progress, stop): (&Progress, &Stop),
) -> Result<BTreeMap<Digest, u64>, Reason> {
    let mut wanted: BTreeMap<(Digest, Digest), Wanted> = BTreeMap::new();
    for image in images {
        for layer in image.platforms.iter().flat_map(|platform| &platform.layers) {
            let entry = wanted.entry((layer.blob.digest, layer.diff_id));
            entry.or_insert_with(|| (*layer, image.name.clone()));
        }
    }
    progress.begin(
        "unpacking",
        total(wanted.values().map(|(layer, _)| layer.blob.size)),
    );
    let proven = futures::stream::iter(wanted.into_values())
        .map(|wanted| {
            let (cache, progress, stop) = (cache.clone(), progress.clone(), Stop::clone(stop));
            let work = tokio::task::spawn_blocking(move || one(&wanted, &cache, &progress, &stop));
            async { work.await.map_err(|source| Reason::Worker { source })? }
        })
        .buffer_unordered(AT_ONCE)
        .try_collect()
        .await?;
    progress.end();
    Ok(proven)
}

fn one(
    (layer, image): &Wanted,
    cache: &Cache,
    progress: &Progress,
    stop: &Stop,
) -> Result<(Digest, u64), Reason> {
    let digest = layer.blob.digest;
    let path = cache.path(&digest);
    let mut file = File::open(&path).map_err(Reason::read(&path))?;
    let (mut proof, mut hasher) = (LayerProof::new(), Hasher::new());
    let mut buffer = vec![0; BUFFER];
    loop {
        if stop.load(Ordering::Relaxed) {
            return Err(Reason::Interrupted);
        }
        match file.read(&mut buffer).map_err(Reason::read(&path))? {
            0 => break,
            count => {
                hasher.update(&buffer[..count]);
                proof.update(&buffer[..count]);
                progress.add(count as u64);
            }
        }
    }
    if hasher.finish() != digest {
        // Not the image's fault: the disk's, or another program's.
        cache.recheck(&digest);
        return Err(Reason::Damaged {
            member: MemberPath::blob(&digest),
        });
    }
    let unpacked = proof.finish().map_err(|source| Reason::Layer {
        image: image.clone(),
        digest,
        source,
    })?;
    if unpacked.diff_id != layer.diff_id {
        return Err(Reason::DiffId {
            image: image.clone(),
            digest,
            expected: layer.diff_id,
            found: unpacked.diff_id,
        });
    }
    Ok((digest, unpacked.size))
}
