//! What a build writes, looked at before anything is fetched: names that cannot be taken, and names of what it reads itself.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use bundle::AtomicFile;

use crate::error::Reason;
use crate::inputs::{Inputs, directory_of};
use crate::order::Build;
use crate::plan::Content;

/// Refuses an output that would take the name of something that the build reads, or that cannot be written: its checksum
/// file too, whose turn would come when all is done.
pub(crate) fn check(build: &Build, lock: &Path, inputs: &Inputs) -> Result<(), Reason> {
    let sums = bundle::checksum_file(&build.output);
    for output in [&build.output, &sums] {
        let read = reads(build, lock, inputs);
        if let Some(input) = read.into_iter().find(|input| is_same(output, input)) {
            let output = output.clone();
            return Err(Reason::Clobbers { output, input });
        }
    }
    if build.dry_run {
        return Ok(());
    }
    bundle::may_replace(&build.output).map_err(|source| Reason::Output {
        path: build.output.clone(),
        source,
    })?;
    // Dropped at once: the name is free, is not too long, and the directory takes files.
    let tried = AtomicFile::create(&sums);
    tried
        .map(drop)
        .map_err(|source| Reason::Output { path: sums, source })
}

/// Returns the files that a build reads; earlier bundles are not among them, which it may replace.
fn reads(build: &Build, lock: &Path, inputs: &Inputs) -> Vec<PathBuf> {
    let local = inputs.members.iter().filter_map(|local| match &local.content {
        Content::File(path) => Some(path.clone()),
        _ => None,
    });
    let own = [&build.spec, lock, &build.docker_config].map(Path::to_owned);
    let key = build.key.clone();
    let named = inputs.reads.iter().cloned();
    own.into_iter().chain(key).chain(named).chain(local).collect()
}

/// Returns whether a file under the one name would take the place of the other.
fn is_same(output: &Path, input: &Path) -> bool {
    let entry = |path: &Path| {
        let parent = fs::canonicalize(directory_of(path)).ok()?;
        Some(parent.join(path.file_name()?))
    };
    let places = [Some(input.to_owned()), fs::canonicalize(input).ok()];
    let input = places.into_iter().flatten().filter_map(|place| entry(&place));
    let Some(output) = entry(output) else {
        return false;
    };
    input.into_iter().any(|input| {
        let inode = |path: &Path| fs::symlink_metadata(path).map(|there| (there.dev(), there.ino()));
        // On some file systems several spellings are one name; other names of one file (hard links) stay.
        let one = |there: std::io::Result<fs::Metadata>| there.is_ok_and(|there| there.nlink() == 1);
        let same = matches!((inode(&input), inode(&output)), (Ok(a), Ok(b)) if a == b);
        input == output || same && one(fs::symlink_metadata(&output))
    })
}
