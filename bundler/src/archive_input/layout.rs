//! `index.json` of an OCI layout: which images there are and how they are called.

use std::collections::{BTreeMap, BTreeSet};

use bundle::Digest;

use crate::cache::Cache;
use crate::image::{self, Descriptor, Document, Entry, OCI_INDEX};

use super::files::Files;
use super::{ArchiveError, ArchiveImage, Imported, blob_path};

/// containerd's and Docker's annotation holds the full name, OCI's often only the tag.
const NAMES: [&str; 2] = ["io.containerd.image.name", "org.opencontainers.image.ref.name"];
/// Indexes lie in indexes at most so deep.
const DEPTH: usize = 8;

pub(super) fn images(files: &Files, cache: &Cache) -> Result<Imported, ArchiveError> {
    let bytes = files.document("index.json")?;
    let entries = match image::document(bytes, Some(OCI_INDEX)) {
        Ok((_, Document::Index(entries))) => entries,
        Ok(_) => return Err(files.foreign("index.json is no index".to_owned())),
        Err(image::ImageError::Syntax { source }) => {
            return Err(ArchiveError::Json {
                path: files.path.clone(),
                name: "index.json",
                source,
            });
        }
        Err(error) => return Err(files.foreign(format!("index.json: {error}"))),
    };
    let mut named = Named {
        files,
        documents: BTreeSet::new(),
        layers: BTreeSet::new(),
        seen: BTreeSet::new(),
    };
    named.all(&entries, DEPTH);
    let spans = files.take(&named.documents, &named.layers, cache)?.spans;
    if is_one_image(&entries) {
        // The layout is one image of several platforms, and index.json is what stands for it.
        let digest = cache.put(bytes).map_err(|source| ArchiveError::Cache {
            path: files.path.clone(),
            source,
        })?;
        let image = ArchiveImage {
            names: names(&entries[0].annotations),
            media_type: OCI_INDEX.to_owned(),
            digest,
            size: bytes.len() as u64,
        };
        return Ok(Imported {
            images: vec![image],
            spans,
        });
    }
    // An entry of an algorithm that nobody here knows spoils only itself.
    let readable: Vec<ArchiveImage> = entries
        .iter()
        .filter_map(|entry| archive_image(entry).ok())
        .collect();
    match entries.first().map(archive_image) {
        Some(Err(error)) if readable.is_empty() => Err(files.foreign(format!("index.json: {error}"))),
        _ => Ok(Imported {
            images: readable,
            spans,
        }),
    }
}

/// Returns whether the entries are the platforms of one image: each names one, and all have the same name or none.
fn is_one_image(entries: &[Entry]) -> bool {
    let same_name = |pair: &[Entry]| names(&pair[0].annotations) == names(&pair[1].annotations);
    entries.len() > 1
        && entries.iter().all(|entry| entry.platform().is_some())
        && entries.windows(2).all(same_name)
}

fn archive_image(entry: &Entry) -> Result<ArchiveImage, image::ImageError> {
    let descriptor = entry.descriptor("manifest")?;
    Ok(ArchiveImage {
        names: names(&entry.annotations),
        media_type: descriptor.media_type,
        digest: descriptor.digest,
        size: descriptor.size,
    })
}

fn names(annotations: &BTreeMap<String, String>) -> Vec<String> {
    NAMES
        .iter()
        .filter_map(|name| annotations.get(*name))
        .cloned()
        .collect()
}

/// The blobs that an index names, of those that are there: of an index often only one platform's are.
struct Named<'a> {
    files: &'a Files,
    documents: BTreeSet<String>,
    layers: BTreeSet<String>,
    seen: BTreeSet<Digest>,
}

impl Named<'_> {
    fn all(&mut self, entries: &[Entry], depth: usize) {
        for entry in entries {
            self.add(entry, depth);
        }
    }

    fn add(&mut self, entry: &Entry, depth: usize) {
        let Ok(descriptor) = entry.descriptor("manifest") else {
            return;
        };
        let path = blob_path(&descriptor.digest);
        if depth == 0 || !self.files.has(&path) || !self.seen.insert(descriptor.digest) {
            return;
        }
        let document = self.files.held(&path);
        let document = document.and_then(|bytes| image::document(bytes, Some(&entry.media_type)).ok());
        self.documents.insert(path);
        match document {
            Some((_, Document::Index(entries))) => {
                self.all(&entries, depth - 1);
            }
            Some((_, Document::Manifest(manifest))) => {
                let paths = |blobs: &[Descriptor]| -> Vec<String> {
                    let paths = blobs.iter().map(|blob| blob_path(&blob.digest));
                    paths.filter(|path| self.files.has(path)).collect()
                };
                let (config, layers) = (
                    paths(std::slice::from_ref(&manifest.config)),
                    paths(&manifest.layers),
                );
                self.documents.extend(config);
                self.layers.extend(layers);
            }
            None => {}
        }
    }
}
