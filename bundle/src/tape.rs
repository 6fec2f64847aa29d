//! What can be read once only, kept for readers that come back: copied into a file, once its index was judged.

use std::fs::File;
use std::io::{self, Read, Write as _};
use std::os::fd::AsRawFd as _;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use crate::background::BUFFER;
use crate::error::ReadError;
use crate::input;
use crate::reader::Reader;
use crate::source::{self, Source};
use crate::trust::Trust;

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
    drop(Reader::open(first, trust)?);
    let mut taped = taped.lock().unwrap_or_else(PoisonError::into_inner);
    let Taped { input, file } = &mut *taped;
    let mut buffer = vec![0; BUFFER];
    loop {
        let read = match input.read(&mut buffer) {
            Ok(0) => break,
            Ok(read) => read,
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
