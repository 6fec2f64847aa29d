//! Messages of DNS, as far as questions for addresses and their answers need them (RFC 1035, 4.1). Pure: bytes in, values
//! out, whatever the bytes are.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The longest name, as it is sent.
const NAME: usize = 255;
/// The longest part of a name.
const LABEL: usize = 63;
/// Whoever answers sets this bit.
const IS_ANSWER: u16 = 1 << 15;
const IS_TRUNCATED: u16 = 1 << 9;
/// Asks the server to ask others, as every program's resolver does.
const RECURSE: u16 = 1 << 8;
const CODE: u16 = 0xF;
/// Types and class of records.
const A: u16 = 1;
const AAAA: u16 = 28;
const INTERNET: u16 = 1;

/// An answer.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Message {
    /// How it went.
    pub(super) code: u8,
    /// Whether there was more than its datagram holds.
    pub(super) truncated: bool,
    /// The addresses in it.
    pub(super) addresses: Vec<IpAddr>,
}

/// Returns the message that asks for the addresses of a whole name; none where it is no name of DNS.
pub(super) fn question(id: u16, name: &str, v6: bool) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(12 + NAME + 4);
    for number in [id, RECURSE, 1, 0, 0, 0] {
        bytes.extend(number.to_be_bytes());
    }
    let start = bytes.len();
    for label in name.trim_end_matches('.').split('.') {
        if label.is_empty() || label.len() > LABEL {
            return None;
        }
        bytes.push(u8::try_from(label.len()).ok()?);
        bytes.extend(label.as_bytes());
    }
    bytes.push(0);
    if bytes.len() - start > NAME {
        return None;
    }
    for number in [if v6 { AAAA } else { A }, INTERNET] {
        bytes.extend(number.to_be_bytes());
    }
    Some(bytes)
}

/// Reads the answer to the question with this id; none where it is none, or cannot be read.
pub(super) fn answer(bytes: &[u8], id: u16) -> Option<Message> {
    let mut reader = Reader { rest: bytes };
    if reader.number()? != id {
        return None;
    }
    let flags = reader.number()?;
    if flags & IS_ANSWER == 0 {
        return None;
    }
    let (questions, answers) = (reader.number()?, reader.number()?);
    reader.take(4)?;
    for _ in 0..questions {
        reader.name()?;
        reader.take(4)?;
    }
    let mut message = Message {
        code: u8::try_from(flags & CODE).unwrap_or_default(),
        truncated: flags & IS_TRUNCATED != 0,
        addresses: Vec::new(),
    };
    for _ in 0..answers {
        if reader.record(&mut message.addresses).is_none() {
            // One that was cut off may end anywhere.
            return message.truncated.then_some(message);
        }
    }
    Some(message)
}

/// What is left to read.
struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(count)?;
        self.rest = rest;
        Some(taken)
    }

    fn number(&mut self) -> Option<u16> {
        Some(u16::from_be_bytes(*self.take(2)?.first_chunk()?))
    }

    /// Reads past a name. A pointer ends it (4.1.4), and is not followed: no name of an answer matters here.
    fn name(&mut self) -> Option<()> {
        loop {
            match *self.take(1)?.first()? {
                0 => return Some(()),
                length @ 1..=0x3F => self.take(length.into())?,
                0xC0.. => return self.take(1).map(drop),
                _ => return None,
            };
        }
    }

    /// Reads a record, and keeps its address where it is one.
    fn record(&mut self, addresses: &mut Vec<IpAddr>) -> Option<()> {
        self.name()?;
        let (kind, class) = (self.number()?, self.number()?);
        // Its time to live.
        self.take(4)?;
        let length = self.number()?;
        let data = self.take(length.into())?;
        match (kind, class) {
            (A, INTERNET) => addresses.push(Ipv4Addr::from(<[u8; 4]>::try_from(data).ok()?).into()),
            (AAAA, INTERNET) => addresses.push(Ipv6Addr::from(<[u8; 16]>::try_from(data).ok()?).into()),
            _ => {}
        }
        Some(())
    }
}

/// Reads any bytes as an answer, and as a name: the door of `fuzz/`.
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) fn read_any(bytes: &[u8]) {
    let id = bytes.first_chunk().map_or(0, |id| u16::from_be_bytes(*id));
    if let Some(message) = answer(bytes, id) {
        // Each has a name, ten bytes, and itself.
        assert!(message.addresses.len() * 15 <= bytes.len(), "more than was there");
    }
    let name = String::from_utf8_lossy(bytes);
    if let Some(mut asked) = question(id, &name, false) {
        assert!(answer(&asked, id).is_none(), "a question is no answer");
        asked[2] |= 0x80;
        let read = answer(&asked, id).expect("a question that is sent back can be read");
        assert_eq!((read.code, read.addresses.len()), (0, 0));
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Returns the answer to a question, with these addresses.
    pub(in crate::host::dns) fn answered(question: &[u8], code: u8, addresses: &[&str]) -> Vec<u8> {
        let mut bytes = question.to_vec();
        bytes[2] |= 0x80;
        bytes[3] |= code;
        bytes[7] = u8::try_from(addresses.len()).unwrap();
        for address in addresses {
            // The name is that of the question.
            bytes.extend([0xC0, 12]);
            let (kind, data) = match address.parse().unwrap() {
                IpAddr::V4(address) => (A, address.octets().to_vec()),
                IpAddr::V6(address) => (AAAA, address.octets().to_vec()),
            };
            bytes.extend(kind.to_be_bytes());
            bytes.extend(INTERNET.to_be_bytes());
            bytes.extend([0, 0, 0, 30]);
            bytes.extend(u16::try_from(data.len()).unwrap().to_be_bytes());
            bytes.extend(data);
        }
        bytes
    }

    #[test]
    fn a_question_is_that_of_rfc_1035() {
        let bytes = question(0x1234, "a.svc.", false).unwrap();
        assert_eq!(
            bytes,
            b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x01a\x03svc\x00\x00\x01\x00\x01"
        );
        assert_eq!(question(1, "a", true).unwrap()[15..], [0, 28, 0, 1]);
        for bad in ["", "a..b", &"a".repeat(64), &"abc.".repeat(64)] {
            assert_eq!(question(1, bad, false), None, "{bad}");
        }
    }

    #[test]
    fn addresses_of_an_answer_are_read_and_other_records_passed_over() {
        let asked = question(7, "kubernetes.default.svc.cluster.local", false).unwrap();
        let mut bytes = answered(&asked, 0, &["10.32.0.1", "fd00::1"]);
        // A CNAME before them would stand here; one behind them is passed over as well.
        bytes[7] += 1;
        bytes.extend([0xC0, 12, 0, 5, 0, 1, 0, 0, 0, 30, 0, 2, 0xC0, 12]);
        let message = answer(&bytes, 7).unwrap();
        assert_eq!((message.code, message.truncated), (0, false));
        let expected: Vec<IpAddr> = ["10.32.0.1", "fd00::1"]
            .map(|text| text.parse().unwrap())
            .to_vec();
        assert_eq!(message.addresses, expected);
    }

    #[test]
    fn what_answers_another_question_or_is_cut_is_none_unless_it_says_that_it_was_cut() {
        let asked = question(7, "a", false).unwrap();
        let mut bytes = answered(&asked, 3, &["10.32.0.1"]);
        assert_eq!(answer(&bytes, 8), None);
        assert_eq!(answer(&asked, 7), None);
        assert_eq!(answer(&bytes, 7).unwrap().code, 3);
        bytes.truncate(bytes.len() - 1);
        assert_eq!(answer(&bytes, 7), None);
        bytes[2] |= 2;
        let cut = answer(&bytes, 7).unwrap();
        assert!(cut.truncated && cut.addresses.is_empty());
    }

    #[test]
    fn whatever_the_bytes_are_they_are_read() {
        for bytes in [&b""[..], b"\0\0\x80", b"a.b", &[0xFF; 600]] {
            read_any(bytes);
        }
        let asked = question(7, "a", false).unwrap();
        read_any(&answered(&asked, 0, &["10.32.0.1"]));
    }
}
