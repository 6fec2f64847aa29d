//! Where words are read: how the host of a row is laid out, and how its hosts are logged into by hand. Commands that are run
//! on a host become commands that can be pasted into a shell here. Pure.

use std::borrow::Cow;
use std::collections::BTreeMap;

use crate::distribution::Distribution;

/// How a person logs in to a host.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Login {
    /// The command, quoted; what is to be run there may follow. Nothing where none can be given.
    pub command: Option<String>,
    /// Where the host is.
    pub address: String,
    /// Whether what needs root is run through sudo there.
    pub sudo: bool,
    /// The socket of its container runtime, where the site names one.
    pub runtime: Option<String>,
}

/// How the hosts of a site are logged into, by their names and those of their Nodes.
#[derive(Clone, Debug, Default)]
pub struct Logins {
    hosts: BTreeMap<String, Login>,
    /// The host on which one looks at what belongs to no host: one of the control plane.
    first: Option<String>,
    /// The file by which the API is asked.
    kubeconfig: Option<String>,
}

static NONE: Logins = Logins {
    hosts: BTreeMap::new(),
    first: None,
    kubeconfig: None,
};

impl Logins {
    /// Returns the logins of hosts, by name; `first` is looked at for what belongs to no host.
    pub fn new(hosts: impl IntoIterator<Item = (String, Login)>, first: Option<String>) -> Self {
        Self {
            hosts: hosts.into_iter().collect(),
            first,
            kubeconfig: None,
        }
    }

    /// Says by which file the API is asked.
    #[must_use]
    pub fn with_kubeconfig(mut self, file: String) -> Self {
        self.kubeconfig = Some(file);
        self
    }

    /// Returns by which file the API is asked, where that was said.
    pub fn kubeconfig(&self) -> Option<&str> {
        self.kubeconfig.as_deref()
    }

    /// Returns how a host is logged into; nothing where the site does not tell.
    pub fn of(&self, host: &str) -> Option<&Login> {
        self.hosts.get(host)
    }

    /// Returns where the words of a row are read.
    pub const fn at(&self, distribution: Distribution) -> Setting<'_> {
        Setting {
            distribution,
            logins: self,
        }
    }

    /// Returns the name of the host on which one looks at what belongs to no host.
    pub fn first(&self) -> &str {
        self.first.as_deref().unwrap_or("server")
    }
}

/// Where words are read.
#[derive(Clone, Copy, Debug)]
pub struct Setting<'a> {
    /// How the host of the row is laid out.
    pub distribution: Distribution,
    logins: &'a Logins,
}

impl From<Distribution> for Setting<'static> {
    fn from(distribution: Distribution) -> Self {
        NONE.at(distribution)
    }
}

impl Setting<'_> {
    /// Returns what stands for `login.X`, `ssh.X` or `address.X`, where `host` is what stands for X; nothing where the site does
    /// not tell how that host is logged into.
    pub(super) fn place(self, kind: &str, host: &str) -> Option<String> {
        let login = self.logins.hosts.get(host)?;
        match kind {
            "address" => cli::quoted(&login.address),
            "ssh" => login.command.clone(),
            "login" => {
                let name = cli::quoted(host)?;
                let command = login.command.as_deref()?;
                Some(if login.sudo {
                    format!("{name} ({} sudo -i)", with_terminal(command))
                } else {
                    format!("{name} ({command})")
                })
            }
            _ => None,
        }
    }

    /// Returns words in which commands of kubectl ask this site's API, from whatever shell they are pasted into.
    pub(super) fn asking_the_api(self, words: &str) -> Cow<'_, str> {
        let file = self.logins.kubeconfig.as_deref().and_then(cli::quoted);
        told("kubectl", "--kubeconfig", file, words)
    }

    /// Returns the command that runs `script` on a host.
    pub(super) fn run(self, host: &str, script: &str) -> String {
        let login = self.logins.hosts.get(host);
        let socket = login.and_then(|login| login.runtime.as_deref());
        let socket = socket.and_then(|socket| cli::quoted(&format!("unix://{socket}")));
        let script = &told("crictl", "--runtime-endpoint", socket, script);
        let command = login.and_then(|login| login.command.clone());
        let command = command
            .unwrap_or_else(|| format!("ssh {}", cli::quoted(host).unwrap_or_else(|| "HOST".to_owned())));
        if login.is_some_and(|login| login.sudo) {
            let as_root = format!("sudo sh -c {}", word(script));
            format!("{} {}", with_terminal(&command), word(&as_root))
        } else if script.chars().all(|c| is_plain(c) || c == ' ') {
            format!("{command} {script}")
        } else {
            format!("{command} {}", word(script))
        }
    }
}

/// Returns words in which each command of a program has an option more, where there is a value for it and none is there.
fn told<'a>(program: &str, option: &str, value: Option<String>, words: &'a str) -> Cow<'a, str> {
    let Some(value) = value else {
        return words.into();
    };
    let mut out = String::with_capacity(words.len());
    let mut rest = words;
    while let Some(at) = rest.find(program) {
        let (before, after) = rest.split_at(at + program.len());
        out.push_str(before);
        let follows = after.strip_prefix(' ').unwrap_or_default();
        let command = follows.starts_with(|c: char| c.is_ascii_lowercase() || c == '-');
        let ours = before[..at].chars().next_back().is_none_or(|c| !is_plain(c));
        if command && ours && !follows.starts_with(option) {
            out.extend([" ", option, " ", &value]);
        }
        rest = after;
    }
    out.push_str(rest);
    out.into()
}

/// Returns the command with a terminal, on which sudo may ask for a password.
fn with_terminal(command: &str) -> String {
    command.replacen("ssh ", "ssh -t ", 1)
}

/// Returns a script of ours as one word.
fn word(script: &str) -> String {
    if script.chars().all(is_plain) {
        script.to_owned()
    } else {
        format!("'{}'", script.replace('\'', "'\"'\"'"))
    }
}

/// Returns whether a letter is nothing but itself to a shell.
fn is_plain(letter: char) -> bool {
    letter.is_ascii_alphanumeric() || "-_./:,".contains(letter)
}

/// A part of the commands by hand.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Part<'a> {
    /// As it is.
    Here(&'a str),
    /// What is run on the host of the row.
    There(&'a str),
}

/// Parts commands by hand: behind `ssh {host} ` stands what is run there, in quotes or up to the end of that command.
pub(super) fn parts(commands: &str) -> Vec<Part<'_>> {
    const SSH: &str = "ssh {host} ";
    let mut parts = Vec::new();
    let mut rest = commands;
    while let Some(at) = rest.find(SSH) {
        let (before, after) = (&rest[..at], &rest[at + SSH.len()..]);
        let quoted = after.strip_prefix('\'').and_then(|inner| inner.split_once('\''));
        let (script, left) = quoted.unwrap_or_else(|| {
            let ends = [";", " |", " ("].iter().filter_map(|end| after.find(end));
            after.split_at(ends.min().unwrap_or(after.len()))
        });
        parts.extend([Part::Here(before), Part::There(script)]);
        rest = left;
    }
    parts.push(Part::Here(rest));
    parts.retain(|part| *part != Part::Here(""));
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn logins(sudo: bool) -> Logins {
        let login = Login {
            command: Some("ssh -p 2222 op@10.0.0.1".to_owned()),
            address: "10.0.0.1".to_owned(),
            sudo,
            runtime: None,
        };
        Logins::new([("node-0".to_owned(), login)], None)
    }

    #[test]
    fn commands_are_told_the_site_s_kubeconfig_and_socket_once() {
        let runtime = Some("/run/k3s/containerd/containerd.sock".to_owned());
        let login = Login {
            runtime,
            ..Login::default()
        };
        let logins = Logins::new([("node-0".to_owned(), login)], None);
        let logins = logins.with_kubeconfig("/site/my config".to_owned());
        let at = logins.at(Distribution::default());
        assert_eq!(
            at.asking_the_api(
                "kubectl get pods; what kubectl, says; kubectl --kubeconfig FILE version; x-kubectl get"
            ),
            "kubectl --kubeconfig '/site/my config' get pods; what kubectl, says; kubectl --kubeconfig FILE version; x-kubectl get"
        );
        assert_eq!(
            at.run("node-0", "crictl ps -a"),
            "ssh node-0 crictl --runtime-endpoint unix:///run/k3s/containerd/containerd.sock ps -a"
        );
        let none = Setting::from(Distribution::default());
        assert_eq!(none.asking_the_api("kubectl get pods"), "kubectl get pods");
    }

    #[test]
    fn what_is_run_on_a_host_is_told_from_what_is_run_here() {
        use Part::{Here, There};
        assert_eq!(
            parts("date; ssh {host} 'a; b' (or c); ssh {host} curl -s x | grep y"),
            [
                Here("date; "),
                There("a; b"),
                Here(" (or c); "),
                There("curl -s x"),
                Here(" | grep y"),
            ]
        );
        assert_eq!(parts("ssh {host} true"), [There("true")]);
    }

    #[test]
    fn a_command_is_quoted_once_for_each_shell_that_it_passes() {
        let root = logins(false);
        let at = |logins: &Logins| logins.at(Distribution::default()).run("node-0", "a 'b'; c");
        assert_eq!(at(&root), r#"ssh -p 2222 op@10.0.0.1 'a '"'"'b'"'"'; c'"#);
        let op = at(&logins(true));
        // Two shells later it is what it was.
        let script = format!("ssh() {{ shift 4; eval \"$1\"; }}; sudo() {{ printf '%s' \"$3\"; }}; {op}");
        let ran = std::process::Command::new("sh")
            .args(["-c", &script])
            .output()
            .unwrap();
        assert_eq!(String::from_utf8_lossy(&ran.stdout), "a 'b'; c", "{op}");
    }

    #[test]
    fn a_host_that_no_site_knows_is_named_as_it_is() {
        let none = Setting::from(Distribution::default());
        assert_eq!(none.run("node-0", "true"), "ssh node-0 true");
        assert_eq!(none.place("login", "node-0"), None);
        let some = logins(true);
        assert_eq!(
            some.at(Distribution::default())
                .place("login", "node-0")
                .as_deref(),
            Some("node-0 (ssh -t -p 2222 op@10.0.0.1 sudo -i)")
        );
    }
}
