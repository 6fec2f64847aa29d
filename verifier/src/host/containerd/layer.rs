//! A layer's blob as a tar, and its paths below the directory that it was unpacked into.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Read};
use std::path::{Component, Path, PathBuf};

use flate2::bufread::MultiGzDecoder;

/// How a whiteout begins: it is no file of the layer (OCI image spec, layer.md).
const WHITEOUT: &str = ".wh.";

/// Returns the tar of a layer, however it is compressed.
pub(super) fn archive(blob: File) -> io::Result<tar::Archive<Box<dyn Read>>> {
    let mut input = BufReader::with_capacity(1 << 18, blob);
    let head = input.fill_buf()?;
    let plain: Box<dyn Read> = match head {
        [0x1f, 0x8b, ..] => Box::new(MultiGzDecoder::new(input)),
        [0x28, 0xb5, 0x2f, 0xfd, ..] => Box::new(zstd::Decoder::with_buffer(input)?),
        _ => Box::new(input),
    };
    Ok(tar::Archive::new(plain))
}

/// Returns a path below a directory; none for one that leads out of it, and for a whiteout.
pub(super) fn inside(path: &Path) -> Option<PathBuf> {
    let name = path.file_name()?.to_str();
    if name.is_some_and(|name| name.starts_with(WHITEOUT)) {
        return None;
    }
    let mut found = PathBuf::new();
    for part in path.components() {
        match part {
            Component::Normal(part) => found.push(part),
            Component::CurDir | Component::RootDir => {}
            Component::ParentDir | Component::Prefix(_) => return None,
        }
    }
    Some(found)
}

/// Tells which paths below a directory lead through no symlink.
pub(super) struct Straight<'a> {
    directory: &'a Path,
    known: BTreeSet<PathBuf>,
}

impl<'a> Straight<'a> {
    pub(super) const fn below(directory: &'a Path) -> Self {
        Self {
            directory,
            known: BTreeSet::new(),
        }
    }

    /// Returns whether no directory on the way to a path is a symlink.
    pub(super) fn leads_to(&mut self, path: &Path) -> bool {
        path.ancestors().skip(1).all(|parent| {
            if parent.as_os_str().is_empty() || self.known.contains(parent) {
                return true;
            }
            let is_link = self.directory.join(parent).is_symlink();
            if !is_link {
                self.known.insert(parent.to_owned());
            }
            !is_link
        })
    }
}
