//! JUnit's XML as GitLab and Jenkins read it, good by the schema of Ant too: a suite, a case for each result. A warning is a
//! case that passed; the suite's output has it.

use std::fmt::Write as _;

use super::{Report, ResultEntry};
use crate::findings::{Outcome, catalogue};

/// So much evidence of a failure is shown, in bytes: the whole lies in evidence/.
const EVIDENCE: usize = 8 << 10;

/// Returns the report as JUnit's XML.
pub(super) fn text(report: &Report) -> String {
    let counts = report.counts;
    let numbers = format!(
        "tests=\"{}\" failures=\"{}\" errors=\"{}\"",
        report.results.len(),
        counts.fail,
        counts.error
    );
    let took = format!("time=\"{:.3}\"", report.seconds.max(0.0));
    let started = report.started.strftime("%Y-%m-%dT%H:%M:%S");
    let machine = match escaped(&report.by.machine) {
        machine if machine.trim().is_empty() => "localhost".to_owned(),
        machine => machine,
    };
    let mut out = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    // Writing to a String cannot fail.
    let _ = write!(
        out,
        "<testsuites>\n<testsuite id=\"0\" package=\"verifier\" name=\"verifier\" {numbers} skipped=\"{}\" {took} timestamp=\"{started}\" hostname=\"{machine}\">\n<properties>\n",
        counts.skip + counts.accepted,
    );
    let cluster = report.cluster.as_ref();
    let properties = [
        ("outcome", report.outcome.word()),
        ("tool", &report.tool),
        ("run", &report.run),
        ("bundle", report.bundle.as_deref().unwrap_or_default()),
        ("cluster", cluster.map_or("", |cluster| &cluster.server)),
        ("notRun", &report.not_run.join(" ")),
    ];
    for (name, value) in properties {
        let _ = writeln!(out, "<property name=\"{name}\" value=\"{}\"/>", escaped(value));
    }
    out += "</properties>\n";
    for result in &report.results {
        case(&mut out, result);
    }
    out += "<system-out>";
    for result in report
        .results
        .iter()
        .filter(|result| result.outcome == Outcome::Warn)
    {
        let _ = writeln!(
            out,
            "{}\n{}",
            escaped(&super::member(result)),
            escaped(&told(result))
        );
    }
    out + "</system-out>\n<system-err></system-err>\n</testsuite>\n</testsuites>\n"
}

fn case(out: &mut String, result: &ResultEntry) {
    let id = escaped(&result.id);
    let host = result
        .host
        .as_deref()
        .map_or(String::new(), |host| format!(" {}", escaped(host)));
    let _ = write!(
        out,
        "<testcase classname=\"{id}\" name=\"{id}{host}\" time=\"{:.3}\"",
        result.seconds.max(0.0)
    );
    let cause = result.cause.as_ref();
    let (kind, message) = (
        escaped(cause.map_or("", |cause| &cause.id)),
        escaped(cause.map_or("", |cause| &cause.text)),
    );
    let tag = match result.outcome {
        Outcome::Pass | Outcome::Warn => {
            *out += "/>\n";
            return;
        }
        Outcome::Accepted => {
            // A consumer knows neither: it must not count it among what passed.
            let by = result
                .findings
                .iter()
                .find_map(|finding| finding.accepted.as_ref());
            let by = by.map(|by| catalogue::say(super::accepted(by), super::LANG));
            let by = escaped(&by.unwrap_or_default());
            let _ = writeln!(
                out,
                "><skipped type=\"{kind}\" message=\"{by}: {message}\"/></testcase>"
            );
            return;
        }
        Outcome::Skip => {
            let _ = writeln!(
                out,
                "><skipped type=\"{kind}\" message=\"{message}\"/></testcase>"
            );
            return;
        }
        Outcome::Fail => "failure",
        Outcome::Error => "error",
    };
    let _ = writeln!(
        out,
        "><{tag} type=\"{kind}\" message=\"{message}\">{}\n{}</{tag}></testcase>",
        escaped(&told(result)),
        escaped(&evidence(result))
    );
}

/// Returns all that was found, what to do and how to redo it.
fn told(result: &ResultEntry) -> String {
    let mut lines = Vec::new();
    for finding in &result.findings {
        let subject = finding
            .subject
            .as_deref()
            .map_or(String::new(), |subject| format!("{subject}: "));
        let word = match finding.accepted {
            Some(_) => Outcome::Accepted.word(),
            None => finding.severity.word(),
        };
        lines.push(format!("{word} {subject}{}", finding.cause.text));
        lines.push(format!("  -> {}", finding.hint));
    }
    if !result.by_hand.is_empty() {
        lines.push(format!("$ {}", result.by_hand));
    }
    lines.join("\n")
}

/// Returns the beginning of the evidence.
fn evidence(result: &ResultEntry) -> String {
    let mut text = String::new();
    for evidence in &result.evidence {
        let _ = write!(text, "== {}\n{}\n", evidence.title, evidence.text.trim_end());
        if text.len() > EVIDENCE {
            text.truncate(text.floor_char_boundary(EVIDENCE));
            return text + "\n...";
        }
    }
    text
}

/// Returns a text as XML has it: what XML cannot hold is written out.
pub(super) fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out += "&amp;",
            '<' => out += "&lt;",
            '>' => out += "&gt;",
            '"' => out += "&quot;",
            '\'' => out += "&#39;",
            '\n' => out.push(c),
            c if bundle::is_unseen(c) || matches!(c, '\u{fffe}' | '\u{ffff}') => {
                out.extend(c.escape_default());
            }
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::tests::{about, report, row};

    #[test]
    fn each_result_is_a_case_and_only_what_is_wrong_is_a_failure() {
        use Outcome::{Error, Fail, Pass, Skip, Warn};
        let xml = text(&report(&[Pass, Warn, Fail, Error, Skip]));
        let count = |tag: &str| xml.matches(tag).count();
        assert_eq!(
            [
                count("<testcase "),
                count("<failure "),
                count("<error "),
                count("<skipped ")
            ],
            [5, 1, 1, 1]
        );
        assert!(
            xml.contains("tests=\"5\" failures=\"1\" errors=\"1\" skipped=\"1\""),
            "{xml}"
        );
    }

    #[test]
    fn names_from_outside_end_no_attribute_and_begin_no_tag() {
        let nasty = "\"><x a='&\u{1b}[31m\u{0}\u{ffff}";
        let mut report = Report::new(about(), &[row("network.veth", Some(nasty), Outcome::Fail)]);
        report.results[0].evidence[0].text = nasty.repeat(2000);
        let xml = text(&report);
        assert!(!xml.contains("<x") && !xml.contains('\u{1b}') && !xml.contains('\u{0}'));
        assert!(xml.contains("&quot;&gt;&lt;x a=&#39;&amp;"));
    }
}
