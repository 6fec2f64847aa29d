//! What can go wrong with a lab. One variant an operation; `hint` says what to do next.

use std::io;
use std::path::PathBuf;
use std::process::ExitStatus;

/// A failure of the lab.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The options contradict themselves.
    #[error("{0}")]
    Options(String),
    /// No host of this name.
    #[error("no host {host}; there are {}", known.join(", "))]
    UnknownHost {
        /// The name asked for.
        host: String,
        /// The hosts there are.
        known: Vec<String>,
    },
    /// Not root.
    #[error("a lab needs root: it makes namespaces, mounts and cgroups")]
    NotRoot,
    /// Something of the machine is missing.
    #[error("{what} is missing")]
    Missing {
        /// What is missing.
        what: String,
        /// How to get it.
        hint: String,
    },
    /// A lab of this name is there, with other options.
    #[error("lab {name} is up with other options: {difference}")]
    Different {
        /// The lab.
        name: String,
        /// Which ones.
        difference: String,
    },
    /// No lab of this name.
    #[error("no lab {name}")]
    NoLab {
        /// The lab.
        name: String,
    },
    /// A host does not run.
    #[error("host {host} of lab {name} is not running")]
    NotRunning {
        /// The lab.
        name: String,
        /// The host.
        host: String,
    },
    /// A program could not be started.
    #[error("starting {program}")]
    Start {
        /// The program.
        program: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A program failed.
    #[error("{command}: {status}{}", tail(stderr))]
    Command {
        /// The command line.
        command: String,
        /// How it ended.
        status: ExitStatus,
        /// What it said on stderr.
        stderr: String,
    },
    /// An operation on a file or directory failed.
    #[error("{operation} {}", path.display())]
    File {
        /// The operation as a verb: `writing`, `reading`, `making`, `removing`.
        operation: &'static str,
        /// The path.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Something did not come true in time.
    #[error("{what} not within {seconds} s; last seen: {last}")]
    Timeout {
        /// What was waited for.
        what: String,
        /// How long.
        seconds: u64,
        /// The last state seen.
        last: String,
    },
    /// Units of a host failed to start.
    #[error(
        "units of {host} failed:{}\n  its journal ends:{}",
        tail(failed),
        tail(journal)
    )]
    Units {
        /// The host.
        host: String,
        /// The failed units, one a line.
        failed: String,
        /// The end of the host's journal.
        journal: String,
    },
    /// The record of a lab cannot be read.
    #[error("reading {}", path.display())]
    Record {
        /// The path.
        path: PathBuf,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
    /// A certificate could not be made.
    #[error("making the certificate of {name}")]
    Certificate {
        /// Whose.
        name: String,
        /// Why.
        #[source]
        source: rcgen::Error,
    },
    /// Something of the lab would not go away.
    #[error("{what} of lab {name} is still there")]
    Left {
        /// The lab.
        name: String,
        /// What is left.
        what: String,
    },
}

impl Error {
    /// Returns what the user can do next, where there is something to say.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::NotRoot => Some("run it as root, for example with sudo".to_owned()),
            Self::Missing { hint, .. } => Some(hint.clone()),
            Self::Different { name, .. } => Some(format!("end it first: lab down --name {name}")),
            Self::NoLab { name } => Some(format!("boot it: lab up --name {name}")),
            Self::NotRunning { name, .. } => Some(format!(
                "boot it anew: lab down --name {name} && lab up --name {name}"
            )),
            _ => None,
        }
    }

    /// Returns a function that makes a [`Error::File`] of an I/O error.
    pub fn file(operation: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::File {
            operation,
            path,
            source,
        }
    }
}

/// Returns the last lines of what a program said, on lines of their own.
fn tail(stderr: &str) -> String {
    let lines: Vec<&str> = stderr.trim_end().lines().collect();
    let from = lines.len().saturating_sub(12);
    lines
        .get(from..)
        .unwrap_or_default()
        .iter()
        .fold(String::new(), |mut text, line| {
            text.push_str("\n    ");
            text.push_str(line);
            text
        })
}
