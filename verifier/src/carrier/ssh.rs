//! The SSH carrier: logs in with strict host keys, brings the agent to the host, starts it and leaves nothing there.
//! Exec only, so that it works where forwarding is off. The only home of russh.

mod algorithms;
mod auth;
mod bastions;
mod certificate;
mod deploy;
mod diagnosis;
mod error;
mod exec;
mod expected;
mod file_key;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;
mod host_keys;
mod hostkey;
mod known_hosts;
mod logged_in;
mod patience;
mod session;
mod shell;
mod sudo;

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bundle::{Platform, UserFile};
use secrets::Secret;
use tokio::time::Instant;

use super::Agent;

/// It is read for every login, 40 at a time.
const KNOWN_HOSTS: UserFile = UserFile::new("a file of known hosts", 4 << 20);

pub use bastions::Bastions;
pub use error::ConnectError;
pub use expected::{Expected, ExpectedError, Match};
pub use hostkey::{HostKey, KeyState, accept, host_key};

/// Where and how to log in.
#[derive(Clone, Debug)]
pub struct Target {
    /// The host's name, as people call it; its key may be known under it.
    pub name: String,
    /// An IP address or a name.
    pub address: String,
    /// The port of its sshd.
    pub port: u16,
    /// The user.
    pub user: String,
    /// The file of the private key.
    pub identity: Option<PathBuf>,
    /// The file of a certificate for that key, or for one of the SSH agent; none: `IDENTITY-cert.pub`, where there is one.
    pub certificate: Option<PathBuf>,
    /// What opens the key's file, where it is encrypted.
    pub passphrase: Option<Secret>,
    /// The socket of an SSH agent whose keys may be used.
    pub key_agent: Option<PathBuf>,
    /// The file of known host keys.
    pub known_hosts: PathBuf,
    /// How the agent gets its rights.
    pub escalation: Escalation,
    /// How the host is reached.
    pub route: Route,
}

/// How the agent gets its rights.
#[derive(Clone, Debug)]
pub enum Escalation {
    /// It runs as the user who logged in.
    None,
    /// Through sudo, with the password for when it asks.
    Sudo(Option<Secret>),
}

/// How a host is reached.
#[derive(Clone, Debug)]
pub enum Route {
    /// By TCP from here.
    Direct,
    /// Through another sshd, which may itself be reached through another.
    Bastion(Box<Target>),
    /// Over stdin and stdout of a command; `%h`, `%p` and `%r` stand for address, port and user.
    Command(String),
}

/// Finds the verifier's program for a platform; none where there is no such program.
pub type Programs = Arc<dyn Fn(&Platform) -> Option<PathBuf> + Send + Sync>;

/// Returns the running program for its own platform and none for others.
pub fn own_program() -> Programs {
    Arc::new(|platform| (*platform == Platform::current()).then(|| PathBuf::from("/proc/self/exe")))
}

/// Returns the directories of which one gets the agent's program, as a shell writes them, and the program's path below them.
pub fn places() -> (Vec<&'static str>, String) {
    let below = format!("{}TOKEN/{}", crate::host::DIRECTORY, crate::host::PROGRAM);
    (shell::BASES.to_vec(), below)
}

/// Returns the commands that a login shell is given, with TOKEN for what is another text each time.
pub fn commands(sudo: bool) -> Vec<String> {
    let directory = format!("BASE/{}TOKEN", crate::host::DIRECTORY);
    let start = if sudo {
        shell::start_with_sudo(&directory, Some("[verifier-TOKEN]"))
    } else {
        shell::start(&directory)
    };
    vec![shell::guard("TOKEN", 0), shell::upload(&directory), start]
}

/// Logs in, brings the agent and starts it; hosts behind one bastion share the connection to it through `bastions`.
///
/// # Errors
/// Each way to fail is a variant with what to do about it.
pub async fn connect(
    target: &Target,
    programs: &Programs,
    deadline: Duration,
    bastions: &Bastions,
) -> Result<Agent, ConnectError> {
    let limit = Limit::new(target, deadline);
    let session = session::open(target, &limit, bastions).await?;
    deploy::start(session, target, programs, limit).await
}

/// The moment by which all must be done, and whom it concerns.
#[derive(Clone, Debug)]
struct Limit {
    until: Instant,
    span: Duration,
    host: String,
}

impl Limit {
    fn new(target: &Target, deadline: Duration) -> Self {
        Self {
            until: Instant::now() + deadline,
            span: deadline,
            host: target.to_string(),
        }
    }

    /// Returns the same moment for another host on the way.
    fn of(&self, target: &Target) -> Self {
        Self {
            host: target.to_string(),
            ..self.clone()
        }
    }

    /// Returns the whole time once more, for what comes behind something long.
    fn renewed(&self) -> Self {
        Self {
            until: Instant::now() + self.span,
            ..self.clone()
        }
    }

    /// Does one step; `what` says what was waited for when the time ends in it.
    async fn step<T>(&self, what: &'static str, work: impl Future<Output = T>) -> Result<T, ConnectError> {
        let late = |_| ConnectError::Timeout {
            host: self.host.clone(),
            what,
        };
        tokio::time::timeout_at(self.until, work).await.map_err(late)
    }

    /// What is left.
    fn rest(&self) -> Duration {
        self.until.saturating_duration_since(Instant::now())
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.name == self.address {
            write!(f, "{}", self.address)?;
        } else {
            write!(f, "{} ({})", self.name, self.address)?;
        }
        if self.port == 22 {
            Ok(())
        } else {
            write!(f, " port {}", self.port)
        }
    }
}
