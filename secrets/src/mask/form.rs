//! The form of a line: its indent, its words, where its message begins.

use std::ops::Range;

/// Returns whether a line is `name: value` or `name:`.
pub(super) fn is_mapping(line: &str) -> bool {
    let name = line
        .bytes()
        .take_while(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.' | b'/'))
        .count();
    let rest = line[name..].trim_start_matches(['"', '\'']);
    name > 0 && rest.starts_with(':') && (rest.len() == 1 || rest.starts_with(": "))
}

pub(super) fn is_only_signs(words: &str) -> bool {
    words.chars().all(|c| !c.is_alphanumeric())
}

pub(super) fn indent(line: &str) -> usize {
    line.len() - line.trim_start_matches([' ', '\t']).len()
}

/// Returns the places of a line's words.
pub(super) fn words(text: &str) -> Vec<Range<usize>> {
    let mut all = Vec::new();
    let mut start = None;
    for (at, c) in text.char_indices() {
        match (c.is_whitespace(), start) {
            (false, None) => start = Some(at),
            (true, Some(from)) => {
                all.push(from..at);
                start = None;
            }
            _ => {}
        }
    }
    all.extend(start.map(|from| from..text.len()));
    all
}

/// Returns where a line's message begins, behind what a journal, the kubelet's log files, klog or a JSON log put before it.
pub(super) fn message(text: &str) -> usize {
    let mut at = 0;
    // `2026-11-25T17:00:00+0000 host kubelet[12]: `, `Nov 25 17:00:00 host kubelet[12]: `.
    let dated = text.starts_with(|c: char| c.is_ascii_digit())
        || [
            "Jan ", "Feb ", "Mar ", "Apr ", "May ", "Jun ", "Jul ", "Aug ", "Sep ", "Oct ", "Nov ", "Dec ",
        ]
        .iter()
        .any(|month| text.starts_with(month));
    if dated {
        if let Some(end) = text.find(" stdout ").or_else(|| text.find(" stderr ")) {
            // `2026-11-25T17:00:00.0Z stdout F `.
            at = (end + 10).min(text.len());
        } else if let Some(end) = text.find("]: ").filter(|end| *end < 120) {
            at = end + 3;
        } else if let Some(end) = text
            .find(": ")
            .filter(|end| *end < 80 && text[..*end].split(' ').count() >= 3)
        {
            at = end + 2;
        }
        if !text.is_char_boundary(at) {
            return 0;
        }
    }
    let rest = &text[at..];
    // `E1123 09:00:00.000000    1234 file.go:12] `.
    if rest.starts_with(['I', 'W', 'E', 'F'])
        && rest
            .get(1..5)
            .is_some_and(|day| day.bytes().all(|byte| byte.is_ascii_digit()))
    {
        return rest.find("] ").map_or(at, |end| at + end + 2);
    }
    for head in ["{\"log\":\"", "{\"msg\":\"", "{\"message\":\"", "{\"MESSAGE\":\""] {
        if let Some(rest) = rest.strip_prefix(head) {
            return text.len() - rest.len();
        }
    }
    at
}
