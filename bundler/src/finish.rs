//! The end of a build: the archive gets its name, and its checksum file.

use std::fs;
use std::io;
use std::path::Path;

use bundle::AtomicFile;

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
    let name = output.file_name().unwrap_or_default().to_string_lossy();
    AtomicFile::write(sums, format!("{}  {name}\n", followed.sha256.hex()).as_bytes()).map_err(made)
}
