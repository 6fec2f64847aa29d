//! What is whole on one line: mappings of data, a key between its marks.

use std::ops::Range;

use super::pem;

/// Hides all texts of the mappings `data` and `stringData` that are written on one line.
pub(super) fn flow(text: &str, hide: &mut dyn FnMut(Range<usize>)) {
    for name in ["data", "stringData", "Data", "StringData"] {
        for (at, _) in text.match_indices(name) {
            if text[..at].ends_with(|c: char| c.is_ascii_alphanumeric()) {
                continue;
            }
            let rest = &text[at + name.len()..];
            let skip = rest.len() - rest.trim_start_matches(['"', '\'', ':', ' ']).len();
            if !rest[skip..].starts_with('{') {
                continue;
            }
            let from = at + name.len() + skip + 1;
            let end = text[from..].find('}').map_or(text.len(), |end| from + end);
            let mut place = from;
            for pair in text[from..end].split(',') {
                if let Some(colon) = pair.find(':') {
                    let said = pair[colon + 1..].trim_matches([' ', '"', '\'']);
                    let start = place + colon + 1 + pair[colon + 1..].find(said).unwrap_or(0);
                    hide(start..start + said.len());
                }
                place += pair.len() + 1;
            }
        }
    }
}

/// Hides what stands between two marks on one line.
pub(super) fn secret_part(
    text: &str,
    part: Range<usize>,
    announced: bool,
    hide: &mut dyn FnMut(Range<usize>),
) {
    if part.is_empty() {
        return;
    }
    let inner = &text[part.clone()];
    let end = inner.find(['"', '\'']).unwrap_or(inner.len());
    let said = inner[..end].trim_matches([' ', '\t', '\r', '\\', '-']);
    if announced && said.len() > 4 {
        let start = part.start + inner[..end].find(said).unwrap_or(0);
        hide(start..start + said.len());
    } else {
        pem::runs(text, part, hide);
    }
}
