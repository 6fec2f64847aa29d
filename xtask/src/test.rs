//! `test`: everything that CI runs, in the order in which it can fail soonest.

use crate::step::{self, Talk, TaskError, cargo, target_dir};
use crate::supply::{deny, notices};
use crate::{arrows, dist, packages};

/// How much to run.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Extent {
    /// Everything.
    All,
    /// What needs neither root nor Go nor the lab.
    WithoutLab,
}

/// Runs it all. A failed test run does not hide the ones behind it.
pub(crate) fn run(talk: &Talk, extent: Extent) -> Result<(), TaskError> {
    talk.step("format", &mut cargo(&["fmt", "--all", "--check"]))?;
    arrows::check(talk)?;
    deny::run(talk, deny::Database::AsItIs)?;
    notices::run(talk, notices::Mode::Compare)?;
    let parts = if extent == Extent::All {
        step::require_root()?;
        step::require_go()?;
        packages::ensure(talk)?;
        step::build_lab(talk)?;
        let log = target_dir().join("lab-prepare.log");
        Some(talk.background("prepare the lab", &mut step::lab(&["prepare"]), &log)?)
    } else {
        None
    };
    talk.step(
        "clippy",
        &mut cargo(&[
            "clippy",
            "--locked",
            "--quiet",
            "--workspace",
            "--all-targets",
            "--",
            "--deny",
            "warnings",
        ]),
    )?;
    let mut failed = Vec::new();
    let mut tests = |name: &str, arguments: &[&str]| match talk.step(name, &mut cargo(arguments)) {
        Err(TaskError::Failed { step, .. }) => {
            failed.push(step);
            Ok(())
        }
        other => other,
    };
    let unit = [
        "test",
        "--locked",
        "--no-fail-fast",
        "--workspace",
        "--exclude",
        "e2e",
        "--lib",
        "--bins",
    ];
    tests("unit tests", &unit)?;
    if let Some(parts) = parts {
        parts.wait(talk)?;
        dist::run(talk)?;
        // The tests of the crates against real servers, then the whole way. Few labs at a time: each takes much of the machine.
        tests(
            "tests against real servers",
            &[
                "test",
                "--locked",
                "--no-fail-fast",
                "--workspace",
                "--exclude",
                "e2e",
                "--exclude",
                "lab",
                "--test",
                "*",
            ],
        )?;
        tests(
            "tests of the lab",
            &[
                "test",
                "--locked",
                "--no-fail-fast",
                "--package",
                "lab",
                "--test",
                "*",
                "--",
                "--test-threads=1",
            ],
        )?;
        tests(
            "tests on the lab",
            &[
                "test",
                "--locked",
                "--no-fail-fast",
                "--package",
                "e2e",
                "--",
                "--test-threads=2",
            ],
        )?;
    }
    tests("docs", cargo_doc())?;
    if failed.is_empty() {
        Ok(())
    } else {
        Err(TaskError::Tests(failed))
    }
}

/// Returns the arguments that build the documentation of our own crates.
const fn cargo_doc() -> &'static [&'static str] {
    &[
        "doc",
        "--locked",
        "--quiet",
        "--workspace",
        "--no-deps",
        "--document-private-items",
        "--lib",
    ]
}
