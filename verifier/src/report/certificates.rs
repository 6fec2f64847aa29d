//! Certificates as people and programs take them: a table, CSV, a calendar of their ends, figures for Prometheus.

mod calendar;
mod csv;
mod metrics;
mod table;

use std::fs::File;
use std::io::{self, Read as _, Write};
use std::path::{Path, PathBuf};

use bundle::{AtomicError, AtomicFile};
use cli::Printer;

use super::{Ended, Report, Reporter, ReporterError};
use crate::findings::Lang;

pub(super) use csv::{field_of as csv_field, text as csv};

/// A file says within so many bytes whose it is.
const BEGIN: u64 = 256;

/// A form in which a file has them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// iCalendar (RFC 5545).
    Calendar,
    /// The textfile collector's, of Prometheus' node_exporter.
    Metrics,
}

impl Form {
    /// What stands at the beginning of every file of this form, and of no other.
    const fn mark(self) -> &'static str {
        match self {
            Self::Calendar => "PRODID:-//verifier//certificates//",
            Self::Metrics => "verifier_certificate_",
        }
    }

    /// Returns whether a file may take this place: nothing is there, nothing is in it, or an earlier one of this form. What is
    /// no file at all is refused when it is begun.
    pub fn may_replace(self, path: &Path) -> bool {
        if !path.is_file() {
            return true;
        }
        let mut begin = Vec::new();
        let read = File::open(path).and_then(|file| file.take(BEGIN).read_to_end(&mut begin));
        read.is_ok() && (begin.is_empty() || String::from_utf8_lossy(&begin).contains(self.mark()))
    }
}

/// Writes the certificates to a file, which is begun before the run and appears whole or not at all.
pub struct CertificatesFile {
    path: PathBuf,
    form: Form,
    file: Option<AtomicFile>,
}

impl CertificatesFile {
    /// Begins the file.
    ///
    /// # Errors
    /// When it could not be written.
    pub fn begin(path: PathBuf, form: Form) -> Result<Self, AtomicError> {
        // A program of another user reads it, and nothing in it is secret.
        let file = AtomicFile::create(&path)?;
        Ok(Self {
            path,
            form,
            file: Some(file),
        })
    }
}

impl Reporter for CertificatesFile {
    fn place(&self) -> Option<&Path> {
        Some(&self.path)
    }

    fn finish(&mut self, ended: &Ended<'_>) -> Result<(), ReporterError> {
        let Some(mut file) = self.file.take() else {
            return Ok(());
        };
        let text = match self.form {
            Form::Calendar => calendar::text(ended.report),
            Form::Metrics => metrics::text(ended.report),
        };
        file.put(text.as_bytes())?;
        Ok(file.commit()?)
    }
}

/// Prints the certificates as CSV.
pub struct CertificatesCsv;

impl Reporter for CertificatesCsv {
    fn finish(&mut self, ended: &Ended<'_>) -> Result<(), ReporterError> {
        let print = || {
            let mut out = io::stdout().lock();
            out.write_all(csv(&ended.report.certificates).as_bytes())?;
            out.flush()
        };
        print().map_err(ReporterError::Output)
    }
}

/// Prints the certificates as a table.
pub struct CertificatesTable<W> {
    out: Printer<W>,
    lang: Lang,
}

impl<W: Write + Send> CertificatesTable<W> {
    /// Returns a table that is written to `out`.
    pub const fn new(out: W, lang: Lang) -> Self {
        Self {
            out: Printer::new(out),
            lang,
        }
    }
}

impl<W: Write + Send> Reporter for CertificatesTable<W> {
    fn finish(&mut self, ended: &Ended<'_>) -> Result<(), ReporterError> {
        let text = table::text(ended.report, self.lang);
        self.out.print(&text).map_err(ReporterError::Output)
    }
}

/// Returns the certificates of a report, the first to end first.
pub(super) fn by_end(report: &Report) -> Vec<&crate::certs::Listed> {
    let mut all: Vec<_> = report.certificates.iter().collect();
    all.sort_by(|one, other| {
        (one.days_left, &one.host, &one.place).cmp(&(other.days_left, &other.host, &other.place))
    });
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_somebody_else_wrote_is_not_replaced_and_an_earlier_one_is() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("certificates");
        let may = |form: Form| form.may_replace(&path);
        assert!(may(Form::Calendar), "nothing is there");
        let empty = super::super::tests::report(&[]);
        for (form, other, text) in [
            (Form::Calendar, Form::Metrics, calendar::text(&empty)),
            (Form::Metrics, Form::Calendar, metrics::text(&empty)),
        ] {
            std::fs::write(&path, text).unwrap();
            assert!(may(form) && !may(other), "{form:?}");
        }
        std::fs::write(&path, "BEGIN:VCALENDAR\r\nPRODID:-//Holidays//EN\r\n").unwrap();
        assert!(!may(Form::Calendar));
        std::fs::write(&path, "").unwrap();
        assert!(may(Form::Metrics));
    }
}

#[cfg(test)]
pub(super) mod testing {
    use cli::Shown;

    use crate::certs::{Listed, Standing};

    /// Returns a certificate of a list.
    pub(in crate::report) fn listed(
        host: &str,
        place: &str,
        subject: &str,
        until: &str,
        days_left: i64,
    ) -> Listed {
        Listed {
            host: Some(Shown::new(host)),
            place: Shown::new(place),
            names: Vec::new(),
            subject: Shown::new(subject),
            issuer: Shown::new("CN=CA"),
            serial: Shown::new("01"),
            sans: vec![Shown::new("node-0"), Shown::new("127.0.0.1")],
            usages: vec!["client".to_owned()],
            key: "EC 256".to_owned(),
            signature: Shown::new("ecdsa-with-SHA256"),
            sha256: "ab".repeat(32),
            not_before: Shown::new("2026-01-01T00:00:00Z"),
            not_after: Shown::new(until),
            days_left,
            used_by: vec![Shown::new("kubelet tlsCertFile")],
            standing: Standing::Good,
        }
    }
}
