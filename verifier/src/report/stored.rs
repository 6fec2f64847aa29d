//! A report that was made before, read from its file: it may come from anyone, and from another version.

use std::io;
use std::path::{Path, PathBuf};

use bundle::{Digest, UserFile};
use cli::{Shown, visible_lines};
use serde::Deserialize;

use super::{CauseEntry, Counts, Report, VERSION};
use crate::protocol::TOOL;

/// A report that was made before.
const FILE: UserFile = UserFile::new("a report", 256 << 20);

/// No sentence of ours is longer, in bytes.
const LINE: usize = 16 << 10;

/// A report and what it was read from.
#[derive(Clone, Debug)]
pub struct Stored {
    /// The report; every text in it is visible.
    pub report: Report,
    /// The SHA-256 of its file.
    pub digest: Digest,
}

/// Why it cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StoredError {
    /// The file.
    #[error(transparent)]
    Unread(io::Error),
    /// It is something else.
    #[error("it is no report of a verifier")]
    Form(#[source] serde_json::Error),
    /// It is of a later form.
    #[error(
        "it is a report of version {version}, made by {made_by}; this is {TOOL}, which reads version {VERSION}"
    )]
    Newer {
        /// The version of its form.
        version: u32,
        /// What made it.
        made_by: Shown,
    },
    /// It has our version and another form.
    #[error("it was made by {made_by}, whose reports this verifier ({TOOL}) does not read")]
    Other {
        /// What made it.
        made_by: Shown,
        /// What is strange about it.
        source: serde_json::Error,
    },
}

/// The beginning of every report, whatever its version.
#[derive(Deserialize)]
struct Head {
    version: u32,
    tool: Shown,
}

/// Returns the report.json of a path: the file, or that of a report's directory.
pub fn report_file(path: &Path) -> PathBuf {
    if path.is_dir() {
        path.join(super::place::REPORT)
    } else {
        path.to_owned()
    }
}

impl Stored {
    /// Reads a report.json, or that of a report's directory.
    ///
    /// # Errors
    /// When it cannot be read, or is no report that this verifier knows.
    pub fn read(path: &Path) -> Result<Self, StoredError> {
        let bytes = FILE.read(&report_file(path)).map_err(StoredError::Unread)?;
        Self::of(&bytes)
    }

    /// Reads the bytes of a report.json.
    ///
    /// # Errors
    /// When they are no report that this verifier knows.
    pub fn of(bytes: &[u8]) -> Result<Self, StoredError> {
        let head: Head = serde_json::from_slice(bytes).map_err(StoredError::Form)?;
        let (version, made_by) = (head.version, head.tool);
        if version > VERSION {
            return Err(StoredError::Newer { version, made_by });
        }
        let mut report: Report = serde_json::from_slice(bytes).map_err(|source| {
            if *made_by == *TOOL {
                StoredError::Form(source)
            } else {
                StoredError::Other { made_by, source }
            }
        })?;
        // The verdict follows from the results, whatever somebody has written over them.
        report.counts = Counts::of_results(&report.results);
        report.outcome = report.counts.outcome();
        make_visible(&mut report);
        Ok(Self {
            report,
            digest: Digest::of(bytes),
        })
    }
}

/// Makes every text visible that is not so by its type.
fn make_visible(report: &mut Report) {
    let line = |text: &mut String| {
        if text.contains(bundle::is_unseen) {
            *text = cli::shown(text);
        }
        text.truncate(text.floor_char_boundary(LINE));
    };
    let lines = |text: &mut String| {
        if text.contains(bundle::is_unseen) {
            *text = visible_lines(text);
        }
    };
    let cause = |cause: &mut CauseEntry| {
        line(&mut cause.id);
        line(&mut cause.text);
    };
    line(&mut report.tool);
    line(&mut report.run);
    report.bundle.iter_mut().for_each(line);
    for made in &mut report.bundle_made {
        made.key.iter_mut().chain(&mut made.signer).for_each(line);
    }
    report.not_run.iter_mut().for_each(line);
    report.untested.iter_mut().for_each(line);
    report.selection.only.iter_mut().for_each(line);
    report.selection.skip.iter_mut().for_each(line);
    report
        .hosts
        .iter_mut()
        .flat_map(|host| &mut host.roles)
        .for_each(line);
    report
        .cluster
        .iter_mut()
        .filter_map(|cluster| cluster.ca.as_mut())
        .for_each(line);
    for result in &mut report.results {
        line(&mut result.id);
        line(&mut result.summary);
        lines(&mut result.by_hand);
        result.cause.iter_mut().for_each(cause);
        result.hint.iter_mut().for_each(line);
        for finding in &mut result.findings {
            cause(&mut finding.cause);
            line(&mut finding.hint);
        }
        for evidence in &mut result.evidence {
            line(&mut evidence.title);
            lines(&mut evidence.text);
        }
    }
    for listed in &mut report.certificates {
        line(&mut listed.key);
        line(&mut listed.sha256);
        listed.usages.iter_mut().for_each(line);
    }
    for listed in &mut report.images {
        listed.causes.iter_mut().for_each(line);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::findings::Outcome;
    use crate::report::tests::report;

    #[test]
    fn a_report_is_read_as_it_was_written() {
        let report = report(&[Outcome::Pass, Outcome::Fail]);
        let json = cli::to_json(&report).unwrap();
        let stored = Stored::of(json.as_bytes()).unwrap();
        assert_eq!(stored.report, report);
        assert_eq!(stored.digest, Digest::of(json.as_bytes()));
    }

    #[test]
    fn a_later_version_another_tool_s_form_and_no_report_at_all_are_told_apart() {
        let refused = |json: serde_json::Value| {
            let error = Stored::of(json.to_string().as_bytes()).unwrap_err();
            error.to_string()
        };
        let newer = refused(serde_json::json!({"version": 2, "tool": "verifier 9.0.0", "new": true}));
        assert!(newer.contains("version 2, made by verifier 9.0.0"), "{newer}");
        let mut other = serde_json::to_value(report(&[Outcome::Pass])).unwrap();
        other["later"] = true.into();
        assert!(refused(other.clone()).contains("no report"));
        other["tool"] = "verifier 0.9.9".into();
        assert!(refused(other).contains("made by verifier 0.9.9"));
        assert!(refused(serde_json::json!([])).contains("no report"));
        assert!(Stored::of(b"{\"version\": 1").is_err());
    }

    #[test]
    fn a_verdict_that_somebody_wrote_over_failures_is_that_of_the_results() {
        let report = report(&[Outcome::Pass, Outcome::Fail]);
        let mut changed = report.clone();
        changed.outcome = Outcome::Pass;
        changed.counts = Counts::of_results(&[]);
        let json = cli::to_json(&changed).unwrap();
        assert_eq!(Stored::of(json.as_bytes()).unwrap().report, report);
    }

    #[test]
    fn nasty_texts_of_a_report_are_visible_once_it_is_read() {
        for text in cli::nasty::texts() {
            let mut report = report(&[Outcome::Fail]);
            let result = &mut report.results[0];
            result.summary.clone_from(&text);
            result.by_hand.clone_from(&text);
            result.findings[0].cause.text.clone_from(&text);
            result.evidence[0].text.clone_from(&text);
            let read = Stored::of(cli::to_json(&report).unwrap().as_bytes()).unwrap();
            let result = &read.report.results[0];
            let texts = [
                &result.summary,
                &result.by_hand,
                &result.findings[0].cause.text,
                &result.evidence[0].text,
            ];
            for text in texts {
                let unseen = |c: char| c != '\n' && bundle::is_unseen(c);
                assert!(!text.contains(unseen), "{text:.80?}");
            }
        }
    }
}
