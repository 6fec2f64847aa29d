//! Just enough of DER (X.690) to find the parts of a private key, and to write a SubjectPublicKeyInfo.

/// INTEGER.
pub(crate) const INTEGER: u8 = 0x02;
/// BIT STRING.
pub(crate) const BITS: u8 = 0x03;
/// OCTET STRING.
pub(crate) const OCTETS: u8 = 0x04;
/// NULL.
pub(crate) const NULL: u8 = 0x05;
/// OBJECT IDENTIFIER.
pub(crate) const OID: u8 = 0x06;
/// SEQUENCE.
pub(crate) const SEQUENCE: u8 = 0x30;

/// Values that stand one after the other.
#[derive(Clone, Copy)]
pub(crate) struct Values<'a>(&'a [u8]);

impl<'a> Values<'a> {
    /// Returns the values of the SEQUENCE that `bytes` begin with.
    pub(crate) fn of_sequence(bytes: &'a [u8]) -> Option<Self> {
        Self(bytes).take(SEQUENCE).map(Self)
    }

    /// Returns the values inside a value.
    pub(crate) const fn inside(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// Returns the next value where it has this tag.
    pub(crate) fn take(&mut self, tag: u8) -> Option<&'a [u8]> {
        let (found, value, rest) = split(self.0)?;
        if found != tag {
            return None;
        }
        self.0 = rest;
        Some(value)
    }
}

/// Splits the first value off: its tag, its contents, what follows.
fn split(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, rest) = bytes.split_first()?;
    let (&first, mut rest) = rest.split_first()?;
    let length = if first < 0x80 {
        usize::from(first)
    } else {
        let count = usize::from(first & 0x7f);
        if count == 0 || count > 4 || rest.len() < count {
            return None;
        }
        let (digits, after) = rest.split_at(count);
        rest = after;
        digits
            .iter()
            .fold(0_usize, |length, digit| length << 8 | usize::from(*digit))
    };
    (rest.len() >= length).then(|| {
        let (value, rest) = rest.split_at(length);
        (tag, value, rest)
    })
}

/// Writes a value.
pub(crate) fn value(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let length: usize = parts.iter().map(|part| part.len()).sum();
    let mut out = vec![tag];
    if length < 0x80 {
        out.extend(u8::try_from(length));
    } else {
        let digits = length.to_be_bytes();
        let digits = &digits[digits.iter().take_while(|digit| **digit == 0).count()..];
        out.extend(u8::try_from(0x80 | digits.len()));
        out.extend_from_slice(digits);
    }
    for part in parts {
        out.extend_from_slice(part);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back_at_any_length() {
        for length in [0, 1, 127, 128, 255, 256, 70_000] {
            let bytes = vec![7; length];
            let written = value(SEQUENCE, &[&value(INTEGER, &[&bytes]), &value(NULL, &[])]);
            let mut values = Values::of_sequence(&written).unwrap();
            assert_eq!(values.take(OCTETS), None);
            assert_eq!(values.take(INTEGER), Some(&bytes[..]));
            assert_eq!(values.take(NULL), Some(&[][..]));
            assert_eq!(values.take(NULL), None);
        }
    }

    #[test]
    fn what_is_cut_off_or_longer_than_its_bytes_is_nothing() {
        for bytes in [
            &[][..],
            &[0x30],
            &[0x30, 5, 1],
            &[0x30, 0x80, 0, 0],
            &[0x30, 0x85, 1, 1, 1, 1, 1],
            &[0x30, 0x84, 255, 255, 255, 255],
        ] {
            assert!(Values::of_sequence(bytes).is_none(), "{bytes:?}");
        }
    }
}
