//! One layer of escapes: what its lines say of the next ones, and which of their parts are secrets.

use std::ops::Range;

use super::form::{indent, is_mapping, is_only_signs, message, words};
use super::one_line::{flow, secret_part};
use super::pairs::{self, Open};
use super::pem::{self, Mark};
use super::spans::Spans;
use super::view::View;
use super::{arguments, benign, shapes};

/// A value that began on an earlier line is at most so many lines long.
const LONGEST: usize = 200;
/// What may stand around a word of a command.
const AROUND: [char; 10] = ['"', '\'', '`', ',', ';', '[', ']', '(', ')', '\\'];

/// What is known when a line comes, in one layer of escapes.
#[derive(Default)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each says one thing of the next line, in any combination"
)]
pub(super) struct Layer {
    block: Option<Block>,
    /// The lines are those of a value that began before: those deeper than this.
    value: Option<Deep>,
    /// The next line's first word is a secret.
    word: bool,
    quote: Option<(char, usize)>,
    /// A name of a secret was the value of `name`: for so many lines `value` is one.
    named: usize,
    /// The lines are the data of a Secret, or of what may be one.
    data: Option<Deep>,
    /// The document is a Secret.
    is_secret: bool,
    /// The last line's value was base64 up to the line's end.
    wraps: bool,
    /// The last line was one of a key's body that nothing announced.
    key: bool,
}

#[derive(Clone, Copy)]
struct Block {
    private: bool,
    left: usize,
}

#[derive(Clone, Copy)]
struct Deep {
    indent: usize,
    left: usize,
    /// Every value, whatever it looks like.
    all: bool,
}

/// What a line may be for the lines before it.
#[derive(Default)]
pub(super) struct Note {
    /// The line is nothing but base64 here.
    pub(super) body: Option<Range<usize>>,
    /// A key ends in it, or it is one of a key's lines.
    pub(super) key: bool,
}

impl Note {
    pub(super) fn take(&mut self, other: Self) {
        self.key |= other.key;
        if other.body.is_some() {
            self.body = other.body;
        }
    }
}

impl Layer {
    /// Looks at the lines of a text, of which there are several where line feeds were escaped.
    pub(super) fn view(&mut self, view: &View, peeled: bool, spans: &mut Spans) -> Note {
        let mut parts = Vec::new();
        let mut from = 0;
        for part in view.text.split('\n') {
            // What closes the JSON around a line says nothing of the next line.
            let mut other = Self::default();
            let closes = peeled && ["\",", "\"}", "\" "].iter().any(|end| part.starts_with(end));
            let layer = if closes { &mut other } else { &mut *self };
            let mut note = layer.part(part, &mut |span| {
                spans.add(view.place(&(from + span.start..from + span.end)));
            });
            note.body = note
                .body
                .map(|body| view.place(&(from + body.start..from + body.end)));
            parts.push(note);
            from += part.len() + 1;
        }
        let mut key = false;
        let mut whole = Note::default();
        for note in parts.into_iter().rev() {
            match &note.body {
                Some(body) if key && !note.key => spans.add(body.clone()),
                _ => key = note.key,
            }
            whole.take(note);
        }
        whole
    }

    /// Looks at one line.
    fn part(&mut self, text: &str, hide: &mut dyn FnMut(Range<usize>)) -> Note {
        let message = message(text);
        let body = pem::body(text, message);
        let mut note = Note {
            body: body.clone(),
            key: false,
        };
        if self.in_block(text, body.as_ref(), hide, &mut note) {
            return note;
        }
        self.continued(text, message, body.as_ref(), hide);
        self.data(text, message, hide);
        let named = self.named > 0;
        self.named = self.named.saturating_sub(1);
        let found = pairs::find(text, message, named);
        if found.named && !named {
            self.named = 2;
        } else if !found.named {
            self.named = 0;
        }
        let indent = indent(&text[message..]);
        match found.open {
            Some(Open::Value) => {
                self.value = Some(Deep {
                    indent,
                    left: LONGEST,
                    all: false,
                });
            }
            Some(Open::Block) => {
                self.value = Some(Deep {
                    indent,
                    left: LONGEST,
                    all: true,
                });
            }
            Some(Open::Word) => self.word = true,
            Some(Open::Quote(quote)) => self.quote = Some((quote, indent)),
            None => {}
        }
        for span in found.spans {
            let said = &text[span.clone()];
            self.wraps |= span.end == text.len() && said.len() >= 40 && pem::body(said, 0).is_some();
            hide(span);
        }
        shapes::find(text, &mut *hide);
        self.options(text, hide);
        self.unannounced(text, body.as_ref(), hide, &mut note);
        note
    }

    /// Takes a line as one of a key in PEM, where it is.
    fn in_block(
        &mut self,
        text: &str,
        body: Option<&Range<usize>>,
        hide: &mut dyn FnMut(Range<usize>),
        note: &mut Note,
    ) -> bool {
        let marks = pem::marks(text);
        let mut from = 0;
        for mark in &marks {
            match mark {
                Mark::Begin { private, after } => {
                    self.block = Some(Block {
                        private: *private,
                        left: pem::LONGEST,
                    });
                    from = *after;
                }
                Mark::End { private, before } => {
                    let known = self.block.take();
                    if known.map_or(*private, |block| block.private) {
                        note.key = true;
                        secret_part(text, from..*before, known.is_some(), hide);
                    }
                    from = text.len();
                }
            }
        }
        let Some(block) = &mut self.block else {
            return false;
        };
        let private = block.private;
        block.left -= 1;
        if block.left == 0 {
            self.block = None;
        }
        if private && marks.is_empty() {
            match body {
                Some(body) => hide(body.clone()),
                None => pem::runs(text, 0..text.len(), hide),
            }
            note.key = body.is_some();
        } else if private {
            secret_part(text, from..text.len(), true, hide);
        }
        // Of a line that is a part of a certificate nothing is hidden.
        body.is_some() && marks.is_empty()
    }

    /// Takes a line as a part of a value that began on an earlier one.
    fn continued(
        &mut self,
        text: &str,
        message: usize,
        body: Option<&Range<usize>>,
        hide: &mut dyn FnMut(Range<usize>),
    ) {
        let line = &text[message..];
        let words = line.trim_matches([' ', '\t', '\r', '"', '\'', ',', '-']);
        if std::mem::take(&mut self.wraps)
            && let Some(body) = body
        {
            hide(body.clone());
            self.wraps = body.len() >= 40;
        }
        if std::mem::take(&mut self.word) && !words.is_empty() {
            let word = words.split_whitespace().next().unwrap_or_default();
            let start = message + line.find(word).unwrap_or(0);
            if !word.ends_with([':', '=']) {
                hide(start..start + word.len());
            }
        }
        if let Some((quote, before)) = self.quote.take() {
            let end = line.find(quote);
            // A quotation that a cut line left open must not hide lines of others.
            if (end.is_some_and(|end| !line[..end].contains([':', '='])) || indent(line) > before)
                && !words.is_empty()
            {
                let end = end.unwrap_or(line.len());
                hide(message..message + end);
                if end == line.len() {
                    self.quote = Some((quote, before));
                }
            }
        }
        let Some(deep) = &mut self.value else { return };
        deep.left -= 1;
        if line.trim().is_empty() && deep.left > 0 {
            return;
        }
        let list = line.trim_start().starts_with("- ") && indent(line) >= deep.indent && !line.contains(": ");
        // Another mapping is no value, but in a block of text.
        let mapping = !deep.all && is_mapping(words);
        if (indent(line) > deep.indent || list) && deep.left > 0 && !is_only_signs(words) && !mapping {
            let start = message + line.find(words).unwrap_or(0);
            hide(start..start + words.len());
        } else {
            self.value = None;
        }
    }

    /// Hides the values of a Secret's `data` and `stringData`.
    fn data(&mut self, text: &str, message: usize, hide: &mut dyn FnMut(Range<usize>)) {
        let line = &text[message..];
        let plain: String = line
            .chars()
            .filter(|c| !matches!(c, '"' | '\'' | ' ' | ',' | '\t'))
            .collect();
        if plain.starts_with("---") {
            self.is_secret = false;
        }
        if let Some(kind) = plain.strip_prefix("kind:") {
            self.is_secret = kind == "Secret";
        }
        if plain.contains("kind:Secret") && (plain.contains("data:{") || plain.contains("stringData:{")) {
            flow(text, hide);
            return;
        }
        if let Some(deep) = self.data {
            let closes = deep.left == 0 || (!line.trim().is_empty() && indent(line) <= deep.indent);
            self.data = (!closes).then_some(Deep {
                left: deep.left.saturating_sub(1),
                ..deep
            });
            if !closes && let Some(at) = line.find(": ") {
                self.datum(text, message + at + 2, deep.all || self.is_secret, hide);
            }
        }
        let name = plain.trim_end_matches('{');
        if matches!(name, "data:" | "stringData:" | "binaryData:") {
            self.data = Some(Deep {
                indent: indent(line),
                left: LONGEST,
                all: self.is_secret || name == "stringData:",
            });
        }
    }

    /// Hides one value of `data`: all of a Secret's, else what is base64.
    fn datum(&mut self, text: &str, from: usize, all: bool, hide: &mut dyn FnMut(Range<usize>)) {
        let rest = &text[from..];
        let said = rest.trim_matches([' ', '\t', '\r', '"', '\'', ',']);
        if said.is_empty() || benign::is_benign(said) || matches!(said, "{" | "[") {
            return;
        }
        if said.starts_with(['|', '>']) && said.len() <= 3 {
            if all {
                let indent = indent(&text[message(text)..]);
                self.value = Some(Deep {
                    indent,
                    left: LONGEST,
                    all: true,
                });
            }
            return;
        }
        let encoded = said.len() >= 4
            && said.len().is_multiple_of(4)
            && pem::body(said, 0).is_some()
            && (said.ends_with('=')
                || said
                    .bytes()
                    .any(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit()));
        if all || encoded {
            let start = from + rest.find(said).unwrap_or(0);
            hide(start..start + said.len());
        }
    }

    /// Hides the values of options: `--password VALUE`, `-pVALUE`; an option at the line's end has its value on the next.
    fn options(&mut self, text: &str, hide: &mut dyn FnMut(Range<usize>)) {
        let places = words(text);
        let last = places.last().map(|span| &text[span.clone()]);
        if let Some("\\") = last
            && let [.., option, _] = places.as_slice()
        {
            self.word |=
                text[option.clone()].starts_with('-') && super::keys::kind(&text[option.clone()]).is_some();
        }
        let scheme = |word: &str| matches!(word.to_ascii_lowercase().as_str(), "bearer" | "basic");
        self.word |=
            last.is_some_and(|word| scheme(word.trim_start_matches(['"', '\'']))) && text.contains(':');
        if !text.contains(" -") && !text.contains("\"-") && !text.contains("htpasswd") {
            return;
        }
        // A quotation of several words is a command of its own.
        let closes = |place: &Range<usize>| {
            let word = &text[place.clone()];
            word.ends_with(['"', '\'']) && !word.starts_with(['"', '\'', '['])
        };
        for places in places.split_inclusive(closes) {
            let said: Vec<&str> = places
                .iter()
                .map(|span| text[span.clone()].trim_matches(AROUND))
                .collect();
            for (place, hidden) in places.iter().zip(arguments::options(&said)) {
                let Some(keep) = hidden else { continue };
                let word = &text[place.clone()];
                let start = place.start + word.len() - word.trim_start_matches(AROUND).len() + keep;
                let end = place.start + word.trim_end_matches(AROUND).len();
                if start < end && !benign::is_benign(&text[start..end]) {
                    hide(start..end);
                }
            }
        }
    }

    /// Takes a line of nothing but base64 as one of a key whose beginning was cut off.
    fn unannounced(
        &mut self,
        text: &str,
        body: Option<&Range<usize>>,
        hide: &mut dyn FnMut(Range<usize>),
        note: &mut Note,
    ) {
        // The comment of minisign and signify says what the next line is.
        let comment = text.contains("untrusted comment:") && text.contains("secret key");
        let before = std::mem::replace(&mut self.key, comment);
        let Some(body) = body else { return };
        let line = &text[body.clone()];
        if pem::is_line_of_key(line) || (before && pem::is_rest_of_key(line)) {
            hide(body.clone());
            self.key = true;
            note.key = true;
        }
    }
}
