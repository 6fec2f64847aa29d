//! Values that are no secrets whatever their name.

/// Returns whether a value says nothing: a placeholder, a switch, or masked already.
pub(super) fn is_benign(said: &str) -> bool {
    let word = said.trim_matches(['"', '\'', '`', ' ', '<', '>', '(', ')', '[', ']', '-', ',']);
    let lower = word.to_ascii_lowercase();
    matches!(
        lower.as_str(),
        "" | "true"
            | "false"
            | "null"
            | "nil"
            | "none"
            | "yes"
            | "no"
            | "~"
            | "unset"
            | "empty"
            | "redacted"
            | "hidden"
            | "masked"
            | "omitted"
            | "removed"
            | "sensitive"
            | "undefined"
            | "0"
            | "map"
            | "{}"
            | "string"
            | "bytes"
            // etcd\'s kinds of tokens.
            | "simple"
            | "jwt"
    ) || word.bytes().all(|byte| byte == b'*' || byte == b'.')
        || (word.len() >= 3 && lower.bytes().all(|byte| byte == b'x'))
        || said.starts_with("${") && said.ends_with('}')
        || said.starts_with("$(") && said.ends_with(')')
        || said.starts_with("{{") && said.ends_with("}}")
        || said.starts_with('%') && said.len() == 2
        || said.strip_prefix('$').is_some_and(|name| {
            !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_')
        })
}

/// Returns whether a value is the path of a file.
pub(super) fn is_path(said: &str) -> bool {
    let path = said
        .strip_prefix("file://")
        .or_else(|| said.strip_prefix('@'))
        .unwrap_or(said);
    path.starts_with('/')
        && path.len() > 2
        && path[1..].contains(['/', '.'])
        && path.bytes().all(|byte| {
            byte.is_ascii_lowercase()
                || byte.is_ascii_digit()
                || matches!(byte, b'/' | b'.' | b'_' | b'-' | b':')
        })
}
