//! The report as JSON: into a file, or to standard output.

use std::io::{self, Write as _};
use std::path::PathBuf;

use super::{Ended, Reporter, ReporterError};

/// Writes the report to a file.
pub struct JsonFile {
    /// The file.
    pub path: PathBuf,
}

impl Reporter for JsonFile {
    fn finish(&mut self, ended: &Ended<'_>) -> Result<(), ReporterError> {
        let failed = |source| ReporterError::File {
            path: self.path.clone(),
            source,
        };
        let text = json(ended).map_err(failed)?;
        std::fs::write(&self.path, text).map_err(failed)
    }
}

/// Prints the report.
pub struct JsonStdout;

impl Reporter for JsonStdout {
    fn finish(&mut self, ended: &Ended<'_>) -> Result<(), ReporterError> {
        let print = || {
            let mut out = io::stdout().lock();
            out.write_all(json(ended)?.as_bytes())?;
            out.flush()
        };
        print().map_err(ReporterError::Output)
    }
}

fn json(ended: &Ended<'_>) -> io::Result<String> {
    Ok(serde_json::to_string_pretty(ended.report)? + "\n")
}
