//! Figures for Prometheus, in the form that node_exporter's textfile collector reads (Prometheus' exposition format 0.0.4).

use std::fmt::Write as _;

use super::by_end;
use crate::certs::{Listed, Standing, seconds};
use crate::report::Report;

/// Returns the figures.
pub(super) fn text(report: &Report) -> String {
    let mut text = String::new();
    family(
        &mut text,
        "verifier_certificate_not_after_timestamp_seconds",
        "When the certificate ends.",
    );
    for listed in by_end(report) {
        if let Some(until) = seconds(&listed.not_after) {
            let name = "verifier_certificate_not_after_timestamp_seconds";
            sample(&mut text, name, listed, until);
        }
    }
    family(
        &mut text,
        "verifier_certificate_wrong",
        "Whether something is wrong with the certificate: 2 fails, 1 warns or is not known.",
    );
    for listed in by_end(report) {
        let wrong = match listed.standing {
            Standing::Good | Standing::Note => 0,
            Standing::Warn | Standing::Error => 1,
            Standing::Fail => 2,
        };
        sample(&mut text, "verifier_certificate_wrong", listed, wrong);
    }
    family(
        &mut text,
        "verifier_audit_timestamp_seconds",
        "When the audit began.",
    );
    // Writing to a String cannot fail.
    let _ = writeln!(
        text,
        "verifier_audit_timestamp_seconds {}",
        report.started.as_second()
    );
    text
}

fn family(text: &mut String, name: &str, help: &str) {
    let _ = write!(text, "# HELP {name} {help}\n# TYPE {name} gauge\n");
}

fn sample(text: &mut String, name: &str, listed: &Listed, value: i64) {
    let label = |text: &str| {
        text.replace('\\', "\\\\")
            .replace('"', "\\\"")
            .replace('\n', "\\n")
    };
    let _ = writeln!(
        text,
        "{name}{{host=\"{}\",place=\"{}\",subject=\"{}\",issuer=\"{}\",serial=\"{}\",used=\"{}\"}} {value}",
        label(listed.host.as_deref().unwrap_or_default()),
        label(&listed.place),
        label(&listed.subject),
        label(&listed.issuer),
        label(&listed.serial),
        !listed.used_by.is_empty(),
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::certificates::testing::listed;
    use crate::report::tests::report;

    #[test]
    fn every_certificate_has_a_sample_whatever_it_names() {
        let mut report = report(&[]);
        report.certificates = vec![listed(
            "node-0",
            "/a.crt",
            "CN=a\"b\\c",
            "2027-03-01T12:00:00Z",
            90,
        )];
        let text = text(&report);
        let line = "verifier_certificate_not_after_timestamp_seconds{host=\"node-0\",place=\"/a.crt\",subject=\"CN=a\\\"b\\\\c\",\
            issuer=\"CN=CA\",serial=\"01\",used=\"true\"} 1803902400\n";
        assert!(text.contains(line), "{text}");
        assert_eq!(text.matches("# TYPE").count(), 3);
    }
}
