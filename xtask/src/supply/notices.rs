//! `notices`: the licence texts that travel with each program, for `--licenses`: `bundler/NOTICES.txt` and
//! `verifier/NOTICES.txt`, from the packages of the crates that are linked. A part of `test` holds them current.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use super::linked::{self, Crate};
use super::{PROGRAMS, TARGET};
use crate::step::{Talk, TaskError};

/// What stands before the list.
const HEAD: &str = "\
This program is licensed under the Apache License, Version 2.0, or the MIT license, at your option.
It contains the libraries below, each under the licence that stands behind it, which its users may rely on.
Their texts follow the list; lines of copyright are kept, texts that differ in nothing else are printed once.

Beside the crates it contains, from the machine that it was built on:
- the standard library of Rust (Apache-2.0 OR MIT), with parts of LLVM's compiler-rt and libunwind
  (Apache-2.0 WITH LLVM-exception)
- the GNU C library, linked statically (LGPL-2.1-or-later, whose text is the last). To link this program with
  another version of it, `cargo xtask dist` in the public source of the program is all that is needed
- the unwinder of GCC (GPL-3.0-or-later WITH GCC-exception-3.1)
";

/// The licence of the GNU C library.
const LGPL: &str = include_str!("LGPL-2.1.txt");

/// Licences of crates whose packages hold no text: their words, and where they stand in this repository.
const OWN: [(&str, &str); 2] = [("Apache-2.0", "LICENSE-APACHE"), ("MIT", "LICENSE-MIT")];

/// Whether files are written, or only compared.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    Write,
    Compare,
}

/// Writes or compares the notices of both programs.
pub(crate) fn run(talk: &Talk, mode: Mode) -> Result<(), TaskError> {
    let mut stale = Vec::new();
    for program in PROGRAMS {
        let text = text(&linked::crates(program)?)?;
        let file = format!("{program}/NOTICES.txt");
        if fs::read_to_string(&file).ok().as_deref() == Some(text.as_str()) {
            continue;
        }
        if mode == Mode::Compare {
            stale.push(format!("{file} is not what is linked: cargo xtask notices"));
            continue;
        }
        fs::write(&file, text).map_err(io(&format!("write {file}")))?;
        talk.say(&format!("{file} written"));
    }
    if stale.is_empty() {
        talk.say("notices: every crate that is linked has its licence in them");
        return Ok(());
    }
    for line in &stale {
        talk.say(line);
    }
    Err(TaskError::Tests(vec!["notices".to_owned()]))
}

/// A text with who uses it, and the lines that only one of them has.
#[derive(Default)]
struct Shared {
    text: String,
    users: Vec<String>,
    copyright: Vec<String>,
}

fn text(crates: &BTreeMap<linked::Id, Crate>) -> Result<String, TaskError> {
    let mut out = format!("{HEAD}\nCrates, for {TARGET}:\n");
    let mut texts: BTreeMap<String, Shared> = BTreeMap::new();
    let foreign = crates.values().filter(|one| one.checksum.is_some());
    for one in foreign {
        let (name, version) = &one.id;
        // Writing to a String cannot fail.
        let _ = writeln!(out, "  {name} {version}: {}", one.licence);
        let mut files = texts_of(&one.source)?;
        if files.is_empty() {
            files = standard(one)?;
        }
        for text in files {
            let shared = texts.entry(key(&text)).or_default();
            let user = format!("{name} {version}");
            if !shared.users.contains(&user) {
                shared.users.push(user);
            }
            for line in text.lines().filter(|line| is_copyright(line)) {
                let line = line.trim().to_owned();
                if !shared.copyright.contains(&line) {
                    shared.copyright.push(line);
                }
            }
            if shared.text.is_empty() {
                let lines = text.lines().filter(|line| !is_copyright(line));
                shared.text = lines.map(str::trim_end).collect::<Vec<_>>().join("\n");
            }
        }
    }
    let mut texts: Vec<Shared> = texts.into_values().collect();
    texts.sort_by(|one, other| {
        one.users
            .cmp(&other.users)
            .then_with(|| one.text.cmp(&other.text))
    });
    for shared in texts {
        let _ = writeln!(out, "\n{}\n\n{}\n", "=".repeat(80), wrapped(&shared.users));
        for line in &shared.copyright {
            let _ = writeln!(out, "{line}");
        }
        let _ = writeln!(out, "\n{}", shared.text.trim_matches('\n'));
    }
    let _ = writeln!(
        out,
        "\n{}\n\nOf: the GNU C library\n\n{}",
        "=".repeat(80),
        LGPL.trim_matches('\n')
    );
    Ok(out)
}

fn wrapped(users: &[String]) -> String {
    let mut lines = vec![String::from("Of:")];
    for (at, user) in users.iter().enumerate() {
        let comma = if at + 1 < users.len() { "," } else { "" };
        match lines.last_mut() {
            Some(line) if line.len() + user.len() < 110 => {
                let _ = write!(line, " {user}{comma}");
            }
            _ => lines.push(format!("   {user}{comma}")),
        }
    }
    lines.join("\n")
}

/// Texts that differ in their lines of copyright, in spaces, marks and capitals are one.
fn key(text: &str) -> String {
    let lines = text
        .lines()
        .filter(|line| !is_copyright(line))
        .collect::<Vec<_>>()
        .join(" ");
    let words = lines
        .split(|c: char| !c.is_alphanumeric())
        .filter(|word| !word.is_empty());
    words.collect::<Vec<_>>().join(" ").to_lowercase()
}

fn is_copyright(line: &str) -> bool {
    let line = line
        .trim_start()
        .trim_start_matches(['*', '#', '-', '/', ' '])
        .to_lowercase();
    // The Apache License ends with a line to be filled in, and its definitions begin with the word.
    (line.starts_with("copyright") || line.starts_with("(c)") || line.starts_with('\u{a9}'))
        && !line.contains('[')
        && line.contains(|c: char| c.is_ascii_digit() || c == '\u{a9}' || c == '(')
}

/// Returns the texts of a package, in the order of their paths.
fn texts_of(source: &Path) -> Result<Vec<String>, TaskError> {
    let mut files = Vec::new();
    collect(source, 0, &mut files)?;
    files.sort();
    let read = |path: &PathBuf| {
        let bytes = fs::read(path).map_err(io(&format!("read {}", path.display())))?;
        Ok(String::from_utf8_lossy(&bytes).replace("\r\n", "\n"))
    };
    files.iter().map(read).collect()
}

/// C code below a crate has texts of its own, two or three directories down.
fn collect(folder: &Path, depth: usize, files: &mut Vec<PathBuf>) -> Result<(), TaskError> {
    let failed = io(&format!("read {}", folder.display()));
    for entry in fs::read_dir(folder).map_err(failed)?.flatten() {
        let path = entry.path();
        let name = entry.file_name().to_string_lossy().to_uppercase();
        if path.is_dir() {
            let aside = ["TESTS", "BENCHES", "EXAMPLES", "TARGET", ".GIT"].contains(&name.as_str());
            if depth < 3 && !aside {
                collect(&path, depth + 1, files)?;
            }
        } else if is_licence(&name) {
            files.push(path);
        }
    }
    Ok(())
}

fn is_licence(name: &str) -> bool {
    let begins = [
        "LICENSE",
        "LICENCE",
        "NOTICE",
        "UNLICENSE",
        "COPYRIGHT",
        "COPYING",
    ];
    let code = [".RS", ".HTML", ".JSON", ".TOML", ".YML"];
    // zstd comes under BSD or the GPL, which is its file COPYING; it is used under BSD.
    let chosen = name != "COPYING";
    chosen
        && begins.iter().any(|begin| name.starts_with(begin))
        && !code.iter().any(|end| name.ends_with(end))
}

/// Returns the texts of a package that brings none: those that its licence names, with its authors.
fn standard(one: &Crate) -> Result<Vec<String>, TaskError> {
    let mut found = Vec::new();
    for (name, file) in OWN {
        if one.licence.contains(name) {
            let text = fs::read_to_string(file).map_err(io(&format!("read {file}")))?;
            let lines = text
                .lines()
                .filter(|line| !is_copyright(line))
                .collect::<Vec<_>>()
                .join("\n");
            let authors = if one.authors.is_empty() {
                format!("the authors of {}", one.id.0)
            } else {
                one.authors.join(", ")
            };
            found.push(format!("Copyright (c) {authors}\n{lines}\n"));
        }
    }
    if found.is_empty() {
        let (name, version) = &one.id;
        let what = format!("{name} {version} ({}) brings no licence text", one.licence);
        return Err(TaskError::Missing(
            what,
            "find it, and teach xtask/src/supply/notices.rs where it is".into(),
        ));
    }
    Ok(found)
}

fn io(what: &str) -> impl FnOnce(std::io::Error) -> TaskError + use<> {
    let what = what.to_owned();
    move |source| TaskError::Io { what, source }
}
