//! What names mean on a host, by its own files and its own DNS servers.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

/// Asks what these names mean, and the API server's name in the kubelet's kubeconfig.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Names {
    /// The names. No more than [`Names::MOST`] are looked up.
    pub names: Vec<String>,
    /// Whether every name of /etc/hosts is asked for too.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub of_file: bool,
}

impl Names {
    /// A name of nobody: where it means something, DNS answers whatever it is asked.
    pub const NOBODY: &str = "verifier-no-such-host";
    /// No more are looked up.
    pub const MOST: usize = 1000;

    /// Returns the longest reply, in bytes: some addresses for each name.
    pub(super) fn reply_limit(&self) -> u32 {
        let names = if self.of_file {
            Self::MOST
        } else {
            self.names.len()
        };
        let names = names.min(Self::MOST) + 16;
        u32::try_from(names * 4096).unwrap_or(u32::MAX)
    }
}

/// What they mean.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NamesReply {
    /// The names, as they were asked for, and that of the API server.
    pub names: BTreeMap<String, NameFound>,
    /// The API server's name in the kubelet's kubeconfig; absent where that has an address, or there is no kubelet.
    pub api_server: Option<String>,
    /// Sources of nsswitch.conf that only the host's own C library can ask: sss, ldap, wins ...
    pub unasked: Vec<String>,
    /// The DNS servers of resolv.conf.
    pub servers: Vec<String>,
}

/// What a name means.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "found")]
pub enum NameFound {
    /// These addresses.
    Addresses {
        /// The addresses, in order.
        addresses: Vec<IpAddr>,
        /// Whether /etc/hosts has the name.
        of_file: bool,
    },
    /// Nobody knows it.
    Unknown,
    /// It is in no file, and no DNS server answers, or there is none.
    Silent,
}

impl NameFound {
    /// Returns the addresses; none where the name means nothing.
    pub fn addresses(&self) -> &[IpAddr] {
        match self {
            Self::Addresses { addresses, .. } => addresses,
            Self::Unknown | Self::Silent => &[],
        }
    }
}
