//! `index.json` of an OCI layout: which images there are and how they are called.

use std::collections::BTreeMap;

use crate::cache::Cache;
use crate::image::{self, Descriptor, Document, OCI_INDEX};

use super::{ArchiveError, ArchiveImage, Contents, INDEX_LIMIT};

/// containerd's and Docker's annotation holds the full name, OCI's often only the tag.
const NAMES: [&str; 2] = ["io.containerd.image.name", "org.opencontainers.image.ref.name"];

pub(super) fn images(contents: &Contents, cache: &Cache) -> Result<Vec<ArchiveImage>, ArchiveError> {
    let bytes = contents.read(cache, "index.json", INDEX_LIMIT)?;
    let entries = match image::document(&bytes, Some(OCI_INDEX)) {
        Ok((_, Document::Index(entries))) => entries,
        Ok(_) => return Err(foreign(contents, "index.json is no index".to_owned())),
        Err(error) => return Err(foreign(contents, format!("index.json: {error}"))),
    };
    let named = entries.iter().any(|entry| !names(&entry.annotations).is_empty());
    let platforms = entries.len() > 1 && entries.iter().all(|entry| entry.platform.is_some());
    if platforms && !named {
        // The layout is one image of several platforms, and index.json is what stands for it.
        let (digest, size) = contents.file("index.json")?;
        let media_type = OCI_INDEX.to_owned();
        return Ok(vec![ArchiveImage {
            names: Vec::new(),
            media_type,
            digest,
            size,
        }]);
    }
    entries
        .into_iter()
        .map(|entry| archive_image(contents, entry))
        .collect()
}

fn archive_image(contents: &Contents, entry: Descriptor) -> Result<ArchiveImage, ArchiveError> {
    contents.file(&format!("blobs/sha256/{}", entry.digest.hex()))?;
    Ok(ArchiveImage {
        names: names(&entry.annotations),
        media_type: entry.media_type,
        digest: entry.digest,
        size: entry.size,
    })
}

fn names(annotations: &BTreeMap<String, String>) -> Vec<String> {
    NAMES
        .iter()
        .filter_map(|name| annotations.get(*name))
        .cloned()
        .collect()
}

fn foreign(contents: &Contents, reason: String) -> ArchiveError {
    ArchiveError::Foreign {
        path: contents.path.clone(),
        reason,
    }
}
