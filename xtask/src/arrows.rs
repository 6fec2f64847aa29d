//! `arrows`: no import looks back. The rooms of the verifier and what each may import stand as a table in
//! docs/architecture.md, which is read here; inside a folder no two modules import each other, in any product crate.
//!
//! It reads `use` lines and paths as text: enough for our own code, which cargo fmt has put into one form.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use crate::step::{Talk, TaskError};

/// Where the table of rooms stands, and the crate that it is about.
const TABLE: &str = "docs/architecture.md";
const HOUSE: &str = "verifier";
/// The crates in which modules of one folder must not import each other.
const CRATES: [&str; 6] = ["bundle", "bundler", "cli", "signatures", "verifier", "yaml"];

/// An import: from a module to a module, both as paths below the crate's root.
type Arrow = (String, String);

/// Names every import that looks back.
pub(crate) fn check(talk: &Talk) -> Result<(), TaskError> {
    let found = violations()?;
    if found.is_empty() {
        talk.say("arrows: no import looks back");
        return Ok(());
    }
    for line in &found {
        talk.say(line);
    }
    Err(TaskError::Tests(vec!["arrows".to_owned()]))
}

/// Reads the sources and returns what is wrong, a line each.
fn violations() -> Result<Vec<String>, TaskError> {
    let text = fs::read_to_string(TABLE).map_err(|source| TaskError::Io {
        what: format!("read {TABLE}"),
        source,
    })?;
    let mut found = Vec::new();
    for name in CRATES {
        let arrows = arrows(&modules(Path::new(name))?);
        if name == HOUSE {
            found.extend(against(&rooms(&text), &arrows));
        }
        let circles = circles(&arrows);
        found.extend(circles.iter().map(|circle| format!("{name}: {circle}")));
    }
    Ok(found)
}

/// Returns every module of a crate with its text, tests left out.
fn modules(root: &Path) -> Result<BTreeMap<String, String>, TaskError> {
    let source = root.join("src");
    let mut modules = BTreeMap::new();
    let mut todo = vec![source.clone()];
    while let Some(path) = todo.pop() {
        let failed = |source| TaskError::Io {
            what: format!("read {}", path.display()),
            source,
        };
        if path.is_dir() {
            let entries = fs::read_dir(&path).map_err(failed)?;
            todo.extend(entries.flatten().map(|entry| entry.path()));
        } else if let Some(name) = module(&source, &path) {
            let text = fs::read_to_string(&path).map_err(failed)?;
            let code = text.split("\n#[cfg(test)]\n").next().unwrap_or_default();
            modules.insert(name, code.to_owned());
        }
    }
    Ok(modules)
}

/// Returns `a::b` for `a/b.rs`; nothing for what is no module.
fn module(source: &Path, file: &Path) -> Option<String> {
    let path: PathBuf = file.strip_prefix(source).ok()?.with_extension("");
    let rust = file.extension().is_some_and(|extension| extension == "rs");
    let parts: Vec<&str> = path.iter().filter_map(|part| part.to_str()).collect();
    (rust && parts != ["lib"] && parts != ["main"]).then(|| parts.join("::"))
}

/// Returns every import between two modules of a crate.
fn arrows(modules: &BTreeMap<String, String>) -> BTreeSet<Arrow> {
    let mut arrows = BTreeSet::new();
    for (from, text) in modules {
        for path in paths(text) {
            if let Some(to) = target(from, &path, modules).filter(|to| to != from) {
                arrows.insert((from.clone(), to));
            }
        }
    }
    arrows
}

/// Returns the paths that a text names, those in braces each on its own.
fn paths(text: &str) -> Vec<String> {
    let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
    let code = code.collect::<Vec<_>>().join("\n");
    let mut paths = Vec::new();
    for root in ["crate::", "super::"] {
        for (at, _) in code.match_indices(root) {
            let inside = code[..at]
                .chars()
                .next_back()
                .is_some_and(|c| c.is_alphanumeric() || c == '_' || c == ':');
            if !inside {
                expand("", &code[at..], &mut paths);
            }
        }
    }
    paths
}

/// Adds what one path names to `paths`; returns what of the text comes behind it.
fn expand<'a>(prefix: &str, text: &'a str, paths: &mut Vec<String>) -> &'a str {
    let text = text.trim_start();
    if let Some(mut rest) = text.strip_prefix('{') {
        loop {
            rest = expand(prefix, rest, paths).trim_start_matches([' ', '\n', ',']);
            if let Some(rest) = rest.strip_prefix('}') {
                return rest;
            }
            if rest.is_empty() {
                return rest;
            }
        }
    }
    let end = text
        .find(|c: char| !(c.is_alphanumeric() || c == '_'))
        .unwrap_or(text.len());
    let (name, rest) = text.split_at(end);
    if name.is_empty() {
        // Nothing of ours: a glob, or the end of what a brace holds.
        return rest.get(1..).unwrap_or_default();
    }
    let path = match (prefix, name) {
        (prefix, "self") => prefix.to_owned(),
        ("", name) => name.to_owned(),
        (prefix, name) => format!("{prefix}::{name}"),
    };
    if let Some(rest) = rest.strip_prefix("::") {
        return expand(&path, rest, paths);
    }
    paths.push(path);
    let renamed = rest.trim_start().strip_prefix("as ");
    renamed.map_or(rest, |rest| {
        rest.trim_start_matches(|c: char| c.is_alphanumeric() || c == '_')
    })
}

/// Returns the module that a path leads to, seen from `from`.
fn target(from: &str, path: &str, modules: &BTreeMap<String, String>) -> Option<String> {
    let mut base: Vec<&str> = from.split("::").collect();
    let mut parts = path.split("::").peekable();
    match parts.next()? {
        "crate" => base.clear(),
        _ => drop(base.pop()),
    }
    while parts.next_if_eq(&"super").is_some() {
        base.pop();
    }
    base.extend(parts);
    (1..=base.len())
        .rev()
        .map(|length| base[..length].join("::"))
        .find(|name| modules.contains_key(name))
}

/// Returns the rows of the table of rooms: each with what it may import, in the order of the table.
fn rooms(document: &str) -> Vec<(String, Vec<String>)> {
    let names = |cell: &str| -> Vec<String> {
        let quoted = cell.split('`').skip(1).step_by(2);
        quoted.map(|name| name.trim_end_matches('/').to_owned()).collect()
    };
    let table = document.split("| room | imports |").nth(1).unwrap_or_default();
    let rows = table.lines().skip(2).take_while(|line| line.starts_with('|'));
    rows.filter_map(|row| {
        let mut cells = row.trim_matches('|').split('|');
        let room = names(cells.next()?).pop()?;
        Some((room, names(cells.next()?)))
    })
    .collect()
}

/// Returns where the arrows between rooms and the table differ.
fn against(rooms: &[(String, Vec<String>)], arrows: &BTreeSet<Arrow>) -> Vec<String> {
    let room = |module: &str| module.split("::").next().unwrap_or_default().to_owned();
    let mut found = Vec::new();
    for (at, (name, imports)) in rooms.iter().enumerate() {
        for import in imports {
            if !rooms[..at].iter().any(|(above, _)| above == import) {
                found.push(format!("{TABLE}: {name} -> {import} looks back: it stands below"));
            }
            if !arrows
                .iter()
                .any(|(from, to)| room(from) == *name && room(to) == *import)
            {
                found.push(format!("{TABLE}: {name} -> {import} is no import any more"));
            }
        }
    }
    for (from, to) in arrows.iter().filter(|(from, to)| room(from) != room(to)) {
        match rooms.iter().find(|(name, _)| *name == room(from)) {
            None => found.push(format!("{TABLE} has no room {} ({from} -> {to})", room(from))),
            Some((_, imports)) if imports.contains(&room(to)) => {}
            Some(_) => found.push(format!(
                "{from} -> {to}: {} may not import {}",
                room(from),
                room(to)
            )),
        }
    }
    found
}

/// Returns the pairs of modules of one folder that import each other.
fn circles(arrows: &BTreeSet<Arrow>) -> Vec<String> {
    let mut between: BTreeMap<Arrow, &Arrow> = BTreeMap::new();
    for arrow in arrows {
        if let Some(siblings) = siblings(arrow) {
            between.entry(siblings).or_insert(arrow);
        }
    }
    let back = |(from, to): &Arrow| between.get(&(to.clone(), from.clone()));
    let twice = between
        .iter()
        .filter(|(siblings, _)| siblings.0 < siblings.1)
        .filter_map(|(siblings, there)| Some((there, back(siblings)?)));
    twice
        .map(|((a, b), (c, d))| format!("{a} -> {b} and {c} -> {d}: a circle"))
        .collect()
}

/// Returns the modules of one folder between which an arrow runs; none where it stays inside one, or leads to a parent.
fn siblings((from, to): &Arrow) -> Option<Arrow> {
    let (from, to): (Vec<&str>, Vec<&str>) = (from.split("::").collect(), to.split("::").collect());
    let common = from.iter().zip(&to).take_while(|(a, b)| a == b).count();
    let name = |parts: &[&str]| parts.get(..=common).map(|parts| parts.join("::"));
    Some((name(&from)?, name(&to)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    const DOCUMENT: &str =
        "text\n| room | imports |\n|---|---|\n| `low/` | nothing |\n| `high/` | `low` |\n\nmore `words`\n";

    fn found(files: &[(&str, &str)]) -> Vec<String> {
        let modules = files
            .iter()
            .map(|(name, text)| ((*name).to_owned(), (*text).to_owned()))
            .collect();
        let arrows = arrows(&modules);
        let mut found = against(&rooms(DOCUMENT), &arrows);
        found.extend(circles(&arrows));
        found
    }

    const GOOD: [(&str, &str); 3] = [
        ("low", "mod inner;"),
        ("low::inner", "use super::Thing;"),
        (
            "high",
            "use std::fmt;\nuse crate::low::{self, inner::{Deep, self}, Other as Mine};",
        ),
    ];

    #[test]
    fn a_tree_as_the_table_has_it_is_right() {
        assert_eq!(found(&GOOD), Vec::<String>::new());
    }

    #[test]
    fn a_planted_arrow_back_is_named_in_use_lines_and_in_code() {
        for planted in [
            "use crate::high::Thing;",
            "fn f() { crate::high::f() }",
            "use crate::{high, low};",
        ] {
            let mut files = GOOD;
            files[1].1 = planted;
            let found = found(&files);
            assert!(
                found.iter().any(|line| line.starts_with("low::inner -> high")),
                "{found:?}"
            );
        }
    }

    #[test]
    fn two_modules_of_a_folder_that_import_each_other_are_named() {
        let mut files = GOOD.to_vec();
        files.push(("high::a", "use super::b::B;"));
        files.push(("high::b", "use super::{c, a::A};"));
        files.push(("high::c", "/// See super::a.\nstruct C;"));
        assert_eq!(
            found(&files),
            ["high::a -> high::b and high::b -> high::a: a circle"]
        );
    }

    #[test]
    fn an_arrow_that_the_table_has_and_the_code_has_not_is_named() {
        let mut files = GOOD;
        files[2].1 = "";
        assert_eq!(
            found(&files),
            ["docs/architecture.md: high -> low is no import any more"]
        );
    }
}
