//! Why the cache could not do what was asked.

use std::io;
use std::path::PathBuf;

/// What goes wrong with the cache, with the path.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CacheError {
    #[error("cannot {operation} {path} in the cache", path = path.display())]
    Io {
        operation: &'static str,
        path: PathBuf,
        source: io::Error,
    },
    #[error("the cache {} is in use by another {user}", path.display())]
    Busy { path: PathBuf, user: &'static str },
}
