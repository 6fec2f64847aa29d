//! The doors of `fuzz/` into this crate: a function for each parser of foreign bytes, with what must hold behind it
//! for any bytes at all. The unit test sends the seeds through, finds of earlier runs among them.

use std::fs;
use std::path::Path;

use bundle::Digest;

use crate::cache::Cache;
use crate::image::{self, Document};
use crate::{Reference, Spec, archive_input, estimate, lock, registry};

/// What takes any bytes, and panics where something does not hold.
pub type Door = fn(&[u8]);

/// The parsers by the names of their seeds' folders.
pub const TARGETS: [(&str, Door); 5] = [
    ("docker-save", docker_save),
    ("image", images),
    ("tail", tail),
    ("spec", spec),
    ("challenge", registry::fuzzing::challenge),
];

/// Archives of images: what reaches the cache has the name of its hash, and nothing reaches another place.
fn docker_save(bytes: &[u8]) {
    let directory = tempfile::tempdir_in(shared_memory()).expect("room in memory");
    let (file, root) = (
        directory.path().join("images.tar"),
        directory.path().join("cache"),
    );
    fs::write(&file, bytes).expect("room in memory");
    let cache = Cache::open(&root).expect("a cache in memory");
    let imported = archive_input::import(&file, &cache);
    for image in imported.iter().flat_map(|imported| &imported.images) {
        // It may be missing: an archive may hold a part of an index. Then it is missed where it is wanted.
        if let Some(manifest) = cache.read(&image.digest, 1 << 30) {
            assert_eq!(manifest.len() as u64, image.size, "another length than it says");
        }
    }
    for entry in fs::read_dir(root.join("blobs/sha256"))
        .into_iter()
        .flatten()
        .flatten()
    {
        let name = entry.file_name().into_string().expect("a name of hex digits");
        let bytes = fs::read(entry.path()).expect("a blob in memory");
        assert_eq!(Digest::of(bytes).hex(), name, "a blob under another name");
    }
    let outside = fs::read_dir(directory.path()).expect("it was just made").count();
    assert_eq!(outside, 2, "something was written beside the cache");
}

/// Where files cost no disk, if there is such a place.
fn shared_memory() -> std::path::PathBuf {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() {
        memory.to_owned()
    } else {
        std::env::temp_dir()
    }
}

/// Documents of registries and archives.
fn images(bytes: &[u8]) {
    for outside in [None, Some(image::OCI_INDEX), Some(image::DOCKER_MANIFEST)] {
        match image::document(bytes, outside) {
            Ok((_, Document::Index(entries))) => {
                let _ = image::choose(&entries, &"linux/arm64".parse().expect("a platform"));
                let _ = image::platforms(&entries);
            }
            Ok((_, Document::Manifest(manifest))) => {
                // The same bytes again: a document may be both.
                if let Ok(config) = image::config(bytes, &manifest) {
                    assert_eq!(config.diff_ids.len(), manifest.layers.len());
                }
            }
            Err(error) => assert!(!error.hint().is_empty()),
        }
    }
}

/// Heads and tails of compressed layers.
fn tail(bytes: &[u8]) {
    let mut file = tempfile::tempfile_in(shared_memory()).expect("room in memory");
    std::io::Write::write_all(&mut file, bytes).expect("room in memory");
    let _ = estimate::of_span(&file, 0, bytes.len() as u64);
}

/// What people write: specs, locks and references.
fn spec(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let _ = Spec::parse("bundle.yaml", text);
    let _ = lock::Lock::parse(text);
    if let Ok(reference) = text.parse::<Reference>() {
        let again: Reference = reference.to_string().parse().expect("its own text");
        assert_eq!(again, reference, "another name when it is written and read");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_must_hold_holds_for_every_seed() {
        for (name, target) in TARGETS {
            let folder = format!("{}/../fuzz/seeds/{name}", env!("CARGO_MANIFEST_DIR"));
            let seeds = fs::read_dir(&folder).unwrap().map(|seed| seed.unwrap().path());
            let seeds: Vec<_> = seeds.collect();
            assert!(!seeds.is_empty(), "{folder} is empty");
            for seed in seeds {
                target(&fs::read(seed).unwrap());
            }
        }
    }
}
