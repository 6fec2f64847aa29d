//! What can be read once only, kept for readers that come back: copied into a file, once its index was judged.

use std::fs::File;
use std::io::{self, Read, Write as _};
use std::os::fd::AsRawFd as _;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use crate::background::BUFFER;
use crate::error::ReadError;
use crate::index::Index;
use crate::input;
use crate::reader::Reader;
use crate::source::{self, Source};
use crate::trust::Trust;

/// Headers and filling of a member have fewer bytes.
const AROUND: u64 = 128 << 10;
/// The index, its signature and its checksums have fewer.
const BEFORE: u64 = 64 << 20;

/// Returns where it can be opened again and again: what can be read once only is copied into a file that `keep` makes,
/// once its index was judged.
pub(crate) fn kept(
    source: Source,
    trust: &Trust,
    keep: impl FnOnce() -> io::Result<File>,
) -> Result<(PathBuf, Option<Arc<File>>), ReadError> {
    let (path, input): (PathBuf, Box<dyn Read + Send>) = match source {
        Source::Stream { name, input } => (name.into(), input),
        Source::Place(path) if source::is_pipe(&path) => {
            let file = input::open(&path)?;
            (path, Box::new(file))
        }
        Source::Place(path) => return Ok((path, None)),
    };
    let failed = |source| ReadError::Write {
        path: "a temporary file".into(),
        source,
    };
    let name = path.display().to_string();
    let file = keep().map_err(failed)?;
    let taped = Arc::new(Mutex::new(Taped { input, file }));
    let first = Source::stream(name.clone(), Tape(Arc::clone(&taped)));
    let mut room = longest(Reader::open(first, trust)?.index());
    let mut taped = taped.lock().unwrap_or_else(PoisonError::into_inner);
    let Taped { input, file } = &mut *taped;
    let mut buffer = vec![0; BUFFER];
    loop {
        let read = match input.read(&mut buffer) {
            Ok(0) => break,
            Ok(read) => {
                room = room.checked_sub(read as u64).ok_or(ReadError::Trailing)?;
                read
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(source) => {
                return Err(ReadError::Read {
                    during: name,
                    member: None,
                    offset: None,
                    source,
                });
            }
        };
        file.write_all(&buffer[..read]).map_err(failed)?;
    }
    let file = Arc::new(taped.file.try_clone().map_err(failed)?);
    Ok((format!("/proc/self/fd/{}", file.as_raw_fd()).into(), Some(file)))
}

/// Returns how much of a stream is kept at most: no archive of this index, plain or compressed, is longer.
fn longest(index: &Index) -> u64 {
    let members = u64::try_from(index.members.len()).unwrap_or(u64::MAX);
    let around = members.saturating_add(16).saturating_mul(AROUND);
    let all = index.total_size().saturating_add(around);
    // What cannot be compressed grows by less than this.
    all.saturating_add(all / 64).saturating_add(BEFORE)
}

/// A stream whose bytes are kept as they are read.
struct Tape(Arc<Mutex<Taped>>);

struct Taped {
    input: Box<dyn Read + Send>,
    file: File,
}

impl Read for Tape {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut taped = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Taped { input, file } = &mut *taped;
        let read = input.read(buffer)?;
        file.write_all(&buffer[..read])?;
        Ok(read)
    }
}
