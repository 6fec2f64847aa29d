//! What keeps this host's clock right: the kernel's own account, and the words of time services that answer on loopback.

use std::net::Ipv4Addr;
use std::time::Duration;

use tokio::net::UdpSocket;
use tokio::time::timeout;

use super::kernel_clock::kernel_clock;
use crate::protocol::{TimeProtocol, TimeService, TimeSourceReply};

/// A service on this very host answers in milliseconds; where none listens the kernel says so at once.
const ANSWER: Duration = Duration::from_millis(500);
/// A leap indicator that says that there is no source.
const NO_SOURCE: u16 = 3;

/// Asks all of them.
pub(crate) async fn time_source() -> TimeSourceReply {
    let ntp = async { ntp_reply(&ask(123, &ntp_question()).await?) };
    let chrony = async { chrony_reply(&ask(323, &chrony_question()).await?) };
    let (chrony, ntp) = futures::join!(chrony, ntp);
    TimeSourceReply {
        kernel: kernel_clock(),
        services: chrony.into_iter().chain(ntp).collect(),
    }
}

/// Sends a question to a port of loopback and returns what comes back from there.
async fn ask(port: u16, question: &[u8]) -> Option<Vec<u8>> {
    let asked = async {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.ok()?;
        socket.connect((Ipv4Addr::LOCALHOST, port)).await.ok()?;
        socket.send(question).await.ok()?;
        let mut answer = vec![0; 1024];
        let length = socket.recv(&mut answer).await.ok()?;
        answer.truncate(length);
        Some(answer)
    };
    timeout(ANSWER, asked).await.ok()?
}

/// A client's packet of NTP version 4 (RFC 5905, 7.3).
fn ntp_question() -> [u8; 48] {
    let mut packet = [0; 48];
    packet[0] = 4 << 3 | 3;
    packet
}

fn ntp_reply(packet: &[u8]) -> Option<TimeService> {
    let (first, stratum) = (*packet.first()?, *packet.get(1)?);
    let is_server = packet.len() >= 48 && first & 7 == 4;
    is_server.then(|| TimeService {
        asked: TimeProtocol::Ntp,
        synchronised: u16::from(first >> 6) != NO_SOURCE && stratum > 0 && stratum < 16,
        stratum: stratum.into(),
    })
}

/// The numbers of chrony's candm.h: a request of version 6 for its tracking.
const VERSION: u8 = 6;
const REQUEST: u8 = 1;
const REPLY: u8 = 2;
const TRACKING: u16 = 33;
const TRACKING_REPLY: u16 = 5;
/// The whole answer, which the request must be as long as.
const CHRONY: usize = 104;
/// Where in it stratum and leap indicator lie: behind its head of 28 bytes, the reference's id and address.
const STRATUM: usize = 28 + 4 + 20;

fn chrony_question() -> [u8; CHRONY] {
    let mut packet = [0; CHRONY];
    packet[0] = VERSION;
    packet[1] = REQUEST;
    packet[4..6].copy_from_slice(&TRACKING.to_be_bytes());
    packet
}

fn chrony_reply(packet: &[u8]) -> Option<TimeService> {
    let number = |at: usize| Some(u16::from_be_bytes(packet.get(at..at + 2)?.try_into().ok()?));
    let is_tracking = packet.starts_with(&[VERSION, REPLY])
        && number(4)? == TRACKING
        && number(6)? == TRACKING_REPLY
        && number(8)? == 0;
    let (stratum, leap) = (number(STRATUM)?, number(STRATUM + 2)?);
    is_tracking.then_some(TimeService {
        asked: TimeProtocol::Chrony,
        synchronised: leap != NO_SOURCE,
        stratum,
    })
}

/// Reads bytes as each of the answers.
#[cfg(any(test, feature = "fuzzing"))]
pub(super) fn read(bytes: &[u8]) {
    if let Some(told) = ntp_reply(bytes) {
        assert!(!told.synchronised || told.stratum < 16, "a source too far away");
    }
    let tracking = chrony_reply(bytes);
    assert!(
        tracking.is_none() || bytes.len() >= STRATUM + 4,
        "an answer of nothing"
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_of_ntp_without_a_source_says_so() {
        let mut packet = [0_u8; 48];
        packet[0] = 4 << 3 | 4;
        packet[1] = 2;
        assert!(ntp_reply(&packet).unwrap().synchronised);
        packet[0] |= 3 << 6;
        assert!(!ntp_reply(&packet).unwrap().synchronised);
        packet[0] = 4 << 3 | 4;
        packet[1] = 0;
        assert!(!ntp_reply(&packet).unwrap().synchronised);
        assert_eq!(ntp_reply(&ntp_question()), None);
        assert_eq!(ntp_reply(&packet[..10]), None);
    }

    #[test]
    fn chrony_s_answer_tells_leap_and_stratum() {
        let mut packet = chrony_question();
        packet[1] = REPLY;
        packet[6..8].copy_from_slice(&TRACKING_REPLY.to_be_bytes());
        packet[STRATUM + 1] = 10;
        let told = chrony_reply(&packet).unwrap();
        assert_eq!((told.stratum, told.synchronised), (10, true));
        packet[STRATUM + 3] = 3;
        assert!(!chrony_reply(&packet).unwrap().synchronised);
        // STT_UNAUTH, another version, a piece: nothing is known.
        packet[9] = 2;
        assert_eq!(chrony_reply(&packet), None);
        assert_eq!(chrony_reply(&packet[..60]), None);
        assert_eq!(chrony_reply(&[]), None);
    }
}
