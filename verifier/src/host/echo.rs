//! Echo servers and those who ask them, from the host or from inside a pod's network namespace: TCP and UDP, up to the
//! longest packet that should pass.

mod survey;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rustix::net::sockopt;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::time::timeout;

pub(crate) use survey::survey;

use super::netns::{self, NetnsError, Sandboxes};
use crate::http;
use crate::protocol::{Echo, EchoPorts, EchoReply, EchoServer, Place, Refusal, Transport};

/// The longest that a server serves.
const LONGEST: Duration = Duration::from_mins(5);
/// The most bytes that a server sends back in its life: it is nobody's amplifier.
const BUDGET: u64 = 256 << 20;
/// Connections at once.
const CONNECTIONS: usize = 256;
/// The longest connection, in bytes.
const STREAM: u32 = 1 << 20;
/// The longest datagram.
const DATAGRAM: usize = 65_507;
/// After how long a datagram is sent again.
const AGAIN: Duration = Duration::from_millis(400);
/// The headers of IP and UDP.
const HEADERS_V4: u32 = 20 + 8;
const HEADERS_V6: u32 = 40 + 8;
/// The length of a token, and of the address that a server says behind it over TCP.
const TOKEN: usize = size_of::<u64>();
const ADDRESS: usize = size_of::<u128>();

/// Why an echo could not even be tried.
#[derive(Debug, thiserror::Error)]
pub(crate) enum EchoError {
    /// It could not be done from inside the sandbox.
    #[error(transparent)]
    Netns(#[from] NetnsError),
    /// The server cannot listen.
    #[error("listen on {address}")]
    Listen {
        /// The address.
        address: IpAddr,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
}

impl From<EchoError> for Refusal {
    fn from(error: EchoError) -> Self {
        let told = Self::of(&error);
        let kind = match &error {
            EchoError::Netns(source) => source.kind(),
            EchoError::Listen { .. } => None,
        };
        Self {
            kind: kind.unwrap_or(told.kind),
            ..told
        }
    }
}

/// Starts a server and returns its ports. It lives on without whoever asked for it, and ends by itself.
pub(crate) async fn serve(ask: EchoServer, sandboxes: &Sandboxes) -> Result<EchoPorts, EchoError> {
    let (sender, receiver) = tokio::sync::oneshot::channel();
    let namespace = match &ask.at {
        Place::Host => None,
        Place::Sandbox(id) => Some(sandboxes.namespace(id).await?),
    };
    let work = move || async move {
        match listen(ask.address, ask.udp).await {
            Ok((tcp, udp, ports)) => {
                if sender.send(Ok(ports)).is_ok() {
                    let life = Duration::from_millis(ask.serve_millis).min(LONGEST);
                    let _ = timeout(life, serve_both(tcp, udp, &ask)).await;
                }
            }
            Err(error) => {
                let _ = sender.send(Err(error));
            }
        }
    };
    match namespace {
        None => drop(tokio::spawn(work())),
        Some(namespace) => drop(tokio::spawn(netns::within(namespace, work))),
    }
    match receiver.await {
        Ok(ports) => ports,
        // The thread ended before it listened: it could not enter the namespace.
        Err(_) => Err(EchoError::Netns(NetnsError::Thread)),
    }
}

async fn listen(address: IpAddr, udp: u16) -> Result<(TcpListener, UdpSocket, EchoPorts), EchoError> {
    let failed = |source| EchoError::Listen { address, source };
    let tcp = TcpListener::bind((address, 0)).await.map_err(failed)?;
    let udp = UdpSocket::bind((address, udp)).await.map_err(failed)?;
    let ports = EchoPorts {
        tcp: tcp.local_addr().map_err(failed)?.port(),
        udp: udp.local_addr().map_err(failed)?.port(),
    };
    Ok((tcp, udp, ports))
}

async fn serve_both(tcp: TcpListener, udp: UdpSocket, ask: &EchoServer) {
    let budget = Arc::new(AtomicU64::new(BUDGET));
    tokio::join!(
        serve_tcp(tcp, ask.token, Arc::clone(&budget)),
        serve_udp(udp, ask, budget)
    );
}

/// Returns whether so many bytes may still be sent.
fn pays(budget: &AtomicU64, bytes: usize) -> bool {
    let bytes = bytes as u64;
    budget
        .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
            left.checked_sub(bytes)
        })
        .is_ok()
}

async fn serve_tcp(listener: TcpListener, token: u64, budget: Arc<AtomicU64>) {
    let slots = Arc::new(tokio::sync::Semaphore::new(CONNECTIONS));
    while let Ok(slot) = Arc::clone(&slots).acquire_owned().await {
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(Duration::from_millis(20)).await;
            continue;
        };
        let budget = Arc::clone(&budget);
        tokio::spawn(async move {
            // Whoever stays silent is let go.
            let _ = timeout(Duration::from_secs(30), echo_stream(stream, token, &budget)).await;
            drop(slot);
        });
    }
}

async fn echo_stream(mut stream: TcpStream, token: u64, budget: &AtomicU64) -> std::io::Result<()> {
    let mut head = [0; TOKEN];
    stream.read_exact(&mut head).await?;
    if u64::from_be_bytes(head) != token || !pays(budget, TOKEN + ADDRESS) {
        return Ok(());
    }
    stream.write_all(&head).await?;
    let peer = stream.peer_addr()?.ip();
    stream.write_all(&octets(peer)).await?;
    let mut buffer = vec![0; 16 << 10];
    loop {
        let got = stream.read(&mut buffer).await?;
        if got == 0 || !pays(budget, got) {
            return stream.shutdown().await;
        }
        stream.write_all(&buffer[..got]).await?;
    }
}

async fn serve_udp(socket: UdpSocket, ask: &EchoServer, budget: Arc<AtomicU64>) {
    let mut buffer = vec![0; DATAGRAM];
    loop {
        // An error is that of an earlier answer: nobody listens there any more.
        let Ok((got, from)) = socket.recv_from(&mut buffer).await else {
            continue;
        };
        if buffer[..got].first_chunk::<TOKEN>() != Some(&ask.token.to_be_bytes()) {
            continue;
        }
        let mut answer = got;
        if got == TOKEN {
            buffer[TOKEN..2 * TOKEN].copy_from_slice(&ask.mark.to_be_bytes());
            answer += TOKEN;
        }
        if pays(&budget, answer) {
            let _ = socket.send_to(&buffer[..answer], from).await;
        }
    }
}

/// Sends bytes to a server and waits for them.
pub(crate) async fn ask(ask: Echo, sandboxes: &Sandboxes) -> Result<EchoReply, EchoError> {
    match &ask.from {
        Place::Host => Ok(converse(ask).await),
        Place::Sandbox(id) => {
            let namespace = sandboxes.namespace(id).await?;
            Ok(netns::within(namespace, move || converse(ask)).await?)
        }
    }
}

async fn converse(ask: Echo) -> EchoReply {
    let mut seen = Seen::default();
    let limit = Duration::from_millis(ask.timeout_millis).min(LONGEST);
    let start = Instant::now();
    let sent = async {
        match ask.by {
            Transport::Tcp(bytes) => by_tcp(&ask, bytes.min(STREAM) as usize, &mut seen).await,
            Transport::Udp(bytes) => by_udp(&ask, Some(bytes), false, &mut seen).await,
            Transport::WholeUdp(bytes) => by_udp(&ask, Some(bytes), true, &mut seen).await,
            Transport::LargestUdp => by_udp(&ask, None, true, &mut seen).await,
        }
    };
    let ended = timeout(limit, sent).await;
    let Seen {
        bytes,
        back,
        as_other,
    } = seen;
    match ended {
        Ok(Ok(())) => EchoReply::Back {
            bytes,
            millis: u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX),
            seen_as: as_other,
        },
        Ok(Err(error)) => EchoReply::Broken {
            bytes,
            error: http::words(&error),
        },
        Err(_) => EchoReply::Silent { bytes, back },
    }
}

/// How far an echo came.
#[derive(Default)]
struct Seen {
    bytes: u32,
    back: u32,
    /// The address that the server saw in place of ours.
    as_other: Option<IpAddr>,
}

/// Returns an address as 16 bytes, one of IPv4 as IPv6 maps it.
const fn octets(address: IpAddr) -> [u8; ADDRESS] {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped().octets(),
        IpAddr::V6(address) => address.octets(),
    }
}

fn count(bytes: usize) -> u32 {
    u32::try_from(bytes).unwrap_or(u32::MAX)
}

/// Returns bytes that begin with the token and are no two alike for long, so that a wrong order shows.
fn payload(token: u64, length: usize) -> Vec<u8> {
    let counted = (0..251_u8).cycle();
    token
        .to_be_bytes()
        .into_iter()
        .chain(counted)
        .take(length.max(TOKEN))
        .collect()
}

async fn by_tcp(ask: &Echo, length: usize, seen: &mut Seen) -> std::io::Result<()> {
    let sent = payload(ask.token, length);
    seen.bytes = count(sent.len());
    let stream = TcpStream::connect(ask.to).await?;
    let own = stream.local_addr()?.ip().to_canonical();
    let (mut reader, mut writer) = stream.into_split();
    let write = async {
        writer.write_all(&sent).await?;
        writer.shutdown().await
    };
    let read = async {
        let mut head = [0; TOKEN];
        reader.read_exact(&mut head).await?;
        if sent.first_chunk::<TOKEN>() != Some(&head) {
            return Err(other_bytes());
        }
        seen.back = count(TOKEN);
        let mut address = [0; ADDRESS];
        reader.read_exact(&mut address).await?;
        let peer = IpAddr::from(address).to_canonical();
        seen.as_other = (peer != own).then_some(peer);
        let mut back = vec![0; 16 << 10];
        while (seen.back as usize) < sent.len() {
            let at = seen.back as usize;
            let got = reader.read(&mut back).await?;
            if got == 0 {
                return Err(std::io::ErrorKind::UnexpectedEof.into());
            }
            if sent.get(at..at + got) != Some(&back[..got]) {
                return Err(other_bytes());
            }
            seen.back += count(got);
        }
        Ok(())
    };
    let (written, read) = tokio::join!(write, read);
    read.and(written)
}

fn other_bytes() -> std::io::Error {
    std::io::Error::other("other bytes came back than were sent")
}

/// Sends one datagram until it comes back. `length`: its bytes; absent: as many as the way takes, to begin with the MTU of
/// the interface. `whole`: it must not be cut on its way.
async fn by_udp(ask: &Echo, length: Option<u16>, whole: bool, seen: &mut Seen) -> std::io::Result<()> {
    let any: IpAddr = match ask.to {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = UdpSocket::bind((any, 0)).await?;
    socket.connect(ask.to).await?;
    if whole {
        keep_whole(&socket, ask.to)?;
    }
    let longest = |socket: &UdpSocket| match length {
        Some(bytes) => Ok(usize::from(bytes)),
        None => longest(socket, ask.to),
    };
    let mut sent = payload(ask.token, longest(&socket)?.clamp(TOKEN, DATAGRAM));
    let mut back = vec![0; DATAGRAM];
    loop {
        seen.bytes = count(sent.len());
        match socket.send(&sent).await {
            // A router on the way said what it takes: that is how it should be, and that much must pass.
            Err(error) if is_too_long(&error) && length.is_none() => {
                let shorter = longest(&socket)?.clamp(TOKEN, DATAGRAM);
                if shorter >= sent.len() {
                    return Err(error);
                }
                sent = payload(ask.token, shorter);
                continue;
            }
            sent => sent?,
        };
        match timeout(AGAIN, socket.recv(&mut back)).await {
            Ok(Ok(got)) if back[..got] == sent => {
                seen.back = seen.bytes;
                return Ok(());
            }
            // What a router says comes with any call.
            Ok(Err(error)) if is_too_long(&error) && length.is_none() => {
                sent = payload(ask.token, longest(&socket)?.clamp(TOKEN, DATAGRAM));
            }
            Ok(Err(error)) => return Err(error),
            Ok(Ok(_)) | Err(_) => {}
        }
    }
}

fn is_too_long(error: &std::io::Error) -> bool {
    error.raw_os_error() == Some(rustix::io::Errno::MSGSIZE.raw_os_error())
}

/// Makes the kernel send datagrams whole or not at all.
fn keep_whole(socket: &UdpSocket, to: SocketAddr) -> std::io::Result<()> {
    match to {
        SocketAddr::V4(_) => sockopt::set_ip_mtu_discover(socket, sockopt::Ipv4PathMtuDiscovery::DO)?,
        SocketAddr::V6(_) => sockopt::set_ipv6_mtu_discover(socket, sockopt::Ipv6PathMtuDiscovery::DO)?,
    }
    Ok(())
}

/// Returns the bytes of the longest datagram that passes whole, as far as the kernel knows the way: the MTU of the interface
/// until somebody on the way says less.
fn longest(socket: &UdpSocket, to: SocketAddr) -> std::io::Result<usize> {
    let bytes = match to {
        SocketAddr::V4(_) => sockopt::ip_mtu(socket)?.saturating_sub(HEADERS_V4),
        SocketAddr::V6(_) => sockopt::ipv6_mtu(socket)?.saturating_sub(HEADERS_V6),
    };
    Ok(bytes as usize)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::EchoSurvey;

    async fn server(token: u64) -> EchoPorts {
        let ask = EchoServer {
            at: Place::Host,
            address: Ipv4Addr::LOCALHOST.into(),
            udp: 0,
            token,
            mark: 42,
            serve_millis: 20_000,
        };
        serve(ask, &Sandboxes::default()).await.unwrap()
    }

    async fn echo(port: u16, token: u64, by: Transport) -> EchoReply {
        let ask = Echo {
            to: (Ipv4Addr::LOCALHOST, port).into(),
            from: Place::Host,
            token,
            by,
            timeout_millis: 1500,
        };
        super::ask(ask, &Sandboxes::default()).await.unwrap()
    }

    #[tokio::test]
    async fn what_is_sent_comes_back_by_either_protocol() {
        let ports = server(7).await;
        let bytes = |reply| match reply {
            EchoReply::Back { bytes, .. } => bytes,
            other => panic!("{other:?}"),
        };
        assert_eq!(bytes(echo(ports.tcp, 7, Transport::Tcp(65_536)).await), 65_536);
        let shortest = echo(ports.tcp, 7, Transport::Tcp(0)).await;
        assert!(
            matches!(shortest, EchoReply::Back { seen_as: None, .. }),
            "{shortest:?}"
        );
        assert_eq!(bytes(echo(ports.udp, 7, Transport::Udp(64)).await), 64);
        assert_eq!(bytes(echo(ports.udp, 7, Transport::WholeUdp(1200)).await), 1200);
        // The loopback's MTU is longer than a datagram.
        assert_eq!(
            bytes(echo(ports.udp, 7, Transport::LargestUdp).await) as usize,
            DATAGRAM
        );
    }

    #[tokio::test]
    async fn a_datagram_of_the_token_alone_is_answered_with_who_answers() {
        let ports = server(7).await;
        let ask = |port, token| {
            let ask = EchoSurvey {
                to: (Ipv4Addr::LOCALHOST, port).into(),
                from: Place::Host,
                token,
                datagrams: 5,
                timeout_millis: 300,
            };
            async move { survey(ask, &Sandboxes::default()).await.unwrap() }
        };
        let found = ask(ports.udp, 7).await;
        assert_eq!((found.answered, found.lost), (vec![(42, 5)], 0));
        let stranger = ask(ports.udp, 8).await;
        assert_eq!((stranger.lost, stranger.error), (5, None));
    }

    #[tokio::test]
    async fn who_does_not_know_the_token_gets_nothing_back() {
        let ports = server(7).await;
        assert_eq!(
            echo(ports.udp, 8, Transport::Udp(64)).await,
            EchoReply::Silent { bytes: 64, back: 0 }
        );
        let broken = echo(ports.tcp, 8, Transport::Tcp(64)).await;
        assert!(
            matches!(broken, EchoReply::Broken { bytes: 64, .. }),
            "{broken:?}"
        );
    }

    #[tokio::test]
    async fn a_port_on_which_nobody_listens_is_told_apart_from_silence() {
        let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let port = socket.local_addr().unwrap().port();
        drop(socket);
        let broken = echo(port, 7, Transport::Udp(64)).await;
        assert!(matches!(broken, EchoReply::Broken { .. }), "{broken:?}");
    }
}
