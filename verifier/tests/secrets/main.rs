//! No secret reaches the terminal or a report, whatever is wrong with the files that hold it: the program is run on
//! inputs in which each line holds one and each is damaged in turn.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod agent;
mod dumps;
mod kubeconfig;
mod terminal;

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

/// What every planted secret begins with, in any case; it stands nowhere else.
const PLANTED: &str = "xPlanted7";

/// Runs the verifier in a directory.
fn verifier(directory: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_verifier"))
        .args(arguments)
        .current_dir(directory)
        .env_remove("SSH_AUTH_SOCK")
        .env("HOME", directory)
        .output()
        .unwrap()
}

/// Returns where a planted secret came out: stdout, stderr, or a file of the report.
fn leaks(output: &Output, report: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for (name, bytes) in [("stdout", &output.stdout), ("stderr", &output.stderr)] {
        found.extend(leak(name, bytes));
    }
    if report.is_dir() {
        files(report, &mut found);
    }
    found
}

fn files(directory: &Path, found: &mut Vec<String>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, found);
        } else {
            found.extend(leak(&path.display().to_string(), &fs::read(&path).unwrap()));
        }
    }
}

fn leak(name: &str, bytes: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(bytes);
    let line = text
        .lines()
        .find(|line| line.to_lowercase().contains(&PLANTED.to_lowercase()))?;
    Some(format!("{name}: {line}"))
}

/// Ways in which a line of a file goes wrong.
fn damages(line: &str) -> Vec<Vec<u8>> {
    let indent = &line[..line.len() - line.trim_start().len()];
    let body = line.trim_start();
    let (key, value) = body.split_once(':').unwrap_or((body, ""));
    let value = value.trim();
    let half = body
        .char_indices()
        .nth(body.chars().count() / 2)
        .map_or(0, |(at, _)| at);
    let mut all: Vec<Vec<u8>> = [
        format!("{indent}{key}: [{value}]"),
        format!("{indent}{key}: {{{value}}}"),
        format!("{indent}{key}: {{a: {value}}}"),
        format!("{indent}{key}: \"{value}"),
        format!("{indent}{key}: '{value}"),
        format!("{indent}{key} {value}"),
        format!("{indent}{key}:{value}"),
        format!("{indent}{value}"),
        format!("{indent}{value}: {key}"),
        format!("{indent}- {body}"),
        format!("\t{body}"),
        format!("{indent}   {body}"),
        body.to_owned(),
        format!("{line}\n{line}"),
        format!("{indent}{key}: !{value} x"),
        format!("{indent}{key}: *{value}"),
        format!("{indent}{key}: &{value} {value}"),
        format!("{indent}{key}: |\n{value}"),
        format!("{indent}{key}: {value}: {value}"),
        format!("{indent}{key}: \"\\q{value}\""),
        format!("{indent}{key}: @{value}"),
        format!("{indent}{key}: -{value}="),
        format!("{indent}x{key}: {value}"),
        format!("{indent}{key}: 7"),
        format!("{indent}{key}:"),
        format!("{indent}{}", &body[..half]),
        format!("{indent}{}", &body[half..]),
        String::new(),
    ]
    .into_iter()
    .map(String::into_bytes)
    .collect();
    let mut broken = line.as_bytes().to_vec();
    broken.push(0xff);
    all.push(broken);
    let mut zero = line.as_bytes().to_vec();
    zero.push(0);
    all.push(zero);
    all
}

/// Returns the text with one line replaced.
fn with_line(text: &str, at: usize, line: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (number, other) in text.lines().enumerate() {
        bytes.extend_from_slice(if number == at { line } else { other.as_bytes() });
        bytes.push(b'\n');
    }
    bytes
}
