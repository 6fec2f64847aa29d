//! Why a file holds nothing that can be judged.

use std::io;

/// Why a file holds nothing that can be judged. Nothing of what stands in it is quoted.
#[derive(Debug, thiserror::Error)]
pub enum GatheredError {
    /// It cannot be read.
    #[error("it cannot be read")]
    Read(#[source] io::Error),
    /// Something else wrote it.
    #[error("it was not written by verifier gather")]
    Other,
    /// It has another form.
    #[error("it has version {theirs} of its form, this program reads version {ours}")]
    Version {
        /// The file's.
        theirs: u32,
        /// Ours.
        ours: u32,
    },
    /// Another program gathered it.
    #[error("{theirs} gathered it, this is {ours}: questions and answers of two versions do not fit")]
    Tool {
        /// The program that wrote it, with its version.
        theirs: cli::Shown,
        /// This program.
        ours: &'static str,
    },
    /// Its end is missing.
    #[error("it is cut off: its last line is missing")]
    Cut,
    /// It is not as it was written.
    #[error("it was altered since it was written: its SHA-256 is another one")]
    Altered,
    /// A line makes no sense.
    #[error("line {line} makes no sense")]
    Line {
        /// The line, counted from 1.
        line: usize,
    },
}
