//! The directory of a report: report.json, its page and its XML, the evidence as files, SHA256SUMS over all. It is begun before the run and appears
//! whole or not at all; only a report of ours is replaced, and only its owner may read it.
//!
//! With it a run can be judged again elsewhere: `evidence/ID@HOST.facts.json` says which check saw what on which host,
//! and what every judge measures against lies beside it once: `evidence/site.yaml`, the site file without its comments,
//! proxy commands and names of password files, and `evidence/bundle.json`, the index as it was given. Both are formats with a version of their own, so no third one is needed; the
//! SHA-256 of `bundle.json` is the report's `bundle`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs::{self, File, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use bundle::{AtomicDirectory, Digest, Index};
use serde::Serialize;

use super::certificates::csv;
use super::file_name::FileNames;
use super::images;
use super::place::{DirectoryError, Place, REPORT, SIGNATURE, SUMS};
use super::{Ended, LANG, Report, ReportForm, Reporter, ReporterError, ResultEntry, tool};
use crate::findings::Lang;
use crate::suite::{Kept, Row, Seen};

/// The version of the form of a file of facts.
const FACTS_VERSION: u32 = 1;

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

/// Signs a report's list of files: takes its bytes, returns the file of the signature or why there is none.
pub type Sign = Box<dyn Fn(&[u8]) -> Result<String, String> + Send>;

/// What a report's directory is to be beside its facts.
#[derive(Default)]
pub struct Paper {
    /// The language of its page.
    pub lang: Lang,
    /// Who signs it; absent: nobody.
    pub sign: Option<Sign>,
}

/// Keeps the report in a directory. Its place is taken before the run: what cannot be written is known then, not after minutes.
pub struct Directory {
    target: PathBuf,
    staging: Option<AtomicDirectory>,
    /// The language of its page, and who signs it.
    paper: Paper,
    /// What stood there when the run began.
    before: Place,
}

impl Directory {
    /// Looks at the place and makes the directory that will be filled, beside it.
    ///
    /// # Errors
    /// When the report could not be written, or would take the place of something that is none of ours.
    pub fn begin(target: PathBuf, paper: Paper) -> Result<Self, DirectoryError> {
        let parent = parent(&target);
        if !parent.is_dir() {
            return Err(DirectoryError::Parent {
                path: parent.to_owned(),
            });
        }
        let before = Place::of(&target)?;
        let failed = |source| DirectoryError::Write {
            path: target.clone(),
            source,
        };
        let staging = AtomicDirectory::create(&target, 0o700).map_err(failed)?;
        let probe = staging.path().join(REPORT);
        keep(&probe, b"{}\n")
            .and_then(|()| fs::remove_file(&probe))
            .map_err(failed)?;
        Ok(Self {
            target,
            staging: Some(staging),
            paper,
            before,
        })
    }

    /// Gives the filled directory its name. Nothing is lost: what stands there and is not what stood there before stays.
    fn publish(&self, staging: AtomicDirectory) -> Result<(), DirectoryError> {
        let (staging, source) = match (&self.before, Place::of(&self.target)) {
            (Place::Free, Ok(Place::Free)) => match staging.commit() {
                Ok(()) => return Ok(()),
                Err(unnamed) => (unnamed.directory, Some(unnamed.source)),
            },
            (Place::Old(before), Ok(Place::Old(now))) if *before == now => match staging.exchange() {
                Ok(old) => {
                    now.remove(&old);
                    return Ok(());
                }
                Err(unnamed) => (unnamed.directory, Some(unnamed.source)),
            },
            _ => (staging, None),
        };
        let path = self.target.clone();
        let aside = match staging.set_aside() {
            Ok(aside) => aside,
            Err(source) => return Err(DirectoryError::Write { path, source }),
        };
        Err(match source {
            Some(source) => DirectoryError::Unnamed { path, aside, source },
            None => DirectoryError::Elsewhere { path, aside },
        })
    }
}

impl Reporter for Directory {
    fn place(&self) -> Option<&Path> {
        Some(&self.target)
    }

    fn finish(&mut self, ended: &Ended<'_>) -> Result<(), ReporterError> {
        let Some(staging) = self.staging.take() else {
            return Ok(());
        };
        let files = files(ended.report, ended.rows, ended.measure, self.paper.lang);
        let left_out = fill(staging.path(), files, self.paper.sign.as_ref())?;
        self.publish(staging)?;
        match left_out {
            Some(error) => Err(error.into()),
            None => Ok(()),
        }
    }
}

/// Writes the files and the list of them, and makes them and their names durable. A row's file that cannot be written costs
/// neither the others nor the report: it is left out, and so is its line of the list; the first such error is returned.
fn fill(
    root: &Path,
    files: BTreeMap<String, Vec<u8>>,
    sign: Option<&Sign>,
) -> Result<Option<DirectoryError>, DirectoryError> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| DirectoryError::Write { path, source }
    };
    let mut directories = BTreeSet::from([root.to_owned()]);
    let (mut sums, mut left_out) = (String::new(), None);
    for (name, bytes) in files {
        let path = root.join(&name);
        let directory = parent(&path);
        if directories.insert(directory.to_owned()) {
            let private = Permissions::from_mode(0o700);
            let made = fs::create_dir(directory).and_then(|()| fs::set_permissions(directory, private));
            made.map_err(failed(directory))?;
        }
        match keep(&path, &bytes) {
            Ok(()) => {
                // Writing to a String cannot fail.
                let _ = writeln!(sums, "{}  {name}", Digest::of(&bytes).hex());
            }
            Err(source) if name == REPORT => return Err(failed(&path)(source)),
            Err(source) => {
                // What there is of it is no evidence; where it cannot be removed either, the list tells.
                let _ = fs::remove_file(&path);
                left_out.get_or_insert(DirectoryError::LeftOut { name, source });
            }
        }
    }
    let list = root.join(SUMS);
    keep(&list, sums.as_bytes()).map_err(failed(&list))?;
    if let Some(sign) = sign {
        match sign(sums.as_bytes()) {
            Ok(signature) => {
                let path = root.join(SIGNATURE);
                keep(&path, signature.as_bytes()).map_err(failed(&path))?;
            }
            Err(reason) => {
                left_out.get_or_insert(DirectoryError::Unsigned { reason });
            }
        }
    }
    sync(&directories)?;
    Ok(left_out)
}

/// Makes names durable.
fn sync(directories: &BTreeSet<PathBuf>) -> Result<(), DirectoryError> {
    for directory in directories.iter().rev() {
        let synced = File::open(directory).and_then(|directory| match directory.sync_all() {
            // Some file systems (9p, FUSE) cannot sync a directory.
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported
                ) =>
            {
                Ok(())
            }
            other => other,
        });
        synced.map_err(|source| DirectoryError::Write {
            path: directory.clone(),
            source,
        })?;
    }
    Ok(())
}

/// Signs a report's directory that was written before; an older signature is replaced.
///
/// # Errors
/// When it has no list, cannot be written, or the key does not sign.
pub fn sign_directory(root: &Path, sign: &Sign) -> Result<(), DirectoryError> {
    let list = super::place::read_list(root).map_err(|reason| DirectoryError::Unsigned { reason })?;
    let signature = sign(list.as_bytes()).map_err(|reason| DirectoryError::Unsigned { reason })?;
    let path = root.join(SIGNATURE);
    let write = || {
        let mut file = bundle::AtomicFile::create_private(&path)?;
        file.put(signature.as_bytes())?;
        file.commit()
    };
    write().map_err(|error: bundle::AtomicError| DirectoryError::Unsigned {
        reason: error.to_string(),
    })
}

/// Writes a new file that only its owner may read, whatever the umask.
fn keep(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = File::options()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    file.set_permissions(Permissions::from_mode(0o600))?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// Returns the directory that holds a path: `.` for a bare name.
fn parent(path: &Path) -> &Path {
    path.parent()
        .filter(|parent| !parent.as_os_str().is_empty())
        .unwrap_or_else(|| Path::new("."))
}

/// Returns the files by name.
pub(super) fn files(
    report: &Report,
    rows: &[Row],
    measure: Measure<'_>,
    lang: Lang,
) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    let whole = json(report);
    let digest = Digest::of(&whole);
    files.insert(REPORT.to_owned(), whole);
    let page = ReportForm::Html.of(report, digest, lang);
    files.insert("report.html".to_owned(), page.into_bytes());
    let cases = ReportForm::Xml.of(report, digest, LANG);
    files.insert("report.xml".to_owned(), cases.into_bytes());
    files.insert("evidence/site.yaml".to_owned(), measure.site.into());
    if let Some(index) = measure.index {
        files.insert("evidence/bundle.json".to_owned(), index.to_json());
    }
    if !report.certificates.is_empty() {
        let text = csv(&report.certificates);
        files.insert("certificates.csv".to_owned(), text.into_bytes());
    }
    if !report.images.is_empty() {
        let text = images::csv(&report.images);
        files.insert("images.csv".to_owned(), text.into_bytes());
    }
    let mut names = FileNames::default();
    for (row, result) in rows.iter().zip(&report.results) {
        let name = format!("evidence/{}", names.of(row.id, row.host.as_deref()));
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
    files
}

fn json(value: &impl serde::Serialize) -> Vec<u8> {
    // Values of ours, with text for keys: they always have JSON.
    cli::to_json(value).unwrap_or_default().into_bytes()
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
        let files = files(&report(&[Outcome::Fail, Outcome::Pass]), &rows, MEASURE, Lang::En);
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
    fn a_row_whose_file_cannot_be_written_costs_neither_the_others_nor_the_report() {
        let home = tempfile::tempdir().unwrap();
        // No file system takes such a name: the names of rows are shorter, but the next reason to fail will be another.
        let bad = format!("evidence/{}.txt", "x".repeat(300));
        let files = [bad.as_str(), "evidence/a.txt", "evidence/z.txt", REPORT];
        let files = files.map(|name| (name.to_owned(), b"{}".to_vec())).into();
        let left_out = fill(home.path(), files, None).unwrap().unwrap();
        assert!(
            matches!(&left_out, DirectoryError::LeftOut { name, .. } if *name == bad),
            "{left_out}"
        );
        let sums = fs::read_to_string(home.path().join(SUMS)).unwrap();
        let listed: Vec<&str> = sums.lines().filter_map(|line| line.split("  ").nth(1)).collect();
        assert_eq!(listed, ["evidence/a.txt", "evidence/z.txt", REPORT]);
        for name in listed {
            assert!(home.path().join(name).is_file(), "{name}");
        }
    }

    fn write(target: &Path) -> Result<(), ReporterError> {
        finish(&mut Directory::begin(target.to_owned(), Paper::default())?)
    }

    fn finish(directory: &mut Directory) -> Result<(), ReporterError> {
        directory.finish(&Ended {
            report: &report(&[Outcome::Fail]),
            rows: &[row("network.pod-reachable", Some("server"), Outcome::Fail)],
            measure: MEASURE,
            laps: &[],
            written: &[],
            unshown: None,
        })
    }

    fn names(directory: &Path) -> Vec<String> {
        let entries = fs::read_dir(directory).unwrap();
        let mut names: Vec<String> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn a_report_is_written_whole_for_its_owner_alone_and_replaces_one_of_ours() {
        let home = tempfile::tempdir().unwrap();
        let target = home.path().join("report");
        for _ in 0..2 {
            write(&target).unwrap();
        }
        let sums = fs::read_to_string(target.join(SUMS)).unwrap();
        for line in sums.lines() {
            let (hash, name) = line.split_once("  ").unwrap();
            assert_eq!(Digest::of(fs::read(target.join(name)).unwrap()).hex(), hash);
        }
        assert_eq!(sums.lines().count(), 6, "{sums}");
        assert_eq!(names(home.path()), ["report"]);
        let mode = |name: &str| fs::metadata(target.join(name)).unwrap().permissions().mode() & 0o7777;
        assert_eq!(
            (mode("."), mode("evidence"), mode(REPORT), mode(SUMS)),
            (0o700, 0o700, 0o600, 0o600)
        );
    }

    #[test]
    fn what_somebody_else_put_there_is_refused_before_the_run_and_stays() {
        let home = tempfile::tempdir().unwrap();
        let report = home.path().join("report");
        write(&report).unwrap();
        let refused = |target: &Path, word: &str| {
            let before = names(target);
            let error = Directory::begin(target.to_owned(), Paper::default())
                .err()
                .expect("it is refused");
            assert!(error.is_usage() && error.to_string().contains(word), "{error}");
            assert_eq!(names(target), before);
        };
        fs::write(report.join("notes.txt"), "mine").unwrap();
        refused(&report, "notes.txt");
        fs::remove_file(report.join("notes.txt")).unwrap();
        fs::create_dir(report.join("evidence/old")).unwrap();
        refused(&report, "evidence/old");
        fs::remove_dir(report.join("evidence/old")).unwrap();
        fs::write(report.join(REPORT), "{}").unwrap();
        refused(&report, REPORT);
        // Somebody else's directory with files of the same names, and a list that is right.
        let other = home.path().join("other");
        fs::create_dir(&other).unwrap();
        fs::write(other.join(REPORT), "{\"tool\": \"mine\"}").unwrap();
        let sums = format!("{}  {REPORT}\n", Digest::of(b"{\"tool\": \"mine\"}").hex());
        fs::write(other.join(SUMS), sums).unwrap();
        refused(&other, "none of the verifier");
        fs::write(other.join("thesis.doc"), "years").unwrap();
        refused(&other, "thesis.doc");
        std::os::unix::fs::symlink(&other, home.path().join("link")).unwrap();
        refused(&home.path().join("link"), "symbolic link");
        let missing = Directory::begin(home.path().join("a/b"), Paper::default())
            .err()
            .expect("it is refused");
        assert!(matches!(missing, DirectoryError::Parent { .. }));
    }

    #[test]
    fn what_comes_while_the_run_goes_on_stays_and_the_report_lies_beside_it() {
        let home = tempfile::tempdir().unwrap();
        let target = home.path().join("report");
        let mut late = Directory::begin(target.clone(), Paper::default()).unwrap();
        // A second run with the same name ends first.
        write(&target).unwrap();
        let first = fs::read(target.join(REPORT)).unwrap();
        let error = finish(&mut late).unwrap_err();
        let ReporterError::Directory(DirectoryError::Elsewhere { aside, .. }) = error else {
            panic!("{error}");
        };
        assert_eq!(fs::read(target.join(REPORT)).unwrap(), first);
        assert!(aside.join(SUMS).is_file());
        let mut changed = Directory::begin(target.clone(), Paper::default()).unwrap();
        fs::write(target.join("notes.txt"), "mine").unwrap();
        assert!(finish(&mut changed).is_err());
        assert!(target.join("notes.txt").exists());
    }

    #[test]
    fn a_run_that_ends_without_a_report_leaves_what_was_there() {
        let home = tempfile::tempdir().unwrap();
        let target = home.path().join("report");
        write(&target).unwrap();
        drop(Directory::begin(target, Paper::default()).unwrap());
        assert_eq!(names(home.path()), ["report"]);
    }
}
