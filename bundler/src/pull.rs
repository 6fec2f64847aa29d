//! Blobs from registries into the cache: several at once, bounded, with progress.

use std::sync::atomic::{AtomicU64, Ordering};

use cli::Progress;
use futures::{StreamExt as _, TryStreamExt as _};

use crate::cache::{Cache, Held};
use crate::error::Reason;
use crate::image::ImageError;
use crate::plan::{Pull, total};
use crate::registry::{BlobError, Registries, RegistryError};
use crate::sink::Sink;

/// So many blobs are pulled at the same time.
const AT_ONCE: usize = 4;

/// What pulling did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Pulled {
    pub(crate) blobs: usize,
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
    let mut missing: Vec<Pull> = Vec::new();
    for pull in pulls {
        match cache.look(&pull.blob.digest, pull.blob.size) {
            Held::Yes => {}
            Held::No => missing.push(pull),
            Held::OtherLength(found) => return Err(wrong_length(pull, found)),
        }
    }
    if missing.is_empty() {
        return Ok(Pulled::default());
    }
    progress.begin("pulling", total(missing.iter().map(|pull| pull.blob.size)));
    let bytes = AtomicU64::new(0);
    let blobs = missing.len();
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
    let Some(from) = pull.from.as_ref() else {
        return Err(absent(&pull));
    };
    let blob = (pull.blob.digest, pull.blob.size);
    let item = progress.item(&title(&pull.image, &pull.blob.digest.hex()), pull.blob.size);
    let arrived = |count| {
        item.add(count);
        total.fetch_add(count, Ordering::Relaxed);
    };
    let mut sink = Sink::open(cache, blob, arrived).await?;
    match registries.blob(from, blob, &mut sink).await {
        Err(BlobError::Registry(RegistryError::NotFound { .. })) if pull.nondistributable => {
            Err(absent(&pull))
        }
        done => Ok(done?),
    }
}

/// Says that a manifest gives a blob another length than it has.
fn wrong_length(pull: Pull, found: u64) -> Reason {
    Reason::Image {
        image: pull.image,
        source: ImageError::Size {
            digest: pull.blob.digest,
            claimed: pull.blob.size,
            found,
        },
    }
}

/// Says that a blob is nowhere: of an archive it is the archive's fault, unless nobody was allowed to put it there.
fn absent(pull: &Pull) -> Reason {
    let (image, digest) = (pull.image.clone(), pull.blob.digest);
    if pull.nondistributable {
        return Reason::Nondistributable { image, digest };
    }
    Reason::Incomplete {
        image,
        missing: digest.to_string(),
    }
}

/// Returns a bar's title: the image's last words and the blob's first digits.
fn title(image: &str, hex: &str) -> String {
    let short = image.rsplit('/').next().unwrap_or(image);
    format!("{} {short}", &hex[..12])
}
