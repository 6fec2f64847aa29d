//! What a host says of itself: its clock, its processes, its journal, its kernel's settings.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use secrets::MaskedArguments;
use serde::{Deserialize, Serialize};

/// Asks who is there.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Hello {}

/// The agent's own account of itself.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct HelloReply {
    /// [`VERSION`](super::VERSION) of the agent.
    pub protocol: u32,
    /// Its program and version, for example `verifier 0.1.0`.
    pub tool: String,
    /// Its platform, for example `linux/amd64`.
    pub platform: String,
    /// The host's name as the kernel has it.
    pub hostname: String,
    /// The effective user id that the agent runs as.
    pub uid: u32,
    /// The number of the host's present life: another one after each start (random(4)); none where it cannot be read.
    #[serde(default)]
    pub boot: Option<String>,
    /// The kernel's release, as `uname -r` has it.
    #[serde(default)]
    pub kernel: String,
    /// The system, as os-release(5) calls it, for example `Debian GNU/Linux 12 (bookworm)`.
    #[serde(default)]
    pub system: Option<String>,
}

/// Asks what the kernel has counted since the host was started that means that something went wrong.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ErrorCounters {}

/// What the kernel has counted. What it does not count is 0.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorCountersReply {
    /// The interfaces but for `lo`, by name: at most 256.
    pub interfaces: BTreeMap<String, InterfaceErrors>,
    /// TCP segments that were sent, without those that were sent again.
    pub tcp_sent: u64,
    /// TCP segments that were sent again.
    pub tcp_again: u64,
    /// TCP segments and UDP datagrams whose checksum was wrong.
    pub checksums: u64,
    /// Connections that a listening process was too slow to take.
    pub refused: u64,
    /// Packets that were dropped because the table of connections was full.
    pub untracked: u64,
    /// Processes that were ended because memory was short.
    pub out_of_memory: u64,
    /// Errors that ext4 found in its file systems, on the whole machine.
    pub file_systems: u64,
}

/// What an interface has counted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct InterfaceErrors {
    /// Packets that arrived damaged, of whatever kind.
    pub received: u64,
    /// Packets that could not be sent.
    pub sent: u64,
}

/// Asks the time.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Clock {}

/// The host's time.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ClockReply {
    /// Nanoseconds since the epoch.
    pub unix_nanos: i128,
}

/// Asks for processes whose name (`/proc/PID/comm`, 15 bytes) or program file name is one of these.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Processes {
    /// The names; none: every process, without arguments.
    pub names: Vec<String>,
}

/// Asks on which TCP addresses these processes listen.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Listeners {
    /// Their ids.
    pub pids: Vec<i32>,
}

/// Where processes listen.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListenersReply {
    /// The TCP addresses.
    pub addresses: Vec<SocketAddr>,
    /// Whether there may be more: of some processes the agent may not see which sockets they hold.
    pub hidden: bool,
}

/// Asks how a process was set in one respect: by its command line, its environment, or the configuration file that it was
/// given.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Setting {
    /// The process.
    pub pid: i32,
    /// In which respect.
    pub of: Settled,
}

/// A respect in which a process may be set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Settled {
    /// Whether a scheduler or a controller manager elects a leader.
    LeaderElection,
    /// The size that etcd's database may not pass.
    EtcdQuota,
    /// Whether Cilium's agent serves Services in kube-proxy's place.
    CiliumServices,
    /// Whether kube-router does.
    KubeRouterServices,
    /// Whether Antrea's agent does.
    AntreaServices,
    /// When a kubelet asks the registry whether a pod may use an image that is there.
    PullVerification,
    /// What an API server encrypts Secrets with: the provider, and behind a colon the name of its key. Absent: nothing.
    Encryption,
}

/// How a process was set.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SettingReply {
    /// The value; absent where nothing says it, and then it is the program's default.
    pub value: Option<String>,
    /// Whether it was given a file that could not be read, so that nothing is known.
    pub unread: bool,
}

/// Asks which of these files are there; nothing of them is read.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Existing {
    /// Absolute paths.
    pub paths: Vec<String>,
}

/// A process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Process {
    /// Its id.
    pub pid: i32,
    /// Its parent's id.
    pub parent: i32,
    /// Its name.
    pub name: String,
    /// Its arguments.
    pub arguments: MaskedArguments,
    /// `R`, `S`, `D`, `T`, `Z` …, as in proc(5).
    pub state: char,
    /// Seconds since it started.
    pub age_seconds: u64,
    /// The cgroup that names its unit or container.
    pub cgroup: String,
}

impl Process {
    /// Returns the value that a flag of it has: `--name=value` or `--name value`.
    pub fn flag(&self, name: &str) -> Option<&str> {
        flag(self.arguments.iter().map(|argument| &**argument), name)
    }
}

/// Returns the value that a flag has among arguments: `--name=value` or `--name value`, with one dash too, as Go has it.
pub(crate) fn flag<'a>(mut arguments: impl Iterator<Item = &'a str>, name: &str) -> Option<&'a str> {
    while let Some(argument) = arguments.next() {
        let Some(text) = argument.strip_prefix("--").or_else(|| argument.strip_prefix('-')) else {
            continue;
        };
        match text.strip_prefix(name) {
            Some("") => return arguments.next(),
            Some(value) if value.starts_with('=') => return Some(&value[1..]),
            _ => {}
        }
    }
    None
}

/// Asks for the end of a journal. Empty where no journalctl is: it is evidence, never a verdict.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Journal {
    /// The unit, for example `kubelet.service`.
    pub unit: String,
    /// How many lines.
    pub lines: u32,
}

/// Asks how often systemd has started units again by itself. Refused where no systemctl answers.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Restarts {
    /// The units, for example `kubelet.service`; [`Restarts::MOST`] at most.
    pub units: Vec<String>,
}

impl Restarts {
    /// No more units are looked at.
    pub const MOST: usize = 32;
}

/// Asks for values below /proc/sys.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Sysctls {
    /// Keys with dots, for example `net.ipv4.ip_forward`.
    pub keys: Vec<String>,
}

/// Asks for the lines of a container's log that contain a text, from the file below /var/log/pods. Refused where there is
/// none.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ContainerLog {
    /// The pod's namespace.
    pub namespace: String,
    /// The pod's name.
    pub pod: String,
    /// The pod's UID.
    pub uid: String,
    /// The container's name.
    pub container: String,
    /// The text.
    pub containing: String,
}
