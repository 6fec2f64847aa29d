//! Runs programs that take long, and says every now and then that they still do.

use std::process::{Command, Stdio};
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::time::{Duration, Instant};

use crate::{Error, run};

/// Where a line about the progress goes.
pub type Say<'a> = &'a (dyn Fn(&str) + Sync);

/// How long work may be silent before a line says that it still goes on.
const BEAT: Duration = Duration::from_secs(15);

/// Runs `command` to its end, and says every 15 s that `work` still goes on.
pub(crate) fn long(command: &mut Command, work: &str, say: Say<'_>) -> Result<(), Error> {
    let begun = Instant::now();
    command.stdin(Stdio::null());
    let (ended, waiting) = sync_channel::<()>(0);
    std::thread::scope(|scope| {
        scope.spawn(move || {
            // The other end is dropped when the program has ended; nothing is ever sent.
            while waiting.recv_timeout(BEAT) == Err(RecvTimeoutError::Timeout) {
                say(&format!("  {work}: {} s", begun.elapsed().as_secs()));
            }
        });
        let result = run::run(command);
        drop(ended);
        result.map(|_| ())
    })
}

/// Returns the last `count` lines of a text.
pub(crate) fn tail(text: &str, count: usize) -> String {
    let lines: Vec<&str> = text.trim_end().lines().collect();
    lines[lines.len().saturating_sub(count)..].join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_run_ends_with_its_program() {
        long(&mut Command::new("true"), "nothing", &|_| {}).unwrap();
        let error = long(
            Command::new("sh").args(["-c", "echo broken >&2; exit 3"]),
            "nothing",
            &|_| {},
        )
        .unwrap_err();
        let text = error.to_string();
        assert!(
            text.contains("exit status: 3") && text.ends_with("broken"),
            "{text}"
        );
    }

    #[test]
    fn the_tail_is_the_end() {
        assert_eq!(tail("a\nb\nc\n", 2), "b\nc");
        assert_eq!(tail("a", 5), "a");
    }
}
