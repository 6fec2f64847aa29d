//! Blobs from registries into the cache: several at once, bounded, with progress.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};

use bundle::Digest;
use cli::Progress;
use futures::{StreamExt as _, TryStreamExt as _};

use crate::cache::Cache;
use crate::error::Reason;
use crate::plan::Pull;
use crate::registry::Registries;
use crate::sink::Sink;

/// So many blobs are pulled at the same time.
const AT_ONCE: usize = 4;

/// What pulling did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Pulled {
    pub(crate) blobs: BTreeSet<Digest>,
    /// Their bytes, with those that an earlier, unfinished build had pulled.
    pub(crate) bytes: u64,
}

/// Pulls what the cache lacks.
pub(crate) async fn pull(
    pulls: Vec<Pull>,
    registries: &Registries,
    cache: &Cache,
    progress: &Progress,
) -> Result<Pulled, Reason> {
    let missing: Vec<Pull> = pulls
        .into_iter()
        .filter(|pull| !cache.has(&pull.blob.digest, pull.blob.size))
        .collect();
    if missing.is_empty() {
        return Ok(Pulled::default());
    }
    progress.begin("pulling", missing.iter().map(|pull| pull.blob.size).sum());
    let bytes = AtomicU64::new(0);
    let blobs = missing.iter().map(|pull| pull.blob.digest).collect();
    futures::stream::iter(missing)
        .map(|pull| one(pull, registries, cache, progress, &bytes))
        .buffer_unordered(AT_ONCE)
        .try_collect::<()>()
        .await?;
    progress.end();
    Ok(Pulled {
        blobs,
        bytes: bytes.load(Ordering::Relaxed),
    })
}

async fn one(
    pull: Pull,
    registries: &Registries,
    cache: &Cache,
    progress: &Progress,
    total: &AtomicU64,
) -> Result<(), Reason> {
    let Some(from) = pull.from else {
        return Err(Reason::Incomplete {
            image: pull.image,
            missing: pull.blob.digest.to_string(),
        });
    };
    let blob = (pull.blob.digest, pull.blob.size);
    let item = progress.item(&title(&pull.image, &pull.blob.digest.hex()), pull.blob.size);
    let arrived = |count| {
        item.add(count);
        total.fetch_add(count, Ordering::Relaxed);
    };
    let mut sink = Sink::open(cache, blob, arrived).await?;
    registries.blob(&from, blob, &mut sink).await?;
    Ok(())
}

/// Returns a bar's title: the image's last words and the blob's first digits.
fn title(image: &str, hex: &str) -> String {
    let short = image.rsplit('/').next().unwrap_or(image);
    format!("{} {short}", &hex[..12])
}
