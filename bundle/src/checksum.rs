//! The checksum file beside an archive, in the form of `sha256sum`.

use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use crate::digest::Digest;
use crate::error::ReadError;
use crate::user_file::open_regular;

/// Of a checksum file only the first line counts.
const SUMS_LIMIT: u64 = 4096;

/// Returns the digest that the checksum file beside an archive gives; none where there is no such file.
pub(crate) fn beside(path: &Path) -> Result<Option<Digest>, ReadError> {
    if path.is_dir() {
        return Ok(None);
    }
    let sums = checksum_file(path);
    let text = match read_sums(&sums) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(ReadError::Open { path: sums, source }),
    };
    let hex = text.get(..64).and_then(|hex| std::str::from_utf8(hex).ok());
    match hex.map(Digest::from_hex) {
        Some(Ok(digest)) => Ok(Some(digest)),
        _ => Err(ReadError::BesideSyntax { path: sums }),
    }
}

/// Reads the beginning of a checksum file.
fn read_sums(path: &Path) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    open_regular(path)?.take(SUMS_LIMIT).read_to_end(&mut text)?;
    Ok(text)
}

/// Returns the name of the checksum file beside an archive: `site.tar.sha256` for `site.tar`.
pub fn checksum_file(archive: &Path) -> PathBuf {
    let mut name = archive.as_os_str().to_owned();
    name.push(".sha256");
    name.into()
}
