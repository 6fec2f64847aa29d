//! What a pod's programs are told of DNS, and questions to DNS servers from inside a pod's network namespace. No name is
//! looked up by the C library: each server is asked on its own, by either protocol.

mod message;

use std::io::{self, Read as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::OFlags;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::timeout;

#[cfg(any(test, feature = "fuzzing"))]
pub(crate) use message::read_any;

use super::facts;
use super::netns::{self, NetnsError, Sandboxes};
use crate::http;
use crate::protocol::{Dns, DnsBy, DnsQuestion, DnsReply, Refusal, Resolver, ResolverReply};

/// The longest that a question may take.
const LONGEST: Duration = Duration::from_secs(30);
/// After how long a datagram is sent again.
const AGAIN: Duration = Duration::from_millis(500);
/// The longest answer over a connection that is read; over UDP none is longer than its datagram.
const ANSWER: usize = 16 << 10;
/// The longest `resolv.conf` that is read.
const FILE: u64 = 64 << 10;
const RESOLV_CONF: &str = "etc/resolv.conf";

/// Why a pod's DNS could not even be looked at.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DnsError {
    /// It could not be done from inside the pod.
    #[error(transparent)]
    Netns(#[from] NetnsError),
    /// The pod's file cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl From<DnsError> for Refusal {
    fn from(error: DnsError) -> Self {
        let told = Self::of(&error);
        let kind = match &error {
            DnsError::Netns(source) => source.kind(),
            DnsError::Read { .. } => None,
        };
        Self {
            kind: kind.unwrap_or(told.kind),
            ..told
        }
    }
}

/// Returns what the programs of a container are told of DNS.
pub(crate) async fn resolver(ask: Resolver, containers: &Sandboxes) -> Result<ResolverReply, DnsError> {
    let root = containers.process(&ask.container).await?.join("root");
    let path = root.join(RESOLV_CONF);
    match text_of(&path) {
        Ok(text) => Ok(facts::resolver(&text)),
        Err(source) => Err(DnsError::Read { path, source }),
    }
}

/// Reads a file of a container. A link is not followed: it would lead out of the container.
fn text_of(path: &Path) -> io::Result<String> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let file = rustix::fs::open(path, flags, rustix::fs::Mode::empty())?;
    let mut bytes = Vec::new();
    std::fs::File::from(file).take(FILE).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Asks all questions at once; returns how each ended, in their order.
pub(crate) async fn ask(ask: Dns, containers: &Sandboxes) -> Result<Vec<DnsReply>, DnsError> {
    let namespace = containers.namespace(&ask.container).await?;
    let limit = Duration::from_millis(ask.timeout_millis).min(LONGEST);
    let questions: Vec<DnsQuestion> = ask.questions.into_iter().take(Dns::MOST).collect();
    let work = move || async move {
        let asked = questions.iter().map(|question| converse(question, limit));
        futures::future::join_all(asked).await
    };
    Ok(netns::within(namespace, work).await?)
}

async fn converse(question: &DnsQuestion, limit: Duration) -> DnsReply {
    let id = random();
    let Some(sent) = message::question(id, &question.name, question.v6) else {
        return broken(&io::ErrorKind::InvalidInput.into());
    };
    let start = Instant::now();
    let mut connected = false;
    let asked = async {
        match question.by {
            DnsBy::Udp => by_udp(question.server, id, &sent).await,
            DnsBy::Tcp => by_tcp(question.server, id, &sent, &mut connected).await,
        }
    };
    match timeout(limit, asked).await {
        Ok(Ok(message)) => DnsReply::Answer {
            code: message.code,
            truncated: message.truncated,
            addresses: message.addresses.into_iter().take(DnsReply::MOST).collect(),
            millis: u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX),
        },
        Ok(Err(error)) => broken(&error),
        Err(_) => DnsReply::Silent { connected },
    }
}

fn broken(error: &io::Error) -> DnsReply {
    DnsReply::Broken {
        error: http::words(error),
    }
}

/// Returns a number that nobody can guess who does not see the question.
fn random() -> u16 {
    use std::hash::{BuildHasher as _, Hasher as _};
    let number = std::hash::RandomState::new().build_hasher().finish();
    u16::try_from(number & u64::from(u16::MAX)).unwrap_or_default()
}

async fn by_udp(server: SocketAddr, id: u16, sent: &[u8]) -> io::Result<message::Message> {
    let any: IpAddr = match server {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = UdpSocket::bind((any, 0)).await?;
    socket.connect(server).await?;
    let mut answer = vec![0; ANSWER];
    loop {
        socket.send(sent).await?;
        let since = Instant::now();
        // What is no answer to this question is somebody else's, and does not end the wait.
        while let Some(left) = AGAIN.checked_sub(since.elapsed()) {
            let Ok(got) = timeout(left, socket.recv(&mut answer)).await else {
                break;
            };
            if let Some(message) = message::answer(&answer[..got?], id) {
                return Ok(message);
            }
        }
    }
}

async fn by_tcp(
    server: SocketAddr,
    id: u16,
    sent: &[u8],
    connected: &mut bool,
) -> io::Result<message::Message> {
    let mut stream = TcpStream::connect(server).await?;
    *connected = true;
    // RFC 1035, 4.2.2: the length comes first; in one packet, as some servers want it.
    let length = u16::try_from(sent.len()).map_err(io::Error::other)?;
    stream
        .write_all(&[&length.to_be_bytes()[..], sent].concat())
        .await?;
    let length = usize::from(stream.read_u16().await?);
    let mut answer = vec![0; length];
    stream.read_exact(&mut answer).await?;
    message::answer(&answer, id).ok_or_else(|| io::ErrorKind::InvalidData.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Answers every question over UDP with an address, the first one not at all.
    async fn server() -> SocketAddr {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap();
        tokio::spawn(async move {
            let mut buffer = vec![0; 512];
            let mut asked = 0;
            while let Ok((got, from)) = socket.recv_from(&mut buffer).await {
                asked += 1;
                if asked > 1 {
                    let _ = socket.send_to(b"no answer to anything", from).await;
                    let answer = message::tests::answered(&buffer[..got], 0, &["10.32.0.1"]);
                    let _ = socket.send_to(&answer, from).await;
                }
            }
        });
        address
    }

    fn question(server: SocketAddr, by: DnsBy) -> DnsQuestion {
        DnsQuestion {
            server,
            name: "kubernetes.default.svc.cluster.local".to_owned(),
            v6: false,
            by,
        }
    }

    #[tokio::test]
    async fn a_datagram_that_is_lost_is_sent_again_and_noise_is_no_answer() {
        let server = server().await;
        let reply = converse(&question(server, DnsBy::Udp), Duration::from_secs(5)).await;
        let DnsReply::Answer {
            code: 0, addresses, ..
        } = reply
        else {
            panic!("{reply:?}");
        };
        assert_eq!(addresses, ["10.32.0.1".parse::<IpAddr>().unwrap()]);
    }

    #[tokio::test]
    async fn nobody_who_listens_is_told_apart_from_silence() {
        let server = server().await;
        let reply = converse(&question(server, DnsBy::Tcp), Duration::from_secs(5)).await;
        assert!(matches!(reply, DnsReply::Broken { .. }), "{reply:?}");
        let deaf = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let reply = converse(
            &question(deaf.local_addr().unwrap(), DnsBy::Udp),
            Duration::from_millis(50),
        )
        .await;
        assert_eq!(reply, DnsReply::Silent { connected: false });
    }

    #[test]
    fn a_container_s_link_is_not_followed() {
        let directory = tempfile::tempdir().unwrap();
        let link = directory.path().join("resolv.conf");
        std::os::unix::fs::symlink("/etc/passwd", &link).unwrap();
        assert!(text_of(&link).is_err());
        let file = directory.path().join("file");
        std::fs::write(&file, "nameserver 10.32.0.10\n").unwrap();
        assert_eq!(text_of(&file).unwrap(), "nameserver 10.32.0.10\n");
    }
}
