//! The only way of lines to a terminal where some of them have colours.

use std::io::{self, Write};

use crate::shown::visible_lines;

/// Writes lines. What would reach the terminal other than text and the colours of `anstyle` becomes visible, even where
/// who composed the line forgot it.
pub struct Printer<W>(W);

impl<W: Write> Printer<W> {
    /// Returns a printer that writes to `out`.
    pub const fn new(out: W) -> Self {
        Self(out)
    }

    /// Writes a line, or several, and sends them on their way.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn print(&mut self, text: &str) -> io::Result<()> {
        let mut line = guarded(text);
        line.push('\n');
        self.0.write_all(line.as_bytes())?;
        self.0.flush()
    }

    /// Returns what it writes to.
    pub fn into_inner(self) -> W {
        self.0
    }
}

/// Makes everything visible but line feeds and colours.
fn guarded(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 1);
    let mut rest = text;
    while let Some(at) = rest.find('\x1b') {
        out.push_str(&visible_lines(&rest[..at]));
        let length = colour(&rest[at..]).unwrap_or(0);
        out.push_str(&rest[at..at + length]);
        rest = &rest[at + length..];
        if length == 0 {
            out.push_str("\\u{1b}");
            rest = &rest[1..];
        }
    }
    out + &visible_lines(rest)
}

/// Returns the length of the colour that a text begins with: `ESC [`, figures, `m` (SGR of ECMA-48).
fn colour(text: &str) -> Option<usize> {
    let figures = text.strip_prefix("\x1b[")?;
    let end = figures.find(|c: char| !(c.is_ascii_digit() || c == ';'))?;
    figures[end..].starts_with('m').then_some(end + 3)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_pass_and_nothing_else_does() {
        let print = |text: &str| {
            let mut printer = Printer::new(Vec::new());
            printer.print(text).unwrap();
            String::from_utf8(printer.into_inner()).unwrap()
        };
        assert_eq!(
            print("\x1b[1m\x1b[31mfail\x1b[0m a\nb"),
            "\x1b[1m\x1b[31mfail\x1b[0m a\nb\n"
        );
        assert_eq!(print("\x1b[2J\x1b]0;x\x07\r"), "\\u{1b}[2J\\u{1b}]0;x\\u{7}\\r\n");
        for nasty in crate::nasty::texts() {
            let line = print(&format!("\x1b[1m{nasty}\x1b[0m"));
            let plain = line.replace("\x1b[1m", "").replace("\x1b[0m", "");
            let unseen = plain
                .replace('\n', "")
                .replace("\x1b[31m", "")
                .replace("\x1b[32m", "");
            assert!(!unseen.contains(bundle::is_unseen), "{unseen:?}");
        }
    }
}
