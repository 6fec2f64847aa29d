//! What a person can look at: a title and lines, of the host's own words or of ours.

use serde::{Deserialize, Serialize};

use super::Phrase;

/// Something that a person can look at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evidence {
    /// What it is.
    pub title: Phrase,
    /// The lines.
    pub lines: Vec<Line>,
}

/// A line of evidence.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Line {
    /// What a host, a server or a file says; figures in a table.
    Data(String),
    /// A sentence of ours.
    Said(Phrase),
}

impl From<String> for Line {
    fn from(text: String) -> Self {
        Self::Data(text)
    }
}

impl From<&str> for Line {
    fn from(text: &str) -> Self {
        Self::Data(text.to_owned())
    }
}

impl From<&String> for Line {
    fn from(text: &String) -> Self {
        Self::Data(text.clone())
    }
}

impl Line {
    /// Returns a line that is a sentence of ours.
    pub fn said(phrase: impl Into<Phrase>) -> Self {
        Self::Said(phrase.into())
    }
}

impl Evidence {
    /// Returns lines as a piece of evidence, or none where there are no lines.
    pub fn lines<L: Into<Line>>(
        title: impl Into<Phrase>,
        lines: impl IntoIterator<Item = L>,
    ) -> Option<Self> {
        let lines: Vec<Line> = lines.into_iter().map(Into::into).collect();
        let title = title.into();
        (!lines.is_empty()).then_some(Self { title, lines })
    }

    /// Returns a text as a piece of evidence, or none where it is empty.
    pub fn text(title: impl Into<Phrase>, text: &str) -> Option<Self> {
        Self::lines(title, text.trim_end().lines())
    }
}
