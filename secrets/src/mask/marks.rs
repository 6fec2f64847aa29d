//! Where values end: quotation marks, brackets, escapes.

use super::view;

/// Returns for each byte of a text the quotation mark that is open there, or 0.
pub(super) fn quotes(text: &str, message: usize) -> Vec<u8> {
    let mut open = 0;
    let mut all = Vec::with_capacity(text.len());
    for (at, byte) in text.bytes().enumerate() {
        all.push(open);
        if at < message || !matches!(byte, b'"' | b'\'' | b'`') {
            continue;
        }
        if open == 0 {
            open = byte;
        } else if open == byte {
            open = 0;
        }
    }
    all
}

/// Returns whether a value ends at an escape: at an escaped mark, or at an escaped blank behind which another pair or
/// nothing more begins.
pub(super) fn is_escaped_end(text: &str) -> bool {
    let mut rest = text;
    let mut blank = false;
    while let Some((c, length)) = view::escape(rest) {
        if matches!(c, '"' | '\'' | '<' | '>') {
            return true;
        }
        if c != '\\' && !c.is_whitespace() {
            return blank;
        }
        blank |= c.is_whitespace();
        rest = &rest[length..];
    }
    let rest = rest.trim_start();
    let name = rest
        .bytes()
        .take_while(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.'))
        .count();
    let end = rest.is_empty() || rest.starts_with(['"', '\'', '}', ']', '<', '-']);
    let pair = name > 0
        && rest[name..]
            .trim_start_matches('"')
            .starts_with(['=', ':', '%', '\\']);
    blank && (end || pair)
}

/// Returns how far it is to a closing mark that is not escaped.
pub(super) fn closing(text: &str, quote: char) -> Option<usize> {
    let mut escaped = false;
    for (at, c) in text.char_indices() {
        if escaped {
            escaped = false;
        } else if c == '\\' {
            escaped = true;
        } else if c == quote {
            return Some(at);
        }
    }
    None
}

/// Returns the place of the bracket that closes the one at the text's beginning.
pub(super) fn matching(text: &str, open: char, close: char) -> Option<usize> {
    let mut depth = 0_u32;
    for (at, c) in text.char_indices() {
        if c == open {
            depth += 1;
        } else if c == close {
            depth -= 1;
            if depth == 0 {
                return Some(at);
            }
        }
    }
    None
}
