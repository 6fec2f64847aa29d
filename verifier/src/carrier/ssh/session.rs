//! One SSH connection: the way to the host, the handshake with a strict host key, the login.

use std::io;
use std::process::Stdio;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime};

use russh::ChannelOpenFailure;
use russh::client::{self, Handle};
use russh::keys::{HashAlg, PublicKey};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::process::Command;

use super::bastions::Bastions;
use super::error::Side;
use super::host_keys::{HandshakeError, HostKeys};
use super::known_hosts::{KnownHosts, Names, UnreadableRevocation, Verdict};
use super::logged_in::{Below, Session};
use super::patience::Patience;
use super::{ConnectError, KNOWN_HOSTS, Limit, Route, Target, algorithms, auth};

/// Anything that SSH can run over.
trait Wire: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Wire for T {}

/// What a handshake is for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Purpose {
    Login,
    /// The host key is looked at, whatever it is.
    Look,
}

/// A handshake that a host was asked for.
struct Handshake {
    result: Result<Handle<HostKeys>, HandshakeError>,
    /// The key that it showed.
    shown: Option<PublicKey>,
    names: Names,
    below: Below,
}

/// Logs in.
pub(super) async fn open(
    target: &Target,
    limit: &Limit,
    bastions: &Bastions,
) -> Result<Session, ConnectError> {
    let made = handshake(target, limit, bastions, Purpose::Login).await?;
    let mut handle = made
        .result
        .map_err(|error| refusal(target, error, made.shown.as_ref()))?;
    limit
        .step("the login", auth::login(&mut handle, target))
        .await??;
    Ok(Session::new(handle, made.below))
}

/// Returns the key that the host shows and what known_hosts says of it, without a login.
pub(super) async fn look(
    target: &Target,
    limit: &Limit,
    bastions: &Bastions,
) -> Result<(PublicKey, Verdict, Names), ConnectError> {
    let made = handshake(target, limit, bastions, Purpose::Look).await?;
    match (made.result, made.shown) {
        (Err(HandshakeError::Key(verdict)), Some(key)) => Ok((key, verdict, made.names)),
        (Err(error), key) => Err(refusal(target, error, key.as_ref())),
        // The handshake cannot succeed while only looking.
        (Ok(_), _) => Err(ConnectError::broken(target, russh::Error::Inconsistent)),
    }
}

/// Shakes hands. An sshd with too many logins on its hands (MaxStartups) closes connections at random before they have
/// said anything, and so do firewalls: that is tried again, some times, ever later.
async fn handshake(
    target: &Target,
    limit: &Limit,
    bastions: &Bastions,
    purpose: Purpose,
) -> Result<Handshake, ConnectError> {
    let mut patience = Patience::default();
    loop {
        let mut made = attempt(target, limit, bastions, purpose).await?;
        let Err(HandshakeError::Ssh(error)) = &made.result else {
            return Ok(made);
        };
        if !is_closed(error) {
            return Ok(made);
        }
        let ended = ended(&mut made.below).await;
        if let Some(status) = ended.filter(|status| matches!(status.code(), Some(126 | 127))) {
            return Err(ConnectError::ProxyEnded {
                host: target.to_string(),
                status: status.to_string(),
            });
        }
        let Some(pause) = patience.next().filter(|pause| *pause < limit.rest()) else {
            return Err(match (ended, made.result) {
                (Some(status), _) => ConnectError::ProxyEnded {
                    host: target.to_string(),
                    status: status.to_string(),
                },
                (None, Err(HandshakeError::Ssh(error))) => ConnectError::Dropped {
                    host: target.to_string(),
                    times: patience.taken(),
                    source: error.into(),
                },
                (None, Ok(_) | Err(_)) => ConnectError::broken(target, russh::Error::Inconsistent),
            });
        };
        tokio::time::sleep(pause).await;
    }
}

async fn attempt(
    target: &Target,
    limit: &Limit,
    bastions: &Bastions,
    purpose: Purpose,
) -> Result<Handshake, ConnectError> {
    let known = read_known_hosts(target)?;
    let names = Names::new(&[&target.address, &target.name], target.port);
    let certified = known.authorities(&names).next().is_some();
    let config = Arc::new(client::Config {
        nodelay: true,
        keepalive_interval: Some(Duration::from_secs(15)),
        keepalive_max: 4,
        preferred: algorithms::offer(&known.algorithms(&names), certified),
        ..client::Config::default()
    });
    let (wire, below) = wire(target, limit, bastions).await?;
    let shown = Arc::new(OnceLock::new());
    let keys = HostKeys {
        known,
        names: names.clone(),
        shown: Arc::clone(&shown),
        only_look: purpose == Purpose::Look,
        now: SystemTime::UNIX_EPOCH
            .elapsed()
            .map_or(0, |since| since.as_secs()),
    };
    let result = limit
        .step("the SSH handshake", client::connect_stream(config, wire, keys))
        .await?;
    Ok(Handshake {
        result,
        shown: shown.get().cloned(),
        names,
        below,
    })
}

/// Returns whether the other side, or something on the way, just ended the connection.
fn is_closed(error: &russh::Error) -> bool {
    match error {
        russh::Error::Disconnect | russh::Error::HUP | russh::Error::SendError => true,
        russh::Error::IO(error) => matches!(
            error.kind(),
            io::ErrorKind::UnexpectedEof
                | io::ErrorKind::ConnectionReset
                | io::ErrorKind::ConnectionAborted
                | io::ErrorKind::BrokenPipe
        ),
        _ => false,
    }
}

/// Returns how a proxy command ended, if it is one that did.
async fn ended(below: &mut Below) -> Option<std::process::ExitStatus> {
    let Below::Command(child) = below else { return None };
    // Its streams are closed: it ends now, or it is none that ends.
    let ended = tokio::time::timeout(Duration::from_secs(1), child.wait()).await;
    ended.ok()?.ok()
}

fn read_known_hosts(target: &Target) -> Result<KnownHosts, ConnectError> {
    let path = &target.known_hosts;
    let text = match KNOWN_HOSTS.read_text(path) {
        Ok(text) => text,
        // No file is an empty file: every key is unknown then.
        Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
        Err(source) => {
            return Err(ConnectError::KnownHosts {
                path: path.clone(),
                source,
            });
        }
    };
    KnownHosts::parse(&text).map_err(|UnreadableRevocation(line)| ConnectError::KnownHostsLine {
        path: path.clone(),
        line,
    })
}

fn refusal(target: &Target, error: HandshakeError, shown: Option<&PublicKey>) -> ConnectError {
    let host = target.to_string();
    let (verdict, key) = match (error, shown) {
        (HandshakeError::Key(verdict), Some(key)) => (verdict, key),
        (HandshakeError::Ssh(error), _) => return ConnectError::broken(target, error),
        (HandshakeError::Certificate(flaw), _) => {
            return ConnectError::HostCertificate {
                host,
                known_hosts: target.known_hosts.clone(),
                source: Box::new(flaw),
            };
        }
        (error @ HandshakeError::Key(_), None) => {
            return ConnectError::Ssh {
                host,
                source: error.into(),
            };
        }
    };
    let algorithm = key.algorithm().to_string();
    let fingerprint = key.fingerprint(HashAlg::Sha256).to_string();
    let known_hosts = target.known_hosts.clone();
    match verdict {
        Verdict::Revoked(line) => ConnectError::HostKeyRevoked {
            host,
            fingerprint,
            known_hosts,
            line,
        },
        Verdict::Changed(line) => ConnectError::HostKeyChanged {
            host,
            algorithm,
            fingerprint,
            known_hosts,
            line,
        },
        Verdict::Unknown | Verdict::Known => ConnectError::HostKeyUnknown {
            host,
            algorithm,
            fingerprint,
        },
    }
}

/// Opens what SSH runs over.
async fn wire(
    target: &Target,
    limit: &Limit,
    bastions: &Bastions,
) -> Result<(Box<dyn Wire>, Below), ConnectError> {
    match &target.route {
        Route::Direct => Ok((Box::new(tcp(target, limit).await?), Below::Nothing)),
        Route::Bastion(outer) => through(target, outer, limit, bastions).await,
        Route::Command(command) => proxy(target, command),
    }
}

async fn tcp(target: &Target, limit: &Limit) -> Result<TcpStream, ConnectError> {
    let looked_up = tokio::net::lookup_host((target.address.as_str(), target.port));
    let addresses: Vec<_> = limit
        .step("the look-up of the name", looked_up)
        .await?
        .map_err(|source| match std::fs::File::open("/dev/null") {
            // The resolver says only that it failed; its sockets are files too.
            Err(source) if matches!(source.raw_os_error(), Some(24 | 23)) => ConnectError::Descriptors {
                host: target.to_string(),
                source,
            },
            _ => ConnectError::NameUnknown {
                address: target.address.clone(),
                source,
            },
        })?
        .collect();
    let connected = limit
        .step("a TCP connection", TcpStream::connect(addresses.as_slice()))
        .await?;
    let stream = connected.map_err(|source| {
        let host = target.to_string();
        match (source.kind(), source.raw_os_error()) {
            (io::ErrorKind::ConnectionRefused, _) => ConnectError::Refused { host, source },
            (io::ErrorKind::TimedOut, _) => ConnectError::Timeout {
                host,
                what: "a TCP connection",
            },
            // EMFILE and ENFILE: this says nothing of the host.
            (_, Some(24 | 23)) => ConnectError::Descriptors { host, source },
            _ => ConnectError::NoRoute { host, source },
        }
    })?;
    // Nagle's algorithm would delay every small request; without this it is only slower.
    let _ = stream.set_nodelay(true);
    Ok(stream)
}

/// Opens a channel of the bastion's connection, which all hosts behind it share.
async fn through(
    target: &Target,
    outer: &Target,
    limit: &Limit,
    bastions: &Bastions,
) -> Result<(Box<dyn Wire>, Below), ConnectError> {
    let host = target.to_string();
    loop {
        // It gives up itself when a bastion's connection breaks again and again.
        let outers = limit.of(outer);
        let opening = Box::pin(open(outer, &outers, bastions));
        let session = bastions
            .session(outer, &outers, opening)
            .await
            .map_err(|source| ConnectError::BastionUnreached {
                bastion: outer.to_string(),
                host: host.clone(),
                source: Side(source),
            })?;
        let opened = session.handle.channel_open_direct_tcpip(
            target.address.clone(),
            u32::from(target.port),
            "127.0.0.1",
            0,
        );
        match limit.step("the bastion's connection", opened).await? {
            Ok(channel) => return Ok((Box::new(channel.into_stream()), Below::Bastion(session))),
            Err(russh::Error::ChannelOpenFailure(ChannelOpenFailure::ConnectFailed)) => {
                return Err(ConnectError::BastionConnects {
                    bastion: outer.to_string(),
                    host,
                });
            }
            Err(error) if is_closed(&error) => {}
            Err(source) => {
                return Err(ConnectError::Bastion {
                    bastion: outer.to_string(),
                    host,
                    source: source.into(),
                });
            }
        }
    }
}

fn proxy(target: &Target, command: &str) -> Result<(Box<dyn Wire>, Below), ConnectError> {
    let fail = |source| ConnectError::ProxyCommand {
        host: target.to_string(),
        source,
    };
    let command = command
        .replace("%h", &target.address)
        .replace("%p", &target.port.to_string())
        .replace("%r", &target.user);
    let mut child = Command::new("sh")
        .arg("-c")
        .arg(format!("exec {command}"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(fail)?;
    let (Some(stdin), Some(stdout)) = (child.stdin.take(), child.stdout.take()) else {
        return Err(fail(io::Error::other("no pipes")));
    };
    Ok((Box::new(tokio::io::join(stdout, stdin)), Below::Command(child)))
}
