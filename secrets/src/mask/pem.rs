//! Keys in PEM and its like: where a body begins, what belongs to it, where it ends.

use std::ops::Range;

use super::shapes::is_mixed;

/// A body is at most so many lines long; an end that never comes must not hide all that follows.
pub(super) const LONGEST: usize = 400;

/// What a line says of a block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Mark {
    /// A block begins; it ends behind this place.
    Begin {
        /// Whether it is of a key that nobody may see.
        private: bool,
        /// Where the line goes on.
        after: usize,
    },
    /// A block ends; its mark begins at this place.
    End {
        /// Whether it is of a key that nobody may see.
        private: bool,
        /// Where the mark begins.
        before: usize,
    },
}

/// Returns the marks of a line, in its order.
pub(super) fn marks(text: &str) -> Vec<Mark> {
    let mut marks = Vec::new();
    let mut from = 0;
    while let Some(at) = text[from..].find("--") {
        let start = from + at;
        let dashes = text[start..].bytes().take_while(|byte| *byte == b'-').count();
        let rest = &text[start + dashes..];
        let words = rest.trim_start();
        let length = rest.find("--").unwrap_or(rest.len().min(48));
        let label = rest.get(..length).unwrap_or_default();
        let closing = rest[label.len()..]
            .bytes()
            .take_while(|byte| *byte == b'-')
            .count();
        from = start + dashes;
        let private = is_private(label);
        if words.starts_with("BEGIN") {
            let after = start + dashes + label.len() + closing;
            marks.push(Mark::Begin { private, after });
            from = after;
        } else if words.starts_with("END") {
            marks.push(Mark::End {
                private,
                before: start,
            });
            from = start + dashes + label.len() + closing;
        }
    }
    if text.trim_start().starts_with("Private-Lines:") {
        marks.push(Mark::Begin {
            private: true,
            after: text.len(),
        });
    }
    if let Some(before) = text.find("Private-MAC:") {
        marks.push(Mark::End {
            private: true,
            before,
        });
    }
    marks
}

fn is_private(label: &str) -> bool {
    let label = label.to_ascii_uppercase();
    [
        "PRIVATE",
        "SECRET",
        "STATIC KEY",
        "SEED",
        "CREDENTIAL",
        "USER NKEY",
    ]
    .iter()
    .any(|word| label.contains(word))
}

/// Returns the place of a message that is nothing but base64 (or hexadecimal), without the blanks around it.
pub(super) fn body(text: &str, from: usize) -> Option<Range<usize>> {
    let message = &text[from..];
    let start = from + message.len() - message.trim_start().len();
    // What closes a text of JSON around the message is none of it.
    let inner = match message.find('"') {
        Some(end)
            if end > 0
                && matches!(
                    message[end + 1..].chars().next(),
                    None | Some(',' | '}' | ']' | ' ')
                ) =>
        {
            &message[..end]
        }
        _ => message,
    };
    let trimmed = inner.trim().trim_end_matches(['\'', ',', '\\']);
    let letters = trimmed.trim_end_matches('=');
    let fits = !letters.is_empty()
        && trimmed.len() - letters.len() <= 2
        && letters
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'-' | b'_'));
    fits.then(|| start..start + trimmed.len())
}

/// Returns whether a line that is nothing but base64 is one of a key's body, with nothing before it that says so.
pub(super) fn is_line_of_key(line: &str) -> bool {
    (40..=80).contains(&line.len()) && is_mixed(line) && !line.contains(['-', '_'])
}

/// Returns whether it may be the first or the last line of a body whose other lines are known.
pub(super) fn is_rest_of_key(line: &str) -> bool {
    line.len() <= 80
        && (line.len() >= 24
            || line.contains(['=', '+', '/'])
            || line.bytes().any(|byte| byte.is_ascii_digit())
            || line
                .get(1..)
                .is_some_and(|rest| rest.bytes().any(|byte| byte.is_ascii_uppercase())))
}

/// Calls for each run of base64 that is long enough to be a part of a key.
pub(super) fn runs(text: &str, within: Range<usize>, mut found: impl FnMut(Range<usize>)) {
    let letter = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=');
    let bytes = text.as_bytes();
    let mut at = within.start;
    while at < within.end {
        let length = bytes[at..within.end]
            .iter()
            .take_while(|byte| letter(**byte))
            .count();
        if length >= 16 && is_mixed(&text[at..at + length]) {
            found(at..at + length);
        }
        at += length.max(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_found_in_every_spelling() {
        let line = "x -----BEGIN RSA PRIVATE KEY-----AA-----END RSA PRIVATE KEY-----";
        assert_eq!(
            marks(line),
            [
                Mark::Begin {
                    private: true,
                    after: 33
                },
                Mark::End {
                    private: true,
                    before: 35
                }
            ]
        );
        assert!(matches!(
            marks("---- BEGIN SSH2 ENCRYPTED PRIVATE KEY ----")[..],
            [Mark::Begin { private: true, .. }]
        ));
        assert!(matches!(
            marks("-----BEGIN CERTIFICATE-----")[..],
            [Mark::Begin { private: false, .. }]
        ));
        assert!(marks("--- a --flag x -- y").is_empty());
    }
}
