//! A problem of a file, with its place; and all problems of a file together.

use std::fmt;

use crate::node::Place;

/// One problem of a file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// The name of the file, as the user gave it.
    pub file: String,
    /// The line, from 1.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
    /// What is wrong.
    pub message: String,
    /// What would be right, where that is known.
    pub hint: Option<String>,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}: {}", self.file, self.line, self.column, self.message)?;
        self.hint.iter().try_for_each(|hint| write!(f, " ({hint})"))
    }
}

impl std::error::Error for Problem {}

/// All problems of one file or of several, one a line when displayed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problems {
    file: String,
    list: Vec<Problem>,
}

impl Problems {
    /// Returns an empty collection for the file of that name.
    pub fn new(file: &str) -> Self {
        Self {
            file: file.to_owned(),
            list: Vec::new(),
        }
    }

    /// Adds a problem at `place`.
    pub fn add(&mut self, place: Place, message: impl Into<String>) {
        self.push(place, message.into(), None);
    }

    /// Adds a problem at `place`, with what would be right.
    pub fn add_with_hint(&mut self, place: Place, message: impl Into<String>, hint: impl Into<String>) {
        self.push(place, message.into(), Some(hint.into()));
    }

    fn push(&mut self, place: Place, message: String, hint: Option<String>) {
        self.list.push(Problem {
            file: self.file.clone(),
            line: place.line,
            column: place.column,
            message,
            hint,
        });
    }

    /// Takes over the problems of another file.
    pub fn append(&mut self, other: Self) {
        self.list.extend(other.list);
    }

    /// Returns whether there is none.
    pub const fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Returns the problems in the order in which they were found.
    pub fn iter(&self) -> std::slice::Iter<'_, Problem> {
        self.list.iter()
    }

    /// Returns the value if there is one and no problem, else the problems, by file and place.
    ///
    /// A decoder that gives no value has named a problem; one that named none would be a bug, and is reported as
    /// a problem of the whole file rather than as a panic.
    pub fn into_result<T>(mut self, value: Option<T>) -> Result<T, Self> {
        match value {
            Some(value) if self.list.is_empty() => Ok(value),
            _ => {
                if self.list.is_empty() {
                    self.add(Place::START, "cannot be decoded");
                }
                self.list.sort();
                self.list.dedup();
                Err(self)
            }
        }
    }
}

impl<'a> IntoIterator for &'a Problems {
    type Item = &'a Problem;
    type IntoIter = std::slice::Iter<'a, Problem>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, problem) in self.list.iter().enumerate() {
            let end = if at == 0 { "" } else { "\n" };
            write!(f, "{end}{problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}
