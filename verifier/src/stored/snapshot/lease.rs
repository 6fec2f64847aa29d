//! When a snapshot was taken, by what lies in it: nodes and leaders renew their Leases every few seconds. A file's own time is
//! that of its last copy.

use crate::stored::fields::{Field, fields};

/// Returns when a Lease was renewed, in seconds since 1970; nothing where it is none, or encrypted. It is a
/// `runtime.Unknown` around a `Lease` of coordination.k8s.io/v1.
pub(super) fn renewed(value: &[u8]) -> Option<i64> {
    let object = inner(value.strip_prefix(b"k8s\0")?, 2)?;
    let renewed = inner(inner(object, 2)?, 4)?;
    fields(renewed).flatten().find_map(|field| match field {
        Field::Number(1, seconds) => i64::try_from(seconds).ok(),
        _ => None,
    })
}

fn inner(message: &[u8], wanted: u64) -> Option<&[u8]> {
    fields(message).flatten().find_map(|field| match field {
        Field::Bytes(number, bytes) if number == wanted => Some(bytes),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_leases_renewal_is_found_and_nothing_else_is() {
        // spec: {holderIdentity: "a", leaseDurationSeconds: 40, renewTime: 1764500000.5 s}
        let time = [&[0x08_u8][..], &[0xa0, 0xcc, 0xb0, 0xc9, 0x06], &[0x10, 0x05]].concat();
        let spec = [
            &[0x0a, 1, b'a', 0x10, 40, 0x22, u8::try_from(time.len()).unwrap()][..],
            &time,
        ]
        .concat();
        let lease = [&[0x0a, 0, 0x12, u8::try_from(spec.len()).unwrap()][..], &spec].concat();
        let unknown = [
            &b"k8s\0"[..],
            &[0x0a, 0, 0x12, u8::try_from(lease.len()).unwrap()],
            &lease,
        ]
        .concat();
        let expected = [0xa0_u64, 0xcc, 0xb0, 0xc9, 0x06]
            .iter()
            .enumerate()
            .map(|(at, byte)| (byte & 0x7f) << (7 * at))
            .sum::<u64>();
        assert_eq!(renewed(&unknown), i64::try_from(expected).ok());
        for cut in 0..unknown.len() - time.len() {
            assert_eq!(renewed(&unknown[..cut]), None, "{cut}");
        }
        assert_eq!(renewed(b"k8s:enc:aescbc:v1:key1:xxxx"), None);
    }
}
