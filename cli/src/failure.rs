//! The one error type of the programs: a kind that gives the exit code, a chain of causes, hints.

use std::error::Error;
use std::fmt;

use anstyle::{AnsiColor, Style};

use crate::exit;
use crate::shown::shown_lines;

/// What sort of failure it is; it decides the exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// We could not look or do: exit code 2.
    Error,
    /// The bundle's contents are bad: exit code 3.
    BadBundle,
    /// Wrong usage, spec or site file: exit code 64.
    Usage,
    /// Interrupted: exit code 130.
    Interrupted,
}

impl Kind {
    /// Returns the exit code that belongs to the kind.
    pub const fn exit_code(self) -> u8 {
        match self {
            Self::Error => exit::ERROR,
            Self::BadBundle => exit::BAD_BUNDLE,
            Self::Usage => exit::USAGE,
            Self::Interrupted => exit::INTERRUPTED,
        }
    }
}

/// A failure of a command, with what the user can do next.
#[derive(Debug)]
pub struct Failure {
    kind: Kind,
    source: Box<dyn Error + Send + Sync>,
    hints: Vec<String>,
}

impl Failure {
    /// Returns a failure of `kind`; `source` may be an error or a sentence.
    pub fn new(kind: Kind, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self {
            kind,
            source: source.into(),
            hints: Vec::new(),
        }
    }

    /// Adds what the user can do next: a sentence that names a command or a file.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// Returns the kind.
    pub const fn kind(&self) -> Kind {
        self.kind
    }

    /// Returns what the user can do next.
    pub fn hints(&self) -> &[String] {
        &self.hints
    }

    /// Prints the message, each cause on a line of its own, and the hints to stderr.
    pub(crate) fn print(&self, program: &str) {
        self.show(("error", AnsiColor::Red), &format!("{program}: "));
    }

    /// Prints it to stderr as something that costs no verdict.
    pub(crate) fn warn(&self) {
        self.show(("warning", AnsiColor::Yellow), "");
    }

    fn show(&self, (word, colour): (&str, AnsiColor), program: &str) {
        use std::io::Write as _;
        let mut err = anstream::stderr();
        let loud = Style::new().bold().fg_color(Some(colour.into()));
        let bold = Style::new().bold();
        // Nothing can be done about a closed stderr.
        let _ = writeln!(err, "{loud}{word}{loud:#}: {program}{}", said(&self.source));
        let mut next = self.source.source();
        while let Some(cause) = next {
            let _ = writeln!(err, "  {bold}caused by{bold:#}: {}", said(cause));
            next = cause.source();
        }
        for hint in &self.hints {
            let _ = writeln!(err, "  {bold}hint{bold:#}: {}", said(hint));
        }
    }
}

/// Returns a message as it is shown: much of it came from files, registries and hosts.
fn said(message: impl fmt::Display) -> String {
    shown_lines(&message.to_string())
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.source)
    }
}

impl Error for Failure {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.source()
    }
}

/// Gives errors of the libraries their kind at the edge.
pub trait ResultExt<T> {
    /// Turns an error into a [`Failure`] of `kind`.
    fn kind(self, kind: Kind) -> Result<T, Failure>;
}

impl<T, E: Into<Box<dyn Error + Send + Sync>>> ResultExt<T> for Result<T, E> {
    fn kind(self, kind: Kind) -> Result<T, Failure> {
        self.map_err(|error| Failure::new(kind, error))
    }
}

/// Returns an error with its causes on one line, each said once: some libraries repeat the cause in their own words.
pub fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let words = cause.to_string();
        if !text.contains(&words) {
            text.push_str(": ");
            text.push_str(&words);
        }
        next = cause.source();
    }
    text
}
