//! CSV (RFC 4180), a row for each finding, and for each result that was skipped: what was not looked at must not be missing.

use super::Report;
use super::certificates::csv_field;
use crate::findings::{Outcome, catalogue};

const HEAD: &str = "run,started,check,host,severity,subject,cause,text,hint,byHand,accepted";

/// Returns the findings as CSV.
pub(super) fn text(report: &Report) -> String {
    let mut text = format!("{HEAD}\r\n");
    let started = report.started.to_string();
    for result in &report.results {
        let host = result.host.as_deref().unwrap_or_default();
        let mut row = |severity: &str, subject: &str, cause: [&str; 3], accepted: &str| {
            let [id, words, hint] = cause;
            let fields = [
                &report.run,
                &started,
                &result.id,
                host,
                severity,
                subject,
                id,
                words,
                hint,
                &result.by_hand,
                accepted,
            ];
            let fields: Vec<String> = fields.iter().map(|field| csv_field(field)).collect();
            text += &fields.join(",");
            text += "\r\n";
        };
        for finding in &result.findings {
            let cause = &finding.cause;
            let subject = finding.subject.as_deref().unwrap_or_default();
            let accepted = finding.accepted.as_ref();
            let accepted = accepted.map(|by| catalogue::say(super::accepted(by), super::LANG));
            row(
                finding.severity.word(),
                subject,
                [&cause.id, &cause.text, &finding.hint],
                &accepted.unwrap_or_default(),
            );
        }
        if let (Outcome::Skip, Some(cause)) = (result.outcome, &result.cause) {
            let hint = result.hint.as_deref().unwrap_or_default();
            row(Outcome::Skip.word(), "", [&cause.id, &cause.text, hint], "");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::tests::{about, row};

    #[test]
    fn a_finding_is_a_row_and_a_name_is_no_formula() {
        let rows = [
            row("network.veth", Some("=HYPERLINK(\"x\")"), Outcome::Fail),
            row("network.udp", Some("node-0"), Outcome::Skip),
            row("network.mtu", Some("node-0"), Outcome::Pass),
        ];
        let csv = text(&Report::new(about(), &rows));
        let lines: Vec<&str> = csv.lines().collect();
        assert_eq!(lines.len(), 1 + 2 + 1, "{csv}");
        assert!(
            lines[1].contains("\"'=HYPERLINK(\"\"x\"\")\",fail,"),
            "{}",
            lines[1]
        );
        assert!(lines[3].contains(",skip,"));
    }
}
