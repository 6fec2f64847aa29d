//! No secret reaches the terminal or a report, whatever is wrong with the files that hold it: the program is run on
//! inputs in which each line holds one and each is damaged in turn.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod agent;
mod dumps;
mod kubeconfig;
mod site;
mod terminal;

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use cli::planted::{PLANTED, damages, leak, with_line};

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

/// Runs the suite's first check there, with a report: nothing answers, and it does not break.
fn asks_the_api(directory: &Path) -> Output {
    let words = "smoke --site site.yaml --only api.ready --report report";
    let output = verifier(directory, &words.split(' ').collect::<Vec<_>>());
    assert_ne!(output.status.code(), Some(0), "nothing answers there");
    assert_ne!(output.status.code(), Some(101), "a panic");
    output
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

/// Tries all lines, in two threads that have a directory each, and returns what was found.
fn in_halves<'a>(
    lines: &[(usize, &'a str)],
    tries: impl Fn(&Path, &(usize, &'a str)) -> Vec<String> + Sync,
) -> Vec<String> {
    std::thread::scope(|scope| {
        let half = lines.len().div_ceil(2);
        let tries = &tries;
        let threads: Vec<_> = lines
            .chunks(half)
            .map(|lines| {
                scope.spawn(move || {
                    let directory = tempfile::tempdir().unwrap();
                    let found = lines.iter().map(|line| tries(directory.path(), line));
                    found.flatten().collect::<Vec<_>>()
                })
            })
            .collect();
        let ended = threads.into_iter().flat_map(|thread| thread.join().unwrap());
        ended.collect()
    })
}
