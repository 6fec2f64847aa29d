//! Every way in which a host cannot be reached, with a stable id and what to do about it.

use std::io;
use std::path::PathBuf;

use super::Target;
use crate::carrier::OpenError;

/// Why there is no agent on a host.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the fields are what the sentences name")]
pub enum ConnectError {
    #[error("the name {address} is not known here")]
    NameUnknown {
        address: String,
        #[source]
        source: io::Error,
    },
    #[error("no route to {host}")]
    NoRoute {
        host: String,
        #[source]
        source: io::Error,
    },
    #[error("{host} refuses connections: no sshd listens there")]
    Refused {
        host: String,
        #[source]
        source: io::Error,
    },
    #[error("{host}: no time left waiting for {what}")]
    Timeout { host: String, what: &'static str },
    #[error("{host}: the host key is not known: {algorithm} {fingerprint}")]
    HostKeyUnknown {
        host: String,
        algorithm: String,
        fingerprint: String,
    },
    #[error("{host}: the host key has changed: now {algorithm} {fingerprint}, line {line} of {} has another", known_hosts.display())]
    HostKeyChanged {
        host: String,
        algorithm: String,
        fingerprint: String,
        known_hosts: PathBuf,
        line: usize,
    },
    #[error("{host}: the host key is revoked by line {line} of {}: {fingerprint}", known_hosts.display())]
    HostKeyRevoked {
        host: String,
        fingerprint: String,
        known_hosts: PathBuf,
        line: usize,
    },
    #[error("cannot read the known hosts in {}", path.display())]
    KnownHosts {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("line {line} of {} revokes a key but cannot be read", path.display())]
    KnownHostsLine { path: PathBuf, line: usize },
    #[error("cannot use the private key {}", path.display())]
    Identity {
        path: PathBuf,
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    #[error("the private key {} is encrypted and no passphrase was given", path.display())]
    PassphraseNeeded { path: PathBuf },
    #[error("the SSH agent at {} cannot be asked", path.display())]
    KeyAgent {
        path: PathBuf,
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    #[error("{host} does not let {user} in; tried {}; it takes {methods}", list(.tried))]
    AuthFailed {
        host: String,
        user: String,
        tried: Vec<String>,
        methods: String,
    },
    #[error("{host}: the SSH connection broke")]
    Ssh {
        host: String,
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    #[error("{host}: sshd opens no further session on this connection")]
    Sessions {
        host: String,
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    #[error("the bastion {bastion} does not connect to {host}")]
    Bastion {
        bastion: String,
        host: String,
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    #[error("the proxy command for {host} cannot be started")]
    ProxyCommand {
        host: String,
        #[source]
        source: io::Error,
    },
    #[error("{host}: cannot tell its platform from {uname:?}")]
    PlatformUnknown { host: String, uname: String },
    #[error("{host} is {platform}, and there is no verifier for that")]
    NoProgram { host: String, platform: String },
    #[error("cannot read the verifier {}", path.display())]
    Program {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("{host}: no directory lets the verifier run; {}; its SHA-256 is {sha256}", list(.tried))]
    NoExecDir {
        host: String,
        tried: Vec<String>,
        sha256: String,
    },
    #[error("{host}: sudo asks {user} for a password")]
    SudoPasswordNeeded { host: String, user: String },
    #[error("{host}: sudo does not take the password of {user}")]
    SudoPasswordWrong { host: String, user: String },
    #[error("{host}: sudo does not let {user} run the verifier: {text}")]
    SudoRefused {
        host: String,
        user: String,
        text: String,
    },
    #[error("{host}: sudo insists on a terminal (requiretty)")]
    SudoTerminal { host: String },
    #[error("{host}: there is no sudo")]
    SudoMissing { host: String },
    #[error("{host}: the agent did not start ({end}){}", said(.text))]
    NotStarted { host: String, end: String, text: String },
    #[error("{host}: the agent is {theirs}, this is {ours}")]
    VersionMismatch {
        host: String,
        theirs: String,
        ours: String,
    },
    #[error("{host}: the agent does not answer")]
    Agent {
        host: String,
        #[source]
        source: OpenError,
    },
}

fn list(items: &[String]) -> String {
    if items.is_empty() {
        "nothing".to_owned()
    } else {
        items.join("; ")
    }
}

fn said(text: &str) -> String {
    if text.is_empty() {
        String::new()
    } else {
        format!(": {text}")
    }
}

impl ConnectError {
    /// Returns what a connection came to that broke.
    pub(super) fn broken(target: &Target, error: russh::Error) -> Self {
        Self::Ssh {
            host: target.to_string(),
            source: error.into(),
        }
    }

    /// Returns a stable id for reports.
    pub fn id(&self) -> &'static str {
        match self {
            Self::NameUnknown { .. } => "name-unknown",
            Self::NoRoute { .. } => "no-route",
            Self::Refused { .. } => "connection-refused",
            Self::Timeout { .. } => "timeout",
            Self::HostKeyUnknown { .. } => "host-key-unknown",
            Self::HostKeyChanged { .. } => "host-key-changed",
            Self::HostKeyRevoked { .. } => "host-key-revoked",
            Self::KnownHosts { .. } | Self::KnownHostsLine { .. } => "known-hosts-unreadable",
            Self::Identity { .. } => "private-key-unreadable",
            Self::PassphraseNeeded { .. } => "passphrase-needed",
            Self::KeyAgent { .. } => "ssh-agent-unreachable",
            Self::AuthFailed { .. } => "login-refused",
            Self::Ssh { .. } => "ssh-broken",
            Self::Sessions { .. } => "too-few-sessions",
            Self::Bastion { .. } => "bastion-refused",
            Self::ProxyCommand { .. } => "proxy-command-failed",
            Self::PlatformUnknown { .. } => "platform-unknown",
            Self::NoProgram { .. } | Self::Program { .. } => "verifier-missing",
            Self::NoExecDir { .. } => "no-exec-directory",
            Self::SudoPasswordNeeded { .. } => "sudo-password-needed",
            Self::SudoPasswordWrong { .. } => "sudo-password-wrong",
            Self::SudoRefused { .. } => "sudo-refused",
            Self::SudoTerminal { .. } => "sudo-needs-terminal",
            Self::SudoMissing { .. } => "sudo-missing",
            Self::NotStarted { .. } => "agent-not-started",
            Self::VersionMismatch { .. } => "agent-version",
            Self::Agent { .. } => "agent-silent",
        }
    }

    /// Returns what to do about it.
    pub fn hint(&self) -> String {
        match self {
            Self::NameUnknown { .. } => "put an IP address into the site file, or the name into /etc/hosts here".to_owned(),
            Self::NoRoute { .. } | Self::Timeout { .. } => {
                "check the address in the site file, the route from here and the host's firewall".to_owned()
            }
            Self::Refused { .. } => "start sshd on the host, or set ssh.port in the site file".to_owned(),
            Self::HostKeyUnknown { .. } => {
                "compare the fingerprint with `ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub` on the host's console, \
                 then pin it: verifier site hostkeys --site site.yaml --accept"
                    .to_owned()
            }
            Self::HostKeyChanged { known_hosts, line, .. } => format!(
                "if the host was installed anew, delete line {line} of {} and pin the new key with `verifier site \
                 hostkeys --accept`; if not, somebody may be in between",
                known_hosts.display()
            ),
            Self::HostKeyRevoked { .. } => "give the host a new key: this one was declared stolen".to_owned(),
            Self::KnownHosts { .. } | Self::KnownHostsLine { .. } => {
                "correct the file, or name another one as ssh.knownHosts in the site file".to_owned()
            }
            Self::Identity { .. } => "name a readable private key as ssh.identity in the site file".to_owned(),
            Self::PassphraseNeeded { .. } => {
                "set VERIFIER_SSH_PASSPHRASE, or load the key into an SSH agent and set ssh.agent: true".to_owned()
            }
            Self::KeyAgent { .. } => "start ssh-agent and export SSH_AUTH_SOCK, or set ssh.identity".to_owned(),
            Self::AuthFailed { user, .. } => format!(
                "put the public key into ~{user}/.ssh/authorized_keys of the host, or correct ssh.user and ssh.identity"
            ),
            Self::Ssh { .. } => "look into the host's sshd log: journalctl -u ssh".to_owned(),
            Self::Sessions { .. } => "the verifier needs MaxSessions 2 or more in sshd_config".to_owned(),
            Self::Bastion { .. } => "the bastion must allow TCP forwarding to the host (AllowTcpForwarding, PermitOpen)".to_owned(),
            Self::ProxyCommand { .. } => "try ssh.proxyCommand by hand".to_owned(),
            Self::PlatformUnknown { .. } | Self::NoProgram { .. } => {
                "put a verifier for that platform into the bundle: `verifier:` in bundle.yaml".to_owned()
            }
            Self::Program { .. } => "unpack the bundle again".to_owned(),
            Self::NoExecDir { sha256, .. } => format!(
                "allow programs in one of the directories, or let the allow-list of programs (fapolicyd, IMA) admit \
                 the SHA-256 {sha256}"
            ),
            Self::SudoPasswordNeeded { .. } => "set ssh.passwordFile in the site file, or run on a terminal".to_owned(),
            Self::SudoPasswordWrong { .. } => "correct the password in ssh.passwordFile".to_owned(),
            Self::SudoRefused { .. } => "let sudoers allow the user to run programs as root".to_owned(),
            Self::SudoTerminal { .. } => {
                "add `Defaults:USER !requiretty` to sudoers for the user who logs in".to_owned()
            }
            Self::SudoMissing { .. } => "install sudo, or log in as root with become: none".to_owned(),
            Self::NotStarted { .. } | Self::Agent { .. } => {
                "try `ssh HOST true`: nothing but sh may run for the login (no ForceCommand, no nologin)".to_owned()
            }
            Self::VersionMismatch { .. } => "use the verifier of the bundle for both ends".to_owned(),
        }
    }
}
