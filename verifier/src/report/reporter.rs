//! What a reporter is: it is told what happens, and in the end what came of it. It changes no verdict.

use std::io;
use std::path::{Path, PathBuf};
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

    /// Returns where it keeps the report; none where it only shows it.
    fn place(&self) -> Option<&Path> {
        None
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
    /// Where the report lies already.
    pub written: &'a [PathBuf],
    /// Why what was to go to standard output did not; none where it did.
    pub unshown: Option<&'a str>,
}

/// Why a report is not where it should be.
#[derive(Debug, thiserror::Error)]
pub enum ReporterError {
    /// Its directory.
    #[error(transparent)]
    Directory(#[from] super::DirectoryError),
    /// A file.
    #[error(transparent)]
    File(#[from] bundle::AtomicError),
    /// The terminal, or a pipe.
    #[error("cannot write to standard output")]
    Output(#[source] io::Error),
}

impl ReporterError {
    /// Returns whether it is only what is shown that is missing: a terminal that went, a pipe that nobody reads, a full disk
    /// behind it. The report and the verdict are as they were.
    pub const fn is_of_showing(&self) -> bool {
        matches!(self, Self::Output(_))
    }
}
