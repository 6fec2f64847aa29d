//! `report.json` as a user's script would read it.

use serde_json::Value;

/// A report of a run.
#[derive(Debug)]
pub struct Report(Value);

/// Returns whether a result is a skip for want of something that the page's cluster does not have: a DNS, a CNI that enforces
/// policies, storage, a place for backups, webhooks.
fn is_unasked(result: &Value) -> bool {
    let unasked = [
        "dns-none-named",
        "policy-not-enforced",
        "no-storage-class",
        "backup-not-named",
        "nobody-called",
    ];
    result["outcome"] == "skip" && unasked.iter().any(|cause| result["cause"]["id"] == *cause)
}

impl Report {
    /// Parses a report.
    ///
    /// # Panics
    ///
    /// When it is no JSON or not of version 1.
    pub fn parse(text: &str) -> Self {
        let value: Value =
            serde_json::from_str(text).unwrap_or_else(|error| panic!("no report: {error}: {text}"));
        assert_eq!(value["version"], 1, "version of the report");
        Self(value)
    }

    /// Returns the whole of it.
    pub fn value(&self) -> &Value {
        &self.0
    }

    /// Returns the verdict: pass, warn, fail or error.
    pub fn outcome(&self) -> &str {
        self.0["outcome"].as_str().unwrap_or_default()
    }

    /// Returns whether checks were left out.
    pub fn is_partial(&self) -> bool {
        self.0["notRun"].as_array().is_some_and(|left| !left.is_empty())
    }

    /// Returns the name of the run.
    pub fn run(&self) -> &str {
        self.0["run"].as_str().unwrap_or_default()
    }

    /// Returns how many results have this outcome.
    pub fn count(&self, outcome: &str) -> u64 {
        self.0["counts"][outcome].as_u64().unwrap_or(u64::MAX)
    }

    /// Returns all results.
    pub fn results(&self) -> &[Value] {
        self.0["results"].as_array().map_or(&[], Vec::as_slice)
    }

    /// Returns the outcome of a check on a host (`-` where the scope is the cluster).
    pub fn of(&self, id: &str, host: &str) -> Option<&str> {
        self.result(id, host)
            .and_then(|result| result["outcome"].as_str())
    }

    /// Returns the result of a check on a host (`-` where the scope is the cluster).
    pub fn result(&self, id: &str, host: &str) -> Option<&Value> {
        self.results()
            .iter()
            .find(|result| result["id"] == id && result["host"].as_str().unwrap_or("-") == host)
    }

    /// Returns the cause of a check on a host: its id, empty where there is none.
    pub fn cause(&self, id: &str, host: &str) -> &str {
        self.result(id, host)
            .and_then(|result| result["cause"]["id"].as_str())
            .unwrap_or_default()
    }

    /// Returns `id host outcome cause` of every result that is no pass, for a test's message; but for what is true of every lab
    /// without `--dns`: it has none.
    pub fn troubles(&self) -> Vec<String> {
        let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
        let line = |result: &Value| {
            let words = [
                &result["id"],
                &result["host"],
                &result["outcome"],
                &result["cause"]["id"],
                &result["cause"]["text"],
            ];
            words.map(text).join(" ")
        };
        self.results()
            .iter()
            .filter(|result| result["outcome"] != "pass" && !is_unasked(result))
            .map(line)
            .collect()
    }
}
