//! From the directory of a report to a run of the corpus in `verifier/tests/facts/`, which the verifier's tests judge
//! again.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::Report;

const CORPUS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../verifier/tests/facts");

/// What was planted in the cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The fault that has the run's name. Only what is no pass is kept.
    Fault,
    /// Nothing. Everything is kept.
    Healthy,
}

/// Why a run was not recorded.
#[derive(Debug)]
pub struct Unrecorded {
    path: PathBuf,
    source: io::Error,
}

impl std::fmt::Display for Unrecorded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "cannot use {}", self.path.display())
    }
}

impl std::error::Error for Unrecorded {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.source)
    }
}

/// Records the run whose reports are in these directories as `name`: what judges measured against is that of the first. Returns how many bytes it has, or none where no
/// alarm of a faulty one has facts, so that there is nothing to judge: a fault that keeps everything from looking.
pub fn record(directories: &[PathBuf], kind: Kind, name: &str) -> Result<Option<usize>, Unrecorded> {
    let mut results = Vec::new();
    let mut tool = Value::Null;
    for directory in directories {
        results.extend(results_of(directory, kind, &mut tool)?);
    }
    let evidence = directories.first().map(|first| first.join("evidence"));
    let evidence = evidence.unwrap_or_default();
    let is_alarm = |result: &Value| result["outcome"] != "pass" && result["outcome"] != "skip";
    if kind == Kind::Fault && !results.iter().any(is_alarm) {
        return Ok(None);
    }
    let index = evidence.join("bundle.json");
    let run = json!({
        "index": if index.exists() { parsed(&index)? } else { Value::Null },
        "kind": match kind {
            Kind::Fault => "fault",
            Kind::Healthy => "healthy",
        },
        "name": name,
        "results": results,
        "site": read(&evidence.join("site.yaml"))?,
        "tool": tool,
        "version": 1,
    });
    let text = format!("{run:#}\n");
    let path = Path::new(CORPUS).join(format!("{name}.json"));
    fs::write(&path, &text).map_err(|source| Unrecorded { path, source })?;
    Ok(Some(text.len()))
}

/// Returns the results of a report that are kept.
fn results_of(directory: &Path, kind: Kind, tool: &mut Value) -> Result<Vec<Value>, Unrecorded> {
    let evidence = directory.join("evidence");
    let report = Report::parse(&read(&directory.join("report.json"))?);
    let mut results = Vec::new();
    for result in report.results() {
        let path = evidence.join(file(result));
        let is_kept = kind == Kind::Healthy || result["outcome"] != "pass";
        // A check that could not look has no facts: there is nothing to judge.
        if is_kept && path.exists() {
            let mut seen = parsed(&path)?;
            for part in ["facts", "again", "depth"] {
                redact(&mut seen[part]);
            }
            *tool = seen["tool"].take();
            results.push(entry(result, seen));
        }
    }
    Ok(results)
}

/// Returns the name of the file of a result's facts.
fn file(result: &Value) -> String {
    let host = result["host"].as_str().map(|host| format!("@{host}"));
    let id = result["id"].as_str().unwrap_or_default();
    format!("{id}{}.facts.json", host.unwrap_or_default())
}

/// Returns a result of the corpus.
fn entry(result: &Value, mut seen: Value) -> Value {
    let found = result["findings"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default();
    let mut findings: Vec<Value> = found
        .iter()
        .map(|one| finding(&one["cause"], &one["subject"]))
        .collect();
    // A skip has no findings, but a reason.
    if findings.is_empty() && !result["cause"].is_null() {
        findings.push(finding(&result["cause"], &Value::Null));
    }
    let mut entry = json!({
        "check": seen["check"].take(),
        "facts": seen["facts"].take(),
        "findings": findings,
        "host": seen["host"].take(),
        "outcome": result["outcome"],
    });
    for part in ["again", "depth"] {
        if !seen[part].is_null() {
            entry[part] = seen[part].take();
        }
    }
    entry
}

fn finding(cause: &Value, subject: &Value) -> Value {
    let mut finding = json!({"args": cause["args"], "id": cause["id"]});
    if !subject.is_null() {
        finding["subject"] = subject.clone();
    }
    finding
}

/// Empties the ends of journals: judges only pass them on, and they are the larger part of what changes from run to run.
fn redact(facts: &mut Value) {
    match facts {
        Value::Array(items) => items.iter_mut().for_each(redact),
        Value::Object(fields) => {
            let is_journal = fields.get("title").is_some_and(|title| title["id"] == "journal");
            if let Some(lines) = fields.get_mut("lines").filter(|_| is_journal) {
                *lines = json!([]);
            }
            fields.values_mut().for_each(redact);
        }
        _ => {}
    }
}

fn parsed(path: &Path) -> Result<Value, Unrecorded> {
    serde_json::from_str(&read(path)?).map_err(|error| Unrecorded {
        path: path.to_owned(),
        source: error.into(),
    })
}

fn read(path: &Path) -> Result<String, Unrecorded> {
    fs::read_to_string(path).map_err(|source| Unrecorded {
        path: path.to_owned(),
        source,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn journals_are_emptied_and_other_facts_stay() {
        let mut facts = json!({
            "journal": {"title": {"id": "journal", "args": {}}, "lines": ["E1125 boom"]},
            "rules": [{"title": {"id": "routes", "args": {}}, "lines": ["-A FORWARD"]}],
        });
        redact(&mut facts);
        assert_eq!(facts["journal"]["lines"], json!([]));
        assert_eq!(facts["rules"][0]["lines"][0], "-A FORWARD");
    }

    #[test]
    fn a_result_keeps_its_cause_and_its_host_may_be_none() {
        let result = json!({
            "id": "api.ready",
            "outcome": "fail",
            "cause": {"id": "api-timeout", "args": {"seconds": "5"}, "text": "late"},
            "findings": [{
                "severity": "fail",
                "subject": null,
                "cause": {"id": "api-timeout", "args": {"seconds": "5"}, "text": "late"},
            }],
        });
        assert_eq!(file(&result), "api.ready.facts.json");
        let seen =
            json!({"version": 1, "check": "api.ready", "host": null, "facts": {"a": 1}, "depth": {"b": 2}});
        let expected = json!({
            "check": "api.ready",
            "depth": {"b": 2},
            "facts": {"a": 1},
            "findings": [{"args": {"seconds": "5"}, "id": "api-timeout"}],
            "host": null,
            "outcome": "fail",
        });
        assert_eq!(entry(&result, seen), expected);
    }
}
