//! Places in a text that are not to be shown.

use std::borrow::Cow;
use std::ops::Range;

use super::MASK;

/// Places in a line, in bytes.
#[derive(Debug, Default)]
pub(super) struct Spans(Vec<Range<usize>>);

impl Spans {
    pub(super) fn add(&mut self, span: Range<usize>) {
        if !span.is_empty() {
            self.0.push(span);
        }
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the line with the mask in the places.
    pub(super) fn apply<'a>(&self, line: &'a str) -> Cow<'a, str> {
        if self.0.is_empty() {
            return Cow::Borrowed(line);
        }
        let mut sorted = self.0.clone();
        sorted.sort_by_key(|span| (span.start, span.end));
        let mut out = String::with_capacity(line.len());
        let mut end = 0;
        let mut masked = None;
        for span in sorted {
            let start = floor(line, span.start);
            let stop = ceil(line, span.end.min(line.len()));
            if stop <= end {
                continue;
            }
            if start > end || masked.is_none() {
                out.push_str(&line[end..start.max(end)]);
                out.push_str(MASK);
            }
            masked = Some(());
            end = stop;
        }
        out.push_str(&line[end..]);
        Cow::Owned(out)
    }
}

fn floor(line: &str, mut at: usize) -> usize {
    at = at.min(line.len());
    while !line.is_char_boundary(at) {
        at -= 1;
    }
    at
}

fn ceil(line: &str, mut at: usize) -> usize {
    while !line.is_char_boundary(at) {
        at += 1;
    }
    at
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_that_touch_or_overlap_become_one_mask() {
        let mut spans = Spans::default();
        for span in [4..6, 1..3, 2..4, 9..10, 5..6] {
            spans.add(span);
        }
        assert_eq!(spans.apply("0123456789"), "0***678***");
        let mut letters = Spans::default();
        letters.add(1..2);
        assert_eq!(letters.apply("é!"), "***!");
    }
}
