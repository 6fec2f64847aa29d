//! The directory of a report: report.json, the evidence as files, SHA256SUMS over all. It appears whole or not at
//! all; only a directory that holds a report of ours is replaced.
//!
//! With it a run can be judged again elsewhere: `evidence/ID@HOST.facts.json` says which check saw what on which host,
//! and what every judge measures against lies beside it once, as it was given: `evidence/site.yaml`, the site file, and
//! `evidence/bundle.json`, the index. Both are formats with a version of their own, so no third one is needed; the
//! SHA-256 of `bundle.json` is the report's `bundle`.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use bundle::{Digest, Index};
use serde::Serialize;

use super::{Ended, Report, Reporter, ReporterError, ResultEntry, tool};
use crate::suite::{Kept, Row, Seen};

/// The version of the form of a file of facts.
const FACTS_VERSION: u32 = 1;

/// Why a report's directory was not written.
#[derive(Debug, thiserror::Error)]
pub enum DirectoryError {
    /// Something else is there.
    #[error("{} exists and holds no report of ours", path.display())]
    Taken {
        /// The directory.
        path: PathBuf,
    },
    /// The place of the directory does not exist.
    #[error("there is no directory {}", path.display())]
    Parent {
        /// The directory that should hold it.
        path: PathBuf,
    },
    /// It cannot be written.
    #[error("cannot write the report to {}", path.display())]
    Write {
        /// The file or directory.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
}

/// What the judges of a run measured against.
#[derive(Clone, Copy)]
pub struct Measure<'a> {
    /// The text of the site file.
    pub site: &'a str,
    /// The index of the bundle; absent: none was given.
    pub index: Option<&'a Index>,
}

/// A file of facts: what a check saw of a member.
#[derive(Serialize)]
struct FactsFile<'a> {
    /// The version of this form: 1.
    version: u32,
    /// The check.
    check: &'a str,
    /// The host; null where the scope is the cluster.
    host: Option<&'a str>,
    /// The program with its version.
    tool: String,
    /// What the check's judge takes.
    #[serde(flatten)]
    seen: SeenForm<'a>,
}

/// What a file of facts holds of what was seen.
#[derive(Serialize)]
#[serde(untagged)]
enum SeenForm<'a> {
    /// All of it.
    Whole(&'a Seen),
    /// Its beginning: there is more than a report holds.
    #[serde(rename_all = "camelCase")]
    Cut { begin: &'a str, left_out_bytes: usize },
}

impl<'a> From<&'a Kept> for SeenForm<'a> {
    fn from(kept: &'a Kept) -> Self {
        match kept {
            Kept::Whole(seen) => Self::Whole(seen),
            Kept::Cut { begin, left_out } => Self::Cut {
                begin,
                left_out_bytes: *left_out,
            },
        }
    }
}

/// Proves that a report can be written as `target`: before a run of minutes, not after it.
pub fn check_target(target: &Path) -> Result<(), DirectoryError> {
    let parent = parent(target);
    if !parent.is_dir() {
        return Err(DirectoryError::Parent {
            path: parent.to_owned(),
        });
    }
    match fs::read_dir(target) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(source) => Err(DirectoryError::Write {
            path: target.to_owned(),
            source,
        }),
        Ok(mut entries) => {
            let ours = target.join("SHA256SUMS").is_file() && target.join("report.json").is_file();
            if ours || entries.next().is_none() {
                return Ok(());
            }
            Err(DirectoryError::Taken {
                path: target.to_owned(),
            })
        }
    }
}

/// Keeps the report in a directory.
pub struct Directory {
    /// The directory.
    pub path: PathBuf,
}

impl Reporter for Directory {
    fn finish(&mut self, ended: &Ended<'_>) -> Result<(), ReporterError> {
        Ok(write(&self.path, ended.report, ended.rows, ended.measure)?)
    }
}

/// Writes the directory of a report as `target`.
fn write(target: &Path, report: &Report, rows: &[Row], measure: Measure<'_>) -> Result<(), DirectoryError> {
    check_target(target)?;
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| DirectoryError::Write { path, source }
    };
    let name = target.file_name().unwrap_or_default().to_string_lossy();
    let staging = tempfile::Builder::new()
        .prefix(&format!(".{name}."))
        .tempdir_in(parent(target))
        .map_err(failed(target))?;
    let whole = staging.path().join("new");
    for (path, bytes) in files(report, rows, measure) {
        let path = whole.join(path);
        fs::create_dir_all(path.parent().unwrap_or(&whole)).map_err(failed(&path))?;
        fs::write(&path, bytes).map_err(failed(&path))?;
    }
    // The old report leaves in one step too; the staging directory takes it along when it goes.
    match fs::rename(target, staging.path().join("old")) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => {
            return Err(DirectoryError::Write {
                path: target.to_owned(),
                source,
            });
        }
        _ => {}
    }
    fs::rename(&whole, target).map_err(failed(target))
}

/// Returns the directory that holds a path: `.` for a bare name.
fn parent(path: &Path) -> &Path {
    path.parent()
        .filter(|parent| !parent.as_os_str().is_empty())
        .unwrap_or_else(|| Path::new("."))
}

/// Returns the files by name.
fn files(report: &Report, rows: &[Row], measure: Measure<'_>) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    files.insert("report.json".to_owned(), json(report));
    files.insert("evidence/site.yaml".to_owned(), measure.site.into());
    if let Some(index) = measure.index {
        files.insert("evidence/bundle.json".to_owned(), index.to_json());
    }
    for (row, result) in rows.iter().zip(&report.results) {
        let name = format!(
            "evidence/{}{}",
            row.id,
            row.host
                .as_ref()
                .map(|host| format!("@{host}"))
                .unwrap_or_default()
        );
        if !result.evidence.is_empty() {
            files.insert(format!("{name}.txt"), text(result).into_bytes());
        }
        if let Some(seen) = &row.seen {
            let file = FactsFile {
                version: FACTS_VERSION,
                check: row.id,
                host: row.host.as_deref(),
                tool: tool(),
                seen: seen.into(),
            };
            files.insert(format!("{name}.facts.json"), json(&file));
        }
    }
    let mut sums = String::new();
    for (name, bytes) in &files {
        // Writing to a String cannot fail.
        let _ = writeln!(sums, "{}  {name}", Digest::of(bytes).hex());
    }
    files.insert("SHA256SUMS".to_owned(), sums.into_bytes());
    files
}

fn json(value: &impl serde::Serialize) -> Vec<u8> {
    // Values of ours, with text for keys: they always have JSON.
    let mut bytes = serde_json::to_vec_pretty(value).unwrap_or_default();
    bytes.push(b'\n');
    bytes
}

fn text(result: &ResultEntry) -> String {
    let mut text = String::new();
    for evidence in &result.evidence {
        let _ = write!(text, "== {}\n{}\n\n", evidence.title, evidence.text.trim_end());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::findings::Outcome;
    use crate::report::tests::{report, row};

    const MEASURE: Measure<'_> = Measure {
        site: "apiVersion: site/v1\n",
        index: None,
    };

    #[test]
    fn facts_say_whose_they_are_and_what_they_are_measured_against_lies_beside_them() {
        let rows = [
            row("network.pod-reachable", Some("server"), Outcome::Fail),
            row("api.ready", None, Outcome::Pass),
        ];
        let files = files(&report(&[Outcome::Fail, Outcome::Pass]), &rows, MEASURE);
        let facts = |name: &str| serde_json::from_slice::<serde_json::Value>(&files[name]).unwrap();
        let expected = serde_json::json!({
            "version": 1,
            "check": "network.pod-reachable",
            "host": "server",
            "tool": tool(),
            "facts": {"asked": []},
        });
        assert_eq!(
            facts("evidence/network.pod-reachable@server.facts.json"),
            expected
        );
        assert_eq!(
            facts("evidence/api.ready.facts.json")["host"],
            serde_json::Value::Null
        );
        assert_eq!(files["evidence/site.yaml"], MEASURE.site.as_bytes());
        assert!(!files.contains_key("evidence/bundle.json"));
    }

    #[test]
    fn a_report_is_written_whole_and_replaces_only_one_of_ours() {
        let home = tempfile::tempdir().unwrap();
        let target = home.path().join("report");
        let rows = [row("network.pod-reachable", Some("server"), Outcome::Fail)];
        for _ in 0..2 {
            write(&target, &report(&[Outcome::Fail]), &rows, MEASURE).unwrap();
        }
        let sums = fs::read_to_string(target.join("SHA256SUMS")).unwrap();
        for line in sums.lines() {
            let (hash, name) = line.split_once("  ").unwrap();
            assert_eq!(Digest::of(fs::read(target.join(name)).unwrap()).hex(), hash);
        }
        assert_eq!(sums.lines().count(), 4, "{sums}");
        assert_eq!(fs::read_dir(home.path()).unwrap().count(), 1);
        let other = home.path().join("other");
        fs::create_dir(&other).unwrap();
        fs::write(other.join("precious"), "").unwrap();
        assert!(matches!(check_target(&other), Err(DirectoryError::Taken { .. })));
        assert!(matches!(
            check_target(&home.path().join("a/b")),
            Err(DirectoryError::Parent { .. })
        ));
    }
}
