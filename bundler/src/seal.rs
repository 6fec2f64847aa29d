//! From a plan to the archive: members in their order into a temporary file, then the final name and its checksum file.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bundle::{AtomicFile, MemberPath, Sealed, WriteError, WriteOptions, Writer};
use cli::Progress;

use crate::cache::Cache;
use crate::error::Reason;
use crate::plan::{Content, Plan};
use crate::writeback::Writeback;

/// Set from outside to end the writing.
pub(crate) type Stop = Arc<AtomicBool>;

/// Writes the archive. Blocks. On any error nothing is left under `output`'s name.
pub(crate) fn seal(
    plan: Plan,
    output: &Path,
    options: WriteOptions,
    cache: &Cache,
    (progress, stop): (&Progress, &Stop),
) -> Result<Sealed, Reason> {
    let made = |source| Reason::Output {
        path: output.to_owned(),
        source,
    };
    let file = AtomicFile::create(output).map_err(made)?;
    progress.begin("writing", plan.index.total_size());
    let Plan { index, contents } = plan;
    let failed = |source| failure(output, source, stop);
    let handle = file.handle().map_err(made)?;
    let file = Writeback::new(file, handle).map_err(|source| Reason::Thread { source })?;
    let mut writer = Writer::new(file, index, options).map_err(failed)?;
    while let Some(path) = writer.next_member().map(|member| member.path.clone()) {
        let content = contents.get(&path);
        let source = open(content, cache).map_err(|source| unreadable(&path, content, cache, source))?;
        let mut source = Watched {
            source,
            progress,
            stop,
        };
        // Hashed again, though it was when it was pulled: another build, or the disk, may have touched it since.
        let appended = writer.append(&path, &mut source);
        appended.map_err(|error| blame(error, content, cache, failed))?;
    }
    let (file, sealed) = writer.finish().map_err(failed)?;
    commit(file.into_inner(), output, sealed)?;
    progress.end();
    Ok(sealed)
}

/// Gives the archive its name and writes the checksum file. An old checksum file would not fit the new archive for a
/// moment, so it goes first.
fn commit(file: AtomicFile, output: &Path, sealed: Sealed) -> Result<(), Reason> {
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
    file.commit().map_err(made)?;
    let name = output.file_name().unwrap_or_default().to_string_lossy();
    AtomicFile::write(sums, format!("{}  {name}\n", sealed.sha256.hex()).as_bytes()).map_err(made)
}

fn open(content: Option<&Content>, cache: &Cache) -> io::Result<Box<dyn Read>> {
    match content {
        Some(Content::Bytes(bytes)) => Ok(Box::new(io::Cursor::new(bytes.clone()))),
        Some(Content::File(path)) => Ok(Box::new(bundle::open_regular(path)?)),
        Some(Content::Cached(digest)) => Ok(Box::new(File::open(cache.path(digest))?)),
        None => Err(io::ErrorKind::NotFound.into()),
    }
}

fn unreadable(path: &MemberPath, content: Option<&Content>, cache: &Cache, source: io::Error) -> Reason {
    match content {
        Some(Content::File(path)) => Reason::Read {
            path: path.clone(),
            source,
        },
        // Another build found it damaged and removed it a moment ago.
        Some(Content::Cached(_)) if source.kind() == io::ErrorKind::NotFound => {
            Reason::Damaged { member: path.clone() }
        }
        Some(Content::Cached(digest)) => Reason::Read {
            path: cache.path(digest),
            source,
        },
        _ => Reason::Moved {
            what: path.to_string(),
        },
    }
}

/// Says whose fault wrong bytes are: a damaged cache is cleaned, so that the next try pulls anew.
fn blame(
    error: WriteError,
    content: Option<&Content>,
    cache: &Cache,
    otherwise: impl Fn(WriteError) -> Reason,
) -> Reason {
    let (WriteError::Hash { member, .. } | WriteError::Length { member, .. }) = &error else {
        return match (otherwise(error), content) {
            // The archive is not to blame for what cannot be read.
            (
                Reason::Write {
                    source: WriteError::Source { source, .. },
                    ..
                },
                Some(Content::File(path)),
            ) => Reason::Read {
                path: path.clone(),
                source,
            },
            (
                Reason::Write {
                    source: WriteError::Source { source, .. },
                    ..
                },
                Some(Content::Cached(digest)),
            ) => Reason::Read {
                path: cache.path(digest),
                source,
            },
            (reason, _) => reason,
        };
    };
    match content {
        Some(Content::Cached(digest)) => {
            cache.recheck(digest);
            Reason::Damaged {
                member: member.clone(),
            }
        }
        Some(Content::File(path)) => Reason::Moved {
            what: path.display().to_string(),
        },
        _ => otherwise(error),
    }
}

fn failure(output: &Path, source: WriteError, stop: &Stop) -> Reason {
    if stop.load(Ordering::Relaxed) {
        return Reason::Interrupted;
    }
    Reason::Write {
        path: output.to_owned(),
        source,
    }
}

/// Counts what is read, and ends when it is told to.
struct Watched<'a> {
    source: Box<dyn Read>,
    progress: &'a Progress,
    stop: &'a AtomicBool,
}

impl Read for Watched<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.stop.load(Ordering::Relaxed) {
            return Err(io::Error::other("interrupted"));
        }
        let count = self.source.read(buffer)?;
        self.progress.add(count as u64);
        Ok(count)
    }
}
