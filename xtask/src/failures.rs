//! `failures`: each file operation of a build, an unpacking and a report made to fail in turn, and each of them killed at
//! random moments. Whatever happens: no panic, no wrong byte under a final name, an error that names the file, and the
//! next start does the work as if nothing had been.
//!
//! The programs are the real ones (debug builds, or those of the directory that `DIST` names), the failures those of the kernel's own interface (`strace -e inject`).

mod inject;
mod kill;
mod subject;

use std::path::{Path, PathBuf};

use crate::step::{self, Talk, TaskError, cargo, target_dir};
use crate::supply::TARGET;
use subject::Subject;

/// Runs all subjects, or those named; each is killed `kills` times.
pub(crate) fn run(talk: &Talk, names: &[String], kills: u32) -> Result<(), TaskError> {
    // For namespaces, in which what hangs is ended.
    step::require_root()?;
    let programs = match std::env::var_os("DIST") {
        Some(built) => built.into(),
        None => build(talk)?,
    };
    let programs = programs.canonicalize().map_err(io("find the programs"))?;
    let place = std::env::temp_dir().join(format!("failures-{}", std::process::id()));
    let result = all(talk, names, kills, (&programs, &place));
    let _ = std::fs::remove_dir_all(&place);
    result
}

/// Builds the programs with debug assertions.
fn build(talk: &Talk) -> Result<PathBuf, TaskError> {
    let arguments = [
        "build",
        "--locked",
        "--package",
        "bundler",
        "--package",
        "verifier",
    ];
    talk.step("build the programs", &mut cargo(&arguments))?;
    Ok(target_dir().join(TARGET).join("debug"))
}

fn all(
    talk: &Talk,
    names: &[String],
    kills: u32,
    (programs, place): (&Path, &Path),
) -> Result<(), TaskError> {
    let subjects = Subject::all(programs, place)?;
    if let Some(name) = names
        .iter()
        .find(|name| subjects.iter().all(|subject| subject.name != **name))
    {
        return Err(TaskError::Usage(format!(
            "no subject {name}; there are build, unpack and report"
        )));
    }
    let mut wrong = Vec::new();
    for subject in subjects {
        // What one leaves is what the next works on, so each runs once in any case.
        subject.good()?;
        if !names.is_empty() && !names.iter().any(|name| name == subject.name) {
            continue;
        }
        wrong.extend(inject::every_call(talk, &subject)?);
        wrong.extend(kill::at_random(talk, &subject, kills)?);
        subject.clear()?;
        subject.good()?;
    }
    if wrong.is_empty() {
        return Ok(());
    }
    for line in &wrong {
        talk.say(line);
    }
    Err(TaskError::Tests(vec![format!(
        "{} failures were taken wrongly",
        wrong.len()
    )]))
}

fn io(what: &str) -> impl FnOnce(std::io::Error) -> TaskError + use<> {
    let what = what.to_owned();
    move |source| TaskError::Io { what, source }
}
