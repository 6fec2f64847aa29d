//! How a result is written: for a person or for a program.

use std::io::{self, Write};

use serde::Serialize;

use crate::failure::{Failure, Kind};
use crate::json::to_json;
use crate::shown::visible_lines;

/// The form of a result on stdout.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// For a person.
    Text,
    /// For a program.
    Json,
}

impl Form {
    /// Returns the form that the flag `--json` asks for.
    pub const fn from_flag(json: bool) -> Self {
        if json { Self::Json } else { Self::Text }
    }
}

/// Writes a value as indented JSON and a line feed: what a command is there for. Whoever closed the pipe wanted no more.
pub fn write_json(out: &mut dyn Write, value: &impl Serialize) -> Result<(), Failure> {
    write_file(out, &to_json(value).map_err(|error| failed(error.into()))?)
}

/// Writes text for a person: what a command is there for. Whoever closed the pipe wanted no more. What came from outside is
/// [`crate::shown()`] in it; this is the last guard.
pub fn write_text(out: &mut dyn Write, text: &str) -> Result<(), Failure> {
    write_file(out, &visible_lines(text))
}

/// Like [`write_text`], of text that somebody will keep as a file: as it is.
pub fn write_file(out: &mut dyn Write, text: &str) -> Result<(), Failure> {
    put(out, text).map_err(failed)
}

/// Like [`write_json`], of what was done or judged already: where it cannot be shown, stderr says so, and the exit code is
/// that of the work.
pub fn tell_json(out: &mut dyn Write, value: &impl Serialize) {
    if let Err(failure) = write_json(out, value) {
        failure.warn();
    }
}

/// Like [`write_text`], of what was done or judged already: where it cannot be shown, stderr says so, and the exit code is
/// that of the work.
pub fn tell_text(out: &mut dyn Write, text: &str) {
    if let Err(failure) = write_text(out, text) {
        failure.warn();
    }
}

fn put(out: &mut dyn Write, text: &str) -> io::Result<()> {
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written,
    }
}

fn failed(error: io::Error) -> Failure {
    #[derive(Debug, thiserror::Error)]
    #[error("cannot write the result to standard output")]
    struct Unwritten(#[source] io::Error);
    Failure::new(Kind::Error, Unwritten(error))
        .hint("look at where stdout goes: a full disk, a program that ended")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A place that takes nothing.
    struct Broken(io::ErrorKind);

    impl Write for Broken {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(self.0.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_closed_pipe_is_no_failure_and_a_full_disk_is_one() {
        assert!(write_text(&mut Broken(io::ErrorKind::BrokenPipe), "x").is_ok());
        let full = write_json(&mut Broken(io::ErrorKind::StorageFull), &1).unwrap_err();
        assert_eq!(full.kind(), Kind::Error);
    }
}
