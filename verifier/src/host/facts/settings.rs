//! How a process of this host was set in a few respects: what its command line says, its environment, or the configuration
//! file that it was given. Only these respects are ever read, and none is a secret.

mod encryption;

use std::collections::HashMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use bundle::UserFile;
use procfs::process::Process;
use yaml::Node;

use super::FactError;
use crate::distribution::CONTROL_PLANE_INSIDE;
use crate::protocol::{Setting, SettingReply, Settled};

pub(crate) use encryption::encryption_rules;

const CONFIGURATION: UserFile = UserFile::new("a configuration file", 1 << 20);
/// No value of these is longer.
const LONGEST: usize = 64;

/// Where a respect is set.
struct Places {
    flag: &'static str,
    /// The flag that names a file, and the way to the value in it.
    file: (&'static str, &'static [&'static str]),
    variable: Option<&'static str>,
    /// Whether the file is all that counts where there is one.
    file_alone: bool,
    /// Where a program that runs it inside itself keeps its file, below its data.
    embedded: Option<&'static str>,
    /// The flag that names a directory, and the file in it that holds the value and nothing else.
    directory: Option<(&'static str, &'static str)>,
}

impl Places {
    /// A flag and nothing else.
    const fn of(flag: &'static str) -> Self {
        Self {
            flag,
            file: ("", &[]),
            variable: None,
            file_alone: false,
            embedded: None,
            directory: None,
        }
    }
}

/// kube-scheduler takes the flag over its file (cmd/kube-scheduler/app/options, `ApplyLeaderElectionTo`).
const LEADER_ELECTION: Places = Places {
    file: ("config", &["leaderElection", "leaderElect"]),
    ..Places::of("leader-elect")
};

/// etcd takes nothing but its file where it has one (server/etcdmain/config.go), and a flag over the environment.
const ETCD_QUOTA: Places = Places {
    file: ("config-file", &["quota-backend-bytes"]),
    variable: Some("ETCD_QUOTA_BACKEND_BYTES"),
    file_alone: true,
    embedded: Some("server/db/etcd/config"),
    ..Places::of("quota-backend-bytes")
};

/// Cilium's agent reads a mounted `ConfigMap`, a file for each key.
const CILIUM_SERVICES: Places = Places {
    directory: Some(("config-dir", "kube-proxy-replacement")),
    ..Places::of("kube-proxy-replacement")
};

const KUBE_ROUTER_SERVICES: Places = Places::of("run-service-proxy");

const ANTREA_SERVICES: Places = Places {
    file: ("config", &["antreaProxy", "proxyAll"]),
    ..Places::of("")
};

/// `KubeletConfiguration` has it alone, since Kubernetes 1.33.
const PULL_VERIFICATION: Places = Places {
    file: ("config", &["imagePullCredentialsVerificationPolicy"]),
    ..Places::of("")
};

/// Returns how a process was set.
pub(crate) fn setting(ask: &Setting) -> Result<SettingReply, FactError> {
    let process = Process::new(ask.pid).map_err(FactError::Processes)?;
    let arguments = process.cmdline().map_err(FactError::Processes)?;
    let environment = process.environ().ok();
    let name = process.stat().map(|stat| stat.comm).unwrap_or_default();
    let root = PathBuf::from(format!("/proc/{}/root", ask.pid));
    let places = match ask.of {
        Settled::LeaderElection => LEADER_ELECTION,
        Settled::EtcdQuota => ETCD_QUOTA,
        Settled::CiliumServices => CILIUM_SERVICES,
        Settled::KubeRouterServices => KUBE_ROUTER_SERVICES,
        Settled::AntreaServices => ANTREA_SERVICES,
        Settled::PullVerification => PULL_VERIFICATION,
        Settled::Encryption => return Ok(encryption::of_secrets(&name, &arguments, &root)),
    };
    Ok(places.read(&name, &arguments, environment.as_ref(), &root))
}

impl Places {
    fn read(
        &self,
        name: &str,
        arguments: &[String],
        environment: Option<&HashMap<OsString, OsString>>,
        root: &Path,
    ) -> SettingReply {
        let said = flag(arguments, self.flag);
        if let Some(value) = said.as_deref().filter(|_| !self.file_alone) {
            return found(Some(value.to_owned()));
        }
        if let Some((flag_of_it, file)) = self.directory
            && let Some(directory) = flag(arguments, flag_of_it)
        {
            let path = within(root, &format!("{directory}/{file}"));
            return match CONFIGURATION.read_text(&path) {
                Ok(value) => found(Some(value.trim().to_owned())),
                Err(error) => SettingReply {
                    value: None,
                    unread: error.kind() != std::io::ErrorKind::NotFound,
                },
            };
        }
        if let Some(file) = self.file_of(name, arguments) {
            return match self.in_file(root, &file) {
                Ok(value) => found(value),
                Err(_) => SettingReply {
                    value: None,
                    unread: true,
                },
            };
        }
        match (said, self.variable, environment) {
            (None, Some(variable), Some(environment)) => {
                let value = environment.get(&OsString::from(variable));
                found(value.map(|value| value.to_string_lossy().into_owned()))
            }
            // Another user's environment is not shown to everybody.
            (None, Some(_), None) => SettingReply {
                value: None,
                unread: true,
            },
            (said, ..) => found(said),
        }
    }

    fn file_of(&self, name: &str, arguments: &[String]) -> Option<String> {
        if CONTROL_PLANE_INSIDE.contains(&name) {
            let data = flag(arguments, "data-dir").unwrap_or_else(|| "/var/lib/rancher/k3s".to_owned());
            return Some(format!("{data}/{}", self.embedded?));
        }
        flag(arguments, self.file.0)
    }

    fn in_file(&self, root: &Path, file: &str) -> std::io::Result<Option<String>> {
        let text = CONFIGURATION.read_text(&within(root, file))?;
        let documents = yaml::documents(file, &text).map_err(|_| std::io::ErrorKind::InvalidData)?;
        let first = documents.first();
        let value = first.and_then(|first| self.file.1.iter().try_fold(first, |node, name| node.get(name)));
        Ok(value.and_then(Node::scalar).map(str::to_owned))
    }
}

/// Returns a process's path as seen from outside of it.
fn within(root: &Path, path: &str) -> PathBuf {
    root.join(path.trim_start_matches('/'))
}

fn found(value: Option<String>) -> SettingReply {
    SettingReply {
        value: value.filter(|value| value.len() <= LONGEST),
        unread: false,
    }
}

/// Returns the value of `--name=value`, `--name value`, or of `--name` alone, which is `true`.
fn flag(arguments: &[String], name: &str) -> Option<String> {
    if name.is_empty() {
        return None;
    }
    let mut rest = arguments.iter().peekable();
    while let Some(argument) = rest.next() {
        let text = argument.trim_start_matches('-');
        if text.len() == argument.len() {
            continue;
        }
        match text.strip_prefix(name) {
            Some("") => {
                let value = rest.peek().filter(|value| !value.starts_with('-'));
                return Some(value.map_or_else(|| "true".to_owned(), |value| (*value).clone()));
            }
            Some(value) if value.starts_with('=') => return Some(value[1..].to_owned()),
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(places: &Places, arguments: &[&str], variable: Option<&str>, file: &str) -> SettingReply {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir(root.path().join("etc")).unwrap();
        std::fs::write(root.path().join("etc/conf"), file).unwrap();
        let arguments: Vec<String> = arguments.iter().map(|one| (*one).to_owned()).collect();
        let environment = variable.map(|value| (OsString::from("ETCD_QUOTA_BACKEND_BYTES"), value.into()));
        let environment = environment.into_iter().collect();
        places.read("x", &arguments, Some(&environment), root.path())
    }

    #[test]
    fn a_flag_of_the_scheduler_wins_over_its_file() {
        let file = "leaderElection:\n  leaderElect: false\n";
        let value = |arguments: &[&str]| read(&LEADER_ELECTION, arguments, None, file).value;
        assert_eq!(value(&["--config=/etc/conf"]).as_deref(), Some("false"));
        assert_eq!(
            value(&["--config", "/etc/conf", "--leader-elect=true"]).as_deref(),
            Some("true")
        );
        assert_eq!(value(&["--leader-elect", "--v=2"]).as_deref(), Some("true"));
        assert_eq!(value(&["--v=2"]), None);
        assert!(read(&LEADER_ELECTION, &["--config=/etc/none"], None, file).unread);
        assert!(read(&LEADER_ELECTION, &["--config=/etc/conf"], None, "{").unread);
    }

    #[test]
    fn what_is_set_by_a_file_alone_has_no_flag() {
        let file = "antreaProxy:\n  proxyAll: true\n";
        let value = |arguments: &[&str]| read(&ANTREA_SERVICES, arguments, None, file).value;
        assert_eq!(
            value(&["antrea-agent", "--", "--config=/etc/conf"]).as_deref(),
            Some("true")
        );
        assert_eq!(value(&["antrea-agent", "--"]), None);
    }

    #[test]
    fn ciliums_answer_is_a_file_of_its_directory() {
        let value = |arguments: &[&str]| read(&CILIUM_SERVICES, arguments, None, "true\n");
        assert_eq!(value(&[]).value, None);
        let there = Places {
            directory: Some(("config-dir", "conf")),
            ..CILIUM_SERVICES
        };
        let read = |directory: &str| read(&there, &["cilium-agent", directory], None, "true\n");
        assert_eq!(read("--config-dir=/etc").value.as_deref(), Some("true"));
        assert_eq!(read("--config-dir=/none"), SettingReply::default());
    }

    #[test]
    fn etcds_file_is_all_that_counts_and_its_flag_wins_over_the_environment() {
        let file = "quota-backend-bytes: 8589934592\n";
        let value = |arguments: &[&str], variable| read(&ETCD_QUOTA, arguments, variable, file).value;
        let both = ["--quota-backend-bytes=4", "--config-file=/etc/conf"];
        assert_eq!(value(&both, Some("5")).as_deref(), Some("8589934592"));
        assert_eq!(value(&both[..1], Some("5")).as_deref(), Some("4"));
        assert_eq!(value(&[], Some("5")).as_deref(), Some("5"));
        assert_eq!(value(&[], None), None);
        let root = Path::new("/");
        assert!(ETCD_QUOTA.read("etcd", &[], None, root).unread);
        let given = ["--quota-backend-bytes=4".to_owned()];
        assert_eq!(
            ETCD_QUOTA.read("etcd", &given, None, root).value.as_deref(),
            Some("4")
        );
    }
}
