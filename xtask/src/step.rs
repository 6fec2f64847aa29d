//! A step of a task: a program that runs, with its name, its time and its failure told.

use std::fmt;
use std::io::{self, IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

/// Why a task ended early.
#[derive(Debug)]
pub(crate) enum TaskError {
    /// Wrong words on the command line.
    Usage(String),
    /// Something that the task needs is not here; the second text says how to get it.
    Missing(String, String),
    /// A program could not be started, or a file not be handled.
    Io {
        /// What was tried.
        what: String,
        /// The system's answer.
        source: io::Error,
    },
    /// A program ended with something else than 0.
    Failed {
        /// The step's name.
        step: String,
        /// How it ended.
        status: std::process::ExitStatus,
    },
    /// The test runs ended, and these of them failed.
    Tests(Vec<String>),
}

impl TaskError {
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::Usage(_) => 64,
            Self::Missing(..) | Self::Io { .. } => 2,
            Self::Failed { status, .. } => status
                .code()
                .and_then(|code| u8::try_from(code).ok())
                .unwrap_or(1),
            Self::Tests(_) => 1,
        }
    }
}

impl fmt::Display for TaskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Usage(text) => write!(f, "{text}"),
            Self::Missing(what, hint) => write!(f, "{what}\n  hint: {hint}"),
            Self::Io { what, source } => write!(f, "cannot {what}: {source}"),
            Self::Failed { step, status } => write!(f, "{step}: {status}; its own output is above"),
            Self::Tests(steps) => write!(f, "failed: {}", steps.join(", ")),
        }
    }
}

/// Speaks to the person: one line when a step begins, one when it ends.
pub(crate) struct Talk {
    start: Instant,
    colour: bool,
}

impl Talk {
    pub(crate) fn new() -> Self {
        let colour = io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
        Self {
            start: Instant::now(),
            colour,
        }
    }

    /// Prints a line with the time since the start.
    pub(crate) fn say(&self, text: &str) {
        let seconds = self.start.elapsed().as_secs();
        let (on, off) = if self.colour {
            ("\x1b[1;36m", "\x1b[0m")
        } else {
            ("", "")
        };
        let _ = writeln!(
            io::stderr(),
            "{on}[{:>2}:{:02}]{off} {text}",
            seconds / 60,
            seconds % 60
        );
    }

    pub(crate) fn failed(&self, error: &TaskError) {
        let (on, off) = if self.colour {
            ("\x1b[1;31m", "\x1b[0m")
        } else {
            ("", "")
        };
        self.say(&format!("{on}error:{off} {error}"));
    }

    /// Runs `command` to its end, with its output where ours goes.
    pub(crate) fn step(&self, name: &str, command: &mut Command) -> Result<(), TaskError> {
        self.run(name, command.stdin(Stdio::null()))
    }

    /// The same, with `input` as its standard input.
    pub(crate) fn step_with_input(
        &self,
        name: &str,
        command: &mut Command,
        input: std::fs::File,
    ) -> Result<(), TaskError> {
        self.run(name, command.stdin(input))
    }

    fn run(&self, name: &str, command: &mut Command) -> Result<(), TaskError> {
        let begin = Instant::now();
        self.say(name);
        let status = command.status().map_err(|source| TaskError::Io {
            what: format!("run {}", command.get_program().display()),
            source,
        })?;
        if !status.success() {
            return Err(TaskError::Failed {
                step: name.to_owned(),
                status,
            });
        }
        self.say(&format!("{name}: done in {:.1} s", begin.elapsed().as_secs_f32()));
        Ok(())
    }

    /// Starts `command` and returns at once; its output goes to the file `log`.
    pub(crate) fn background(
        &self,
        name: &str,
        command: &mut Command,
        log: &Path,
    ) -> Result<Background, TaskError> {
        let mut open = || {
            log.parent().map_or(Ok(()), std::fs::create_dir_all)?;
            let out = std::fs::File::create(log)?;
            let child = command
                .stdin(Stdio::null())
                .stdout(out.try_clone()?)
                .stderr(out)
                .spawn()?;
            Ok(child)
        };
        let child = open().map_err(|source| TaskError::Io {
            what: format!("start {name}"),
            source,
        })?;
        self.say(&format!("{name}: started, its output goes to {}", log.display()));
        Ok(Background {
            name: name.to_owned(),
            child,
            log: log.to_owned(),
            begin: Instant::now(),
        })
    }
}

/// Prints a result to stdout; nothing can be done about a closed one.
pub(crate) fn print(text: &str) {
    let _ = write!(io::stdout(), "{text}");
}

/// A step that runs beside the others. Dropped unfinished, it is ended.
pub(crate) struct Background {
    name: String,
    child: Child,
    log: PathBuf,
    begin: Instant,
}

impl Background {
    /// Waits for the end; shows the output's last lines when it failed.
    pub(crate) fn wait(self, talk: &Talk) -> Result<(), TaskError> {
        self.end(talk, |log, ended_well| {
            let hidden = if ended_well {
                usize::MAX
            } else {
                log.lines().count().saturating_sub(40)
            };
            log.lines().skip(hidden).for_each(|line| talk.say(line));
        })
    }

    /// Waits for the end and shows the whole output, as a step in the foreground would have.
    pub(crate) fn wait_and_show(self, talk: &Talk) -> Result<(), TaskError> {
        self.end(talk, |log, _| print(log))
    }

    fn end(mut self, talk: &Talk, show: impl FnOnce(&str, bool)) -> Result<(), TaskError> {
        talk.say(&format!("waiting for {}", self.name));
        let status = self.child.wait().map_err(|source| TaskError::Io {
            what: format!("wait for {}", self.name),
            source,
        })?;
        let log = std::fs::read_to_string(&self.log).unwrap_or_default();
        show(&log, status.success());
        if !status.success() {
            return Err(TaskError::Failed {
                step: self.name.clone(),
                status,
            });
        }
        talk.say(&format!(
            "{}: done in {:.0} s",
            self.name,
            self.begin.elapsed().as_secs_f32()
        ));
        Ok(())
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        // Ended already after `wait`; then both calls only say so.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Returns cargo, as the one that runs us.
pub(crate) fn cargo(arguments: &[&str]) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(arguments);
    // Build scripts (ring's) look at these: what a person builds by hand would be built anew under us, and again after.
    for (name, _) in std::env::vars_os() {
        let said = name.to_string_lossy();
        if said.starts_with("CARGO_PKG_") || said.starts_with("CARGO_MANIFEST_") {
            command.env_remove(&name);
        }
    }
    command
}

/// Returns the lab's command line, built once by [`build_lab`].
pub(crate) fn lab(arguments: &[&str]) -> Command {
    let mut command = Command::new(target_dir().join("x86_64-unknown-linux-gnu/debug/lab"));
    command.args(arguments);
    command
}

/// Builds the lab's command line.
pub(crate) fn build_lab(talk: &Talk) -> Result<(), TaskError> {
    talk.step(
        "build the lab's command",
        &mut cargo(&["build", "--locked", "--quiet", "--package", "lab"]),
    )
}

/// Returns cargo's target directory.
pub(crate) fn target_dir() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| PathBuf::from("target"), PathBuf::from)
}

/// Makes sure that we may make namespaces, and says what to do where not.
pub(crate) fn require_root() -> Result<(), TaskError> {
    use std::os::unix::fs::MetadataExt as _;
    let user = std::fs::metadata("/proc/self").map(|data| data.uid());
    match user {
        Ok(0) => Ok(()),
        _ => Err(TaskError::Missing(
            "the lab makes namespaces and mounts, and for that it must be root".into(),
            "run the same command as root, or under sudo -E".into(),
        )),
    }
}

/// Makes sure that Go is here: the lab builds Kubernetes with it. Never needed by bundler or verifier.
pub(crate) fn require_go() -> Result<(), TaskError> {
    let version = Command::new("go").arg("version").output();
    match version {
        Ok(output) if output.status.success() => Ok(()),
        _ => Err(TaskError::Missing(
            "there is no `go` on the PATH; the lab builds Kubernetes, containerd and etcd from their Go modules".into(),
            "install Go 1.26 or newer (Debian: apt-get install golang-go from backports), then run this again".into(),
        )),
    }
}
