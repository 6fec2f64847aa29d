//! From a site file to how its hosts are logged into: files are read, secrets asked, routes chosen.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use cli::{Failure, Kind, ResultExt as _};

use super::{lang, terminal};
use crate::carrier::ssh::{Escalation, Route, Secret, Target};
use crate::findings::{catalogue, phrase};
use crate::site::{Become, Host, Site, Ssh};

/// Why the site's files cannot be used.
#[derive(Debug, thiserror::Error)]
enum SetupError {
    #[error("cannot read {}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("{count} in {}", path.display())]
    Site { path: PathBuf, count: String },
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
        let problems = source.problems();
        let count = match problems.iter().count() {
            1 => "a problem".to_owned(),
            many => format!("{many} problems"),
        };
        let path = path.to_owned();
        Failure::new(Kind::Usage, SetupError::Site { path, count })
            .details(problems)
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
        *asked = match terminal::ask(&catalogue::say(
            phrase::SudoPrompt { user: &user },
            lang::ambient(),
        )) {
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
