//! That a load outlives a power cut.

use std::fs::File;
use std::io;

use super::error::Error;

/// Brings what was unpacked to the disk, once and before there is any record of it: a host may be switched off right after a
/// load, and a snapshot whose files never arrived looks whole (containerd issue 9401). Blobs containerd syncs by itself.
pub(super) async fn sync(directory: Option<&str>) -> Result<(), Error> {
    let Some(directory) = directory.map(str::to_owned) else {
        return Ok(());
    };
    let synced = tokio::task::spawn_blocking(move || {
        let done = match File::open(&directory) {
            Ok(file) => rustix::fs::syncfs(file).map_err(io::Error::from),
            // The runtime has it in a mount namespace of its own.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                rustix::fs::sync();
                Ok(())
            }
            Err(error) => Err(error),
        };
        done.map_err(|source| Error::Sync {
            path: directory,
            source,
        })
    });
    synced.await.map_err(|_| Error::Stopped)?
}
