//! What a person can look at: a title and lines, of the host's own words or of ours.

use cli::Shown;
use secrets::Masked;
use serde::{Deserialize, Serialize};

use super::{Phrase, phrase};

/// How much evidence a check shows, in bytes of text, all its pieces together.
const KEPT: usize = 64 * 1024;
/// What a line counts beside its text.
const LINE: usize = 16;

/// Cuts evidence to what a check shows, and masks what runs over several of its lines. What is short stays whole; each of the others gets the same share of the rest and
/// says how much of it was left out.
pub(super) fn bounded(evidence: Vec<Evidence>) -> Vec<Evidence> {
    let mut pieces: Vec<(usize, Evidence)> = evidence.into_iter().enumerate().collect();
    pieces.sort_by_key(|(_, piece)| piece.weight());
    let (mut room, mut others) = (KEPT, pieces.len());
    let share = |(place, piece): (usize, Evidence)| {
        let weight = piece.weight();
        let share = weight.min(room / others);
        others -= 1;
        room -= share;
        let whole = share == weight;
        (place, if whole { piece } else { piece.cut(share) })
    };
    let mut shares: Vec<(usize, Evidence)> = pieces.into_iter().map(share).collect();
    shares.sort_by_key(|(place, _)| *place);
    shares.into_iter().map(|(_, piece)| piece.masked()).collect()
}

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
    Data(Shown),
    /// A sentence of ours.
    Said(Phrase),
}

impl From<String> for Line {
    fn from(text: String) -> Self {
        Self::Data(Shown::line(&text))
    }
}

impl From<&str> for Line {
    fn from(text: &str) -> Self {
        Self::Data(Shown::line(text))
    }
}

impl From<Masked> for Line {
    fn from(text: Masked) -> Self {
        Self::Data(Shown::line(&text))
    }
}

impl From<&Masked> for Line {
    fn from(text: &Masked) -> Self {
        Self::Data(Shown::line(text))
    }
}

impl From<&String> for Line {
    fn from(text: &String) -> Self {
        Self::Data(Shown::line(text))
    }
}

impl Line {
    /// Returns how much text it is, in bytes; an empty line takes room, too.
    fn weight(&self) -> usize {
        let text = match self {
            Self::Data(text) => text.len(),
            Self::Said(phrase) => phrase.args().values().map(|text| text.len()).sum(),
        };
        text.saturating_add(LINE)
    }

    /// Returns the text where it is none of ours.
    const fn data(&mut self) -> Option<&mut Shown> {
        match self {
            Self::Data(text) => Some(text),
            Self::Said(_) => None,
        }
    }

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

    /// Returns how much text it is, in bytes.
    fn weight(&self) -> usize {
        self.lines.iter().map(Line::weight).sum()
    }

    /// Returns its first `room` bytes, and a line that says how much was left out.
    fn cut(mut self, room: usize) -> Self {
        let whole = self.weight();
        let mut left = room;
        let mut kept = Vec::new();
        for line in self.lines {
            let weight = line.weight();
            if weight <= left {
                left -= weight;
                kept.push(line);
                continue;
            }
            if let Line::Data(text) = &line {
                let begin = &text[..text.floor_char_boundary(left.saturating_sub(LINE))];
                left -= begin.len();
                kept.push(begin.into());
            }
            break;
        }
        let bytes = &(whole - (room - left));
        kept.push(Line::said(phrase::LeftOut { bytes }));
        self.lines = kept;
        self
    }

    /// Masks its lines together: each was masked by itself, but the lines of a key are told by those around them.
    fn masked(mut self) -> Self {
        let mut texts: Vec<&mut Shown> = self.lines.iter_mut().filter_map(Line::data).collect();
        if texts.len() > 1 {
            let masked = Shown::lines(&texts.iter().map(|text| text.as_str()).collect::<Vec<_>>());
            for (text, masked) in texts.iter_mut().zip(masked) {
                **text = masked;
            }
        }
        self
    }

    /// Returns a text as a piece of evidence, or none where it is empty.
    pub fn text(title: impl Into<Phrase>, text: &str) -> Option<Self> {
        Self::lines(title, text.trim_end().lines())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn journal(lines: usize, length: usize) -> Evidence {
        Evidence::lines(phrase::Readyz, (0..lines).map(|_| "ü".repeat(length / 2))).unwrap()
    }

    #[test]
    fn evidence_that_is_short_stays_as_it_is() {
        let evidence = vec![journal(20, 100), journal(1, 40_000)];
        assert_eq!(bounded(evidence.clone()), evidence);
    }

    #[test]
    fn the_lines_of_a_key_are_masked_by_those_around_them() {
        let key = [
            "-----BEGIN PRIVATE KEY-----",
            "aHVudGVyMg",
            "-----END PRIVATE KEY-----",
        ];
        let masked = bounded(vec![Evidence::lines(phrase::Readyz, key).unwrap()]);
        assert_eq!(masked[0].lines[1], Line::from("***"));
    }

    #[test]
    fn evidence_that_is_long_is_cut_and_says_how_much_was_left_out() {
        let cut = bounded(vec![journal(100_000, 100), journal(20, 100), journal(100_000, 2)]);
        assert!(cut.iter().map(Evidence::weight).sum::<usize>() <= KEPT + 200);
        assert_eq!(cut[1], journal(20, 100));
        for (piece, whole) in [(&cut[0], 100_000 * (100 + LINE)), (&cut[2], 100_000 * (2 + LINE))] {
            let (note, kept) = piece.lines.split_last().unwrap();
            let kept: usize = kept.iter().map(Line::weight).sum();
            let Line::Said(note) = note else {
                panic!("{note:?}")
            };
            let left_out: usize = note.args()["bytes"].parse().unwrap();
            assert!(left_out.abs_diff(whole - kept) <= LINE, "{left_out} {kept}");
        }
    }
}
