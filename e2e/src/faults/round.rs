//! Many faults in a row in one cluster: a fault that breaks more than it should does not stop the others.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use lab::Options;
use lab::faults::{Fault, Needs};

use super::{Tried, try_fault};
use crate::Closed;

/// How long a cluster may take to be healthy again: leaders are elected anew, kubelets come back.
const PATIENCE: Duration = Duration::from_mins(2);

/// Tries each fault in a lab called `name` that has what it needs, as [`round`] does.
pub fn rounds(name: &str, faults: &[&'static Fault], mut done: impl FnMut(&Closed, Tried)) {
    for lab in Needs::LABS {
        let is_for_it = |fault: &&&'static Fault| fault.needs.lab() == lab;
        let faults: Vec<&'static Fault> = faults.iter().filter(is_for_it).copied().collect();
        round(&lab.options(name), &faults, &mut done);
    }
}

/// Tries each fault in a lab of these options and hands each outcome to `done`, with the lab, in whose media
/// [`crate::REPORT`] is the run's report. Healing is enough where it can be; where
/// the cluster does not become healthy again, the next fault gets a fresh one. Returns how many labs it took.
///
/// # Panics
///
/// When a lab cannot be booted, or a fresh one is not healthy.
pub fn round(options: &Options, faults: &[&'static Fault], mut done: impl FnMut(&Closed, Tried)) -> usize {
    let mut lab: Option<Closed> = None;
    let mut labs = 0;
    for fault in faults {
        let closed = lab.take().unwrap_or_else(|| {
            labs += 1;
            fresh(options)
        });
        let tried = catch_unwind(AssertUnwindSafe(|| try_fault(&closed, fault)));
        let tried = tried.unwrap_or_else(|panic| Tried::broken(fault.name, words(panic.as_ref())));
        done(&closed, tried);
        if recovers(&closed) {
            lab = Some(closed);
        } else {
            eprintln!(
                "{}: not healed within {PATIENCE:?}, a fresh lab follows",
                fault.name
            );
        }
    }
    labs
}

fn fresh(options: &Options) -> Closed {
    let closed = Closed::up(options);
    closed.assert_healthy();
    closed
}

/// Returns whether the suite finds the cluster healthy within [`PATIENCE`].
fn recovers(closed: &Closed) -> bool {
    let begin = Instant::now();
    loop {
        let looked = catch_unwind(AssertUnwindSafe(|| closed.smoke(&["--timeout", "20s"])));
        if looked.is_ok_and(|(finished, _)| finished.code == Some(0)) {
            return true;
        }
        if begin.elapsed() > PATIENCE {
            return false;
        }
    }
}

/// Returns what a panic said.
fn words(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
    text.unwrap_or("a panic without words").replace(['\n', '|'], " ")
}
