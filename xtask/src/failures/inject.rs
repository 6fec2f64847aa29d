//! One system call after the other fails: first the calls of an undisturbed run are written down, then each that touched
//! a file of ours is answered with an error, in a run of its own.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use super::io;
use super::subject::Subject;
use crate::step::{Talk, TaskError};

/// The calls that touch files, each with the errors that it may give.
const CALLS: [(&str, &[&str]); 24] = [
    ("openat", &["EIO", "EMFILE", "ENOSPC", "EINTR"]),
    ("read", &["EIO", "EINTR"]),
    ("pread64", &["EIO", "EINTR"]),
    ("write", &["EIO", "ENOSPC", "EINTR"]),
    ("writev", &["EIO", "ENOSPC", "EINTR"]),
    ("pwrite64", &["EIO", "ENOSPC", "EINTR"]),
    ("fsync", &["EIO", "ENOSPC", "EINTR"]),
    ("fdatasync", &["EIO", "ENOSPC", "EINTR"]),
    ("sync_file_range", &["EIO", "ENOSPC"]),
    ("fallocate", &["EIO", "ENOSPC"]),
    ("ftruncate", &["EIO", "EINTR"]),
    ("rename", &["EIO", "ENOSPC"]),
    ("renameat", &["EIO", "ENOSPC"]),
    ("renameat2", &["EIO", "ENOSPC"]),
    ("linkat", &["EIO", "ENOSPC"]),
    ("mkdir", &["EIO", "ENOSPC"]),
    ("mkdirat", &["EIO", "ENOSPC"]),
    ("unlink", &["EIO"]),
    ("unlinkat", &["EIO"]),
    ("getdents64", &["EIO"]),
    ("statx", &["EIO"]),
    ("fchmod", &["EIO"]),
    ("flock", &["EIO", "EINTR"]),
    ("lseek", &["EIO"]),
];
/// So many calls of one kind in one thread are made to fail at most; loops over many blocks are all alike.
const EACH: u32 = 40;

/// Fails each call and returns what went wrong, a line each.
pub(super) fn every_call(talk: &Talk, subject: &Subject) -> Result<Vec<String>, TaskError> {
    let log = subject.place.with_extension("calls");
    subject.clear()?;
    let names = subject.names()?;
    let trace = |what: &str| {
        let log = log.display().to_string();
        // What hangs is ended with all that it started.
        let bounds = "timeout --signal=KILL 60 unshare --pid --fork --kill-child --mount-proc";
        let strace = ["strace", "-f", "-qq", "-y", "-o", log.as_str(), "-e", what];
        let words = bounds.split(' ').chain(strace);
        words.map(str::to_owned).collect::<Vec<_>>()
    };
    let all = CALLS.map(|(call, _)| call).join(",");
    subject.output(&trace(&format!("trace={all}")))?;
    let touched = touched(&log, &subject.place)?;
    let good = subject.made()?;
    let mut wrong = Vec::new();
    let (mut runs, mut elsewhere) = (0, 0);
    for (call, errors) in CALLS {
        for (number, path) in touched.get(call).into_iter().flatten() {
            for error in errors {
                subject.clear()?;
                let inject = format!("inject={call}:error={error}:when={number}");
                let output = subject.output(&trace(&inject))?;
                runs += 1;
                let said = [output.stdout.as_slice(), &output.stderr].concat();
                let said = String::from_utf8_lossy(&said);
                let code = output.status.code();
                let case = format!("{}: {error} at call {number} of {call} ({path}): ", subject.name);
                let struck = injected(&log, &subject.place)?;
                if struck.runtime {
                    // Calls are counted by thread: this one hit what wakes the runtime, which no kernel fails.
                    elsewhere += 1;
                } else if said.contains("panick") || !subject.may_end(code) {
                    wrong.push(format!("{case}it ended with {}: {}", output.status, said.trim()));
                } else if let Some(what) = subject.judge(&good, code == Some(0))? {
                    wrong.push(format!("{case}{what}, exit {code:?}: {}", said.trim()));
                } else if !subject.well(code) && !struck.is_named(&said) {
                    wrong.push(format!("{case}the file is not named: {}", said.trim()));
                }
                // What could not take its place lies beside it, and is named.
                subject.remove_named(&names, &said)?;
                // What stays behind is swept by the next start.
                subject.clear()?;
                subject.good()?;
                subject.clear()?;
                if subject.names()? != names {
                    wrong.push(format!("{case}it left {}", subject.names()?.join(" ")));
                }
            }
        }
    }
    subject.good()?;
    let _ = fs::remove_file(&log);
    talk.say(&format!(
        "{}: {runs} calls made to fail ({elsewhere} struck the runtime), {} taken wrongly",
        subject.name,
        wrong.len()
    ));
    Ok(wrong)
}

/// The numbers of the calls, as strace counts them, that touched something in `place`, with the first path of each.
type Touched = BTreeMap<String, BTreeMap<u32, String>>;

/// Reads a log: `PID call(arguments with paths) = result`, in which calls of one thread are counted from 1.
fn touched(log: &Path, place: &Path) -> Result<Touched, TaskError> {
    let text = fs::read(log).map_err(io(&format!("read {}", log.display())))?;
    let mut counts: BTreeMap<(String, String), u32> = BTreeMap::new();
    let mut touched = Touched::new();
    for line in String::from_utf8_lossy(&text).lines() {
        let Some((thread, call)) = call(line) else {
            continue;
        };
        let count = counts.entry((thread.to_owned(), call.to_owned())).or_default();
        *count += 1;
        let paths = paths(line, place);
        if let Some(path) = paths.first().filter(|_| *count <= EACH) {
            touched
                .entry(call.to_owned())
                .or_default()
                .entry(*count)
                .or_insert_with(|| path.clone());
        }
    }
    Ok(touched)
}

/// Returns thread and name of the call that a line begins.
fn call(line: &str) -> Option<(&str, &str)> {
    let (thread, rest) = line.split_once(' ')?;
    let (call, _) = rest.trim_start().split_once('(')?;
    let plain = call
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    (plain && !call.is_empty()).then_some((thread, call))
}

/// Returns the paths inside `place` that a line names, as they are below it.
fn paths(line: &str, place: &Path) -> Vec<String> {
    let root = format!("{}/", place.display());
    let below = line.match_indices(&root).map(|(at, _)| &line[at + root.len()..]);
    let mut found: Vec<String> = below
        .map(|rest| {
            rest.split(['"', '>', '<', ' '])
                .next()
                .unwrap_or_default()
                .to_owned()
        })
        .collect();
    // Paths are given as they were typed: relative to the directory.
    let quoted = line
        .split('"')
        .skip(1)
        .step_by(2)
        .filter(|path| !path.starts_with('/'));
    let is_path = ["openat(", "rename", "mkdir", "unlink", "statx(", "linkat("]
        .iter()
        .any(|call| line.contains(call));
    if is_path {
        found.extend(quoted.map(str::to_owned));
    }
    found.retain(|path| !path.is_empty());
    found
}

/// What was made to fail in a run.
struct Struck {
    /// Paths of ours.
    paths: Vec<String>,
    /// Whether a call of the runtime on an event was among them, or one that speaks to us.
    runtime: bool,
}

impl Struck {
    /// Whether a text names what was struck; where calls of several threads were, one of them: an error ends the program.
    fn is_named(&self, said: &str) -> bool {
        self.paths.is_empty() || self.paths.iter().any(|path| names_it(said, path))
    }
}

fn injected(log: &Path, place: &Path) -> Result<Struck, TaskError> {
    let text = fs::read(log).map_err(io(&format!("read {}", log.display())))?;
    let text = String::from_utf8_lossy(&text).into_owned();
    // Of a call that another thread's came between, the arguments stand in an earlier line of the same thread.
    let mut begun: BTreeMap<&str, &str> = BTreeMap::new();
    let mut failed: Vec<&str> = Vec::new();
    for line in text.lines() {
        let thread = line.split(' ').next().unwrap_or_default();
        if line.contains("<unfinished ...>") {
            begun.insert(thread, line);
        } else if line.contains("(INJECTED)") {
            let earlier = begun.get(thread).filter(|_| line.contains(" resumed>"));
            failed.push(earlier.copied().unwrap_or(line));
        }
    }
    Ok(Struck {
        paths: failed
            .iter()
            .flat_map(|line| paths(line, place).into_iter().take(1))
            .collect(),
        runtime: failed
            .iter()
            .any(|line| line.contains("anon_inode:") || line.contains("<pipe:")),
    })
}

/// Whether a text names a file: by itself, by what it is a temporary name of, or by a directory around it.
fn names_it(said: &str, path: &str) -> bool {
    if path == "." {
        return true;
    }
    path.split('/').filter(|part| !part.is_empty()).any(|part| {
        let plain = part.trim_start_matches('.');
        let stem = plain.split(".tmp").next().unwrap_or(plain);
        // `.site.tar.XXXXXX`, `.out.unpacking-7`: the final name stands in front.
        let fronts = stem.match_indices('.').map(|(at, _)| &stem[..at]);
        fronts
            .chain([stem])
            .any(|name| name.len() > 2 && said.contains(name))
    })
}
