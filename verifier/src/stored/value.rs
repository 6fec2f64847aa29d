//! What a stored value begins with.

use std::borrow::Cow;

use super::fields::{Field, fields};
use crate::protocol::KMS_V2;

/// `k8s:enc:` PROVIDER `:` VERSION `:` KEY `:`, for kms a name in the key's place.
const FIELDS: usize = 5;
/// A key's name is a label; a prefix longer than this is no prefix.
const LONGEST: usize = 320;
/// Nor is the id of a key of a KMS longer (`k8s.io/apiserver/pkg/storage/value/encrypt/envelope/kmsv2`).
const LONGEST_ID: usize = 1024;

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
/// whose names may hold a colon. Where a KMS of version 2 encrypted it, the id of the KMS's own key follows.
pub(crate) fn writer<'a>(value: &'a [u8], known: &[String]) -> Cow<'a, str> {
    let said = known
        .iter()
        .filter(|known| !known.is_empty() && value.starts_with(known.as_bytes()));
    let prefix = match said.map(String::len).max() {
        Some(length) => &value[..length],
        None => encryption_prefix(value),
    };
    if is_plain(&value[prefix.len()..]) {
        return Cow::Borrowed("");
    }
    let rest = &value[prefix.len()..];
    let prefix = std::str::from_utf8(prefix).unwrap_or_default();
    match key_id(rest).filter(|_| prefix.starts_with(KMS_V2)) {
        Some(id) => Cow::Owned(format!("{prefix}{id}")),
        None => Cow::Borrowed(prefix),
    }
}

/// Returns which key of a KMS encrypted the key of a value: an `EncryptedObject` says it, and it is no secret
/// (`k8s.io/apiserver/pkg/storage/value/encrypt/envelope/kmsv2/v2/api.proto`). Nothing where the value is none.
fn key_id(envelope: &[u8]) -> Option<&str> {
    let (mut data, mut id, mut source): (&[u8], &[u8], &[u8]) = (&[], &[], &[]);
    for field in fields(envelope) {
        match field? {
            Field::Bytes(1, bytes) => data = bytes,
            Field::Bytes(2, bytes) => id = bytes,
            Field::Bytes(3, bytes) => source = bytes,
            _ => {}
        }
    }
    let whole = !data.is_empty() && !id.is_empty() && !source.is_empty() && id.len() <= LONGEST_ID;
    std::str::from_utf8(id).ok().filter(|_| whole)
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
    fn the_key_of_a_kms_is_told_where_its_envelope_is_whole() {
        let envelope = b"\x0a\x03abc\x12\x05kek-1\x1a\x02de\x28\x01";
        let value = |prefix: &str, rest: &[u8]| [prefix.as_bytes(), rest].concat();
        let kms = "k8s:enc:kms:v2:lab:";
        let whole = value(kms, envelope);
        assert_eq!(writer(&whole, &[]), "k8s:enc:kms:v2:lab:kek-1");
        assert_eq!(writer(&whole, &[kms.to_owned()]), "k8s:enc:kms:v2:lab:kek-1");
        // Cut within its last field it is none, and before that it lacks one.
        for cut in kms.len()..whole.len() - 2 {
            assert_eq!(writer(&whole[..cut], &[]), kms, "{cut}");
        }
        let old = "k8s:enc:kms:v1:lab:";
        assert_eq!(writer(&value(old, envelope), &[]), old);
        let long = [&b"\x0a\x01a\x12\x81\x08"[..], &[b'x'; 1025], b"\x1a\x01d"].concat();
        assert_eq!(writer(&value(kms, &long), &[]), kms);
        assert_eq!(writer(&value(kms, b"k8s\0"), &[]), "");
    }

    #[test]
    fn a_keys_name_may_hold_a_colon_where_it_is_known() {
        let value = b"k8s:enc:aescbc:v1:2026:q4:\x00";
        assert_eq!(writer(value, &[]), "k8s:enc:aescbc:v1:2026:");
        let known = ["k8s:enc:aescbc:v1:2026:q4:".to_owned()];
        assert_eq!(writer(value, &known), known[0]);
    }
}
