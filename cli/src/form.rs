//! How a result is written: for a person or for a program.

use std::io::{self, Write};

use serde::Serialize;

use crate::failure::{Failure, Kind};

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

/// Writes a value as indented JSON and a line feed.
pub fn write_json(out: &mut dyn Write, value: &impl Serialize) -> Result<(), Failure> {
    let text = serde_json::to_string_pretty(value).map_err(|error| failed(error.into()))?;
    write_text(out, &format!("{text}\n"))
}

/// Writes text.
pub fn write_text(out: &mut dyn Write, text: &str) -> Result<(), Failure> {
    out.write_all(text.as_bytes())
        .and_then(|()| out.flush())
        .map_err(failed)
}

fn failed(error: io::Error) -> Failure {
    #[derive(Debug, thiserror::Error)]
    #[error("cannot write the result")]
    struct Unwritten(#[source] io::Error);
    Failure::new(Kind::Error, Unwritten(error))
        .hint("look at where stdout goes: a full disk, a program that ended")
}
