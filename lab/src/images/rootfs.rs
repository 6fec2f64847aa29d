//! Root file systems of Debian packages as tars, and what one of them adds to another.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

use sha2::{Digest as _, Sha256};

use super::layout::CREATED_SECONDS;
use crate::Error;
use crate::cache::Cache;
use crate::tool::{self, Say};

/// Returns the tar of a minimal Debian 12 with `packages`, made if it is not in the cache.
pub(super) fn ensure(cache: &Cache, packages: &[&str], say: Say<'_>) -> Result<PathBuf, Error> {
    let name = if packages.is_empty() {
        "base".to_owned()
    } else {
        packages.join("+")
    };
    let entry = format!("images/rootfs-1-{name}-{}", super::architecture());
    let directory = cache.entry(&entry, |staging| {
        say(&format!("making a root file system of Debian packages ({name})"));
        let mut command = Command::new("mmdebstrap");
        command
            .env("SOURCE_DATE_EPOCH", CREATED_SECONDS.to_string())
            .arg("--variant=minbase")
            // Documentation and translations are half of the files, and nobody reads them in an image.
            .args([
                "--dpkgopt=path-exclude=/usr/share/man/*",
                "--dpkgopt=path-exclude=/usr/share/locale/*",
            ])
            .arg("--dpkgopt=path-exclude=/usr/share/doc/*");
        if !packages.is_empty() {
            command.arg(format!("--include={}", packages.join(",")));
        }
        command.arg("bookworm").arg(staging.join("rootfs.tar"));
        tool::long(&mut command, "mmdebstrap", say)
    })?;
    Ok(directory.join("rootfs.tar"))
}

/// What makes an entry of a tar the same as another's: header without its checksum, path, link, content.
type Print = [u8; 32];

/// Writes to `out` a tar of the entries of `whole` that `base` has not, or has otherwise.
pub(super) fn added<W: Write>(base: &Path, whole: &Path, out: W) -> io::Result<W> {
    let base = prints(base)?;
    let mut builder = tar::Builder::new(out);
    let mut archive = open(whole)?;
    for entry in archive.entries()? {
        let mut entry = entry?;
        let path = entry.path_bytes().into_owned();
        // Content is hashed before it is known whether to write it; entries of a root file system fit in memory.
        let mut content = Vec::new();
        entry.read_to_end(&mut content)?;
        if base.get(&path) == Some(&print(&entry, &content)) {
            continue;
        }
        let mut header = entry.header().clone();
        let name = entry.path()?.into_owned();
        match entry.link_name()? {
            Some(link) => builder.append_link(&mut header, &name, &link)?,
            None => builder.append_data(&mut header, &name, content.as_slice())?,
        }
    }
    builder.into_inner()
}

fn prints(tar: &Path) -> io::Result<BTreeMap<Vec<u8>, Print>> {
    let mut prints = BTreeMap::new();
    let mut archive = open(tar)?;
    for entry in archive.entries()? {
        let mut entry = entry?;
        let mut content = Vec::new();
        entry.read_to_end(&mut content)?;
        prints.insert(entry.path_bytes().into_owned(), print(&entry, &content));
    }
    Ok(prints)
}

fn print<R: Read>(entry: &tar::Entry<'_, R>, content: &[u8]) -> Print {
    let header = entry.header();
    let mut hash = Sha256::new();
    hash.update([header.entry_type().as_byte()]);
    for number in [
        u64::from(header.mode().unwrap_or_default()),
        header.uid().unwrap_or_default(),
        header.gid().unwrap_or_default(),
        // A directory's time changes with every file in it and means nothing.
        if header.entry_type().is_dir() {
            0
        } else {
            header.mtime().unwrap_or_default()
        },
    ] {
        hash.update(number.to_be_bytes());
    }
    hash.update(entry.link_name_bytes().unwrap_or_default());
    hash.update(content);
    hash.finalize().into()
}

fn open(path: &Path) -> io::Result<tar::Archive<BufReader<File>>> {
    Ok(tar::Archive::new(BufReader::with_capacity(
        1 << 20,
        File::open(path)?,
    )))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::images::layout::Files;

    #[test]
    fn only_what_was_added_or_changed_is_in_the_second_layer() {
        let directory = tempfile::tempdir().unwrap();
        let write = |name: &str, files: &[(&str, &str)]| {
            let mut tar = Files::new();
            for (path, content) in files {
                tar.file(path, 0o644, content.as_bytes()).unwrap();
            }
            tar.link("bin/sh", "dash").unwrap();
            let path = directory.path().join(name);
            std::fs::write(&path, tar.finish().unwrap()).unwrap();
            path
        };
        let base = write("base", &[("etc/same", "a"), ("etc/changed", "a")]);
        let whole = write(
            "whole",
            &[("etc/same", "a"), ("etc/changed", "b"), ("etc/new", "c")],
        );
        let layer = added(&base, &whole, Vec::new()).unwrap();
        let mut archive = tar::Archive::new(layer.as_slice());
        let names: Vec<_> = archive
            .entries()
            .unwrap()
            .map(|entry| entry.unwrap().path().unwrap().display().to_string())
            .collect();
        assert_eq!(names, ["etc/changed", "etc/new"]);
    }
}
