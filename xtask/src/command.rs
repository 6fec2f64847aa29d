//! The command line: which task, with which options.

use std::ffi::OsString;
use std::process::ExitCode;

use lexopt::{Arg, Parser, ValueExt as _};

use crate::step::{self, Talk, TaskError};
use crate::supply::{deny, notices};
use crate::{arrows, bench, demo, dist, failures, fuzz, new_check, test};

const HELP: &str = "\
What people who work on bundler and verifier need.

Usage: cargo xtask <task>

  demo [--down] [--hardened]  the main job on a real cluster: bundle, carry across the gap, verify, report;
                              the lab stays up, --down ends it
  test [--quick]              everything that CI runs; --quick leaves out what needs the lab
  faults [NAME ...]           plants the lab's faults one at a time: found, wrongly named, missed, false alarms;
                              without names all of them; their rows in docs/faults.md are renewed;
                              TIMEOUT=20s shortens the waits, LABS=2 plants in two labs side by side
  soak [PART ...]             the suite many times over (standard, hardened, plain, servers, overlay, dense, churn: 20 runs
                              in a row each; kills: 50 runs killed at random moments leave nothing); ROUNDS=N takes another number
  arrows                      imports that look back, against the table in docs/architecture.md; a part of test
  new-check GROUP.NAME        the files of a new check, each with what must be filled in
  dist                        static bundler and verifier in target/dist/, each with its bill of materials
  reproducible                dist again from a second checkout elsewhere: byte for byte the same
  deny                        advisories, licences, sources and duplicates of all crates (deny.toml); a part of test
  notices                     the licence texts of what is linked, for --licenses: bundler/NOTICES.txt, verifier/NOTICES.txt
  fuzz [--seconds N] [NAME ...]  every parser of what others wrote, N seconds each (60); names choose among fuzz/seeds/
  failures [--times N] [NAME ...]  each file operation of build, unpack and report made to fail in turn, and each of them
                              killed at N random moments (100)
  record [RUN ...]            records the facts that judges are held to, on healthy and on faulty labs, in verifier/tests/facts/
  bench [NAME ...]            the product beside what a user would use instead; docs/benchmarks.md has the last figures
";

/// Runs the task that the arguments name.
pub(crate) fn main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let talk = Talk::new();
    match run(Parser::from_iter(arguments), &talk) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            talk.failed(&error);
            ExitCode::from(error.exit_code())
        }
    }
}

/// A word behind the task: an option without value, or a name.
struct Words {
    flags: Vec<String>,
    /// How long something may run.
    seconds: Option<u32>,
    /// How many times something is done.
    times: Option<u32>,
    names: Vec<String>,
}

/// Reads the command line; none where it asks for help.
fn words(mut parser: Parser) -> Result<Option<(Option<String>, Words)>, TaskError> {
    let usage = |error: lexopt::Error| TaskError::Usage(error.to_string());
    let mut task = None;
    let mut words = Words {
        flags: Vec::new(),
        seconds: None,
        times: None,
        names: Vec::new(),
    };
    while let Some(arg) = parser.next().map_err(usage)? {
        match arg {
            Arg::Short('h') | Arg::Long("help") => {
                step::print(HELP);
                return Ok(None);
            }
            Arg::Long("seconds") => {
                let value = parser.value().and_then(|value| value.parse::<u32>());
                words.seconds = Some(value.map_err(usage)?);
            }
            Arg::Long("times") => {
                let value = parser.value().and_then(|value| value.parse::<u32>());
                words.times = Some(value.map_err(usage)?);
            }
            Arg::Long(flag) => words.flags.push(flag.to_owned()),
            Arg::Value(word) if task.is_none() => task = Some(word.to_string_lossy().into_owned()),
            Arg::Value(word) => words.names.push(word.to_string_lossy().into_owned()),
            Arg::Short(_) => return Err(usage(arg.unexpected())),
        }
    }
    Ok(Some((task, words)))
}

fn run(parser: Parser, talk: &Talk) -> Result<(), TaskError> {
    let Some((task, words)) = words(parser)? else {
        return Ok(());
    };
    let start = workspace_root()?;
    std::env::set_current_dir(start).map_err(|source| TaskError::Io {
        what: "enter the workspace".into(),
        source,
    })?;
    match task.as_deref() {
        Some("demo") => {
            words.allow(&["down", "hardened"], false)?;
            demo::run(
                talk,
                demo::Options {
                    down: words.has("down"),
                    hardened: words.has("hardened"),
                },
            )
        }
        Some("test") => {
            words.allow(&["quick"], false)?;
            let extent = if words.has("quick") {
                test::Extent::WithoutLab
            } else {
                test::Extent::All
            };
            test::run(talk, extent)
        }
        Some("arrows") => {
            words.allow(&[], false)?;
            arrows::check(talk)
        }
        Some("new-check") => {
            words.allow(&[], true)?;
            match words.names.as_slice() {
                [id] => new_check::run(talk, id),
                _ => Err(TaskError::Usage("name one check: GROUP.NAME".into())),
            }
        }
        Some("dist") => {
            words.allow(&[], false)?;
            dist::run(talk).map(drop)
        }
        Some("reproducible") => {
            words.allow(&[], false)?;
            dist::reproducible(talk)
        }
        Some("fuzz") => {
            words.allow(&[], true)?;
            fuzz::run(talk, &words.names, words.seconds.unwrap_or(60))
        }
        Some("failures") => {
            words.allow(&[], true)?;
            failures::run(talk, &words.names, words.times.unwrap_or(100))
        }
        Some("deny") => {
            words.allow(&[], false)?;
            deny::run(talk, deny::Database::Fetched)
        }
        Some("notices") => {
            words.allow(&[], false)?;
            notices::run(talk, notices::Mode::Write)
        }
        Some("faults") => {
            words.allow(&[], true)?;
            bench::faults(talk, &words.names)
        }
        Some("soak") => {
            words.allow(&[], true)?;
            bench::soak(talk, &words.names)
        }
        Some("record") => {
            words.allow(&[], true)?;
            bench::record(talk, &words.names)
        }
        Some("bench") => {
            words.allow(&[], true)?;
            bench::run(talk, &words.names)
        }
        Some(other) => Err(TaskError::Usage(format!(
            "there is no task {other:?}; `cargo xtask --help` lists them"
        ))),
        None => {
            step::print(HELP);
            Err(TaskError::Usage("no task was named".into()))
        }
    }
}

impl Words {
    fn has(&self, flag: &str) -> bool {
        self.flags.iter().any(|f| f == flag)
    }

    fn allow(&self, flags: &[&str], names: bool) -> Result<(), TaskError> {
        if let Some(flag) = self.flags.iter().find(|flag| !flags.contains(&flag.as_str())) {
            return Err(TaskError::Usage(format!("this task has no option --{flag}")));
        }
        match self.names.first() {
            Some(name) if !names => Err(TaskError::Usage(format!(
                "this task takes no argument, not {name:?}"
            ))),
            _ => Ok(()),
        }
    }
}

/// Returns the root of the workspace, wherever the command was typed.
fn workspace_root() -> Result<std::path::PathBuf, TaskError> {
    let manifest = std::env::var_os("CARGO_MANIFEST_DIR").map(std::path::PathBuf::from);
    let root = manifest.and_then(|dir| dir.parent().map(std::path::Path::to_owned));
    root.ok_or_else(|| TaskError::Usage("run this as `cargo xtask`".into()))
}
