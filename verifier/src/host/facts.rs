//! Facts of the host that the agent runs on, read from /proc, /sys and netlink. Read-only; no verdicts; the only
//! home of procfs and rtnetlink.

mod backup;
mod chains;
mod cni;
mod container_log;
mod counters;
mod disks;
#[cfg(any(test, feature = "fuzzing"))]
pub(super) mod fuzzing;
mod journal;
mod kernel_clock;
mod listeners;
mod names;
mod netstat;
mod network;
mod persistence;
mod processes;
mod restarts;
mod settings;
mod time_source;
mod usage;

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::protocol::{ClockReply, HelloReply, Refusal, RefusalKind, VERSION};

pub(crate) use backup::backup;
pub(crate) use chains::chains;
pub(crate) use cni::{DIRECTORY as CNI_DIRECTORY, cni};
pub(crate) use container_log::container_log;
pub(crate) use counters::counters;
pub(crate) use disks::disks;
pub(crate) use journal::journal;
pub(crate) use listeners::listeners;
pub(crate) use names::{names, resolver};
pub(crate) use network::{interfaces, lookups, routes, routes_of_daemons};
pub(crate) use persistence::persistence;
pub(crate) use processes::{is_of_container, memory, of_containers, process_ids, processes};
pub(crate) use restarts::restarts;
pub(crate) use settings::{encryption_rules, setting};
pub(crate) use time_source::time_source;
pub(crate) use usage::usage;

/// Why a fact could not be had.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FactError {
    /// A file of the kernel could not be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The list of processes could not be read.
    #[error("cannot list the processes")]
    Processes(#[source] procfs::ProcError),
    /// The kernel's list of sockets could not be read.
    #[error("cannot list the sockets")]
    Sockets(#[source] procfs::ProcError),
    /// The kernel did not answer on netlink.
    #[error("cannot ask the kernel for {what}")]
    Netlink {
        /// What was asked for.
        what: &'static str,
        /// Why.
        source: rtnetlink::Error,
    },
    /// No netlink socket.
    #[error("cannot open a netlink socket")]
    Socket(#[source] io::Error),
    /// A key that names no value below /proc/sys.
    #[error("{key:?} is not a key of sysctl")]
    Key {
        /// The key.
        key: String,
    },
    /// A name that would lead out of the directory of logs.
    #[error("{name:?} is not the name of a pod or a container")]
    Name {
        /// The name.
        name: String,
    },
    /// A program of the host could not be run.
    #[error("cannot run {program}")]
    Run {
        /// The program.
        program: &'static str,
        /// Why.
        source: io::Error,
    },
    /// The unit's name could be taken for an option.
    #[error("{unit:?} is not a unit")]
    Unit {
        /// The name.
        unit: String,
    },
    /// The clock is before 1970.
    #[error("the clock stands before 1970")]
    Clock,
}

impl FactError {
    /// Returns of what kind it is, where no error of the system below it tells.
    pub(crate) fn kind(&self) -> Option<RefusalKind> {
        match self {
            Self::Processes(source) | Self::Sockets(source) => Some(of_procfs(source)),
            Self::Netlink {
                source: rtnetlink::Error::NetlinkError(message),
                ..
            } => Some(RefusalKind::of(message.to_io().kind())),
            _ => None,
        }
    }
}

impl From<FactError> for Refusal {
    fn from(error: FactError) -> Self {
        let told = Self::of(&error);
        Self {
            kind: error.kind().unwrap_or(told.kind),
            ..told
        }
    }
}

/// procfs names no source of its errors.
const fn of_procfs(error: &procfs::ProcError) -> RefusalKind {
    match error {
        procfs::ProcError::PermissionDenied(_) => RefusalKind::Denied,
        procfs::ProcError::NotFound(_) => RefusalKind::Absent,
        _ => RefusalKind::Failed,
    }
}

/// Returns who the agent is and where.
pub(crate) fn hello(tool: &str) -> HelloReply {
    let name = rustix::system::uname();
    HelloReply {
        protocol: VERSION,
        tool: tool.to_owned(),
        platform: bundle::Platform::current().to_string(),
        hostname: name.nodename().to_string_lossy().into_owned(),
        uid: rustix::process::geteuid().as_raw(),
        boot: sysctl("kernel.random.boot_id").ok().flatten(),
        kernel: name.release().to_string_lossy().into_owned(),
        system: system(),
    }
}

/// Returns what the host's system is called.
fn system() -> Option<String> {
    let text = ["/etc/os-release", "/usr/lib/os-release"]
        .iter()
        .find_map(|path| std::fs::read_to_string(path).ok())?;
    let name = text.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="))?;
    Some(name.trim_matches(['"', '\'']).to_owned())
}

/// Returns those of the paths that are there.
pub(crate) fn existing(mut paths: Vec<String>) -> Vec<String> {
    paths.retain(|path| std::path::Path::new(path).exists());
    paths
}

/// Returns the host's time.
pub(crate) fn clock() -> Result<ClockReply, FactError> {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_err(|_| FactError::Clock)?;
    let unix_nanos = i128::try_from(since.as_nanos()).map_err(|_| FactError::Clock)?;
    Ok(ClockReply { unix_nanos })
}

/// Returns the values below /proc/sys, trimmed; none where there is no such key on this kernel.
pub(crate) fn sysctls(keys: &[String]) -> Result<BTreeMap<String, Option<String>>, FactError> {
    let mut values = BTreeMap::new();
    for key in keys {
        values.insert(key.clone(), sysctl(key)?);
    }
    Ok(values)
}

fn sysctl(key: &str) -> Result<Option<String>, FactError> {
    // As sysctl(8): with a slash anywhere the separators are slashes, and dots belong to names (eth0.100).
    let relative = if key.contains('/') {
        key.to_owned()
    } else {
        key.replace('.', "/")
    };
    let plain = |part: &str| !part.is_empty() && part != "." && part != "..";
    if !relative.split('/').all(plain) {
        return Err(FactError::Key { key: key.to_owned() });
    }
    let path = PathBuf::from("/proc/sys").join(relative);
    match std::fs::read_to_string(&path) {
        Ok(text) => Ok(Some(text.trim().to_owned())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(FactError::Read { path, source }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_of_sysctl_is_read_and_a_missing_one_is_none() {
        let keys = ["kernel.ostype".to_owned(), "kernel.no_such_thing".to_owned()];
        let values = sysctls(&keys).unwrap();
        assert_eq!(values["kernel.ostype"].as_deref(), Some("Linux"));
        assert_eq!(values["kernel.no_such_thing"], None);
    }

    #[test]
    fn what_procfs_may_not_read_is_denied() {
        let denied = FactError::Processes(procfs::ProcError::PermissionDenied(None));
        assert_eq!(Refusal::from(denied).kind, RefusalKind::Denied);
        let absent = FactError::Read {
            path: PathBuf::from("/nowhere"),
            source: io::ErrorKind::NotFound.into(),
        };
        assert_eq!(Refusal::from(absent).kind, RefusalKind::Absent);
    }

    #[test]
    fn a_key_cannot_leave_proc_sys() {
        for key in ["kernel/../../1/environ", "", "a..b", "/etc/passwd"] {
            assert!(sysctl(key).is_err(), "{key}");
        }
    }
}
