//! Images out of files: docker save tars, OCI archives and OCI layouts, plain or in gzip or zstd.
//!
//! An archive is read once from front to back; each of its files goes into the cache under its hash while it is read,
//! because a compressed tar cannot be read twice cheaply and the order of its files is anybody's.

mod docker;
mod layout;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};

use bundle::Digest;

use crate::cache::{Cache, CacheError};
use crate::reference::Reference;

const GZIP: &[u8] = &[0x1f, 0x8b];
const ZSTD: &[u8] = &[0x28, 0xb5, 0x2f, 0xfd];
const BUFFER: usize = 1 << 20;
/// manifest.json and index.json are at most this long.
const INDEX_LIMIT: u64 = 16 << 20;

/// An image that an archive holds; all its blobs that were there are in the cache.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ArchiveImage {
    /// The names that the archive gives it: full references, or bare tags.
    pub(crate) names: Vec<String>,
    pub(crate) media_type: String,
    pub(crate) digest: Digest,
    pub(crate) size: u64,
}

/// An archive that gives no image.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ArchiveError {
    #[error("cannot read {}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("{} is neither a docker save tar nor an OCI archive nor an OCI layout: {reason}", path.display())]
    Foreign { path: PathBuf, reason: String },
    #[error("{}: {name} cannot be understood", path.display())]
    Json {
        path: PathBuf,
        name: &'static str,
        source: serde_json::Error,
    },
    #[error("{}: {name} is missing in it", path.display())]
    Missing { path: PathBuf, name: String },
    #[error("{}: {name} has {found}", path.display())]
    Mismatch {
        path: PathBuf,
        name: String,
        found: Digest,
    },
    #[error("{} has no image {wanted}: {found}", path.display())]
    NotInside {
        path: PathBuf,
        wanted: String,
        found: String,
    },
    #[error("cannot keep {} in the cache", path.display())]
    Cache { path: PathBuf, source: CacheError },
}

/// The files of an archive that are in the cache now: their digest and length, by path.
struct Contents {
    path: PathBuf,
    files: BTreeMap<String, (Digest, u64)>,
    /// Links inside the archive, as docker save writes them for layers that images share.
    links: BTreeMap<String, String>,
}

/// Takes everything of an archive into the cache and returns its images. Blocks.
pub(crate) fn import(path: &Path, cache: &Cache) -> Result<Vec<ArchiveImage>, ArchiveError> {
    let contents = if path.is_dir() {
        read_layout(path, cache)?
    } else {
        read_tar(path, cache)?
    };
    if contents.files.contains_key("index.json") {
        return layout::images(&contents, cache);
    }
    if contents.files.contains_key("manifest.json") {
        return docker::images(&contents, cache);
    }
    Err(ArchiveError::Foreign {
        path: path.to_owned(),
        reason: "it has neither index.json nor manifest.json".to_owned(),
    })
}

/// Returns the image that is meant: the one of that name, or the only one.
pub(crate) fn select<'a>(
    path: &Path,
    images: &'a [ArchiveImage],
    wanted: &Reference,
) -> Result<&'a ArchiveImage, ArchiveError> {
    let is_meant = |name: &String| {
        name.parse::<Reference>()
            .is_ok_and(|name| name.name() == wanted.name())
            || wanted.tag().is_some_and(|tag| tag == name)
    };
    let exact = images.iter().find(|image| image.names.iter().any(is_meant));
    let by_digest = images.iter().find(|image| wanted.digest() == Some(image.digest));
    match (exact.or(by_digest), images) {
        (Some(image), _) | (None, [image]) => Ok(image),
        (None, _) => {
            let names: Vec<&str> = images
                .iter()
                .flat_map(|image| &image.names)
                .map(String::as_str)
                .collect();
            Err(ArchiveError::NotInside {
                path: path.to_owned(),
                wanted: wanted.to_string(),
                found: if names.is_empty() {
                    "it names none".to_owned()
                } else {
                    format!("it has {}", names.join(", "))
                },
            })
        }
    }
}

impl Contents {
    fn new(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            files: BTreeMap::new(),
            links: BTreeMap::new(),
        }
    }

    /// Returns a file's digest and length, following links inside the archive.
    fn file(&self, name: &str) -> Result<(Digest, u64), ArchiveError> {
        let mut at = name.to_owned();
        // A chain of links longer than this is a circle.
        for _ in 0..16 {
            if let Some(file) = self.files.get(&at) {
                return Ok(*file);
            }
            match self.links.get(&at) {
                Some(next) => at.clone_from(next),
                None => break,
            }
        }
        Err(ArchiveError::Missing {
            path: self.path.clone(),
            name: name.to_owned(),
        })
    }

    /// Reads a small file back from the cache.
    fn read(&self, cache: &Cache, name: &str, limit: u64) -> Result<Vec<u8>, ArchiveError> {
        let (digest, _) = self.file(name)?;
        cache.read(&digest, limit).ok_or_else(|| ArchiveError::Foreign {
            path: self.path.clone(),
            reason: format!("{name} is longer than {limit} bytes"),
        })
    }

    /// Copies one file into the cache, unless it is there under the digest that its name gives.
    fn add(
        &mut self,
        cache: &Cache,
        name: String,
        size: u64,
        data: &mut dyn Read,
    ) -> Result<(), ArchiveError> {
        let named = name
            .strip_prefix("blobs/sha256/")
            .and_then(|hex| Digest::from_hex(hex).ok());
        if let Some(digest) = named.filter(|digest| cache.has(digest, size)) {
            self.files.insert(name, (digest, size));
            return Ok(());
        }
        let cached = |source| ArchiveError::Cache {
            path: self.path.clone(),
            source,
        };
        let mut incoming = cache.incoming().map_err(cached)?;
        let mut buffer = vec![0; BUFFER];
        loop {
            let count = data.read(&mut buffer).map_err(|source| ArchiveError::Read {
                path: self.path.join(&name),
                source,
            })?;
            if count == 0 {
                break;
            }
            incoming.write(&buffer[..count]).map_err(cached)?;
        }
        let kept = incoming.keep().map_err(cached)?;
        if named.is_some_and(|digest| digest != kept.0) {
            return Err(ArchiveError::Mismatch {
                path: self.path.clone(),
                name,
                found: kept.0,
            });
        }
        self.files.insert(name, kept);
        Ok(())
    }
}

fn read_layout(path: &Path, cache: &Cache) -> Result<Contents, ArchiveError> {
    let mut contents = Contents::new(path);
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| ArchiveError::Read { path, source }
    };
    let mut names = vec!["index.json".to_owned()];
    let blobs = path.join("blobs/sha256");
    for entry in fs::read_dir(&blobs).map_err(failed(&blobs))? {
        let name = entry.map_err(failed(&blobs))?.file_name();
        names.extend(name.to_str().map(|name| format!("blobs/sha256/{name}")));
    }
    for name in names {
        let at = path.join(&name);
        let mut file = File::open(&at).map_err(failed(&at))?;
        let size = file.metadata().map_err(failed(&at))?.len();
        contents.add(cache, name, size, &mut file)?;
    }
    Ok(contents)
}

fn read_tar(path: &Path, cache: &Cache) -> Result<Contents, ArchiveError> {
    let failed = |source| ArchiveError::Read {
        path: path.to_owned(),
        source,
    };
    let mut contents = Contents::new(path);
    let mut archive = tar::Archive::new(open(path)?);
    for entry in archive.entries().map_err(failed)? {
        let mut entry = entry.map_err(failed)?;
        let name = normal(&String::from_utf8_lossy(&entry.path_bytes()), "");
        let kind = entry.header().entry_type();
        if kind.is_file() || kind.is_contiguous() {
            let size = entry.size();
            contents.add(cache, name, size, &mut entry)?;
        } else if let Some(target) = entry
            .link_name_bytes()
            .filter(|_| kind.is_symlink() || kind.is_hard_link())
        {
            let target = String::from_utf8_lossy(&target).into_owned();
            let directory = if kind.is_symlink() {
                name.rsplit_once('/').map_or("", |(directory, _)| directory)
            } else {
                ""
            };
            let target = normal(&target, directory);
            contents.links.insert(name, target);
        }
    }
    Ok(contents)
}

/// Returns a name inside an archive without `.` and `..`, as seen from `directory`.
fn normal(name: &str, directory: &str) -> String {
    let mut parts: Vec<&str> = directory.split('/').filter(|part| !part.is_empty()).collect();
    for part in name.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    parts.join("/")
}

/// Opens a file through the decompressor that its first bytes ask for.
fn open(path: &Path) -> Result<Box<dyn Read>, ArchiveError> {
    let failed = |source| ArchiveError::Read {
        path: path.to_owned(),
        source,
    };
    let mut file = File::open(path).map_err(failed)?;
    let mut head = Vec::new();
    file.by_ref().take(6).read_to_end(&mut head).map_err(failed)?;
    io::Seek::rewind(&mut file).map_err(failed)?;
    let file = BufReader::with_capacity(BUFFER, file);
    match head.as_slice() {
        head if head.starts_with(GZIP) => Ok(Box::new(BufReader::with_capacity(
            BUFFER,
            flate2::bufread::MultiGzDecoder::new(file),
        ))),
        head if head.starts_with(ZSTD) => Ok(Box::new(zstd::Decoder::with_buffer(file).map_err(failed)?)),
        head if head.starts_with(b"\xfd7zXZ") || head.starts_with(b"BZh") => Err(ArchiveError::Foreign {
            path: path.to_owned(),
            reason: "it is compressed by xz or bzip2: decompress it first".to_owned(),
        }),
        _ => Ok(Box::new(file)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_inside_an_archive_cannot_leave_it() {
        assert_eq!(normal("./a/b", ""), "a/b");
        assert_eq!(normal("../x/layer.tar", "y"), "x/layer.tar");
        assert_eq!(normal("../../../etc/passwd", "y"), "etc/passwd");
    }

    #[test]
    fn the_named_image_or_the_only_one_is_taken() {
        let image = |name: &str| ArchiveImage {
            names: vec![name.to_owned()],
            media_type: String::new(),
            digest: Digest::of(name),
            size: 1,
        };
        let path = Path::new("a.tar");
        let wanted: Reference = "busybox:1".parse().unwrap();
        let two = [image("docker.io/library/busybox:1"), image("redis:7")];
        assert_eq!(select(path, &two, &wanted).unwrap(), &two[0]);
        assert_eq!(select(path, &two[1..], &wanted).unwrap(), &two[1]);
        let others = [image("redis:7"), image("redis:8")];
        let error = select(path, &others, &wanted).unwrap_err().to_string();
        assert_eq!(
            error,
            "a.tar has no image docker.io/library/busybox:1: it has redis:7, redis:8"
        );
        assert_eq!(
            select(path, &[image("1"), image("2")], &wanted).unwrap().names,
            ["1"]
        );
    }
}
