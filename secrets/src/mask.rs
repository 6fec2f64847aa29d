//! Takes secrets out of texts from outside: log lines, arguments, messages.
//!
//! What is a secret shows by the name before it (`password=`, `--token`, `Authorization:`), or by its own shape (a PEM
//! key, a JWT, a login in a URL). Both are looked for in the text as it is and in what its escapes stand for, so that
//! JSON inside a log line inside JSON hides nothing; and over the ends of lines, since a key in a journal comes line by
//! line, and its first or last lines may be cut off. Names, digests, ids and certificates stay.

mod arguments;
mod benign;
mod form;
mod keys;
mod layer;
mod lines;
mod marks;
mod one_line;
mod pairs;
mod pem;
mod shapes;
mod spans;
mod view;

use std::borrow::Cow;

use serde_json::Value;

use crate::Masked;
use lines::Lines;

/// What stands in a secret's place.
pub const MASK: &str = "***";

/// A line is at most so many bytes long; the rest is cut off, and said so: what is looked at must have an end.
const LINE: usize = 16 << 10;

/// Masks a text of any number of lines.
pub fn text(text: &str) -> Cow<'_, str> {
    if is_plain(text) {
        return Cow::Borrowed(text);
    }
    if text.split('\n').any(|line| line.len() > LINE) {
        let fitting: Vec<Cow<'_, str>> = text.split('\n').map(fitting).collect();
        return Cow::Owned(self::text(&fitting.join("\n")).into_owned());
    }
    let all: Vec<&str> = text.split('\n').collect();
    let mut lines = Lines::default();
    let found = lines.find(&all);
    if found.iter().all(spans::Spans::is_empty) {
        return Cow::Borrowed(text);
    }
    let masked: Vec<Cow<'_, str>> = all
        .iter()
        .zip(&found)
        .map(|(line, spans)| spans.apply(line))
        .collect();
    Cow::Owned(masked.join("\n"))
}

/// Masks lines that belong together, as a journal or a log has them.
pub fn lines<L: AsRef<str>>(all: &[L]) -> Vec<Masked> {
    let all: Vec<Cow<'_, str>> = all.iter().map(|line| fitting(line.as_ref())).collect();
    let all: Vec<&str> = all.iter().map(AsRef::as_ref).collect();
    let found = Lines::default().find(&all);
    let masked = all.iter().zip(&found).map(|(line, spans)| spans.apply(line));
    masked.map(|line| Masked::of_mask(line.into_owned())).collect()
}

/// What announces a secret without a sign between them, in small letters.
const ANNOUNCING: [&str; 12] = [
    "pass",
    "token",
    "secret",
    "bearer",
    "basic",
    "negotiate",
    "ntlm",
    "digest",
    "apikey",
    "identified",
    "pincode",
    "login",
];

/// Returns whether no pattern can find anything in a text, as in most of what is known of a host: it is one short word, or
/// has no sign between a name and a value, no option, no word that announces a secret and none that a machine made.
fn is_plain(text: &str) -> bool {
    let in_word = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'/' | b'-' | b'_' | b'+');
    if text.len() < 20 && !text.starts_with('-') && text.bytes().all(|byte| in_word(byte) && byte != b'+') {
        return true;
    }
    let (mut length, mut mixed) = (0, false);
    for byte in text.bytes() {
        if !in_word(byte) {
            if !matches!(byte, b' ' | b',' | b'(' | b')' | b';') && byte.is_ascii() {
                return false;
            }
            (length, mixed) = (0, false);
            continue;
        }
        mixed |= byte.is_ascii_digit() || byte.is_ascii_uppercase() || byte == b'_';
        if length == 0 && byte == b'-' || length >= 12 && mixed {
            return false;
        }
        length += 1;
    }
    let small = text.to_ascii_lowercase();
    !ANNOUNCING.iter().any(|word| small.contains(word))
}

/// Cuts a line that is too long.
fn fitting(line: &str) -> Cow<'_, str> {
    if line.len() <= LINE {
        return Cow::Borrowed(line);
    }
    let mut end = LINE - 64;
    while !line.is_char_boundary(end) {
        end -= 1;
    }
    Cow::Owned(format!("{} ... ({} bytes more)", &line[..end], line.len() - end))
}

/// Masks the arguments of a program, the first of which is its name.
pub fn arguments<A: AsRef<str>>(arguments: &[A]) -> Vec<Masked> {
    let words: Vec<&str> = arguments.iter().map(AsRef::as_ref).collect();
    arguments::mask(&words)
}

/// Masks all texts of a JSON value; names of fields stay. Texts of one list are lines that belong together.
pub fn json(value: &mut Value) {
    match value {
        Value::String(text) => {
            if let Cow::Owned(masked) = self::text(text) {
                *text = masked;
            }
        }
        Value::Array(items) if items.iter().all(Value::is_string) => {
            let texts: Vec<&str> = items.iter().filter_map(Value::as_str).collect();
            let masked = lines(&texts);
            *items = masked
                .into_iter()
                .map(|text| Value::String(text.into_string()))
                .collect();
        }
        Value::Array(items) => items.iter_mut().for_each(json),
        Value::Object(fields) => fields.values_mut().for_each(json),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_let_through_unseen_is_what_no_pattern_finds(
            words in prop::collection::vec(
                prop::sample::select(vec![
                    "a", "node", " ", " ", ", ", "-", "/etc/kubernetes/pki", "A1b2C3d4E5f6", "abcdef.0123456789abcdef", "ghp_0123456789abcdefgh",
                    "pod", "is missing on", "10.200.1.0/24", "Z", "kube-proxy", "é", "(", ")", "-p", "--flag", "mysql", "htpasswd", "+", "echo",
                ]),
                0..12,
            )
        ) {
            let text = words.concat();
            if is_plain(&text) {
                prop_assert!(Lines::default().find(&[&text]).iter().all(spans::Spans::is_empty), "{}", text);
            }
        }
    }
}
