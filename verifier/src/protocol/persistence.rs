//! What of a host is still so when it starts again: units, settings of the kernel, modules, swap, routes.

use std::collections::BTreeMap;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

/// Asks what comes back by itself when the host starts again. Read from files; nothing is started or asked.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Persistence {
    /// Units, for example `kubelet.service`.
    pub units: Vec<String>,
    /// Keys of sysctl with dots, for example `net.ipv4.ip_forward`.
    pub keys: Vec<String>,
    /// Modules of the kernel, for example `br_netfilter`.
    pub modules: Vec<String>,
    /// Networks that are routed.
    pub networks: Vec<IpNet>,
    /// Files that processes read when they start, by the process.
    pub inputs: Vec<(i32, Vec<Input>)>,
    /// Directories that hold what must not be lost.
    pub directories: Vec<String>,
}

impl Persistence {
    /// No more of each kind are looked at.
    pub const MOST: usize = 1000;

    /// Returns the longest reply, in bytes: a few paths for each thing that was asked for.
    pub(crate) fn reply_limit(&self) -> u32 {
        const EACH: usize = 8 * 1024;
        let asked = [
            self.units.len(),
            self.keys.len(),
            self.modules.len(),
            self.networks.len(),
            self.inputs.iter().map(|(_, files)| files.len()).sum(),
            self.directories.len(),
        ];
        let asked: usize = asked.into_iter().map(|count| count.min(Self::MOST)).sum();
        u32::try_from((asked + 8) * EACH).unwrap_or(u32::MAX)
    }
}

/// What comes back.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PersistenceReply {
    /// Whether systemd is what starts this host.
    pub systemd: bool,
    /// The units, by name.
    pub units: BTreeMap<String, UnitFacts>,
    /// The settings, by key.
    pub sysctls: BTreeMap<String, SysctlFacts>,
    /// The modules, by name.
    pub modules: BTreeMap<String, ModuleFacts>,
    /// Devices and files that are swapped to now.
    pub swaps: Vec<String>,
    /// Those that /etc/fstab turns on.
    pub swaps_at_boot: Vec<String>,
    /// What sets a route to each of the networks: a file, or the protocol of a routing daemon; absent: nothing that was
    /// found.
    pub routes: BTreeMap<IpNet, Option<String>>,
    /// Files that a process reads when it starts and that are not as it read them.
    #[serde(default)]
    pub inputs: Vec<InputFacts>,
    /// The host's name.
    #[serde(default)]
    pub hostname: HostnameFacts,
    /// What is mounted otherwise then.
    #[serde(default)]
    pub mounts: Vec<MountFacts>,
    /// Units of packet filters that are started at boot and do not run now.
    #[serde(default)]
    pub firewalls: Vec<String>,
}

/// A file that a process reads when it starts.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Input {
    /// Its path, as the process sees it.
    pub path: String,
    /// Whether it is read then and never again.
    pub once: bool,
    /// Whether the process does without it.
    pub optional: bool,
}

/// A file that is not as a process read it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InputFacts {
    /// The process.
    pub pid: i32,
    /// The file.
    pub path: String,
    /// Whether it is gone; else it was written after the process had started.
    pub missing: bool,
}

/// The name of a host.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostnameFacts {
    /// Now.
    pub now: String,
    /// As /etc/hostname has it; absent where that names none, and something else does.
    pub at_boot: Option<String>,
}

/// A file system that is not as it is at boot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MountFacts {
    /// What is mounted.
    pub source: String,
    /// Where.
    pub path: String,
    /// In which way.
    pub differs: MountDiffers,
}

/// How a file system differs at boot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MountDiffers {
    /// /etc/fstab wants it, and its device is not there: the boot waits for it and stops.
    NoDevice,
    /// /etc/fstab mounts it, and now it is not mounted.
    Unmounted,
    /// It is in memory, and holds what must not be lost.
    InMemory,
}

/// A unit of systemd.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnitFacts {
    /// Its file; absent: there is none.
    pub file: Option<String>,
    /// Whether it may not be started at all.
    pub masked: bool,
    /// What starts it at boot, for example `multi-user.target`; absent: nothing does.
    pub started_by: Option<String>,
    /// Whether its file lies where nothing survives the host's end.
    pub volatile: bool,
    /// What keeps it from starting, as its file stands.
    #[serde(default)]
    pub obstacles: Vec<Obstacle>,
}

/// What keeps a unit from starting.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Obstacle {
    /// This program is not there, or may not be run.
    Program(String),
    /// It reads this file, and that is not there.
    Input(String),
    /// It reads this file, and that lies where nothing survives the host's end.
    Volatile(String),
    /// This condition of the unit is not met.
    Condition(String),
}

/// A setting of the kernel.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SysctlFacts {
    /// Its value now; absent: the kernel has none.
    pub now: Option<String>,
    /// Its value at boot, where a file names one.
    pub at_boot: Option<String>,
    /// What sets it then.
    pub file: Option<String>,
}

/// A module of the kernel.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModuleFacts {
    /// Whether it is loaded; one that is built in is not.
    pub loaded: bool,
    /// What loads it at boot; absent: nothing that was found.
    pub loaded_by: Option<String>,
    /// The file by which nothing may load it (modprobe.d(5)).
    #[serde(default)]
    pub barred_by: Option<String>,
}
