//! Secrets planted in files for the tests of both programs: ways in which a line goes wrong, and where a secret came out.

use std::fmt::Write as _;

/// What every planted secret begins with, in any case; it stands nowhere else.
pub const PLANTED: &str = "xPlanted7";

/// Returns the line in which a planted secret came out, behind the name of what was read.
pub fn leak(name: &str, bytes: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(bytes);
    let line = text
        .lines()
        .find(|line| line.to_lowercase().contains(&PLANTED.to_lowercase()))?;
    Some(format!("{name}: {line}"))
}

/// Returns lines of YAML with a secret behind each, in a comment.
pub fn planted_behind(lines: &[&str]) -> String {
    let mut text = String::new();
    for (at, line) in lines.iter().enumerate() {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{line} # {PLANTED}{at}");
    }
    text
}

/// Ways in which a line of YAML goes wrong.
pub fn damages(line: &str) -> Vec<Vec<u8>> {
    let indent = &line[..line.len() - line.trim_start().len()];
    let body = line.trim_start();
    let (key, value) = body.split_once(':').unwrap_or((body, ""));
    let value = value.trim();
    let half = body
        .char_indices()
        .nth(body.chars().count() / 2)
        .map_or(0, |(at, _)| at);
    let mut all: Vec<Vec<u8>> = [
        format!("{indent}{key}: [{value}]"),
        format!("{indent}{key}: {{{value}}}"),
        format!("{indent}{key}: {{a: {value}}}"),
        format!("{indent}{key}: \"{value}"),
        format!("{indent}{key}: '{value}"),
        format!("{indent}{key} {value}"),
        format!("{indent}{key}:{value}"),
        format!("{indent}{value}"),
        format!("{indent}{value}: {key}"),
        format!("{indent}- {body}"),
        format!("\t{body}"),
        format!("{indent}   {body}"),
        body.to_owned(),
        format!("{line}\n{line}"),
        format!("{indent}{key}: !{value} x"),
        format!("{indent}{key}: *{value}"),
        format!("{indent}{key}: &{value} {value}"),
        format!("{indent}{key}: |\n{value}"),
        format!("{indent}{key}: {value}: {value}"),
        format!("{indent}{key}: \"\\q{value}\""),
        format!("{indent}{key}: @{value}"),
        format!("{indent}{key}: -{value}="),
        format!("{indent}x{key}: {value}"),
        format!("{indent}{key}: 7"),
        format!("{indent}{key}:"),
        format!("{indent}{}", &body[..half]),
        format!("{indent}{}", &body[half..]),
        String::new(),
    ]
    .into_iter()
    .map(String::into_bytes)
    .collect();
    let mut broken = line.as_bytes().to_vec();
    broken.push(0xff);
    all.push(broken);
    let mut zero = line.as_bytes().to_vec();
    zero.push(0);
    all.push(zero);
    all
}

/// A secret in the place of a value of YAML, or where none belongs.
pub fn misplaced(line: &str) -> Vec<Vec<u8>> {
    let indent = &line[..line.len() - line.trim_start().len()];
    let (key, _) = line
        .trim_start()
        .split_once(':')
        .unwrap_or((line.trim_start(), ""));
    [
        format!("{indent}{key}: {PLANTED}"),
        format!("{indent}{key}: '{PLANTED}/+== '"),
        format!("{indent}{key}: 7{PLANTED}"),
        format!("{indent}{key}: me:{PLANTED}@127.0.0.1"),
        format!("{indent}{key}: https://me:{PLANTED}@127.0.0.1/"),
        format!("{indent}{key}: [{PLANTED}]"),
        format!("{indent}{PLANTED}: {key}"),
        format!("{indent}{PLANTED}"),
        format!("{indent}- {PLANTED}"),
        format!("{indent}? {PLANTED}"),
        format!("{line}\n{indent}{PLANTED}: x\n{indent}{PLANTED}: x"),
    ]
    .into_iter()
    .map(String::into_bytes)
    .collect()
}

/// Ways in which a line of JSON goes wrong, with a secret in the place of a value.
pub fn damages_of_json(line: &str) -> Vec<Vec<u8>> {
    let body = line.trim();
    let (key, value) = body.split_once(": ").unwrap_or((body, ""));
    let half = body.len() / 2;
    let mut all: Vec<Vec<u8>> = [
        format!("{key}: [{value}]"),
        format!("{key}: {{{value}}}"),
        format!("{key}: {{\"a\": {value}}}"),
        format!("{key}: {}", value.trim_matches(['"', ','])),
        format!("{key}: '{}',", value.trim_matches(['"', ','])),
        format!("{key}: \"{PLANTED}\","),
        format!("{key}: [\"{PLANTED}\"],"),
        format!("{key}: {{\"{PLANTED}\": \"{PLANTED}\"}},"),
        format!("{key}: {PLANTED},"),
        format!("{key}: 7{PLANTED}"),
        format!("{key}: \"\\q{PLANTED}\""),
        format!("{key} {value}"),
        format!("\"{PLANTED}\": {value}"),
        format!("\"{PLANTED}\": {{"),
        format!("\"{PLANTED}\","),
        format!("{key}: 7,"),
        format!("{key}: null,"),
        format!("{body}{body}"),
        format!("{body}\"{PLANTED}"),
        body.get(..half).unwrap_or_default().to_owned(),
        body.get(half..).unwrap_or_default().to_owned(),
        String::new(),
    ]
    .into_iter()
    .map(String::into_bytes)
    .collect();
    for byte in [0xff, 0, b'\t'] {
        let mut broken = line.as_bytes().to_vec();
        broken.insert(half, byte);
        all.push(broken);
    }
    all
}

/// Returns the text with one line replaced.
pub fn with_line(text: &str, at: usize, line: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (number, other) in text.lines().enumerate() {
        bytes.extend_from_slice(if number == at { line } else { other.as_bytes() });
        bytes.push(b'\n');
    }
    bytes
}
