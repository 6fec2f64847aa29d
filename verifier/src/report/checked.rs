//! Whether a report's directory is as it was written: every file that its SHA256SUMS names, and no other.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use bundle::Digest;
use serde::Serialize;

use super::place::{self, REPORT, SIGNATURE, SUMS};

/// What a directory comes to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CheckedReport {
    /// The version of this form: 1.
    pub version: u32,
    /// How many files its list names.
    pub files: usize,
    /// The SHA-256 of the list itself, by which the whole is known.
    pub sums: Option<String>,
    /// The fingerprint of the key that signed the list, where that was asked for and is so.
    #[serde(rename = "signedBy")]
    pub signed_by: Option<String>,
    /// Whether a signature lies beside the list.
    pub signed: bool,
    /// What is not as it was written.
    pub problems: Vec<ReportProblem>,
}

/// What is not as it was written.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct ReportProblem {
    /// What is wrong.
    pub kind: ProblemKind,
    /// The file, below the directory.
    pub name: String,
    /// More about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// What is wrong with a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ProblemKind {
    /// Its bytes are others.
    Altered,
    /// It is not there.
    Missing,
    /// It is there, and was not.
    Extra,
    /// It cannot be read.
    Unreadable,
    /// The list is none, or not in the form in which it was written.
    List,
    /// The signature is not good.
    Signature,
}

/// Checks that a list was signed: takes the signature and the signed bytes, returns the key's fingerprint or what is wrong.
pub type Verify<'a> = &'a dyn Fn(&str, &[u8]) -> Result<String, String>;

impl CheckedReport {
    /// Checks a directory. `verify` is asked where it must be signed.
    pub fn of(root: &Path, verify: Option<Verify<'_>>) -> Self {
        let mut checked = Self {
            version: 1,
            files: 0,
            sums: None,
            signed_by: None,
            signed: false,
            problems: Vec::new(),
        };
        let text = match place::read_list(root) {
            Ok(text) => text,
            Err(reason) => {
                checked.add(ProblemKind::List, SUMS, Some(reason));
                return checked;
            }
        };
        checked.sums = Some(Digest::of(text.as_bytes()).to_string());
        checked.signature(root, &text, verify);
        match place::listed(&text) {
            Ok(files) => {
                checked.files = files.len();
                if place::list(&files) != text {
                    checked.add(ProblemKind::List, SUMS, Some("not as it was written".to_owned()));
                }
                checked.compare(root, &files);
            }
            Err(reason) => checked.add(ProblemKind::List, SUMS, Some(reason)),
        }
        checked.problems.sort();
        checked
    }

    fn add(&mut self, kind: ProblemKind, name: &str, reason: Option<String>) {
        let name = name.to_owned();
        self.problems.push(ReportProblem { kind, name, reason });
    }

    fn signature(&mut self, root: &Path, text: &str, verify: Option<Verify<'_>>) {
        let signature = place::read_signature(root);
        self.signed = fs::symlink_metadata(root.join(SIGNATURE)).is_ok();
        let Some(verify) = verify else { return };
        match signature.and_then(|signature| verify(&signature, text.as_bytes())) {
            Ok(key) => self.signed_by = Some(key),
            Err(reason) => self.add(ProblemKind::Signature, SIGNATURE, Some(reason)),
        }
    }

    fn compare(&mut self, root: &Path, files: &BTreeMap<String, Digest>) {
        for (name, digest) in files {
            match place::hash(&root.join(name)) {
                Ok(found) if found == *digest => {}
                Ok(_) => self.add(ProblemKind::Altered, name, None),
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                    self.add(ProblemKind::Missing, name, None);
                }
                Err(error) => self.add(ProblemKind::Unreadable, name, Some(error.to_string())),
            }
        }
        if !files.contains_key(REPORT) {
            self.add(ProblemKind::Missing, REPORT, None);
        }
        let inner = |name: &String| {
            Path::new(name)
                .parent()
                .map(|parent| format!("{}/", parent.display()))
        };
        let directories: BTreeSet<String> = files.keys().filter_map(inner).collect();
        self.extra(root, "", files, &directories);
    }

    /// Names what lies there and is not listed.
    fn extra(
        &mut self,
        root: &Path,
        below: &str,
        files: &BTreeMap<String, Digest>,
        directories: &BTreeSet<String>,
    ) {
        let entries = match fs::read_dir(root.join(below)) {
            Ok(entries) => entries,
            Err(error) => return self.add(ProblemKind::Unreadable, below, Some(error.to_string())),
        };
        for entry in entries.flatten() {
            let name = format!("{below}{}", entry.file_name().to_string_lossy());
            let is_directory = entry.file_type().is_ok_and(|kind| kind.is_dir());
            let inside = format!("{name}/");
            if is_directory && directories.iter().any(|known| known.starts_with(&inside)) {
                self.extra(root, &inside, files, directories);
            } else if !files.contains_key(&name) && name != SUMS && name != SIGNATURE {
                self.add(ProblemKind::Extra, &cli::shown(&name), None);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    /// Makes a report's directory of three files.
    fn directory() -> (tempfile::TempDir, PathBuf) {
        let home = tempfile::tempdir().unwrap();
        let root = home.path().join("report");
        fs::create_dir_all(root.join("evidence")).unwrap();
        let files = [(REPORT, "{}"), ("evidence/a.txt", "a"), ("report.xml", "<x/>")];
        let mut listed = BTreeMap::new();
        for (name, text) in files {
            fs::write(root.join(name), text).unwrap();
            listed.insert(name.to_owned(), Digest::of(text.as_bytes()));
        }
        fs::write(root.join(SUMS), place::list(&listed)).unwrap();
        (home, root)
    }

    fn found(root: &Path) -> Vec<(ProblemKind, String)> {
        let problems = CheckedReport::of(root, None).problems;
        problems
            .into_iter()
            .map(|problem| (problem.kind, problem.name))
            .collect()
    }

    #[test]
    fn each_byte_that_is_altered_or_cut_or_added_is_found() {
        let (_home, root) = directory();
        assert_eq!(found(&root), []);
        for name in [REPORT, "evidence/a.txt", "report.xml", SUMS] {
            let whole = fs::read(root.join(name)).unwrap();
            for at in 0..whole.len() {
                for bit in 0..8 {
                    let mut bytes = whole.clone();
                    bytes[at] ^= 1 << bit;
                    fs::write(root.join(name), &bytes).unwrap();
                    assert_ne!(found(&root), [], "{name} byte {at} bit {bit}");
                }
            }
            for bytes in [&whole[..whole.len() - 1], &[&whole[..], b"\n"].concat()] {
                fs::write(root.join(name), bytes).unwrap();
                assert_ne!(found(&root), [], "{name}");
            }
            fs::remove_file(root.join(name)).unwrap();
            assert_ne!(found(&root), [], "{name}");
            fs::write(root.join(name), whole).unwrap();
        }
        assert_eq!(found(&root), []);
    }

    #[test]
    fn what_is_missing_what_is_more_and_what_is_a_link_is_named() {
        let (_home, root) = directory();
        fs::write(root.join("evidence/b.txt"), "").unwrap();
        fs::create_dir(root.join("more")).unwrap();
        fs::remove_file(root.join("report.xml")).unwrap();
        std::os::unix::fs::symlink("/etc/hostname", root.join("report.xml")).unwrap();
        assert_eq!(
            found(&root),
            [
                (ProblemKind::Extra, "evidence/b.txt".to_owned()),
                (ProblemKind::Extra, "more".to_owned()),
                (ProblemKind::Unreadable, "report.xml".to_owned()),
            ]
        );
        assert_eq!(found(Path::new("/nonexistent"))[0].0, ProblemKind::List);
    }

    #[test]
    fn a_signature_that_is_asked_for_must_be_there_and_good() {
        let (_home, root) = directory();
        let good = |signature: &str, _: &[u8]| {
            if signature == "good" {
                Ok("SHA256:x".to_owned())
            } else {
                Err("bad".to_owned())
            }
        };
        let of = || CheckedReport::of(&root, Some(&good));
        assert_eq!(of().problems[0].kind, ProblemKind::Signature);
        fs::write(root.join(SIGNATURE), "forged").unwrap();
        assert_eq!((of().problems.len(), of().signed), (1, true));
        fs::write(root.join(SIGNATURE), "good").unwrap();
        assert_eq!(
            (of().problems.len(), of().signed_by),
            (0, Some("SHA256:x".to_owned()))
        );
    }
}
