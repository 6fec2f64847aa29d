//! What a reporter is: it is told what happens, and in the end what came of it. It changes no verdict.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use super::{Measure, Report};
use crate::suite::{Event, Row};

/// Draws or keeps a run. Events come while it runs; the end comes once.
pub trait Reporter: Send {
    /// Shows an event.
    ///
    /// # Errors
    /// When it cannot be shown: the run goes on, and the reporter is told no more of it.
    fn event(&mut self, _event: &Event) -> io::Result<()> {
        Ok(())
    }

    /// Shows or keeps what came of the run.
    ///
    /// # Errors
    /// When it cannot be: that is a result of the run.
    fn finish(&mut self, ended: &Ended<'_>) -> Result<(), ReporterError>;
}

/// What came of a run.
#[derive(Clone, Copy)]
pub struct Ended<'a> {
    /// The report.
    pub report: &'a Report,
    /// The rows that it was made of.
    pub rows: &'a [Row],
    /// What the judges measured against.
    pub measure: Measure<'a>,
    /// Where the time went, in order.
    pub laps: &'a [(&'static str, Duration)],
}

/// Why a report is not where it should be.
#[derive(Debug, thiserror::Error)]
pub enum ReporterError {
    /// Its directory.
    #[error(transparent)]
    Directory(#[from] super::DirectoryError),
    /// A file.
    #[error("cannot write {}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// The terminal, or a pipe.
    #[error("cannot write to standard output")]
    Output(#[source] io::Error),
}

impl ReporterError {
    /// Returns whether nobody reads any more: whoever closed a pipe wanted no more of it.
    pub fn is_closed_pipe(&self) -> bool {
        matches!(self, Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe)
    }
}
