//! From the directory of a report to a run of the corpus in `verifier/tests/facts/`, which the verifier's tests judge
//! again.
//!
//! The report names only the first finding of a result. The others are filled in by `UPDATE_CORPUS=1` of the corpus's
//! own test; what differs then but for them is a judge that does not say of the stored facts what the run said.

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

/// Records the run whose report is in `directory` as `name` and returns how many bytes it has.
pub fn record(directory: &Path, kind: Kind, name: &str) -> Result<usize, Unrecorded> {
    let evidence = directory.join("evidence");
    let report = Report::parse(&read(&directory.join("report.json"))?);
    let mut results = Vec::new();
    let mut tool = Value::Null;
    for result in report.results() {
        let path = evidence.join(file(result));
        let is_kept = kind == Kind::Healthy || result["outcome"] != "pass";
        // A check that could not look has no facts: there is nothing to judge.
        if is_kept && path.exists() {
            let mut seen = parsed(&path)?;
            redact(&mut seen["facts"]);
            tool = seen["tool"].take();
            results.push(entry(result, seen));
        }
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
    Ok(text.len())
}

/// Returns the name of the file of a result's facts.
fn file(result: &Value) -> String {
    let host = result["host"].as_str().map(|host| format!("@{host}"));
    let id = result["id"].as_str().unwrap_or_default();
    format!("{id}{}.facts.json", host.unwrap_or_default())
}

/// Returns a result of the corpus.
fn entry(result: &Value, mut seen: Value) -> Value {
    let cause = &result["cause"];
    let findings = if cause.is_null() {
        json!([])
    } else {
        json!([{"args": cause["args"], "id": cause["id"]}])
    };
    json!({
        "check": seen["check"].take(),
        "facts": seen["facts"].take(),
        "findings": findings,
        "host": seen["host"].take(),
        "outcome": result["outcome"],
    })
}

/// Empties the ends of journals: judges only pass them on, and they are the larger part of what changes from run to run.
fn redact(facts: &mut Value) {
    match facts {
        Value::Array(items) => items.iter_mut().for_each(redact),
        Value::Object(fields) => {
            let title = fields.get("title").and_then(Value::as_str).unwrap_or_default();
            if title.ends_with(", last lines") && fields.contains_key("text") {
                fields.insert("text".to_owned(), Value::String(String::new()));
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
            "journal": {"title": "kubelet.service on node-0, last lines", "text": "E1125 boom"},
            "rules": [{"title": "rules", "text": "-A FORWARD"}],
        });
        redact(&mut facts);
        assert_eq!(facts["journal"]["text"], "");
        assert_eq!(facts["rules"][0]["text"], "-A FORWARD");
    }

    #[test]
    fn a_result_keeps_its_cause_and_its_host_may_be_none() {
        let result = json!({
            "id": "api.ready",
            "outcome": "fail",
            "cause": {"id": "api-late", "args": {"seconds": "5"}, "text": "late"},
        });
        assert_eq!(file(&result), "api.ready.facts.json");
        let seen = json!({"version": 1, "check": "api.ready", "host": null, "facts": {"a": 1}});
        let expected = json!({
            "check": "api.ready",
            "facts": {"a": 1},
            "findings": [{"args": {"seconds": "5"}, "id": "api-late"}],
            "host": null,
            "outcome": "fail",
        });
        assert_eq!(entry(&result, seen), expected);
    }
}
