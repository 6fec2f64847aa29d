//! What a line's escapes stand for, with the place of each byte in the line.

use std::ops::Range;

/// How often escapes may stand inside escapes.
pub(super) const DEPTH: usize = 4;

/// A line with one more layer of escapes taken off.
pub(super) struct View {
    /// What it says.
    pub(super) text: String,
    /// For each byte of the text where it begins in the line, and the line's length behind the last.
    at: Vec<usize>,
}

impl View {
    /// Returns a line as it is.
    pub(super) fn plain(line: &str) -> Self {
        Self {
            text: line.to_owned(),
            at: (0..=line.len()).collect(),
        }
    }

    /// Returns a place of the line for one of the text.
    pub(super) fn place(&self, span: &Range<usize>) -> Range<usize> {
        let last = self.at.len() - 1;
        self.at[span.start.min(last)]..self.at[span.end.min(last)]
    }

    /// Returns the quoted texts in it, as far as they may hold more than a word, each with one layer of escapes taken off.
    pub(super) fn quoted(&self) -> Vec<Self> {
        let mut all = Vec::new();
        let mut from = None;
        let mut escaped = false;
        for (at, byte) in self.text.bytes().enumerate() {
            match byte {
                _ if escaped => escaped = false,
                b'\\' => escaped = from.is_some(),
                b'"' => match from.take() {
                    None => from = Some(at + 1),
                    Some(start) => {
                        let inner = &self.text[start..at];
                        if inner.len() >= 8 && inner.contains([' ', '\\', '=', ':']) {
                            all.push(self.part(start..at));
                        }
                    }
                },
                _ => {}
            }
        }
        // What a form or a query carries is a text of its own too.
        let ends = |c: char| c.is_whitespace() || matches!(c, '&' | '"' | '\'' | '<' | '>');
        let mut from = 0;
        while let Some(sign) = self.text[from..].find('=') {
            let start = from + sign + 1;
            let length = self.text[start..].find(ends).unwrap_or(self.text.len() - start);
            if length >= 8 && self.text[start..start + length].contains('%') {
                all.push(self.part(start..start + length));
            }
            // Each place is looked at once: what stands behind another sign in it is a part of it.
            from = start + length;
        }
        all
    }

    /// Returns a part of the text with one layer of escapes taken off.
    fn part(&self, span: Range<usize>) -> Self {
        let inner = Self {
            text: self.text[span.clone()].to_owned(),
            at: self.at[span.start..=span.end].to_vec(),
        };
        inner.peel().unwrap_or(inner)
    }

    /// Takes one layer of escapes off: of JSON, Go, C and shells, of URLs, HTML and syslog. None where there is none.
    pub(super) fn peel(&self) -> Option<Self> {
        if !self.text.contains(['\\', '%', '&', '#']) {
            return None;
        }
        let mut out = Self {
            text: String::with_capacity(self.text.len()),
            at: Vec::with_capacity(self.at.len()),
        };
        let mut changed = false;
        let mut rest = 0;
        while let Some(c) = self.text[rest..].chars().next() {
            let (said, length) = match escape(&self.text[rest..]) {
                Some(found) => {
                    changed = true;
                    found
                }
                None => (c, c.len_utf8()),
            };
            let before = out.text.len();
            out.text.push(said);
            for _ in before..out.text.len() {
                out.at.push(self.at[rest]);
            }
            rest += length;
        }
        out.at.push(self.at[rest]);
        changed.then_some(out)
    }
}

/// Returns what an escape at the beginning of a text stands for, and its length.
pub(super) fn escape(text: &str) -> Option<(char, usize)> {
    let bytes = text.as_bytes();
    match bytes.first()? {
        b'\\' => backslash(text),
        b'%' => byte(text.get(1..3)?).map(|c| (c, 3)),
        b'&' => html(text),
        // rsyslog writes control characters so.
        b'#' => {
            let octal = text.get(1..4)?;
            let code = u8::from_str_radix(octal, 8).ok()?;
            (octal.starts_with('0') && code < 32).then_some((char::from(code), 4))
        }
        _ => None,
    }
}

fn backslash(text: &str) -> Option<(char, usize)> {
    let next = text[1..].chars().next()?;
    let simple = |c| Some((c, 2));
    match next {
        'n' => simple('\n'),
        'r' => simple('\r'),
        't' => simple('\t'),
        '"' | '\'' | '\\' | '/' | '`' | '=' | ':' | ' ' => simple(next),
        'u' => unicode(text.get(2..6)?).map(|c| (c, 6)),
        'U' => unicode(text.get(2..10)?).map(|c| (c, 10)),
        'x' => byte(text.get(2..4)?).map(|c| (c, 4)),
        '0'..='3' => {
            let code = u8::from_str_radix(text.get(1..4)?, 8).ok()?;
            code.is_ascii().then_some((char::from(code), 4))
        }
        _ => None,
    }
}

fn unicode(hex: &str) -> Option<char> {
    char::from_u32(u32::from_str_radix(hex, 16).ok()?)
}

fn byte(hex: &str) -> Option<char> {
    let plain = hex.bytes().all(|byte| byte.is_ascii_hexdigit());
    let code = u8::from_str_radix(hex, 16).ok().filter(|_| plain)?;
    code.is_ascii().then_some(char::from(code))
}

fn html(text: &str) -> Option<(char, usize)> {
    let end = text.bytes().take(10).position(|byte| byte == b';')?;
    let c = match &text[1..end] {
        "quot" => '"',
        "apos" => '\'',
        "amp" => '&',
        "lt" => '<',
        "gt" => '>',
        name => {
            let number = name.strip_prefix('#')?;
            let code = match number.strip_prefix(['x', 'X']) {
                Some(hex) => u32::from_str_radix(hex, 16).ok()?,
                None => number.parse().ok()?,
            };
            char::from_u32(code)?
        }
    };
    Some((c, end + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_layer_comes_off_and_places_stay() {
        let line = r#"a {\"k\":\"v\\u0022\"} %41 &quot; #012"#;
        let first = View::plain(line).peel().unwrap();
        assert_eq!(first.text, "a {\"k\":\"v\\u0022\"} A \" \n");
        let second = first.peel().unwrap();
        assert_eq!(second.text, "a {\"k\":\"v\"\"} A \" \n");
        assert!(second.peel().is_none());
        let at = second.text.find('v').unwrap();
        assert_eq!(&line[second.place(&(at..at + 2))], r"v\\u0022");
        assert!(View::plain("100% \\z & #1").peel().is_none());
    }
}
