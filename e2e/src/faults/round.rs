//! Many faults in a row in one cluster: a fault that breaks more than it should does not stop the others.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use lab::Options;
use lab::faults::{Fault, Needs};

use super::{Tried, try_fault};
use crate::Closed;

/// How long a cluster may take to be healthy again: leaders are elected anew, kubelets come back.
const PATIENCE: Duration = Duration::from_mins(2);

/// Tries each fault in a lab that has what it needs, and hands each outcome to `done`, with the lab, in whose media
/// [`crate::REPORT`] is the run's report. `LABS` in the environment is how many labs of a kind work side by side: one where it
/// says nothing. They are called `name-1`, `name-2` and so on.
///
/// # Panics
///
/// When `LABS` is no number, a lab cannot be booted, or a fresh one is not healthy.
pub fn rounds(name: &str, faults: &[&'static Fault], done: impl FnMut(&Closed, Tried) + Send) {
    let labs = std::env::var("LABS").map_or(1, |text| text.parse().expect("LABS is a number"));
    let done = Mutex::new(done);
    for kind in Needs::LABS {
        let queue = Mutex::new(faults.iter().copied().filter(|fault| fault.needs.lab() == kind));
        let next = || held(&queue).next();
        std::thread::scope(|lanes| {
            for lane in 1..=labs {
                let options = kind.options(&format!("{name}-{lane}"));
                let (next, done) = (&next, &done);
                lanes.spawn(move || {
                    round(&options, next, |closed, tried| held(done)(closed, tried));
                });
            }
        });
    }
}

/// Tries each fault that `next` gives in a lab of these options and hands each outcome to `done`. Healing is enough where it
/// can be; where the cluster does not become healthy again, the next fault gets a fresh one. Returns how many labs it took.
///
/// # Panics
///
/// When a lab cannot be booted, or a fresh one is not healthy.
pub fn round(
    options: &Options,
    mut next: impl FnMut() -> Option<&'static Fault>,
    mut done: impl FnMut(&Closed, Tried),
) -> usize {
    let mut lab: Option<Closed> = None;
    let mut labs = 0;
    while let Some(fault) = next() {
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

/// Takes a lock whose last holder may have panicked: what it guards is whole between two calls.
fn held<T: ?Sized>(lock: &Mutex<T>) -> MutexGuard<'_, T> {
    lock.lock().unwrap_or_else(PoisonError::into_inner)
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
