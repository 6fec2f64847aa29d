//! The words of a registry's refusal, made fit to show. Pure.

use reqwest::header::CONTENT_TYPE;
use reqwest::header::HeaderMap;

/// Of an error's body only so much is read.
pub(super) const LIMIT: usize = 4096;

/// Returns the words of an error's body (OCI distribution spec, error codes), or the beginning of what else it is.
pub(super) fn message(body: &[u8]) -> String {
    if let Some(said) = error_of(body) {
        return said;
    }
    if is_page(body) {
        return "a web page".to_owned();
    }
    one_line(&String::from_utf8_lossy(&body[..body.len().min(LIMIT)]))
}

/// Returns the first error of an error document; none where the body is something else.
pub(super) fn error_of(body: &[u8]) -> Option<String> {
    let envelope: serde_json::Value = serde_json::from_slice(body).ok()?;
    let first = envelope.pointer("/errors/0")?;
    let field = |name: &str| first.get(name).and_then(serde_json::Value::as_str).map(one_line);
    match (field("code"), field("message")) {
        (Some(code), Some(message)) if !message.is_empty() => Some(format!("{code}: {message}")),
        (Some(code), _) => Some(code),
        (None, Some(message)) => Some(message),
        (None, None) => Some("an error without words".to_owned()),
    }
}

/// Returns whether a body is a page for people: of a login, a proxy, a maintenance.
pub(super) fn is_page(body: &[u8]) -> bool {
    let text = body.trim_ascii_start();
    text.starts_with(b"<") || text.starts_with(b"\xef\xbb\xbf<")
}

/// Returns whether the header says that a body is a page for people.
pub(super) fn says_page(headers: &HeaderMap) -> bool {
    let kind = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    kind.is_some_and(|kind| kind.trim_start().to_ascii_lowercase().starts_with("text/html"))
}

/// Returns the first words of a text as one line without characters that no eye sees.
pub(super) fn one_line(text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    let seen = |c: &char| {
        !c.is_control()
            && !matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
    };
    words.join(" ").chars().filter(seen).take(200).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_told_in_the_registry_s_words_and_on_one_line() {
        let body = br#"{"errors":[{"code":"DENIED","message":"no\n\u001b[2Jaccess"}]}"#;
        assert_eq!(message(body), "DENIED: no [2Jaccess");
        assert_eq!(message(br#"{"errors":[{"code":"UNAVAILABLE"}]}"#), "UNAVAILABLE");
        assert_eq!(message(b"\n <html><b>503</b>"), "a web page");
        assert_eq!(message(b"a \x1b]0;x\x07\n b"), "a ]0;x b");
        assert_eq!(message("x".repeat(10_000).as_bytes()).len(), 200);
        assert_eq!(error_of(br#"{"schemaVersion":2}"#), None);
    }
}
