//! What of a stored value may be shown: a hexdump in which plaintext is masked. Pure.

use std::fmt::Write as _;

/// How much of key and value is dumped.
const BYTES: usize = 128;
/// Returns what `hexdump -C` prints of the first bytes of the key, a line feed and the value, as `etcdctl get` prints
/// them. A value without a prefix is plaintext: only the bytes that say in which form (`k8s\0` or `{`) are shown,
/// the others are `..`.
pub(super) fn hexdump(key: &[u8], value: &[u8], prefix: usize) -> String {
    let form = if value.starts_with(b"k8s\0") {
        4
    } else {
        usize::from(value.starts_with(b"{"))
    };
    let shown = if prefix > 0 { value.len() } else { form };
    let byte = |place: usize| match place.checked_sub(key.len() + 1) {
        None => Some(key.get(place).copied().unwrap_or(b'\n')),
        Some(place) => value.get(place).copied().filter(|_| place < shown),
    };
    let total = key.len() + 1 + value.len();
    let length = total.min(BYTES);
    let mut text = String::new();
    for start in (0..length).step_by(16) {
        let places = start..length.min(start + 16);
        let _ = writeln!(text, "{}", line(start, places.map(byte)));
    }
    if total > length {
        let _ = writeln!(text, "... {} more bytes", total - length);
    }
    text
}

fn line(start: usize, bytes: impl Iterator<Item = Option<u8>>) -> String {
    let mut hex = String::new();
    let mut letters = String::new();
    for (place, byte) in bytes.enumerate() {
        if place == 8 {
            hex.push(' ');
        }
        let _ = match byte {
            Some(byte) => write!(hex, "{byte:02x} "),
            None => write!(hex, ".. "),
        };
        letters.push(match byte {
            Some(byte) if byte == b' ' || byte.is_ascii_graphic() => char::from(byte),
            Some(_) => '.',
            None => '*',
        });
    }
    format!("{start:08x}  {hex:<49} |{letters}|")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_encrypted_value_is_dumped_as_hexdump_does() {
        // printf 'k\nk8s:enc:aescbc:v1:key1:\x01\xffAB' | hexdump -C
        let text = hexdump(b"k", b"k8s:enc:aescbc:v1:key1:\x01\xffAB", 23);
        assert_eq!(
            text,
            "00000000  6b 0a 6b 38 73 3a 65 6e  63 3a 61 65 73 63 62 63  |k.k8s:enc:aescbc|\n\
             00000010  3a 76 31 3a 6b 65 79 31  3a 01 ff 41 42           |:v1:key1:..AB|\n"
        );
    }

    #[test]
    fn plaintext_never_leaves() {
        let text = hexdump(b"key", b"k8s\0\x0a\x0csecret-hunter2", 0);
        assert_eq!(
            text,
            "00000000  6b 65 79 0a 6b 38 73 00  .. .. .. .. .. .. .. ..  |key.k8s.********|\n\
             00000010  .. .. .. .. .. .. .. ..                           |********|\n"
        );
        assert!(hexdump(b"key", b"{\"data\":\"aHVudGVy\"}", 0).contains("|key.{***********|"));
        assert!(hexdump(b"key", b"hunter2", 0).contains("|key.*******|"));
    }

    #[test]
    fn a_long_value_is_cut_and_says_so() {
        let text = hexdump(b"key", &[b'x'; 1000], 5);
        assert_eq!(text.lines().count(), 9);
        assert!(text.ends_with("... 876 more bytes\n"));
    }
}
