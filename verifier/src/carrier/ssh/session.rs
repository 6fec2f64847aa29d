//! One SSH connection: the way to the host, the handshake with a strict host key, the login.

use std::borrow::Cow;
use std::io;
use std::process::Stdio;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use russh::client::{self, Handle};
use russh::keys::{Algorithm, HashAlg, PublicKey};
use russh::{Preferred, cipher};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};

use super::host_keys::{HandshakeError, HostKeys};
use super::known_hosts::{KnownHosts, Names, UnreadableRevocation, Verdict};
use super::{ConnectError, Escalation, Limit, Route, Target, auth};

/// A logged-in connection with everything that it stands on.
pub(super) struct Session {
    pub(super) handle: Handle<HostKeys>,
    _below: Below,
}

/// What carries the connection and must live as long.
enum Below {
    Nothing,
    Bastion(#[expect(dead_code, reason = "held, not used")] Box<Session>),
    Command(#[expect(dead_code, reason = "held, not used")] Child),
}

/// Anything that SSH can run over.
trait Wire: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Wire for T {}

/// Logs in.
pub(super) async fn open(target: &Target, limit: &Limit) -> Result<Session, ConnectError> {
    let known = read_known_hosts(target)?;
    let names = names(target);
    let config = config(&known.algorithms(&names));
    let (wire, below) = wire(target, limit).await?;
    let shown = Arc::new(OnceLock::new());
    let keys = HostKeys {
        known,
        names,
        shown: Arc::clone(&shown),
        only_look: false,
    };
    let connected = limit
        .step("the SSH handshake", client::connect_stream(config, wire, keys))
        .await?;
    let mut handle = connected.map_err(|error| refusal(target, error, shown.get()))?;
    limit
        .step("the login", auth::login(&mut handle, target))
        .await??;
    Ok(Session {
        handle,
        _below: below,
    })
}

/// Returns the key that the host shows and what known_hosts says of it, without a login.
pub(super) async fn look(
    target: &Target,
    limit: &Limit,
) -> Result<(PublicKey, Verdict, Names), ConnectError> {
    let known = read_known_hosts(target)?;
    let names = names(target);
    let config = config(&known.algorithms(&names));
    let (wire, _below) = wire(target, limit).await?;
    let shown = Arc::new(OnceLock::new());
    let keys = HostKeys {
        known,
        names: names.clone(),
        shown: Arc::clone(&shown),
        only_look: true,
    };
    let connected = limit
        .step("the host key", client::connect_stream(config, wire, keys))
        .await?;
    match (connected, shown.get()) {
        (Err(HandshakeError::Key(verdict)), Some(key)) => Ok((key.clone(), verdict, names)),
        (Err(error), key) => Err(refusal(target, error, key)),
        // The handshake cannot succeed while only looking.
        (Ok(_), _) => Err(ConnectError::broken(target, russh::Error::Inconsistent)),
    }
}

fn names(target: &Target) -> Names {
    Names::new(&[&target.address, &target.name], target.port)
}

fn read_known_hosts(target: &Target) -> Result<KnownHosts, ConnectError> {
    let path = &target.known_hosts;
    let text = match std::fs::read_to_string(path) {
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
    let (verdict, key) = match (error, shown) {
        (HandshakeError::Key(verdict), Some(key)) => (verdict, key),
        (HandshakeError::Ssh(error), _) => return ConnectError::broken(target, error),
        (error @ HandshakeError::Key(_), None) => {
            return ConnectError::Ssh {
                host: target.to_string(),
                source: error.into(),
            };
        }
    };
    let host = target.to_string();
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

fn config(known: &[Algorithm]) -> Arc<client::Config> {
    let mut keys: Vec<Algorithm> = Preferred::DEFAULT.key.to_vec();
    let rsa = |key: &Algorithm| matches!(key, Algorithm::Rsa { .. });
    let is_known = |key: &Algorithm| known.iter().any(|known| known == key || (rsa(known) && rsa(key)));
    // Stable: among the known ones, and among the others, the usual order stays.
    keys.sort_by_key(|key| !is_known(key));
    Arc::new(client::Config {
        nodelay: true,
        keepalive_interval: Some(Duration::from_secs(15)),
        keepalive_max: 4,
        preferred: Preferred {
            key: Cow::Owned(keys),
            cipher: Cow::Borrowed(&[
                cipher::AES_256_GCM,
                cipher::AES_128_GCM,
                cipher::CHACHA20_POLY1305,
                cipher::AES_256_CTR,
                cipher::AES_192_CTR,
                cipher::AES_128_CTR,
            ]),
            ..Preferred::DEFAULT
        },
        ..client::Config::default()
    })
}

/// Opens what SSH runs over.
async fn wire(target: &Target, limit: &Limit) -> Result<(Box<dyn Wire>, Below), ConnectError> {
    match &target.route {
        Route::Direct => Ok((Box::new(tcp(target, limit).await?), Below::Nothing)),
        Route::Bastion { user, host, port } => bastion(target, (user, host, *port), limit).await,
        Route::Command(command) => proxy(target, command),
    }
}

async fn tcp(target: &Target, limit: &Limit) -> Result<TcpStream, ConnectError> {
    let looked_up = tokio::net::lookup_host((target.address.as_str(), target.port));
    let addresses: Vec<_> = limit
        .step("the look-up of the name", looked_up)
        .await?
        .map_err(|source| ConnectError::NameUnknown {
            address: target.address.clone(),
            source,
        })?
        .collect();
    let connected = limit
        .step("a TCP connection", TcpStream::connect(addresses.as_slice()))
        .await?;
    let stream = connected.map_err(|source| {
        let host = target.to_string();
        match source.kind() {
            io::ErrorKind::ConnectionRefused => ConnectError::Refused { host, source },
            io::ErrorKind::TimedOut => ConnectError::Timeout {
                host,
                what: "a TCP connection",
            },
            _ => ConnectError::NoRoute { host, source },
        }
    })?;
    // Nagle's algorithm would delay every small request; without this it is only slower.
    let _ = stream.set_nodelay(true);
    Ok(stream)
}

async fn bastion(
    target: &Target,
    (user, host, port): (&str, &str, u16),
    limit: &Limit,
) -> Result<(Box<dyn Wire>, Below), ConnectError> {
    let outer = Target {
        name: host.to_owned(),
        address: host.to_owned(),
        port,
        user: user.to_owned(),
        escalation: Escalation::None,
        route: Route::Direct,
        ..target.clone()
    };
    let session = Box::pin(open(&outer, limit)).await?;
    let inner = session.handle.channel_open_direct_tcpip(
        target.address.clone(),
        u32::from(target.port),
        "127.0.0.1",
        0,
    );
    let channel = limit
        .step("the bastion's connection", inner)
        .await?
        .map_err(|source| ConnectError::Bastion {
            bastion: outer.to_string(),
            host: target.to_string(),
            source: source.into(),
        })?;
    Ok((Box::new(channel.into_stream()), Below::Bastion(Box::new(session))))
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
