//! Files that processes read when they start, and that are not now what they read.

use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::text;
use crate::protocol::{Input, InputFacts};

/// What was written so shortly after the start may be what was read.
const SLACK: Duration = Duration::from_secs(3);

/// Returns those of the files that are gone, or were written after the process had started.
pub(super) fn changed(root: &Path, asked: &[(i32, Vec<Input>)]) -> Vec<InputFacts> {
    let booted = booted(root);
    let of_process = |(pid, inputs): &(i32, Vec<Input>)| {
        let own = root.join("proc").join(pid.to_string());
        let started = booted.and_then(|booted| started(booted, &own));
        let pid = *pid;
        let look = move |input: &Input| {
            let path = own.join("root").join(input.path.trim_start_matches('/'));
            let missing = match fs::metadata(&path) {
                Ok(found) => {
                    let written = found.modified().ok()?;
                    let newer = written > started? + SLACK && written <= SystemTime::now();
                    return (input.once && newer).then(|| facts(pid, input, false));
                }
                Err(error) => error.kind() == std::io::ErrorKind::NotFound,
            };
            // Whoever ended meanwhile has no files any more.
            (missing && !input.optional && own.join("root/").exists()).then(|| facts(pid, input, true))
        };
        inputs.iter().filter_map(look).collect::<Vec<_>>()
    };
    asked.iter().flat_map(of_process).collect()
}

fn facts(pid: i32, input: &Input, missing: bool) -> InputFacts {
    InputFacts {
        pid,
        path: input.path.clone(),
        missing,
    }
}

/// Returns when the host started, by the kernel's clock of today.
fn booted(root: &Path) -> Option<SystemTime> {
    let stat = text(&root.join("proc/stat"))?;
    let line = stat.lines().find_map(|line| line.strip_prefix("btime "))?;
    Some(UNIX_EPOCH + Duration::from_secs(line.trim().parse().ok()?))
}

/// Returns when a process started.
fn started(booted: SystemTime, own: &Path) -> Option<SystemTime> {
    let stat = text(&own.join("stat"))?;
    // The name before may hold anything; the start is the 22nd field (proc_pid_stat(5)).
    let (_, rest) = stat.rsplit_once(')')?;
    let ticks: u64 = rest.split_whitespace().nth(19)?.parse().ok()?;
    Some(booted + Duration::from_millis(ticks * 1000 / procfs::ticks_per_second()))
}

#[cfg(test)]
mod tests {
    use super::super::tests::Tree;
    use super::*;

    /// A process that started a hundred seconds after the boot, an hour ago.
    fn tree(file: &str) -> Tree {
        let boot = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() - 3700;
        let zeros = "0 ".repeat(18);
        Tree::new(&[
            ("proc/stat", &format!("cpu 1\nbtime {boot}\n")),
            ("proc/7/stat", &format!("7 (a) b) S {zeros}10000 0\n")),
            (file, ""),
        ])
    }

    fn look(tree: &Tree, once: bool) -> Vec<InputFacts> {
        let input = Input {
            path: "/etc/k.yaml".to_owned(),
            once,
            optional: false,
        };
        changed(tree.0.path(), &[(7, vec![input])])
    }

    #[test]
    fn a_file_that_was_written_after_the_start_is_not_what_was_read() {
        let tree = tree("proc/7/root/etc/k.yaml");
        let found = look(&tree, true);
        assert!(found.len() == 1 && !found[0].missing);
        assert!(look(&tree, false).is_empty(), "it is read again");
        let file = fs::File::options()
            .write(true)
            .open(tree.0.path().join("proc/7/root/etc/k.yaml"))
            .unwrap();
        file.set_modified(SystemTime::now() - Duration::from_hours(2))
            .unwrap();
        assert!(look(&tree, true).is_empty());
    }

    #[test]
    fn a_file_that_is_gone_is_told_while_the_process_lives() {
        let found = look(&tree("proc/7/root/etc/other"), true);
        assert!(found.len() == 1 && found[0].missing);
        assert!(look(&tree("proc/8/root/x"), true).is_empty());
    }
}
