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
}
