//! The fields of a message of protobuf, read one after another and never kept.

/// A field of a message of protobuf.
#[derive(Clone, Copy, Debug)]
pub(super) enum Field<'a> {
    Number(u64, u64),
    Bytes(u64, &'a [u8]),
}

/// Returns the fields of a message; nothing where it is broken, and then no more.
pub(super) fn fields(mut message: &[u8]) -> impl Iterator<Item = Option<Field<'_>>> {
    std::iter::from_fn(move || {
        if message.is_empty() {
            return None;
        }
        let field = field(&mut message);
        if field.is_none() {
            message = &[];
        }
        Some(field)
    })
}

fn field<'a>(message: &mut &'a [u8]) -> Option<Field<'a>> {
    let tag = varint(message)?;
    match tag & 7 {
        0 => Some(Field::Number(tag >> 3, varint(message)?)),
        2 => {
            let length = usize::try_from(varint(message)?).ok()?;
            let (bytes, rest) = message.split_at_checked(length)?;
            *message = rest;
            Some(Field::Bytes(tag >> 3, bytes))
        }
        _ => None,
    }
}

fn varint(message: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for shift in (0..70).step_by(7) {
        let (byte, rest) = message.split_first()?;
        *message = rest;
        number |= u64::from(byte & 0x7f).checked_shl(shift)?;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}
