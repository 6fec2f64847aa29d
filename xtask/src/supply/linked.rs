//! Which crates are linked into a program: cargo's own answer for one target and the features of both programs built
//! together, as `cargo xtask dist` builds them. Build scripts and macros are no part of a program.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;

use super::{PROGRAMS, TARGET};
use crate::step::{TaskError, cargo};

/// A crate by name and version.
pub(super) type Id = (String, String);

/// A crate that is linked into a program.
#[derive(Clone, Debug)]
pub(super) struct Crate {
    pub(super) id: Id,
    /// Its licence as an SPDX expression.
    pub(super) licence: String,
    pub(super) authors: Vec<String>,
    /// Where its source lies.
    pub(super) source: PathBuf,
    /// The SHA-256 of its package; none for our own.
    pub(super) checksum: Option<String>,
    /// What it uses itself.
    pub(super) uses: BTreeSet<Id>,
}

/// Returns the crates of a program, its own first crate among them, by name and version.
pub(super) fn crates(program: &str) -> Result<BTreeMap<Id, Crate>, TaskError> {
    let uses = tree()?;
    let mut known = metadata()?;
    let checksums = checksums()?;
    let mut found = BTreeMap::new();
    let mut todo: Vec<Id> = uses.keys().filter(|(name, _)| name == program).cloned().collect();
    while let Some(id) = todo.pop() {
        if found.contains_key(&id) {
            continue;
        }
        let mut one = known
            .remove(&id)
            .ok_or_else(|| unread(&format!("find {} {} in cargo's metadata", id.0, id.1)))?;
        one.checksum = checksums.get(&id).cloned();
        one.uses = uses.get(&id).cloned().unwrap_or_default();
        todo.extend(one.uses.iter().cloned());
        found.insert(id, one);
    }
    Ok(found)
}

/// Returns what each crate uses.
fn tree() -> Result<BTreeMap<Id, BTreeSet<Id>>, TaskError> {
    let mut arguments = vec![
        "tree",
        "--locked",
        "--edges",
        "normal,no-proc-macro",
        "--target",
        TARGET,
    ];
    arguments.extend(["--prefix", "depth", "--format", " {p}"]);
    arguments.extend(PROGRAMS.iter().flat_map(|program| ["--package", program]));
    let text = output(&mut cargo(&arguments))?;
    let mut uses: BTreeMap<Id, BTreeSet<Id>> = BTreeMap::new();
    let mut above: Vec<Id> = Vec::new();
    for line in text.lines() {
        let mut words = line.split(' ');
        let (Some(depth), Some(name), Some(version)) = (words.next(), words.next(), words.next()) else {
            continue;
        };
        let depth: usize = depth.parse().map_err(|_| unread("read cargo's tree"))?;
        let id = (name.to_owned(), version.trim_start_matches('v').to_owned());
        above.truncate(depth);
        if let Some(user) = above.last() {
            uses.entry(user.clone()).or_default().insert(id.clone());
        }
        uses.entry(id.clone()).or_default();
        above.push(id);
    }
    Ok(uses)
}

/// Returns every crate of the workspace's lock with what its package says.
fn metadata() -> Result<BTreeMap<Id, Crate>, TaskError> {
    let text = output(&mut cargo(&["metadata", "--locked", "--format-version", "1"]))?;
    let value: Value = serde_json::from_str(&text).map_err(|_| unread("read cargo's metadata"))?;
    let packages = value["packages"].as_array().into_iter().flatten();
    Ok(packages
        .map(of_package)
        .map(|one| (one.id.clone(), one))
        .collect())
}

fn of_package(package: &Value) -> Crate {
    let text = |key: &str| package[key].as_str().unwrap_or_default().to_owned();
    let authors = package["authors"].as_array().into_iter().flatten();
    Crate {
        id: (text("name"), text("version")),
        // Some packages still have the form of before SPDX.
        licence: text("license").replace(" / ", " OR ").replace('/', " OR "),
        authors: authors.filter_map(Value::as_str).map(str::to_owned).collect(),
        source: PathBuf::from(text("manifest_path"))
            .parent()
            .map(PathBuf::from)
            .unwrap_or_default(),
        checksum: None,
        uses: BTreeSet::new(),
    }
}

/// Returns the checksums that the lock holds crates to.
fn checksums() -> Result<BTreeMap<Id, String>, TaskError> {
    let text = std::fs::read_to_string("Cargo.lock").map_err(|source| TaskError::Io {
        what: "read Cargo.lock".into(),
        source,
    })?;
    let field = |part: &str, name: &str| {
        let line = part
            .lines()
            .find_map(|line| line.strip_prefix(&format!("{name} = \"")))?;
        line.strip_suffix('"').map(str::to_owned)
    };
    let packages = text.split("[[package]]").skip(1);
    Ok(packages
        .filter_map(|part| {
            Some((
                (field(part, "name")?, field(part, "version")?),
                field(part, "checksum")?,
            ))
        })
        .collect())
}

/// Runs a command and returns what it printed.
pub(crate) fn output(command: &mut Command) -> Result<String, TaskError> {
    let name = command.get_program().display().to_string();
    let output = command.stderr(std::process::Stdio::inherit()).output();
    let output = output.map_err(|source| TaskError::Io {
        what: format!("run {name}"),
        source,
    })?;
    if !output.status.success() {
        return Err(TaskError::Failed {
            step: name,
            status: output.status,
        });
    }
    String::from_utf8(output.stdout).map_err(|_| unread(&format!("read what {name} prints")))
}

fn unread(what: &str) -> TaskError {
    TaskError::Io {
        what: what.to_owned(),
        source: std::io::ErrorKind::InvalidData.into(),
    }
}
