//! `test`: everything that CI runs, in the order in which it can fail soonest.

use crate::step::{self, Background, Talk, TaskError, cargo, target_dir};
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
    let beside = match extent {
        Extent::All => Some(Beside::start(talk)?),
        Extent::WithoutLab => None,
    };
    talk.step("clippy", &mut cargo(CLIPPY))?;
    let mut failed = Vec::new();
    note(&mut failed, talk.step("unit tests", &mut cargo(UNIT_TESTS)))?;
    if let Some(Beside { parts, programs }) = beside {
        parts.wait(talk)?;
        // The lab's own tests wait for services most of the time.
        let log = target_dir().join("lab-tests.log");
        let lab = talk.background("tests of the lab", &mut cargo(LAB_TESTS), &log)?;
        note(
            &mut failed,
            talk.step("tests against real servers", &mut cargo(SERVER_TESTS)),
        )?;
        note(&mut failed, lab.wait_and_show(talk))?;
        programs.wait(talk)?;
        note(
            &mut failed,
            talk.step("tests on the lab", &mut cargo(WHOLE_TESTS)),
        )?;
    }
    note(&mut failed, talk.step("docs", &mut cargo(DOCS)))?;
    if failed.is_empty() {
        Ok(())
    } else {
        Err(TaskError::Tests(failed))
    }
}

/// What is made while the first steps run.
struct Beside {
    /// The lab's parts.
    parts: Background,
    /// The static programs, behind everything else on the processors.
    programs: Background,
}

impl Beside {
    fn start(talk: &Talk) -> Result<Self, TaskError> {
        step::require_root()?;
        step::require_go()?;
        packages::ensure(talk)?;
        step::build_lab(talk)?;
        let log = |name: &str| target_dir().join(name);
        let parts = talk.background(
            "prepare the lab",
            &mut step::lab(&["prepare"]),
            &log("lab-prepare.log"),
        )?;
        let programs = talk.background(
            "build the static programs",
            &mut dist::beside()?,
            &log("dist.log"),
        )?;
        Ok(Self { parts, programs })
    }
}

/// Keeps the name of a test run that failed; any other failure ends it all.
fn note(failed: &mut Vec<String>, outcome: Result<(), TaskError>) -> Result<(), TaskError> {
    match outcome {
        Err(TaskError::Failed { step, .. }) => {
            failed.push(step);
            Ok(())
        }
        other => other,
    }
}

const CLIPPY: &[&str] = &[
    "clippy",
    "--locked",
    "--quiet",
    "--workspace",
    "--all-targets",
    "--",
    "--deny",
    "warnings",
];

const UNIT_TESTS: &[&str] = &[
    "test",
    "--locked",
    "--no-fail-fast",
    "--workspace",
    "--exclude",
    "e2e",
    "--lib",
    "--bins",
];

/// The tests of the crates against real registries, containerds, sshds and etcds.
const SERVER_TESTS: &[&str] = &[
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
];

const LAB_TESTS: &[&str] = &[
    "test",
    "--locked",
    "--no-fail-fast",
    "--package",
    "lab",
    "--test",
    "*",
    "--",
    "--test-threads=1",
];

/// The whole way, on two labs at a time: each takes much of the machine.
const WHOLE_TESTS: &[&str] = &[
    "test",
    "--locked",
    "--no-fail-fast",
    "--package",
    "e2e",
    "--",
    "--test-threads=2",
];

/// The documentation of our own crates.
const DOCS: &[&str] = &[
    "doc",
    "--locked",
    "--quiet",
    "--workspace",
    "--no-deps",
    "--document-private-items",
    "--lib",
];
