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
    if let Some(beside) = beside {
        on_real_things(talk, beside, &mut failed)?;
    }
    let mut docs = cargo(DOCS);
    note(
        &mut failed,
        talk.step("docs", docs.env("RUSTDOCFLAGS", "--deny warnings")),
    )?;
    if failed.is_empty() {
        Ok(())
    } else {
        Err(TaskError::Tests(failed))
    }
}

/// The tests against real servers and on labs. Most of their time is waiting, so they run beside one another and beside the
/// linker, which takes minutes for the static programs: what is about the verdict is tried with programs that are here sooner.
fn on_real_things(talk: &Talk, beside: Beside, failed: &mut Vec<String>) -> Result<(), TaskError> {
    let Beside { parts, programs } = beside;
    parts.wait(talk)?;
    let log = target_dir().join("lab-tests.log");
    let lab = talk.background("tests of the lab", &mut cargo(LAB_TESTS), &log)?;
    note(
        failed,
        talk.step("tests against real servers", &mut cargo(SERVER_TESTS)),
    )?;
    let early = dist::early(talk)?;
    let mut verdicts = cargo(VERDICT_TESTS);
    note(
        failed,
        talk.step("verdicts on the lab", verdicts.env("DIST", early)),
    )?;
    note(failed, lab.wait_and_show(talk))?;
    programs.wait(talk)?;
    note(
        failed,
        talk.step("the static programs, the whole way", &mut cargo(WHOLE_TESTS)),
    )
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
        talk.step("build the lab's command", &mut cargo(LAB_COMMAND))?;
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

// Cargo settles the features of all crates by the packages that are asked for, and by whether tests are: every step asks for the
// whole workspace with tests, and names what of it, so that no crate is built for a second set of features.

/// With a test, which is run later, for its features.
const LAB_COMMAND: &[&str] = &[
    "build",
    "--locked",
    "--quiet",
    "--workspace",
    "--bin",
    "lab",
    "--test",
    "hosts",
];

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
    "--workspace",
    "--test",
    "hosts",
    "--test",
    "kubernetes",
    "--",
    "--test-threads=2",
];

/// Planted faults, ends of all kinds, other readers: on two labs at a time.
const VERDICT_TESTS: &[&str] = &[
    "test",
    "--locked",
    "--no-fail-fast",
    "--workspace",
    "--test",
    "faults",
    "--test",
    "ends",
    "--test",
    "readers",
    "--",
    "--test-threads=2",
];

/// What ships, the whole way, on two labs at a time.
const WHOLE_TESTS: &[&str] = &[
    "test",
    "--locked",
    "--no-fail-fast",
    "--workspace",
    "--test",
    "static_binary",
    "--test",
    "whole_way",
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
