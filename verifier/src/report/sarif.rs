//! SARIF 2.1.0 (OASIS) for those who gate on it: causes are rules, findings are results. What was skipped is a notification of
//! the run, so that nobody takes it for looked at.

use std::collections::BTreeMap;

use bundle::Digest;
use serde_json::{Value, json};

use super::{CauseEntry, FindingEntry, Report, ResultEntry};
use crate::findings::{Lang, Outcome, Severity, catalogue};

const SCHEMA: &str =
    "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json";

/// Returns the report as SARIF.
pub(super) fn text(report: &Report, lang: Lang) -> String {
    let (mut rules, mut places) = (Vec::new(), BTreeMap::new());
    let mut results = Vec::new();
    for result in &report.results {
        for finding in &result.findings {
            let rule = *places.entry(finding.cause.id.clone()).or_insert_with(|| {
                rules.push(rule(&finding.cause, lang));
                rules.len() - 1
            });
            results.push(one(result, finding, rule));
        }
    }
    let skipped = report
        .results
        .iter()
        .filter(|result| result.outcome == Outcome::Skip);
    let version = report.tool.rsplit(' ').next().unwrap_or_default();
    let took = jiff::SignedDuration::try_from_secs_f64(report.seconds.clamp(0.0, 1e9)).unwrap_or_default();
    let ended = report.started.checked_add(took).unwrap_or(report.started);
    let ended = ended.round(jiff::Unit::Second).unwrap_or(ended);
    let whole = json!({
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [{
            "tool": {"driver": {"name": "verifier", "version": version, "rules": rules}},
            "automationDetails": {"id": format!("verifier/{}", report.run)},
            "invocations": [{
                "executionSuccessful": report.counts.error == 0,
                "startTimeUtc": report.started.to_string(),
                "endTimeUtc": ended.to_string(),
                "toolExecutionNotifications": skipped.map(notification).collect::<Vec<_>>(),
            }],
            "results": results,
            "columnKind": "unicodeCodePoints",
            "properties": {"outcome": report.outcome, "bundle": report.bundle, "counts": report.counts, "notRun": report.not_run},
        }],
    });
    // Values of ours, with text for keys: they always have JSON.
    cli::to_json(&whole).unwrap_or_default()
}

/// Returns a cause as a rule.
fn rule(cause: &CauseEntry, lang: Lang) -> Value {
    let known = crate::findings::CauseId::ALL
        .iter()
        .find(|id| id.name() == cause.id);
    let (sentence, hint) = known.map_or(("", ""), |id| catalogue::template(*id, lang));
    let of = |text: &str| {
        if text.is_empty() {
            cause.id.clone()
        } else {
            catalogue::plain(text)
        }
    };
    json!({"id": cause.id, "shortDescription": {"text": of(sentence)}, "help": {"text": of(hint)}})
}

/// Returns a finding as a result; `rule` is the place of its cause among the rules.
fn one(result: &ResultEntry, finding: &FindingEntry, rule: usize) -> Value {
    let (cause, severity, hint) = (&finding.cause, finding.severity, &finding.hint);
    let subject = finding.subject.as_deref();
    let host = result.host.as_deref().unwrap_or("cluster");
    let name = subject.unwrap_or(host);
    let whole = subject.map_or_else(|| host.to_owned(), |subject| format!("{host}/{subject}"));
    let level = match severity {
        Severity::Warn => "warning",
        Severity::Error | Severity::Fail => "error",
    };
    // The same finding of another run has the same mark, so that trackers know it again.
    let mark = Digest::of(format!("{}\0{}\0{whole}", result.id, cause.id).as_bytes());
    let mut value = json!({
        "ruleId": cause.id,
        "ruleIndex": rule,
        "level": level,
        "message": {"text": format!("{}\n{hint}", cause.text)},
        "locations": [{
            // Viewers want a file; where it was found says the logical location.
            "physicalLocation": {"artifactLocation": {"uri": "report.json"}, "region": {"startLine": 1}},
            "logicalLocations": [{"name": name, "fullyQualifiedName": whole, "kind": "resource"}],
        }],
        "partialFingerprints": {"verifier/v1": mark.hex()},
        "properties": {"check": result.id, "host": result.host, "severity": severity, "byHand": result.by_hand},
    });
    if let Some(accepted) = &finding.accepted {
        let reason = catalogue::say(super::accepted(accepted), super::LANG);
        value["suppressions"] = json!([{"kind": "external", "status": "accepted", "justification": reason}]);
    }
    value
}

/// Returns a result that was skipped as a notification.
fn notification(result: &ResultEntry) -> Value {
    let reason = result.cause.as_ref().map_or("", |cause| &cause.text);
    let host = result.host.as_deref().unwrap_or_default();
    json!({"level": "note", "message": {"text": format!("skipped: {} {host}: {reason}", result.id)}})
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::tests::report;

    /// The key parts of the published schema (sarif-schema-2.1.0.json of OASIS).
    const PARTS: &str = include_str!("../../tests/forms/sarif-2.1.0-parts.schema.json");

    #[test]
    fn what_is_written_is_what_the_published_schema_wants() {
        use Outcome::{Error, Fail, Pass, Skip, Warn};
        let schema: Value = serde_json::from_str(PARTS).unwrap();
        let validator = jsonschema::validator_for(&schema).unwrap();
        for lang in [Lang::En, Lang::Ko] {
            let text = text(&report(&[Pass, Warn, Fail, Error, Skip]), lang);
            let value: Value = serde_json::from_str(&text).unwrap();
            let errors: Vec<String> = validator
                .iter_errors(&value)
                .map(|error| error.to_string())
                .collect();
            assert!(errors.is_empty(), "{errors:?}");
            let run = &value["runs"][0];
            assert_eq!(run["results"].as_array().unwrap().len(), 4);
            assert_eq!(run["tool"]["driver"]["rules"].as_array().unwrap().len(), 2);
            assert_eq!(
                run["invocations"][0]["toolExecutionNotifications"]
                    .as_array()
                    .unwrap()
                    .len(),
                1
            );
            for result in run["results"].as_array().unwrap() {
                let rule = usize::try_from(result["ruleIndex"].as_u64().unwrap()).unwrap();
                assert_eq!(run["tool"]["driver"]["rules"][rule]["id"], result["ruleId"]);
            }
        }
        let empty: Value = serde_json::from_str(&super::text(&report(&[]), Lang::En)).unwrap();
        assert!(validator.is_valid(&empty));
    }
}
