//! Blocks of tars as other programs write them: numbers, checksums, pax records. Values only.

/// Where a header has its own checksum.
const SUM: std::ops::Range<usize> = 148..156;

/// Returns whether a header block's checksum is that of its bytes; old programs summed signed ones.
pub fn sum_is_right(block: &[u8; 512]) -> bool {
    let byte = |(at, byte): (usize, &u8)| if SUM.contains(&at) { b' ' } else { *byte };
    let unsigned: u64 = block.iter().enumerate().map(|pair| u64::from(byte(pair))).sum();
    let signed: i64 = block
        .iter()
        .enumerate()
        .map(|pair| i64::from(byte(pair).cast_signed()))
        .sum();
    number(&block[SUM]).is_some_and(|sum| sum == unsigned || i64::try_from(sum) == Ok(signed))
}

/// Reads a number: octal digits, or GNU's base 256 where the first bit is set.
pub fn number(field: &[u8]) -> Option<u64> {
    if let [0x80, digits @ ..] = field {
        let (high, low) = digits.split_at(digits.len().saturating_sub(8));
        let fits = high.iter().all(|byte| *byte == 0);
        return fits.then(|| low.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte)));
    }
    let text = std::str::from_utf8(field).ok()?.trim_matches([' ', '\0']);
    if text.is_empty() {
        return Some(0);
    }
    u64::from_str_radix(text, 8).ok()
}

/// Takes the first pax record of `bytes` (its length in decimal, a space, `key=value`, a line feed): key, value, rest.
pub fn pax_record(bytes: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let space = bytes.iter().take(20).position(|byte| *byte == b' ')?;
    let length: usize = std::str::from_utf8(&bytes[..space]).ok()?.parse().ok()?;
    if length < space + 3 || length > bytes.len() || bytes[length - 1] != b'\n' {
        return None;
    }
    let body = &bytes[space + 1..length - 1];
    let equals = body.iter().position(|byte| *byte == b'=')?;
    Some((&body[..equals], &body[equals + 1..], &bytes[length..]))
}
