//! From a site file to how its hosts are logged into: files are read, secrets asked, routes chosen.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};

use bundle::UserFile;
use cli::{Failure, Kind, Progress, ResultExt as _};
use secrets::Secret;
use tokio_util::sync::CancellationToken;

use super::interrupt::Interrupted;
use super::{lang, terminal};
use crate::carrier::ssh::{Escalation, Route, Target};
use crate::checks;
use crate::findings::{CauseId, catalogue, phrase};
use crate::site::{Become, Host, Jump, Site, Ssh};

/// A site of a thousand hosts has about 200 KiB.
const SITE: UserFile = UserFile::new("a site file", 4 << 20).or_pipe();
const PASSWORD: UserFile = UserFile::new("a password file", 4 << 10);

/// Why the site's files cannot be used.
#[derive(Debug, thiserror::Error)]
enum SetupError {
    #[error("cannot read {}", path.display())]
    Read { path: PathBuf, source: io::Error },
    /// Not its name: it may be the password itself.
    #[error("the file that ssh.passwordFile names cannot be read")]
    NoPasswordFile { source: io::Error },
    #[error("{count} in {}", path.display())]
    Site { path: PathBuf, count: String },
    #[error("{}:{line}: there is no check or cause called {id}, which accept names", path.display())]
    Accepted { path: PathBuf, line: usize, id: String },
    #[error("sudo's password cannot be asked without a terminal")]
    NoTerminal { source: io::Error },
}

/// Reads a site file; all its problems come at once.
pub(super) fn read_site(path: &Path) -> Result<Site, Failure> {
    let text = SITE.read_text(path).map_err(|source| SetupError::Read {
        path: path.to_owned(),
        source,
    });
    let text = text.kind(Kind::Error).map_err(|failure| {
        failure.hint(
            "verifier site init --machines machines.txt --kubeconfig admin.kubeconfig -o site.yaml makes one",
        )
    })?;
    let folder = path.parent().unwrap_or_else(|| Path::new(""));
    let site = crate::site::parse(&path.display().to_string(), &text, folder).map_err(|source| {
        let problems = source.problems();
        let count = match problems.iter().count() {
            1 => "a problem".to_owned(),
            many => format!("{many} problems"),
        };
        let path = path.to_owned();
        Failure::new(Kind::Usage, SetupError::Site { path, count })
            .details(problems)
            .hint("the README shows a whole site file")
    })?;
    known(&site, path)?;
    warn_of_readable(&site);
    Ok(site)
}

/// Looks that all that is accepted has the id of a check or cause.
fn known(site: &Site, path: &Path) -> Result<(), Failure> {
    for acceptance in &site.accept {
        let check = acceptance
            .check()
            .is_none_or(|id| checks::all().any(|check| check.id == id));
        let cause = acceptance
            .cause()
            .is_none_or(|id| CauseId::ALL.iter().any(|cause| cause.name() == id));
        if !check || !cause {
            let unknown = SetupError::Accepted {
                path: path.to_owned(),
                line: acceptance.line,
                id: acceptance.id.clone(),
            };
            return Err(Failure::new(Kind::Usage, unknown).hint(
                "take the id from a report, or from verifier smoke --list --json; what the run itself says (run.*) cannot be accepted",
            ));
        }
    }
    Ok(())
}

/// Warns of files with secrets that others may read. They are used all the same: what was read cannot be taken back, and on
/// some media every file is readable.
fn warn_of_readable(site: &Site) {
    let logins = site.hosts.iter().map(|host| site.ssh_of(host));
    let files: BTreeSet<PathBuf> = logins
        .flat_map(|ssh| [ssh.identity.or_else(usual_identity), ssh.password_file])
        .chain([Some(site.kubeconfig.clone())])
        .flatten()
        .collect();
    for path in files {
        if let Some(mode) = bundle::mode_for_others(&path) {
            let warning = phrase::FileReadable {
                path: &path.display(),
                mode: &format!("{mode:03o}"),
            };
            Progress::stderr(false).say(&catalogue::say(warning, lang::ambient()));
        }
    }
}

/// Returns where and how to log in to every host. Sudo's passwords are asked for here: one for all hosts that are logged
/// into in the same way, and never one for others. `stop` ends a question.
pub(super) async fn targets(site: &Site, stop: &CancellationToken) -> Result<Vec<Target>, Failure> {
    let mut targets = targets_without_secrets(site);
    let mut groups: BTreeMap<Login, Vec<usize>> = BTreeMap::new();
    for (at, host) in site.hosts.iter().enumerate() {
        let ssh = site.ssh_of(host);
        if ssh.r#become.unwrap_or_default() == Become::None {
            continue;
        }
        if let Some(path) = &ssh.password_file {
            targets[at].escalation = Escalation::Sudo(Some(password_of(path)?));
        } else {
            groups.entry(Login::of(&ssh)).or_default().push(at);
        }
    }
    for (login, members) in groups {
        let names: Vec<&str> = members.iter().map(|at| site.hosts[*at].name.as_str()).collect();
        let password = ask(&login.user, &names, stop).await?;
        for at in members {
            targets[at].escalation = Escalation::Sudo(password.clone());
        }
    }
    Ok(targets)
}

/// What hosts have in common that get one password: who logs in, by which key and by which way.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Login {
    user: String,
    files: [Option<PathBuf>; 3],
    bastion: Option<Vec<Jump>>,
    proxy_command: Option<String>,
}

impl Login {
    fn of(ssh: &Ssh) -> Self {
        Self {
            user: user_of(ssh),
            files: [
                ssh.identity.clone(),
                ssh.certificate.clone(),
                ssh.known_hosts.clone(),
            ],
            bastion: ssh.bastion.clone(),
            proxy_command: ssh.proxy_command.clone(),
        }
    }
}

fn user_of(ssh: &Ssh) -> String {
    ssh.user.clone().unwrap_or_else(|| "root".to_owned())
}

/// Returns how to reach every host, for what needs no login.
pub(super) fn targets_without_secrets(site: &Site) -> Vec<Target> {
    site.hosts.iter().map(|host| target(site, host)).collect()
}

fn target(site: &Site, host: &Host) -> Target {
    let ssh = site.ssh_of(host);
    let key_agent = ssh
        .agent
        .unwrap_or(true)
        .then(|| std::env::var_os("SSH_AUTH_SOCK"))
        .flatten();
    let direct = Target {
        name: host.name.clone(),
        address: host.address.clone(),
        port: ssh.port.unwrap_or(22),
        user: user_of(&ssh),
        identity: ssh.identity.clone().or_else(usual_identity),
        certificate: ssh.certificate.clone(),
        passphrase: std::env::var("VERIFIER_SSH_PASSPHRASE").ok().map(Secret::new),
        key_agent: key_agent.filter(|socket| !socket.is_empty()).map(PathBuf::from),
        known_hosts: ssh
            .known_hosts
            .clone()
            .unwrap_or_else(|| home().join(".ssh/known_hosts")),
        escalation: Escalation::None,
        route: Route::Direct,
    };
    Target {
        route: route(&ssh, &direct),
        ..direct
    }
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

fn password_of(path: &Path) -> Result<Secret, Failure> {
    let text = PASSWORD
        .read_text(path)
        .map_err(|source| match source.kind() {
            io::ErrorKind::NotFound => SetupError::NoPasswordFile { source },
            _ => SetupError::Read {
                path: path.to_owned(),
                source,
            },
        })
        .kind(Kind::Error)
        .map_err(|failure| {
            failure.hint(
                "correct ssh.passwordFile in the site file: it names a file whose first line is the password",
            )
        })?;
    Ok(Secret::first_line(text))
}

/// Asks for the password of `user` on some hosts, all of which the question names.
async fn ask(user: &str, hosts: &[&str], stop: &CancellationToken) -> Result<Option<Secret>, Failure> {
    let question = phrase::SudoPrompt {
        user: &user,
        count: &hosts.len(),
        hosts: &hosts.join(", "),
    };
    match terminal::ask(&catalogue::say(question, lang::ambient()), stop).await {
        Ok(None) => Err(Interrupted.into()),
        Ok(Some(password)) => Ok((!password.is_empty()).then_some(password)),
        // Without a terminal sudo may still ask for none; where it does, the host says so.
        Err(error) if error.kind() == io::ErrorKind::NotFound || error.raw_os_error() == Some(6) => Ok(None),
        Err(source) => Err(Failure::new(Kind::Error, SetupError::NoTerminal { source })),
    }
}

/// Returns the way to a host. Its bastions are logged into with its own keys and known hosts.
fn route(ssh: &Ssh, host: &Target) -> Route {
    if let Some(command) = &ssh.proxy_command {
        return Route::Command(command.clone());
    }
    let jumps = ssh.bastion.iter().flatten();
    jumps.fold(Route::Direct, |before, jump| {
        Route::Bastion(Box::new(Target {
            name: jump.host.clone(),
            address: jump.host.clone(),
            port: jump.port,
            user: jump.user.clone().unwrap_or_else(|| host.user.clone()),
            route: before,
            ..host.clone()
        }))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn site(hosts: &str) -> Site {
        let text = format!("apiVersion: site/v1\nkubeconfig: k\n{hosts}");
        crate::site::parse("site.yaml", &text, Path::new("/site")).unwrap()
    }

    #[test]
    fn a_chain_of_bastions_is_passed_in_its_order() {
        let site = site(
            "ssh: {user: op, bastion: 'a, root@b:2222'}\nhosts: [{name: n, address: 10.0.0.1, roles: [worker]}]\n",
        );
        let target = &targets_without_secrets(&site)[0];
        let Route::Bastion(inner) = &target.route else {
            panic!("{:?}", target.route)
        };
        assert_eq!(
            (inner.address.as_str(), inner.port, inner.user.as_str()),
            ("b", 2222, "root")
        );
        let Route::Bastion(outer) = &inner.route else {
            panic!("{:?}", inner.route)
        };
        assert_eq!(
            (outer.address.as_str(), outer.port, outer.user.as_str()),
            ("a", 22, "op")
        );
        assert!(matches!(outer.route, Route::Direct));
    }

    #[test]
    fn hosts_get_one_password_only_where_they_are_logged_into_in_the_same_way() {
        let site = site(
            "ssh: {user: alice, become: sudo}\nhosts:\n\
             - {name: a, address: 10.0.0.1, roles: [worker]}\n\
             - {name: b, address: 10.0.0.2, roles: [worker], ssh: {port: 2222}}\n\
             - {name: c, address: 10.0.0.3, roles: [worker], ssh: {user: vendor}}\n\
             - {name: d, address: 10.0.0.4, roles: [worker], ssh: {bastion: alice@other}}\n\
             - {name: e, address: 10.0.0.5, roles: [worker], ssh: {knownHosts: other}}\n",
        );
        let login = |name: &str| Login::of(&site.ssh_of(site.host(name).unwrap()));
        assert!(login("a") == login("b"));
        for other in ["c", "d", "e"] {
            assert!(login("a") != login(other), "{other}");
        }
    }
}
