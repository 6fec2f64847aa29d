//! How long the layers are when unpacked, asked before the archive is laid out, since its index says it and comes first. A
//! registry is asked for an end of each layer; what it told is held against the layer itself once that is there.

use std::collections::BTreeMap;

use bundle::{Digest, MemberPath};
use futures::{StreamExt as _, TryStreamExt as _};

use crate::canvas::Canvas;
use crate::error::Reason;
use crate::estimate::{self, HEAD_OF_BLOB, Head, TAIL};
use crate::plan::Pull;
use crate::registry::Registries;
use crate::resolved::{LayerForm, ResolvedLayer};
use crate::source::{Holder, Sources};
use crate::workshop::WorkshopError;

/// So many layers are asked for at the same time.
const AT_ONCE: usize = 8;

/// What is told of a layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Told {
    /// Its length, or that it does not say it.
    Known(Option<u64>),
    /// Nobody would tell: it has no length in this bundle.
    Nobody,
}

/// What is told of all layers.
pub(crate) type Unpacked = BTreeMap<Digest, Told>;

/// Returns the lengths for the index; a layer whose length is not known is left out.
pub(crate) fn lengths(unpacked: &Unpacked) -> BTreeMap<Digest, u64> {
    let known = unpacked.iter().filter_map(|(digest, told)| match told {
        Told::Known(length) => Some((*digest, (*length)?)),
        Told::Nobody => None,
    });
    known.collect()
}

/// Asks for the lengths of all layers.
pub(crate) async fn ask(
    layers: &BTreeMap<Digest, ResolvedLayer>,
    pulls: &BTreeMap<Digest, Pull>,
    sources: &Sources<'_>,
    registries: &Registries,
) -> Result<Unpacked, Reason> {
    futures::stream::iter(layers)
        .map(|(digest, layer)| async {
            let told = match here(layer, sources)? {
                Some(told) => told,
                None => match pulls.get(digest) {
                    Some(pull) => there(layer, pull, registries).await?,
                    None => Told::Nobody,
                },
            };
            Ok((*digest, told))
        })
        .buffer_unordered(AT_ONCE)
        .try_collect()
        .await
}

/// Looks at the first file that has a layer; none where none has it.
fn here(layer: &ResolvedLayer, sources: &Sources<'_>) -> Result<Option<Told>, Reason> {
    let spans = sources.spans(layer.blob).into_iter();
    let mut spans = spans.filter(|span| span.size == layer.blob.size && span.holder != Holder::Begun);
    let Some(span) = spans.next() else {
        return Ok(None);
    };
    let told = span
        .open()
        .and_then(|file| estimate::of_span(&file, span.start, span.size));
    match told {
        Ok(length) => Ok(Some(Told::Known(length))),
        // Another build has just removed it.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        // Left out, it would be another archive of the same spec, silently.
        Err(source) => Err(Reason::Read {
            path: span.path,
            source,
        }),
    }
}

/// Asks a registry.
async fn there(layer: &ResolvedLayer, pull: &Pull, registries: &Registries) -> Result<Told, Reason> {
    let Some(from) = &pull.from else {
        return Ok(Told::Nobody);
    };
    let blob = (layer.blob.digest, layer.blob.size);
    match layer.form {
        LayerForm::Plain => return Ok(Told::Known(Some(layer.blob.size))),
        LayerForm::Gzip => {}
        LayerForm::Zstd | LayerForm::Unknown => {
            let Some(head) = registries.end(from, blob, HEAD_OF_BLOB).await? else {
                return Ok(Told::Nobody);
            };
            if let Head::Told(length) = estimate::of_head(&head, layer.blob.size) {
                return Ok(Told::Known(length));
            }
        }
    }
    let tail = registries.end(from, blob, TAIL).await?;
    let tail: Option<[u8; 4]> = tail.and_then(|tail| tail.try_into().ok());
    Ok(tail.map_or(Told::Nobody, |tail| {
        Told::Known(estimate::of_tail(tail, layer.blob.size))
    }))
}

/// Holds what was told against the layers themselves, all of which are there; returns where it was something else.
/// `proven`: what they unpack to, where that was tried: an estimate that turned out to be wrong is worse than none.
pub(crate) fn check(
    unpacked: &Unpacked,
    canvas: &Canvas,
    proven: Option<&BTreeMap<Digest, u64>>,
) -> Result<Unpacked, WorkshopError> {
    let places = canvas.places();
    let positions: BTreeMap<&MemberPath, usize> = places
        .index()
        .members
        .iter()
        .enumerate()
        .map(|(at, member)| (&member.path, at))
        .collect();
    let mut other = Unpacked::new();
    for (digest, told) in unpacked {
        let Some(at) = positions.get(&MemberPath::blob(digest)) else {
            continue;
        };
        let size = places.index().members[*at].size;
        let length = estimate::of_span(canvas.file(), places.start(*at), size);
        let mut length = length.map_err(WorkshopError::io("read", canvas.path()))?;
        if let Some(proven) = proven {
            length = length.filter(|length| proven.get(digest) == Some(length));
        }
        if *told != Told::Nobody && *told != Told::Known(length) {
            other.insert(*digest, Told::Known(length));
        }
    }
    Ok(other)
}
