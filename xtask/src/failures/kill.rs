//! Killed at random moments: what has a final name is whole, and the next start does the work and leaves nothing else.

use std::process::Stdio;
use std::time::{Duration, Instant};

use super::io;
use super::subject::Subject;
use crate::step::{Talk, TaskError};

/// Kills it so many times and returns what went wrong, a line each. The moments are the same in each run of this, as far
/// as the machine is as busy.
pub(super) fn at_random(talk: &Talk, subject: &Subject, kills: u32) -> Result<Vec<String>, TaskError> {
    subject.clear()?;
    let begin = Instant::now();
    let good = subject.good()?;
    let whole = begin.elapsed();
    subject.clear()?;
    let names = subject.names()?;
    let mut dice: u64 = 0x9e37_79b9_7f4a_7c15;
    let (mut wrong, mut killed) = (Vec::new(), 0);
    for round in 1..=kills {
        dice ^= dice << 13;
        dice ^= dice >> 7;
        dice ^= dice << 17;
        let moment = whole * u32::try_from(dice >> 44).unwrap_or(0) / (1 << 20);
        let ended = kill_after(subject, moment)?;
        killed += u32::from(!ended);
        let case = format!("{}, killed after {moment:?} (round {round}): ", subject.name);
        if let Some(what) = subject.judge(&good, ended)? {
            wrong.push(format!("{case}{what}"));
        }
        // Over what is left, not after it was cleared away: but a directory that is there is not unpacked into.
        if subject.name != "build" {
            subject.clear()?;
        }
        subject.good()?;
        if let Some(what) = subject.judge(&good, true)? {
            wrong.push(format!("{case}then, undisturbed: {what}"));
        }
        subject.clear()?;
        if subject.names()? != names {
            wrong.push(format!(
                "{case}{} were there after the next start",
                subject.names()?.join(" ")
            ));
        }
    }
    subject.good()?;
    talk.say(&format!(
        "{}: killed {killed} times, {} taken wrongly",
        subject.name,
        wrong.len()
    ));
    Ok(wrong)
}

/// Starts it and kills it after a time; returns whether it had ended by itself.
fn kill_after(subject: &Subject, moment: Duration) -> Result<bool, TaskError> {
    let mut command = subject.command(&[]);
    let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    let mut child = child.map_err(io(&format!("run {}", subject.name)))?;
    std::thread::sleep(moment);
    let ended = child.try_wait().map_err(io("look at it"))?.is_some();
    child.kill().map_err(io("kill it"))?;
    child.wait().map_err(io("wait for it"))?;
    Ok(ended)
}
