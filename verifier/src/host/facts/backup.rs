//! The newest file of a directory of backups: read here, to its end, and nothing of it leaves but what it is.

use std::fs::{self, File, Metadata};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::FactError;
use crate::protocol::{Backup, BackupFile, BackupReply, SnapshotFacts, SnapshotPacked};
use crate::stored::{Form, Wanted, read};

/// How names end of what lies beside backups.
const BESIDE: [&str; 15] = [
    ".sha256", ".sha512", ".sha1", ".md5", ".sig", ".asc", ".log", ".txt", ".json", ".yaml", ".yml", ".tmp",
    ".part", ".partial", ".swp",
];
/// More entries of a directory are not looked at.
const ENTRIES: usize = 100_000;
/// Whoever writes a file writes some of it within this time.
const STILL: Duration = Duration::from_millis(1500);

/// Looks at the newest file of a directory.
///
/// # Errors
/// When the directory or the file cannot be read.
pub(crate) fn backup(ask: &Backup) -> Result<BackupReply, FactError> {
    let end = Instant::now() + Duration::from_millis(ask.millis);
    let directory = Path::new(&ask.directory);
    let files = files(directory)?;
    let mut reply = BackupReply {
        now: seconds(SystemTime::now()),
        files: files.len() as u64,
        newest: None,
        growing: None,
    };
    for (path, metadata) in files.iter().rev() {
        let file = look(path, metadata, &ask.prefix, end)?;
        let whole = file.facts.as_ref().is_some_and(SnapshotFacts::is_whole);
        // A backup that is being made now is no broken one. The one before it must do.
        if !whole && reply.growing.is_none() && grows(path, metadata, end) {
            reply.growing = Some(file.name);
            continue;
        }
        reply.newest = Some(file);
        break;
    }
    Ok(reply)
}

/// Returns the files that may be backups, the oldest first.
fn files(directory: &Path) -> Result<Vec<(PathBuf, Metadata)>, FactError> {
    let unread = |source| FactError::Read {
        path: directory.to_owned(),
        source,
    };
    let mut files = Vec::new();
    for entry in fs::read_dir(directory).map_err(unread)?.take(ENTRIES) {
        let entry = entry.map_err(unread)?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with('.') || BESIDE.iter().any(|end| name.to_lowercase().ends_with(end)) {
            continue;
        }
        // A link to the newest one is common.
        let Ok(metadata) = fs::metadata(entry.path()) else {
            continue;
        };
        if metadata.is_file() {
            files.push((entry.path(), metadata));
        }
    }
    let order = |(path, metadata): &(PathBuf, Metadata)| (metadata.modified().ok(), path.clone());
    files.sort_by_key(order);
    Ok(files)
}

fn look(path: &Path, metadata: &Metadata, prefix: &str, end: Instant) -> Result<BackupFile, FactError> {
    let unread = |source| FactError::Read {
        path: path.to_owned(),
        source,
    };
    let file = File::open(path).map_err(unread)?;
    let wanted = Wanted {
        form: Form::Snapshot,
        prefix: prefix.to_owned(),
        keys: Vec::new(),
    };
    let mut late = |_: usize| {
        if Instant::now() < end {
            Ok(())
        } else {
            Err(io::ErrorKind::TimedOut.into())
        }
    };
    let mut found = BackupFile {
        name: path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned(),
        modified: metadata.modified().map(seconds).unwrap_or_default(),
        bytes: metadata.len(),
        packed: SnapshotPacked::No,
        facts: None,
        broken: None,
    };
    match read(file, wanted, &mut late) {
        Ok((packed, facts)) => {
            found.packed = packed;
            found.facts = Some(facts);
        }
        Err(error) if error.kind() == io::ErrorKind::TimedOut => {}
        // The disk's own words have a number; a decompressor's have none.
        Err(error) if error.raw_os_error().is_some() => return Err(unread(error)),
        Err(error) => found.broken = Some(error.to_string().into()),
    }
    Ok(found)
}

/// Returns whether somebody writes to a file.
fn grows(path: &Path, before: &Metadata, end: Instant) -> bool {
    std::thread::sleep(STILL.min(end.saturating_duration_since(Instant::now())));
    let Ok(now) = fs::metadata(path) else {
        // It was a temporary one.
        return true;
    };
    now.len() != before.len() || now.modified().ok() != before.modified().ok()
}

fn seconds(time: SystemTime) -> i64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;
    use crate::protocol::SnapshotHash;
    use crate::stored::testing::{Made, hashed};

    fn ask(directory: &Path) -> BackupReply {
        let ask = Backup {
            directory: directory.display().to_string(),
            prefix: "/registry".to_owned(),
            millis: 60_000,
        };
        backup(&ask).unwrap()
    }

    fn snapshot() -> Vec<u8> {
        hashed(&Made::default().database(&[("/registry/secrets/a/x", Some(b"k8s\0"))]))
    }

    fn write(path: &Path, bytes: &[u8], age: u64) {
        fs::write(path, bytes).unwrap();
        let file = File::options().write(true).open(path).unwrap();
        file.set_modified(SystemTime::now() - Duration::from_secs(age))
            .unwrap();
    }

    #[test]
    fn the_newest_file_counts_and_what_lies_beside_it_does_not() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        assert_eq!(ask(directory.path()).files, 0);
        write(&at("old.db"), &snapshot(), 9000);
        write(&at("new.db"), &snapshot(), 5000);
        write(&at("new.db.sha256"), b"x", 100);
        write(&at(".new.db.part"), b"x", 10);
        fs::create_dir(at("directory")).unwrap();
        let found = ask(directory.path());
        let newest = found.newest.unwrap();
        assert_eq!(
            (found.files, newest.name.as_str(), found.growing),
            (2, "new.db", None)
        );
        assert!(newest.facts.unwrap().is_whole());
        assert!((4990..5100).contains(&(found.now - newest.modified)));
    }

    #[test]
    fn a_packed_one_is_read_and_a_broken_one_told() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(&snapshot()).unwrap();
        let gzip = gzip.finish().unwrap();
        write(&at("a.db.gz"), &gzip, 500);
        let newest = ask(directory.path()).newest.unwrap();
        assert_eq!(newest.packed, SnapshotPacked::Gzip);
        assert!(newest.facts.unwrap().is_whole());
        write(&at("b.db.gz"), &gzip[..gzip.len() / 2], 400);
        let newest = ask(directory.path()).newest.unwrap();
        assert!(newest.facts.is_none() && newest.broken.is_some());
        write(
            &at("c.db.zst"),
            &zstd::encode_all(snapshot().as_slice(), 1).unwrap(),
            300,
        );
        let newest = ask(directory.path()).newest.unwrap();
        assert!(newest.packed == SnapshotPacked::Zstd && newest.facts.unwrap().is_whole());
        write(&at("d.db"), b"", 200);
        let facts = ask(directory.path()).newest.unwrap().facts.unwrap();
        assert_eq!((facts.is_whole(), facts.hash), (false, SnapshotHash::Missing));
    }

    #[test]
    fn a_file_that_is_being_written_is_passed_over() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        write(&at("old.db"), &snapshot(), 500);
        write(&at("new.db"), &snapshot()[..2000], 0);
        let mut file = File::options().append(true).open(at("new.db")).unwrap();
        let writer = std::thread::spawn(move || {
            for _ in 0..30 {
                file.write_all(b"x").unwrap();
                std::thread::sleep(Duration::from_millis(100));
            }
        });
        let found = ask(directory.path());
        writer.join().unwrap();
        assert_eq!(found.growing.as_deref(), Some("new.db"));
        assert_eq!(found.newest.unwrap().name, "old.db");
    }
}
