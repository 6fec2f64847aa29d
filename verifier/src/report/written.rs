//! The report as JSON: into a file, or to standard output.

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use bundle::{AtomicError, AtomicFile};

use super::{Ended, Reporter, ReporterError};

/// Writes the report to a file, which is begun before the run and appears whole or not at all; only its owner may read it.
pub struct JsonFile {
    path: PathBuf,
    file: Option<AtomicFile>,
}

impl JsonFile {
    /// Begins the file.
    ///
    /// # Errors
    /// When it could not be written.
    pub fn begin(path: PathBuf) -> Result<Self, AtomicError> {
        let file = AtomicFile::create_private(&path)?;
        Ok(Self {
            path,
            file: Some(file),
        })
    }
}

impl Reporter for JsonFile {
    fn place(&self) -> Option<&Path> {
        Some(&self.path)
    }

    fn finish(&mut self, ended: &Ended<'_>) -> Result<(), ReporterError> {
        let Some(mut file) = self.file.take() else {
            return Ok(());
        };
        file.put(json(ended).as_bytes())?;
        Ok(file.commit()?)
    }
}

/// Prints the report.
pub struct JsonStdout;

impl Reporter for JsonStdout {
    fn finish(&mut self, ended: &Ended<'_>) -> Result<(), ReporterError> {
        let print = || {
            let mut out = io::stdout().lock();
            out.write_all(json(ended).as_bytes())?;
            out.flush()
        };
        print().map_err(ReporterError::Output)
    }
}

fn json(ended: &Ended<'_>) -> String {
    // Values of ours, with text for keys: they always have JSON.
    cli::to_json(ended.report).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::findings::Outcome;
    use crate::report::Measure;
    use crate::report::tests::report;

    #[test]
    fn the_file_is_the_old_one_or_the_new_one_and_its_place_is_judged_before_the_run() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("report.json");
        std::fs::write(&path, "old").unwrap();
        drop(JsonFile::begin(path.clone()).unwrap());
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "old");
        let mut file = JsonFile::begin(path.clone()).unwrap();
        let ended = Ended {
            report: &report(&[Outcome::Pass]),
            rows: &[],
            measure: Measure {
                site: "",
                index: None,
            },
            laps: &[],
            written: &[],
            unshown: None,
        };
        file.finish(&ended).unwrap();
        assert!(
            std::fs::read_to_string(&path)
                .unwrap()
                .starts_with("{\n  \"version\": 1,")
        );
        assert!(JsonFile::begin("/nonexistent/x".into()).is_err());
        assert!(JsonFile::begin("/dev/null".into()).is_err());
    }
}
