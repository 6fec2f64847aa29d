//! The end of a build: the archive gets its name, and its checksum file.

use std::fs;
use std::io;
use std::path::Path;

use bundle::{AtomicFile, Digest, Reader, Source, Trust};

use crate::canvas::Canvas;
use crate::error::Reason;
use crate::front::Followed;
use crate::timings::Stage;

/// Gives the archive its name and writes the checksum file. An old checksum file would not fit the new archive for a
/// moment, so it goes first.
pub(crate) fn finish(canvas: &Canvas, output: &Path, followed: Followed) -> Result<(), Reason> {
    let _syncing = canvas.timings().measure(Stage::Sync);
    let sums = bundle::checksum_file(output);
    match fs::remove_file(&sums) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(Reason::Read {
                path: sums,
                source: error,
            });
        }
        _ => {}
    }
    let made = |source| Reason::Output {
        path: output.to_owned(),
        source,
    };
    let named = match followed.compressed {
        Some(file) => file.commit(),
        None => bundle::publish(canvas.file(), canvas.path(), output),
    };
    named.map_err(made)?;
    // There is nothing left to go on with.
    canvas.workshop().stay(false);
    let name = output.file_name().unwrap_or_default();
    AtomicFile::write(sums, &bundle::checksum_line(&followed.sha256, name)).map_err(made)
}

/// Returns a warning where a signature lies beside the output that was made for what has its name until now.
pub(crate) fn outdated(output: &Path, id: Digest) -> Option<String> {
    let signature = bundle::signature_file(output);
    fs::symlink_metadata(&signature).ok()?;
    let before = Reader::open(Source::at(output), &Trust::any()).map(|bundle| bundle.id());
    (before.ok() != Some(id)).then(|| {
        format!(
            "{} lies there from before: unless it was made for this very bundle, remove it, or sign anew (`bundler sign`)",
            signature.display()
        )
    })
}
