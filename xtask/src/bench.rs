//! `bench`: the product beside what a user would use instead, in the same run.

use crate::step::{self, Talk, TaskError, cargo};
use crate::{dist, step::lab};

/// Runs the named rows, or all of them.
pub(crate) fn run(talk: &Talk, names: &[String]) -> Result<(), TaskError> {
    step::require_root()?;
    step::require_go()?;
    let dist = dist::run(talk)?;
    step::build_lab(talk)?;
    talk.step("prepare the lab and the peers", &mut lab(&["prepare", "--peers"]))?;
    let mut bench = cargo(&["run", "--quiet", "--package", "e2e", "--bin", "bench", "--"]);
    bench.args(names).env("DIST", dist);
    talk.step("bench", &mut bench)
}
