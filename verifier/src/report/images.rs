//! Images as people and programs take them: a table, CSV, CycloneDX of what runs where.

mod csv;
mod cyclonedx;
pub(super) mod table;

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use bundle::{AtomicError, AtomicFile};
use cli::Printer;

use super::{Ended, Reporter, ReporterError};
use crate::findings::Lang;

pub(super) use csv::text as csv;

/// Prints the images as CSV.
pub struct ImagesCsv;

impl Reporter for ImagesCsv {
    fn finish(&mut self, ended: &Ended<'_>) -> Result<(), ReporterError> {
        print(&csv(&ended.report.images))
    }
}

/// Prints what runs where as a bill of materials.
pub struct ImagesBill;

impl Reporter for ImagesBill {
    fn finish(&mut self, ended: &Ended<'_>) -> Result<(), ReporterError> {
        print(&cyclonedx::text(ended.report))
    }
}

fn print(text: &str) -> Result<(), ReporterError> {
    let print = || {
        let mut out = io::stdout().lock();
        out.write_all(text.as_bytes())?;
        out.flush()
    };
    print().map_err(ReporterError::Output)
}

/// Writes what runs where to a file, which is begun before the run and appears whole or not at all.
pub struct ImagesFile {
    path: PathBuf,
    file: Option<AtomicFile>,
}

impl ImagesFile {
    /// Begins the file.
    ///
    /// # Errors
    /// When it could not be written.
    pub fn begin(path: PathBuf) -> Result<Self, AtomicError> {
        let file = Some(AtomicFile::create(&path)?);
        Ok(Self { path, file })
    }
}

impl Reporter for ImagesFile {
    fn place(&self) -> Option<&Path> {
        Some(&self.path)
    }

    fn finish(&mut self, ended: &Ended<'_>) -> Result<(), ReporterError> {
        let Some(mut file) = self.file.take() else {
            return Ok(());
        };
        file.put(cyclonedx::text(ended.report).as_bytes())?;
        Ok(file.commit()?)
    }
}

/// Prints the images as a table.
pub struct ImagesTable<W> {
    out: Printer<W>,
    lang: Lang,
}

impl<W: Write + Send> ImagesTable<W> {
    /// Returns a table that is written to `out`.
    pub const fn new(out: W, lang: Lang) -> Self {
        Self {
            out: Printer::new(out),
            lang,
        }
    }
}

impl<W: Write + Send> Reporter for ImagesTable<W> {
    fn finish(&mut self, ended: &Ended<'_>) -> Result<(), ReporterError> {
        let text = table::text(ended.report, self.lang);
        self.out.print(&text).map_err(ReporterError::Output)
    }
}

#[cfg(test)]
pub(super) mod testing {
    use cli::Shown;

    use crate::certs::Standing;
    use crate::images::Listed;

    /// Returns an image of a list.
    pub(in crate::report) fn listed(host: &str, name: &str, users: &[&str]) -> Listed {
        let digest = format!("sha256:{}", "cd".repeat(32));
        let repository = name.rsplit_once(':').map_or(name, |(repository, _)| repository);
        Listed {
            host: Shown::new(host),
            namespace: Some(Shown::new("k8s.io")),
            names: vec![Shown::new(name)],
            digests: vec![Shown::new(&format!("{repository}@{digest}"))],
            id: Some(Shown::new(&format!("sha256:{}", "ab".repeat(32)))),
            platform: Some(Shown::new("linux/amd64")),
            pinned: true,
            bundled: Some(true),
            blobs: Some(3 << 20),
            snapshots: Some(9 << 20),
            own: Some(1 << 20),
            used_by: users.iter().map(Shown::new).collect(),
            standing: Standing::Good,
            causes: Vec::new(),
        }
    }
}
