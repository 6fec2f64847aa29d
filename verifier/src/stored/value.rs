//! What a stored value begins with.

/// `k8s:enc:` PROVIDER `:` VERSION `:` KEY `:`, for kms a name in the key's place.
const FIELDS: usize = 5;
/// A key's name is a label; a prefix longer than this is no prefix.
const LONGEST: usize = 320;

/// Returns `k8s:enc:PROVIDER:VERSION:KEY:` when the value begins so, else nothing.
pub(crate) fn encryption_prefix(value: &[u8]) -> &[u8] {
    if !value.starts_with(b"k8s:enc:") {
        return &[];
    }
    let head = &value[..value.len().min(LONGEST)];
    let end = head
        .iter()
        .enumerate()
        .filter(|(_, byte)| **byte == b':')
        .nth(FIELDS - 1);
    let Some((end, _)) = end else { return &[] };
    let prefix = &head[..=end];
    // A prefix that is no text is ciphertext that happens to hold colons.
    if prefix.iter().all(u8::is_ascii_graphic) {
        prefix
    } else {
        &[]
    }
}

/// Returns what stands before a value; nothing where it is plaintext, be it behind a prefix. `known` are prefixes of keys
/// whose names may hold a colon.
pub(crate) fn writer<'a>(value: &'a [u8], known: &[String]) -> &'a str {
    let said = known
        .iter()
        .filter(|known| !known.is_empty() && value.starts_with(known.as_bytes()));
    let prefix = match said.map(String::len).max() {
        Some(length) => &value[..length],
        None => encryption_prefix(value),
    };
    if is_plain(&value[prefix.len()..]) {
        return "";
    }
    std::str::from_utf8(prefix).unwrap_or_default()
}

/// Returns whether bytes are an object as the API server writes it where it encrypts nothing.
fn is_plain(bytes: &[u8]) -> bool {
    bytes.starts_with(b"k8s\0") || bytes.starts_with(b"{\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_prefix_ends_with_the_colon_behind_the_keys_name() {
        assert_eq!(
            encryption_prefix(b"k8s:enc:aescbc:v1:key1:\x00\xff:rest"),
            b"k8s:enc:aescbc:v1:key1:"
        );
        assert_eq!(
            encryption_prefix(b"k8s:enc:kms:v2:vault:\x0a"),
            b"k8s:enc:kms:v2:vault:"
        );
        assert_eq!(encryption_prefix(b"k8s\0\x0a\x0c"), b"");
        assert_eq!(encryption_prefix(b"k8s:enc:aescbc:v1"), b"");
        assert_eq!(encryption_prefix(b"k8s:enc:aescbc:\x00\x01:a:b:"), b"");
    }

    #[test]
    fn a_prefix_before_plaintext_encrypts_nothing() {
        assert_eq!(
            writer(b"k8s:enc:aescbc:v1:key1:\x91", &[]),
            "k8s:enc:aescbc:v1:key1:"
        );
        assert_eq!(writer(b"k8s:enc:aescbc:v1:key1:k8s\0\x0a", &[]), "");
        assert_eq!(writer(b"k8s:enc:aescbc:v1:key1:{\"a\":1}", &[]), "");
        assert_eq!(writer(b"k8s\0\x0a\x0c", &[]), "");
        assert_eq!(writer(b"{\"a\":1}", &[]), "");
        assert_eq!(writer(b"", &[]), "");
    }

    #[test]
    fn a_keys_name_may_hold_a_colon_where_it_is_known() {
        let value = b"k8s:enc:aescbc:v1:2026:q4:\x00";
        assert_eq!(writer(value, &[]), "k8s:enc:aescbc:v1:2026:");
        let known = ["k8s:enc:aescbc:v1:2026:q4:".to_owned()];
        assert_eq!(writer(value, &known), known[0]);
    }
}
