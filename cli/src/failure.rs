//! The one error type of the programs: a kind that gives the exit code, a chain of causes, hints.

use std::error::Error;
use std::fmt;

use anstyle::{AnsiColor, Style};

use crate::descriptors;
use crate::exit;
use crate::printer::Printer;
use crate::shown::{Shown, shown};
use crate::template::Hint;

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
    details: Vec<Shown>,
    hints: Vec<String>,
}

/// So many details are shown.
const DETAILS: usize = 1000;

impl Failure {
    /// Returns a failure of `kind`; `source` may be an error or a sentence.
    pub fn new(kind: Kind, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self {
            kind,
            source: source.into(),
            details: Vec::new(),
            hints: Vec::new(),
        }
    }

    /// Adds what belongs to the message, a line each: the problems of a file. A message itself has one line: whatever it
    /// quotes cannot look like a line of ours.
    #[must_use]
    pub fn details(mut self, details: impl IntoIterator<Item = impl fmt::Display>) -> Self {
        self.details
            .extend(details.into_iter().map(|detail| Shown::new(&detail)));
        self
    }

    /// Adds what the user can do next: a sentence that names a command or a file.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<Hint>) -> Self {
        self.hints.push(hint.into().into());
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

    /// Prints the message, its details, each cause on a line of its own, and the hints to stderr.
    pub(crate) fn print(&self, program: &str) {
        // Nothing can be done about a closed stderr.
        let _ = Printer::new(anstream::stderr()).print(&self.text(program));
    }

    /// Prints it to stderr as something that costs no verdict.
    pub(crate) fn warn(&self) {
        // Nothing can be done about a closed stderr.
        let _ = Printer::new(anstream::stderr()).print(&self.words(("warning", AnsiColor::Yellow), ""));
    }

    /// Returns all of it as an error of a program.
    fn text(&self, program: &str) -> String {
        self.words(("error", AnsiColor::Red), &format!("{program}: "))
    }

    /// Returns all of it. Much of it came from files, registries and hosts.
    fn words(&self, (word, colour): (&str, AnsiColor), program: &str) -> String {
        let loud = Style::new().bold().fg_color(Some(colour.into()));
        let bold = Style::new().bold();
        let said = |message: &dyn fmt::Display| shown(&message.to_string());
        let mut lines = vec![format!("{loud}{word}{loud:#}: {program}{}", said(&self.source))];
        lines.extend(
            self.details
                .iter()
                .take(DETAILS)
                .map(|detail| format!("  {detail}")),
        );
        if self.details.len() > DETAILS {
            lines.push(format!("  ... ({} more)", self.details.len() - DETAILS));
        }
        let mut next = self.source.source();
        while let Some(cause) = next {
            lines.push(format!("  {bold}caused by{bold:#}: {}", said(&cause)));
            next = cause.source();
        }
        let files = descriptors::hint(self.source.as_ref());
        lines.extend(
            self.hints
                .iter()
                .chain(&files)
                .map(|hint| format!("  {bold}hint{bold:#}: {}", said(hint))),
        );
        lines.join("\n")
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    /// An error whose words, and whose causes' words, come from outside.
    #[derive(Debug, thiserror::Error)]
    #[error("{text}")]
    struct Says {
        text: String,
        source: Option<Box<Says>>,
    }

    #[test]
    fn whatever_an_error_quotes_its_lines_stay_ours() {
        for nasty in crate::nasty::texts() {
            let says = |source| Says {
                text: nasty.clone(),
                source,
            };
            let failure = Failure::new(Kind::Error, says(Some(Box::new(says(None)))))
                .details([&nasty, &nasty])
                .hint(Hint::new("`rm {file}` or look at {file}", &[("file", &nasty)]));
            let text = failure.text("verifier");
            assert_eq!(crate::nasty::fault_of_output(&text), None);
            assert_eq!(text.lines().count(), 5, "{text}");
        }
    }

    #[test]
    fn details_come_below_the_message_and_not_without_end() {
        let failure = Failure::new(Kind::Usage, "1002 problems").details(1..=1002);
        let text = failure.text("p");
        assert!(
            text.contains("\n  1000\n  ... (2 more)") && !text.contains("1001"),
            "{text}"
        );
    }
}
