//! `bench`: the product beside what a user would use instead, in the same run. `faults`: what it says of planted faults.
//! `soak`: the suite many times over. `record`: the facts that its judges are held to.

use crate::step::{self, Talk, TaskError, cargo};
use crate::{dist, step::lab};

/// Runs the named rows, or all of them.
pub(crate) fn run(talk: &Talk, names: &[String]) -> Result<(), TaskError> {
    on_the_lab(talk, "bench", &["prepare", "--peers"], names)
}

/// Plants the named faults, or all of them.
pub(crate) fn faults(talk: &Talk, names: &[String]) -> Result<(), TaskError> {
    on_the_lab(talk, "faults", &["prepare"], names)
}

/// Runs the named parts, or all of them.
pub(crate) fn soak(talk: &Talk, names: &[String]) -> Result<(), TaskError> {
    on_the_lab(talk, "soak", &["prepare"], names)
}

/// Records the named runs, or all of them, and what its judges say of them.
pub(crate) fn record(talk: &Talk, names: &[String]) -> Result<(), TaskError> {
    on_the_lab(talk, "record", &["prepare"], names)?;
    let mut judge = cargo(&["test", "--package", "verifier", "--test", "corpus"]);
    talk.step("judge what was recorded", judge.env("UPDATE_CORPUS", "1"))
}

/// Runs a program of `e2e/` with the static programs built and the lab's parts there.
fn on_the_lab(talk: &Talk, program: &str, prepare: &[&str], names: &[String]) -> Result<(), TaskError> {
    step::require_root()?;
    step::require_go()?;
    let dist = dist::run(talk)?;
    step::build_lab(talk)?;
    talk.step("prepare the lab", &mut lab(prepare))?;
    let mut run = cargo(&["run", "--quiet", "--package", "e2e", "--bin", program, "--"]);
    run.args(names).env("DIST", dist);
    talk.step(program, &mut run)
}
