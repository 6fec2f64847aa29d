//! Text from outside, made fit for a terminal and for reports: what looks like a secret is masked, what would move the
//! cursor, turn text around, hide it or pile up on one letter becomes visible, and its length is bounded. There is no
//! other such function.

use std::fmt;
use std::fmt::Write as _;
use std::ops::Deref;

use secrets::mask;
use serde::{Deserialize, Deserializer, Serialize};
use unicode_width::UnicodeWidthChar as _;

/// So many bytes of one text are shown.
const LIMIT: usize = 2048;
/// So many bytes of one line of evidence: the arguments of a program, a rule, a line of a journal.
const LINE_LIMIT: usize = 8192;
/// The note of what is left out is no longer than this.
const NOTE: usize = 40;
/// So much of a text beyond its limit is looked at for secrets; what is shorter than that is not cut before.
const WINDOW: usize = 2 * NOTE;
/// So many marks may stand on one letter: Vietnamese takes two, Tibetan and Hebrew more, floods hundreds.
const MARKS: u8 = 4;

/// A text that is fit to be shown: secrets in it are masked, every character of it is visible, on one line, at most 2 KiB
/// of it (8 KiB where it is a [line](Self::line)) and a note of what is left out. No other constructor exists, so that whatever holds one
/// cannot have forgotten to make it so. Making it fit twice changes nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct Shown(String);

impl Shown {
    /// Makes a text fit to be shown.
    pub fn new(text: &(impl fmt::Display + ?Sized)) -> Self {
        Self(fit(&text.to_string(), LIMIT))
    }

    /// Makes a line of evidence fit to be shown.
    pub fn line(text: &(impl fmt::Display + ?Sized)) -> Self {
        Self(fit(&text.to_string(), LINE_LIMIT))
    }

    /// Makes lines of evidence that belong together fit to be shown: a secret may run over several of them.
    pub fn lines<L: AsRef<str>>(lines: &[L]) -> Vec<Self> {
        let window = |line: &L| line.as_ref().floor_char_boundary(LINE_LIMIT + WINDOW);
        let begins: Vec<&str> = lines.iter().map(|line| &line.as_ref()[..window(line)]).collect();
        let masked = mask::lines(&begins);
        let rest = lines
            .iter()
            .zip(&begins)
            .map(|(line, begin)| line.as_ref().len() - begin.len());
        let pairs = masked.iter().zip(rest);
        pairs
            .map(|(line, rest)| Self(bounded(line, rest, LINE_LIMIT)))
            .collect()
    }

    /// Returns the text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Deref for Shown {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl From<&str> for Shown {
    fn from(text: &str) -> Self {
        Self::new(text)
    }
}

impl PartialEq<str> for Shown {
    fn eq(&self, other: &str) -> bool {
        self.0 == other
    }
}

impl PartialEq<&str> for Shown {
    fn eq(&self, other: &&str) -> bool {
        self.0 == *other
    }
}

impl From<Shown> for String {
    fn from(shown: Shown) -> Self {
        shown.0
    }
}

/// A text that was stored may have been altered since: it is made fit again. One that was a line stays as long.
impl<'de> Deserialize<'de> for Shown {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self::line(&String::deserialize(deserializer)?))
    }
}

/// Returns a text without secrets, with every character visible, on one line, of at most 2 KiB and a note of what is left
/// out.
pub fn shown(text: &str) -> String {
    fit(text, LIMIT)
}

/// Returns a text whose lines are kept, all of them and as long as they are, with every character visible: the last guard
/// before a terminal, for what was composed of parts that are fit already.
pub fn visible_lines(text: &str) -> String {
    let lines: Vec<String> = text
        .split('\n')
        .map(|line| bounded(line, 0, usize::MAX))
        .collect();
    lines.join("\n")
}

/// Masks as much of a text as may be shown, and makes it fit.
fn fit(text: &str, limit: usize) -> String {
    let (begin, rest) = text.split_at(text.floor_char_boundary(limit + WINDOW));
    bounded(&mask::text(begin), rest.len(), limit)
}

/// Makes a text visible and cuts it; `rest` bytes behind it were left out before.
fn bounded(text: &str, rest: usize, limit: usize) -> String {
    let end = limit.saturating_add(NOTE);
    let mut out = String::with_capacity(text.len().min(end));
    // The place of the cut, in what is written and in what was read.
    let mut cut = (0, 0);
    let mut fit = Fit::new();
    for (at, c) in text.char_indices() {
        if out.len() <= limit {
            cut = (out.len(), at);
        }
        if fit.takes(c) {
            out.push(c);
        } else {
            out.extend(c.escape_default());
        }
        if out.len() > end {
            break;
        }
    }
    if out.len() > end || rest > 0 {
        if out.len() <= limit {
            cut = (out.len(), text.len());
        }
        out.truncate(cut.0);
        // Writing to a String cannot fail.
        let _ = write!(out, "... ({} bytes more)", text.len() - cut.1 + rest);
    }
    out
}

/// Tells which characters of a text are fit to be seen as they are.
pub(crate) struct Fit {
    /// How many marks stand on the last letter; a text that has no letter yet takes none.
    marks: u8,
}

impl Fit {
    pub(crate) const fn new() -> Self {
        Self { marks: MARKS }
    }

    /// Returns whether the next character is.
    pub(crate) fn takes(&mut self, c: char) -> bool {
        if bundle::is_unseen(c) {
            // What follows would stand on what is written in its place.
            self.marks = MARKS;
            return false;
        }
        if c.width() != Some(0) {
            self.marks = 0;
            return true;
        }
        let takes = self.marks < MARKS;
        self.marks = self.marks.saturating_add(1).min(MARKS);
        takes
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn nothing_that_a_terminal_obeys_or_an_eye_misses_is_left() {
        for nasty in crate::nasty::texts() {
            let shown = shown(&nasty);
            assert_eq!(
                crate::nasty::fault(&shown),
                None,
                "{:?}",
                &shown[..shown.len().min(80)]
            );
        }
        for plain in [
            "한국어",
            "naïve café",
            "a/b:1@sha256:00",
            "\"quoted\" \\ it's",
            "Vie\u{302}\u{323}t",
            "\u{1112}\u{1161}\u{11ab}",
        ] {
            assert_eq!(shown(plain), plain);
        }
        assert_eq!(shown("a\u{1b}b"), "a\\u{1b}b");
        assert_eq!(
            shown("e\u{301}\u{301}\u{301}\u{301}\u{301}"),
            "e\u{301}\u{301}\u{301}\u{301}\\u{301}"
        );
        assert_eq!(shown("\u{301}e"), "\\u{301}e");
        assert_eq!(visible_lines("one\n  two\x07"), "one\n  two\\u{7}");
    }

    #[test]
    fn a_long_text_is_cut_and_says_so() {
        let text = shown(&"x".repeat(8 << 20));
        assert!(
            text.len() < 2100 && text.ends_with("... (8386560 bytes more)"),
            "{}",
            &text[2040..]
        );
    }

    #[test]
    fn secrets_are_masked_over_the_ends_of_lines_and_where_a_text_is_cut() {
        assert_eq!(shown("x: password=Hunter2xK9\nok"), "x: password=***\\nok");
        let key = [
            "-----BEGIN PRIVATE KEY-----",
            "aHVudGVyMg",
            "-----END PRIVATE KEY-----",
        ];
        assert!(!shown(&key.join("\n")).contains("aHVud"));
        let lines = Shown::lines(&key);
        assert_eq!((lines.len(), lines[1].as_str()), (3, "***"));
        let long = format!("{}password={}", "x ".repeat(1000), "Hunter2xK9".repeat(1000));
        assert!(!shown(&long).contains("Hunter2"), "{}", shown(&long));
        assert!(shown(&long).ends_with(" bytes more)"));
    }

    proptest! {
        #[test]
        fn what_is_fit_stays_as_it_is(text in "\\PC{0,40}|.{0,3000}|[a\u{301}\u{202e}\x1b]{0,400}") {
            let once = shown(&text);
            prop_assert_eq!(crate::nasty::fault(&once), None);
            let line = Shown::line(&text);
            // Of random signs some look like a name and its secret once what is unseen stands there in letters.
            let masked = |text: &str| *secrets::mask::text(text) != *text;
            prop_assume!(!masked(&once) && !masked(&line));
            prop_assert_eq!(&shown(&once), &once);
            prop_assert_eq!(visible_lines(&once), once);
            prop_assert_eq!(&Shown::line(&line), &line);
        }
    }
}
