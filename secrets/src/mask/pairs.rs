//! Secrets that stand behind a name: `name=value`, `name: value`, `"name":"value"`, `<name>value</name>`.

use std::ops::Range;

use super::benign::{is_benign, is_path};
use super::keys::{self, Kind};
use super::marks::{closing, is_escaped_end, matching, quotes};
use super::shapes::{is_mixed, is_noise};
use super::view;

/// What a line leaves open for the next ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Open {
    /// The value of a name at the line's beginning: on deeper lines.
    Value,
    /// The same, as a block of text.
    Block,
    /// The value of a name inside the line: on the next one, if that is one word.
    Word,
    /// A quoted value that did not end.
    Quote(char),
}

/// What was found in a line.
#[derive(Default)]
pub(super) struct Found {
    pub(super) spans: Vec<Range<usize>>,
    pub(super) open: Option<Open>,
    /// The line names a secret as the value of `name`: the next `value` is one.
    pub(super) named: bool,
}

/// A name with what separates it from its value.
struct Pair<'a> {
    text: &'a str,
    /// Where the message of the line begins.
    message: usize,
    name: Range<usize>,
    sign: u8,
    /// Where the value begins, blanks skipped.
    value: usize,
    /// Whether blanks were skipped.
    apart: bool,
    /// For each byte of the text the quotation mark that is open there, or 0.
    quotes: &'a [u8],
}

/// Finds the values of secret names in a line. `named`: a name before it was that of a secret.
pub(super) fn find(text: &str, message: usize, named: bool) -> Found {
    let mut found = Found {
        named,
        ..Found::default()
    };
    let bytes = text.as_bytes();
    if !bytes.iter().any(|byte| matches!(byte, b'=' | b':' | b'>')) {
        return found;
    }
    let quotes = quotes(text, message);
    let mut at = 0;
    while at < bytes.len() {
        let sign = bytes[at];
        if matches!(sign, b'=' | b':' | b'>')
            && let Some(pair) = Pair::at(text, message, at, &quotes)
        {
            let end = pair.look(&mut found);
            at = end.max(at + 1);
        } else {
            at += 1;
        }
    }
    found
}

impl<'a> Pair<'a> {
    fn at(text: &'a str, message: usize, at: usize, quotes: &'a [u8]) -> Option<Self> {
        let bytes = text.as_bytes();
        let sign = bytes[at];
        let head = text[..at].trim_end_matches([' ', '\t']);
        let head = head.trim_end_matches(['"', '\'', '`', ']', '\\']);
        let name = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
        let length = head.bytes().rev().take_while(|byte| name(byte)).count();
        let range = head.len() - length..head.len();
        if length == 0 || (sign == b'>' && !text[..range.start].ends_with(['<', ':'])) {
            return None;
        }
        let mut value = at + 1;
        // `=>`, `:=`, `==`.
        while matches!(bytes.get(value), Some(b'=' | b'>')) && sign != b'>' {
            value += 1;
        }
        if sign == b':' && text[value..].starts_with("//") {
            return None;
        }
        let start = value;
        while matches!(bytes.get(value), Some(b' ' | b'\t')) {
            value += 1;
        }
        Some(Self {
            text,
            message,
            name: range,
            sign,
            apart: value > start,
            value,
            quotes,
        })
    }

    /// Looks at one pair, notes what is to be hidden, and returns where to go on.
    fn look(&self, found: &mut Found) -> usize {
        let name = &self.text[self.name.clone()];
        if found.named && name.eq_ignore_ascii_case("value") {
            found.named = false;
            return self.hide(Kind::Password, found);
        }
        let in_query = self.text[..self.name.start].ends_with(['?', '&']) && self.sign == b'=';
        let names = matches!(
            name.to_ascii_lowercase().as_str(),
            "name" | "key" | "variable" | "env"
        );
        if names && !in_query {
            let (value, _) = self.plain_value();
            found.named |= !value.is_empty() && self.is_secret_name(&value);
            return self.value;
        }
        match keys::kind(name) {
            Some(kind) => self.hide(kind, found),
            None if in_query && keys::in_query(name) => self.hide(Kind::Password, found),
            None => self.value,
        }
    }

    fn is_secret_name(&self, value: &Range<usize>) -> bool {
        let value = &self.text[value.clone()];
        matches!(keys::kind(value), Some(Kind::Password | Kind::Secret)) && !value.contains(['-', '/'])
    }

    /// Hides the value, and returns where to go on.
    fn hide(&self, kind: Kind, found: &mut Found) -> usize {
        if self.text[self.value..]
            .trim_end_matches(['\\', ' ', '\r'])
            .is_empty()
        {
            if self.sign != b'>' && kind != Kind::Login {
                found.open = Some(if self.is_first() { Open::Value } else { Open::Word });
            }
            return self.text.len();
        }
        let block = self.text[self.value..].trim_end();
        let is_block = block.starts_with(['|', '>']) && block.len() <= 3 && self.sign == b':';
        if is_block && self.is_first() {
            found.open = Some(Open::Block);
            return self.text.len();
        }
        let (value, open) = match self.structured(kind) {
            Structure::Span(span) => (span, None),
            Structure::None => return self.value,
            Structure::Plain if kind == Kind::Header => (self.header(), None),
            Structure::Plain => self.plain_value_of(kind),
        };
        let said = &self.text[value.clone()];
        if said.is_empty() || is_benign(said) || self.is_harmless(kind, said, &value) {
            return self.value;
        }
        found.open = found.open.or(open);
        found.spans.push(value.clone());
        value.end
    }

    /// Returns whether the name is the first word of the message, as in YAML and in files of settings.
    fn is_first(&self) -> bool {
        let from = self.message.min(self.name.start);
        self.text[from..self.name.start]
            .trim_start_matches([' ', '\t', '-', '"', '\'', '{', '?'])
            .trim_start_matches("export ")
            .is_empty()
    }

    /// The quotation mark that is open where the name stands.
    fn quote_around(&self) -> Option<char> {
        let open = self
            .quotes
            .get(self.name.start)
            .copied()
            .filter(|quote| *quote != 0);
        let open = open.map(char::from);
        // A mark just before a name that is itself quoted belongs to the name.
        let own = self.text[self.name.end..].chars().next();
        open.filter(|quote| {
            let before = self.text[..self.name.start].ends_with(*quote);
            !(before && own == Some(*quote))
        })
    }

    /// Reads the value as a scalar, however it is written; whether its quotation did not end.
    fn plain_value(&self) -> (Range<usize>, Option<Open>) {
        // An escaped mark: the value is read where the escape is taken off.
        if let Some((c, _)) = view::escape(&self.text[self.value..])
            && (c.is_whitespace() || matches!(c, '"' | '\'' | '`' | '\\'))
        {
            return (self.value..self.value, None);
        }
        let rest = &self.text[self.value..];
        let prefix = usize::from(rest.starts_with("b'") || rest.starts_with("u'") || rest.starts_with("b\""));
        let rest = &rest[prefix..];
        let start = self.value + prefix;
        let around = self.quote_around();
        if let Some(quote) = rest
            .chars()
            .next()
            .filter(|c| matches!(c, '"' | '\'' | '`') && Some(*c) != around)
        {
            let from = start + 1;
            return match closing(&self.text[from..], quote) {
                Some(length) => (from..from + length, None),
                None => (from..self.text.len(), Some(Open::Quote(quote))),
            };
        }
        let ends = |at: usize, c: char| {
            c.is_whitespace()
                || c == '"'
                || Some(c) == around
                || (c == '<' && self.sign == b'>')
                || (matches!(c, '\\' | '#' | '&' | '%') && is_escaped_end(&rest[at..]))
        };
        let end = rest
            .char_indices()
            .find(|(at, c)| ends(*at, *c))
            .map_or(rest.len(), |(at, _)| at);
        (self.cut(start..start + end), None)
    }

    /// Cuts off what belongs to the next pair, and the brackets that close around this one.
    fn cut(&self, span: Range<usize>) -> Range<usize> {
        let text = &self.text[span.clone()];
        let query = self.text[..self.name.start].ends_with(['?', '&']);
        let mut end = text.len();
        for (at, c) in text.char_indices() {
            if !matches!(c, ',' | ';' | '&') {
                continue;
            }
            let next = text[at + 1..].trim_start_matches(['"', '\'']);
            let name = next
                .bytes()
                .take_while(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.'))
                .count();
            let pair = name > 0
                && next[name..]
                    .trim_start_matches(['"', '\''])
                    .starts_with(['=', ':']);
            if pair || (query && c == '&') {
                end = at;
                break;
            }
        }
        let kept = text[..end].trim_end_matches([')', ']', '}', '>', ',', ';']);
        let kept = kept
            .strip_suffix('.')
            .filter(|rest| !rest.is_empty())
            .unwrap_or(kept);
        span.start..span.start + kept.len()
    }

    /// As a scalar; where the name begins the line, up to the line's end.
    fn plain_value_of(&self, kind: Kind) -> (Range<usize>, Option<Open>) {
        let (value, open) = self.plain_value();
        if value.is_empty() {
            return (value, open);
        }
        let first = self.text[self.value..].chars().next();
        let quoted = matches!(first, Some('"' | '\'' | '`'));
        let rest = &self.text[self.value..];
        let alone = self.is_first()
            && !quoted
            && self.quote_around().is_none()
            && (self.sign == b'='
                && !rest.contains(" --")
                && !rest[value.end.min(self.text.len()) - self.value..].contains('=')
                || self.sign == b':' && self.apart);
        let words: Vec<&str> = rest.split_whitespace().collect();
        let prose = kind != Kind::Password && words.len() > 1 && !words.iter().any(|word| is_noise(word));
        // `PASSWORD=x program` is a command, and only its first word the value.
        let command = self.sign == b'=' && !self.apart && words.len() > 1;
        if alone && !prose && !command {
            let end = rest.find(['"', '\\']).unwrap_or(rest.len());
            let end = self.value + rest[..end].trim_end().len();
            return (self.value..end.max(value.end), open);
        }
        (value, open)
    }

    /// The rest of a header's line, or up to the mark that encloses the header.
    fn header(&self) -> Range<usize> {
        let (value, _) = self.plain_value();
        let rest = &self.text[self.value..];
        if rest.starts_with(['"', '\'', '`']) && self.quote_around() != rest.chars().next() {
            return value;
        }
        let end = match self.quote_around() {
            Some(quote) => rest.find(quote).unwrap_or(rest.len()),
            None => ["\",\"", "\"}", "\r", "\\n", "\\r", "\\\""]
                .iter()
                .filter_map(|end| rest.find(end))
                .min()
                .unwrap_or(rest.len()),
        };
        let said = rest[..end].trim_end();
        let first = said.split_whitespace().next().unwrap_or_default();
        let scheme = [
            "bearer",
            "basic",
            "digest",
            "negotiate",
            "ntlm",
            "token",
            "aws4-hmac-sha256",
            "apikey",
            "hoba",
            "signature",
        ];
        let known = scheme.contains(&first.to_ascii_lowercase().as_str());
        let cookie = self.text[self.name.clone()]
            .to_ascii_lowercase()
            .ends_with("cookie");
        let start = self.value;
        if cookie && !said.contains('=') {
            return start..start;
        }
        if known {
            let skip = first.len() + said[first.len()..].len() - said[first.len()..].trim_start().len();
            return start + skip..start + said.len();
        }
        let alone = !said.contains(' ') || is_noise(first);
        if alone || cookie {
            start..start + said.len()
        } else {
            start..start
        }
    }

    /// A list, a mapping or a constructor in the value's place.
    fn structured(&self, kind: Kind) -> Structure {
        let rest = &self.text[self.value..];
        let letters = rest
            .bytes()
            .take_while(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b':'))
            .count();
        if letters > 0 && rest[letters..].starts_with('(') {
            let inner = letters + 1;
            let end = matching(&rest[letters..], '(', ')').map_or(rest.len(), |end| letters + end);
            return Structure::Span(self.value + inner..self.value + end);
        }
        let list = rest.starts_with('[');
        if !list && !rest.starts_with('{') {
            return Structure::Plain;
        }
        let name = self.text[self.name.clone()].to_ascii_lowercase();
        let objects = name.ends_with("secrets") || name.ends_with("secret");
        // A mapping's own names say what is a secret in it; lists of Secrets are names of objects.
        if (!list && kind != Kind::Password)
            || objects
            || rest[1..].trim_start().starts_with('{')
            || rest.starts_with("{{")
        {
            return Structure::None;
        }
        let (open, close) = if list { ('[', ']') } else { ('{', '}') };
        let end = matching(rest, open, close).unwrap_or(rest.len());
        let inner = &rest[1..end];
        if inner.trim().is_empty() || is_benign(&rest[..=end.min(rest.len() - 1)]) {
            return Structure::None;
        }
        Structure::Span(self.value + 1..self.value + end)
    }

    /// Returns whether a value is a path, a name of an object or a word of a sentence and not a secret.
    fn is_harmless(&self, kind: Kind, said: &str, value: &Range<usize>) -> bool {
        match kind {
            // The shell's variable of this name is the directory.
            Kind::Password => {
                let name = &self.text[self.name.clone()];
                matches!(name, "PWD" | "OLDPWD") && said.starts_with('/')
            }
            Kind::Header => false,
            Kind::Login => said.len() < 6 || !(is_noise(said) || is_mixed(said)),
            Kind::Secret => {
                let name = self.text[self.name.clone()].to_ascii_lowercase();
                let object =
                    |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '.' | '/');
                let object =
                    said.matches('/').count() == 1 && said.chars().all(object) && !said.starts_with('/');
                let count =
                    name.ends_with('s') && said.bytes().all(|byte| byte.is_ascii_digit()) && said.len() < 7;
                let quoted = self.text[..value.start].ends_with(['"', '\'', '`']);
                let prose = self.sign == b':' && self.apart && !quoted && !self.is_first() && !is_noise(said);
                is_path(said) || object && name.contains("secret") || count || prose
            }
        }
    }
}

/// What stands in a value's place.
enum Structure {
    Plain,
    None,
    Span(Range<usize>),
}
