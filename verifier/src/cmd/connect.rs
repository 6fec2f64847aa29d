//! From a site file to connected hosts and an open API: files are read, secrets asked, carriers chosen.

use std::fs;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use cli::{Failure, Kind, Progress, ResultExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::terminal;
use crate::carrier::ssh::{self, Escalation, Programs, Route, Secret, Target};
use crate::carrier::{Agent, Hosts, Pace};
use crate::cluster::{Cluster, ClusterError, Detour, Target as ApiTarget};
use crate::site::{Become, Host, Site, SiteError, Ssh, Via};

/// How long a byte stream through a host may take to be opened.
const DIAL: Duration = Duration::from_secs(10);

/// Why the site's files cannot be used.
#[derive(Debug, thiserror::Error)]
enum SetupError {
    #[error("cannot read {}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("{count} in {}", path.display())]
    Site {
        path: PathBuf,
        count: String,
        source: SiteError,
    },
    #[error("ssh.bastion {bastion:?} has no user, and neither has the site file")]
    Bastion { bastion: String },
    #[error("sudo's password cannot be asked without a terminal")]
    NoTerminal { source: io::Error },
}

/// Reads a site file; all its problems come at once.
pub(super) fn read_site(path: &Path) -> Result<Site, Failure> {
    let text = fs::read_to_string(path).map_err(|source| SetupError::Read {
        path: path.to_owned(),
        source,
    });
    let text = text.kind(Kind::Error).map_err(|failure| {
        failure.hint(
            "verifier site init --machines machines.txt --kubeconfig admin.kubeconfig -o site.yaml makes one",
        )
    })?;
    let folder = path.parent().unwrap_or_else(|| Path::new(""));
    crate::site::parse(&path.display().to_string(), &text, folder).map_err(|source| {
        let lines = source.to_string().lines().count();
        let count = if lines == 1 {
            "a problem".to_owned()
        } else {
            format!("{lines} problems")
        };
        Failure::new(
            Kind::Usage,
            SetupError::Site {
                path: path.to_owned(),
                count,
                source,
            },
        )
        .hint("the README shows a whole site file")
    })
}

/// Returns where and how to log in to every host. The password of sudo is asked once at most.
pub(super) fn targets(site: &Site) -> Result<Vec<Target>, Failure> {
    let mut asked = None;
    site.hosts
        .iter()
        .map(|host| target(site, host, &mut asked))
        .collect()
}

/// Returns how to reach every host, for what needs no login.
pub(super) fn targets_without_secrets(site: &Site) -> Result<Vec<Target>, Failure> {
    let mut open = site.clone();
    for ssh in std::iter::once(&mut open.ssh).chain(open.hosts.iter_mut().map(|host| &mut host.ssh)) {
        ssh.r#become = None;
    }
    targets(&open)
}

fn target(site: &Site, host: &Host, asked: &mut Option<Secret>) -> Result<Target, Failure> {
    let ssh = site.ssh_of(host);
    let user = ssh.user.clone().unwrap_or_else(|| "root".to_owned());
    let escalation = escalation(&ssh, &user, asked)?;
    let identity = ssh.identity.clone().or_else(usual_identity);
    let key_agent = ssh
        .agent
        .unwrap_or(true)
        .then(|| std::env::var_os("SSH_AUTH_SOCK"))
        .flatten();
    Ok(Target {
        name: host.name.clone(),
        address: host.address.clone(),
        port: ssh.port.unwrap_or(22),
        identity,
        passphrase: std::env::var("VERIFIER_SSH_PASSPHRASE").ok().map(Secret::new),
        key_agent: key_agent.filter(|socket| !socket.is_empty()).map(PathBuf::from),
        known_hosts: ssh
            .known_hosts
            .clone()
            .unwrap_or_else(|| home().join(".ssh/known_hosts")),
        escalation,
        route: route(&ssh, &user)?,
        user,
    })
}

fn home() -> PathBuf {
    std::env::var_os("HOME").map_or_else(|| PathBuf::from("/root"), PathBuf::from)
}

/// Returns the first of the keys that OpenSSH would try too.
fn usual_identity() -> Option<PathBuf> {
    let names = ["id_ed25519", "id_ecdsa", "id_rsa"];
    names
        .iter()
        .map(|name| home().join(".ssh").join(name))
        .find(|path| path.is_file())
}

fn escalation(ssh: &Ssh, user: &str, asked: &mut Option<Secret>) -> Result<Escalation, Failure> {
    if ssh.r#become.unwrap_or_default() == Become::None {
        return Ok(Escalation::None);
    }
    if let Some(path) = &ssh.password_file {
        let text = fs::read_to_string(path)
            .map_err(|source| SetupError::Read {
                path: path.clone(),
                source,
            })
            .kind(Kind::Error)
            .map_err(|failure| failure.hint("correct ssh.passwordFile in the site file"))?;
        let password = text.lines().next().unwrap_or_default();
        return Ok(Escalation::Sudo(Some(Secret::new(password))));
    }
    if asked.is_none() {
        *asked = match terminal::ask(&format!("sudo's password of {user} (empty: it asks for none)")) {
            Ok(password) => Some(Secret::new(password)),
            // Without a terminal sudo may still ask for none; where it does, the host says so.
            Err(error) if error.kind() == io::ErrorKind::NotFound || error.raw_os_error() == Some(6) => {
                return Ok(Escalation::Sudo(None));
            }
            Err(source) => return Err(Failure::new(Kind::Error, SetupError::NoTerminal { source })),
        };
    }
    Ok(Escalation::Sudo(asked.clone()))
}

fn route(ssh: &Ssh, user: &str) -> Result<Route, Failure> {
    if let Some(command) = &ssh.proxy_command {
        return Ok(Route::Command(command.clone()));
    }
    let Some(bastion) = &ssh.bastion else {
        return Ok(Route::Direct);
    };
    let (login, address) = bastion.rsplit_once('@').unwrap_or((user, bastion));
    if login.is_empty() {
        return Err(Failure::new(
            Kind::Usage,
            SetupError::Bastion {
                bastion: bastion.clone(),
            },
        )
        .hint("write ssh.bastion as user@host:port"));
    }
    let (host, port) = match address.rsplit_once(':') {
        Some((host, port)) if !host.contains(':') || host.starts_with('[') => {
            (host.trim_matches(['[', ']']), port.parse().unwrap_or(22))
        }
        _ => (address, 22),
    };
    Ok(Route::Bastion {
        user: login.to_owned(),
        host: host.to_owned(),
        port,
    })
}

/// Connects to the hosts and says of each one that cannot be reached why, at once.
pub(super) async fn connect(targets: &[Target], programs: &Programs, progress: &Progress) -> Hosts {
    progress.say(&format!("connecting to {} hosts", targets.len()));
    let report = |name: &str, host: &Result<Agent, ssh::ConnectError>| {
        if let Err(error) = host {
            progress.say(&format!("{name}: {}", cli::chain(error)));
        }
    };
    Hosts::connect(targets, programs, Pace::default(), &report).await
}

/// Opens the API server: straight, or through a host of the site.
pub(super) async fn open_api(site: &Site, hosts: &Hosts) -> Result<Cluster, ClusterError> {
    let target = ApiTarget::read(&site.kubeconfig).await?;
    let Via::Host(name) = &site.api else {
        return target.open(None);
    };
    let server = target.address();
    let lost = |reason: String| ClusterError::Unreachable {
        operation: format!("connect via {name}"),
        server: server.clone(),
        reason,
    };
    let agent = match hosts.get(name) {
        Some(Ok(agent)) => agent.clone(),
        Some(Err(error)) => return Err(lost(cli::chain(error))),
        None => return Err(lost("it was not connected".to_owned())),
    };
    let through = forward(agent, server.clone())
        .await
        .map_err(|error| lost(error.to_string()))?;
    target.open(Some(&Detour { through }))
}

/// Listens on loopback and carries each connection to `to`, as the agent's host resolves it. Ends with the process.
async fn forward(agent: Agent, to: String) -> io::Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(carry(agent.clone(), to.clone(), stream));
        }
    });
    Ok(address)
}

/// Carries one connection. Its end is all that the other side needs to know.
async fn carry(agent: Agent, to: String, mut stream: TcpStream) {
    if let Ok(mut far) = agent.dial(&to, DIAL).await {
        let _ = tokio::io::copy_bidirectional(&mut stream, &mut far).await;
    }
}
