//! The forms of a report, each made of report.json alone.

use bundle::Digest;

use super::translated::translated;
use super::{Report, findings_csv, html, markdown, sarif, xml};
use crate::findings::Lang;

/// A form of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReportForm {
    /// A page for people, self-contained.
    Html,
    /// JUnit's XML.
    Xml,
    /// SARIF 2.1.0.
    Sarif,
    /// A row for each finding.
    Csv,
    /// Markdown, for a ticket.
    Markdown,
    /// The report itself.
    Json,
}

impl ReportForm {
    /// Returns a report in this form. `digest` is that of its report.json.
    pub fn of(self, report: &Report, digest: Digest, lang: Lang) -> String {
        if self == Self::Json {
            // Values of ours, with text for keys: they always have JSON.
            return cli::to_json(report).unwrap_or_default();
        }
        let report = &translated(report.clone(), lang);
        match self {
            Self::Json => String::new(),
            Self::Html => html::page(report, &digest.to_string(), lang),
            Self::Xml => xml::text(report),
            Self::Sarif => sarif::text(report, lang),
            Self::Csv => findings_csv::text(report),
            Self::Markdown => markdown::text(report, &digest.to_string(), lang),
        }
    }
}
