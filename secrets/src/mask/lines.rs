//! Goes over lines and keeps what one says of the next: a key's body, a block of values, a value that wraps.
//!
//! Every layer of escapes is a text of its own with a state of its own; a line of the text may be a part of a line of the
//! input, where line feeds were escaped.

use super::layer::{Layer, Note};
use super::spans::Spans;
use super::view::{self, View};

/// Goes over lines in their order.
#[derive(Default)]
pub(super) struct Lines {
    layers: [Layer; view::DEPTH + 1],
}

impl Lines {
    /// Returns for each line what is not to be shown.
    pub(super) fn find(&mut self, lines: &[&str]) -> Vec<Spans> {
        let mut all = Vec::with_capacity(lines.len());
        let mut notes = Vec::with_capacity(lines.len());
        for line in lines {
            let mut spans = Spans::default();
            notes.push(self.line(line, &mut spans));
            all.push(spans);
        }
        backwards(&notes, &mut all);
        all
    }

    fn line(&mut self, line: &str, spans: &mut Spans) -> Note {
        let mut note = Note::default();
        let mut view = View::plain(line);
        for (depth, layer) in self.layers.iter_mut().enumerate() {
            note.take(layer.view(&view, depth > 0, spans));
            if depth < view::DEPTH {
                note.key |= quoted(&view, view::DEPTH - depth, spans);
            }
            match view.peel() {
                Some(next) => view = next,
                None => break,
            }
        }
        note
    }
}

/// Looks at each quoted text as one of its own: what is the first word there is none of the line's. Returns whether one
/// holds a line of a key.
fn quoted(view: &View, depth: usize, spans: &mut Spans) -> bool {
    let mut key = false;
    for inner in view.quoted() {
        key |= Layer::default().view(&inner, false, spans).key;
        if depth > 1 {
            key |= quoted(&inner, depth - 1, spans);
        }
    }
    key
}

/// A body whose beginning was cut off is known by what comes after it.
fn backwards(notes: &[Note], all: &mut [Spans]) {
    let mut key = false;
    for (note, spans) in notes.iter().zip(all).rev() {
        match &note.body {
            Some(body) if key && !note.key => spans.add(body.clone()),
            _ => key = note.key,
        }
    }
}
