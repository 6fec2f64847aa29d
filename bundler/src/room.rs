//! Room on the disk, looked at before the first byte.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use crate::cache::Cache;
use crate::canvas::Canvas;
use crate::error::Reason;

/// What is left beside an archive once it has its own; none where the file system does not say it.
pub(crate) struct Room(Option<OnDevice>);

struct OnDevice {
    device: u64,
    left: u64,
}

impl Room {
    /// Refuses to begin what the disk cannot hold. What an earlier build left there counts as held.
    pub(crate) fn beside(canvas: &Canvas, output: &Path) -> Result<Self, Reason> {
        let (Ok(room), Ok(metadata)) = (rustix::fs::statvfs(canvas.path()), canvas.file().metadata()) else {
            return Ok(Self(None));
        };
        let available = room.f_bavail.saturating_mul(room.f_frsize);
        let needed = canvas.places().size().saturating_sub(canvas.begun());
        match available.checked_sub(needed) {
            Some(left) => Ok(Self(Some(OnDevice {
                device: metadata.dev(),
                left,
            }))),
            None => Err(Reason::Room {
                path: output.to_owned(),
                needed,
                available,
            }),
        }
    }

    /// Returns what is left for the cache; none where its file system does not say it.
    pub(crate) fn left(&self, cache: &Cache) -> Option<u64> {
        match &self.0 {
            Some(here) if cache.device() == Some(here.device) => Some(here.left),
            _ => cache.room(),
        }
    }
}
