//! Text from outside, made fit for a terminal: what would move the cursor, turn text around or hide it becomes visible.

use std::fmt::Write as _;

/// So many bytes of one text are shown.
const LIMIT: usize = 2048;

/// Returns a text with every character visible, on one line, of at most 2 KiB and a note of what is left out.
pub fn shown(text: &str) -> String {
    let mut out = String::with_capacity(text.len().min(LIMIT));
    for (at, c) in text.char_indices() {
        if out.len() >= LIMIT {
            // Writing to a String cannot fail.
            let _ = write!(out, "... ({} bytes more)", text.len() - at);
            break;
        }
        if is_unseen(c) {
            out.extend(c.escape_default());
        } else {
            out.push(c);
        }
    }
    out
}

/// Like [`shown`], for texts of our own that have several lines: each by itself.
pub(crate) fn shown_lines(text: &str) -> String {
    let lines: Vec<String> = text.split('\n').map(shown).collect();
    lines.join("\n")
}

/// Returns whether a character is one that no eye sees, or that changes how others look: control characters, marks of
/// direction, joiners, separators of lines, tags, what has no width.
fn is_unseen(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}')
        || matches!(c, '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_a_terminal_obeys_or_an_eye_misses_is_left() {
        for nasty in [
            "\x1b]0;PWNED\x07",
            "\x1b[2J",
            "a\rb",
            "a\nb",
            "\u{9b}2J",
            "\u{202e}gnp.exe",
            "a\u{200b}b",
            "\u{feff}x",
            "\u{e0041}",
            "a\0b",
            "\u{7f}",
        ] {
            let shown = shown(nasty);
            assert!(shown.chars().all(|c| !is_unseen(c)), "{nasty:?} became {shown:?}");
        }
        for plain in ["한국어", "naïve café", "a/b:1@sha256:00", "\"quoted\" \\ it's"] {
            assert_eq!(shown(plain), plain);
        }
        assert_eq!(shown("a\u{1b}b"), "a\\u{1b}b");
        assert_eq!(shown_lines("one\n  two\x07"), "one\n  two\\u{7}");
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
}
