//! Whether a layer's files are what its blob says, byte for byte: the blob is hashed, and each regular file of it compared with
//! the one below the snapshot's directory, read from the disk and not from what the system remembers of it. Changes nothing.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Seek as _, SeekFrom};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use bundle::{Digest, Hasher};
use rustix::fs::{Advice, OFlags, fadvise};

use super::layer::{Straight, archive, inside};

/// How much is read at once.
const CHUNK: usize = 1 << 18;

/// What a comparison came to.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Compared {
    /// How many files were compared.
    pub(super) files: u64,
    /// Those that are gone or other ones.
    pub(super) other: Vec<PathBuf>,
}

/// Opens a file whose next bytes come from the disk.
fn from_disk(path: &Path) -> io::Result<File> {
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed();
    let file = File::options().read(true).custom_flags(flags).open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    // Where a file system knows no such advice, what it remembers is compared.
    let _ = fadvise(&file, 0, None, Advice::DontNeed);
    Ok(file)
}

/// Returns whether a blob is what its name says; an error where it cannot be read.
pub(super) fn is_itself(path: &Path, digest: Digest) -> io::Result<bool> {
    let mut file = from_disk(path)?;
    let (mut hasher, mut buffer) = (Hasher::new(), vec![0; CHUNK]);
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(hasher.finish() == digest),
            read => hasher.update(&buffer[..read]),
        }
    }
}

/// Compares the files of a layer with those below a directory. What lies behind a symlink is left out: it may lead anywhere.
pub(super) fn compare(mut blob: File, directory: &Path) -> io::Result<Compared> {
    blob.seek(SeekFrom::Start(0))?;
    let mut archive = archive(blob)?;
    let mut straight = Straight::below(directory);
    // A path may come twice; the last one counts.
    let mut found: BTreeMap<PathBuf, bool> = BTreeMap::new();
    for entry in archive.entries()? {
        let mut entry = entry?;
        if !entry.header().entry_type().is_file() {
            continue;
        }
        let Some(path) = inside(&entry.path()?) else {
            continue;
        };
        if !straight.leads_to(&path) {
            continue;
        }
        let length = entry.size();
        let same = match from_disk(&directory.join(&path)) {
            Ok(file) => is_same(&mut entry, length, file)?,
            Err(_) => false,
        };
        found.insert(path, same);
    }
    let files = found.len() as u64;
    let other = found.into_iter().filter(|(_, same)| !same).map(|(path, _)| path);
    Ok(Compared {
        files,
        other: other.collect(),
    })
}

/// Returns whether a file holds these bytes; an error is one of the layer's.
fn is_same(entry: &mut impl Read, length: u64, mut file: File) -> io::Result<bool> {
    if file.metadata().map_or(0, |metadata| metadata.len()) != length {
        return Ok(false);
    }
    let (mut ours, mut theirs) = (vec![0; CHUNK], vec![0; CHUNK]);
    loop {
        let read = entry.read(&mut ours)?;
        if read == 0 {
            return Ok(true);
        }
        if file.read_exact(&mut theirs[..read]).is_err() || ours[..read] != theirs[..read] {
            return Ok(false);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn a_file_of_the_same_length_with_other_bytes_is_found() {
        let mut builder = tar::Builder::new(tempfile::tempfile().unwrap());
        for (path, text) in [("a", "one"), ("b", "two"), ("c", "old"), ("c", "new")] {
            let mut header = tar::Header::new_gnu();
            header.set_size(3);
            header.set_mode(0o644);
            builder.append_data(&mut header, path, text.as_bytes()).unwrap();
        }
        let blob = builder.into_inner().unwrap();
        let directory = tempfile::tempdir().unwrap();
        for (path, text) in [("a", "one"), ("b", "tw0"), ("c", "new")] {
            std::fs::write(directory.path().join(path), text).unwrap();
        }
        let compared = compare(blob, directory.path()).unwrap();
        assert_eq!((compared.files, compared.other), (3, vec![PathBuf::from("b")]));
    }

    #[test]
    fn a_blob_that_is_cut_or_altered_is_not_itself() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(b"blob").unwrap();
        assert!(is_itself(file.path(), Digest::of("blob")).unwrap());
        file.as_file().set_len(3).unwrap();
        assert!(!is_itself(file.path(), Digest::of("blob")).unwrap());
        assert!(is_itself(Path::new("/nonexistent"), Digest::of("blob")).is_err());
    }
}
