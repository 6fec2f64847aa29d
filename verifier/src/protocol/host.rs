//! What a host says of itself: its clock, its processes, its journal, its kernel's settings.

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

/// Asks for the end of a journal. Empty where no journalctl is: it is evidence, never a verdict.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Journal {
    /// The unit, for example `kubelet.service`.
    pub unit: String,
    /// How many lines.
    pub lines: u32,
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
