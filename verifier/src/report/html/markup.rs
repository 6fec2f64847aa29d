//! HTML as it is written: what comes from outside goes through one door.

use std::fmt::Write as _;

use crate::certs::Standing;
use crate::findings::{Lang, Outcome, Phrase, catalogue};
use crate::report::xml::escaped;

/// Returns the class of a row by how a certificate or an image stands.
pub(super) const fn class(standing: Standing) -> &'static str {
    match standing {
        Standing::Good => "pass",
        Standing::Note => "skip",
        Standing::Warn => "warn",
        Standing::Error => "error",
        Standing::Fail => "fail",
    }
}

/// A page that grows.
pub(super) struct Markup {
    out: String,
    lang: Lang,
}

impl Markup {
    pub(super) const fn new(lang: Lang) -> Self {
        Self {
            out: String::new(),
            lang,
        }
    }

    pub(super) const fn lang(&self) -> Lang {
        self.lang
    }

    pub(super) fn into_text(self) -> String {
        self.out
    }

    pub(super) fn len(&self) -> usize {
        self.out.len()
    }

    /// Adds markup of ours.
    pub(super) fn raw(&mut self, markup: &str) {
        self.out += markup;
    }

    /// Adds text of anybody.
    pub(super) fn text(&mut self, text: &str) {
        self.out += &escaped(text);
    }

    /// Adds words of ours; what they name is anybody's.
    pub(super) fn say(&mut self, phrase: impl Into<Phrase>) {
        let text = catalogue::say(phrase, self.lang);
        self.text(&text);
    }

    /// Adds an element that holds a text. `open` is its name and its attributes.
    pub(super) fn element(&mut self, open: &str, text: &str) {
        self.out.push('<');
        self.out += open;
        self.out.push('>');
        self.sentence(text);
        self.close(open);
    }

    /// Adds an element that holds words of ours.
    pub(super) fn words(&mut self, open: &str, phrase: impl Into<Phrase>) {
        let text = catalogue::say(phrase, self.lang);
        self.element(open, &text);
    }

    /// Ends an element.
    pub(super) fn close(&mut self, open: &str) {
        let name = open.split(' ').next().unwrap_or_default();
        // Writing to a String cannot fail.
        let _ = write!(self.out, "</{name}>");
    }

    /// Adds a sentence: what stands between backticks is code.
    fn sentence(&mut self, text: &str) {
        let parts: Vec<&str> = text.split('`').collect();
        if parts.len().is_multiple_of(2) {
            return self.text(text);
        }
        for (at, part) in parts.iter().enumerate() {
            if at % 2 == 0 {
                self.text(part);
            } else {
                self.raw("<code>");
                self.text(part);
                self.raw("</code>");
            }
        }
    }

    /// Adds lines as they are, in a box.
    pub(super) fn lines(&mut self, text: &str) {
        self.raw("<pre>");
        self.text(text);
        self.raw("</pre>");
    }

    /// Begins a section with its heading.
    pub(super) fn section(&mut self, id: &str, heading: impl Into<Phrase>) {
        let _ = write!(self.out, "<section id={id} aria-labelledby=h-{id}><h2 id=h-{id}>");
        self.say(heading);
        self.out += "</h2>\n";
    }

    /// Adds an outcome as a badge: its sign, and its word.
    pub(super) fn badge(&mut self, outcome: Outcome) {
        let _ = write!(self.out, "<span class=\"badge {}\">", outcome.word());
        self.raw(sign(outcome));
        self.raw(" ");
        self.say(crate::report::outcome_word(outcome));
        self.raw("</span>");
    }
}

/// Returns the sign of an outcome: to be told apart without colours.
pub(super) const fn sign(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Pass => "✓",
        Outcome::Accepted => "~",
        Outcome::Warn => "!",
        Outcome::Fail => "✗",
        Outcome::Error => "?",
        Outcome::Skip => "–",
    }
}

/// Returns a text as a string of CSS holds it.
pub(super) fn css(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        if c.is_alphanumeric() || " .,:-_/".contains(c) {
            out.push(c);
        } else {
            // Writing to a String cannot fail.
            let _ = write!(out, "\\{:x} ", u32::from(c));
        }
    }
    out
}
