//! What the programs of a pod are told of DNS, and what DNS servers answer them.

use std::net::{IpAddr, SocketAddr};

use serde::{Deserialize, Serialize};

/// Asks what the programs of a container are told of DNS: its `/etc/resolv.conf`, which the kubelet wrote.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Resolver {
    /// The container's id.
    pub container: String,
}

/// What `/etc/resolv.conf` says.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResolverReply {
    /// The servers, in order.
    pub servers: Vec<IpAddr>,
    /// The domains that short names are looked for in.
    pub search: Vec<String>,
}

/// Asks DNS servers, all at once, from inside the network of a container.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Dns {
    /// The container's id.
    pub container: String,
    /// What is asked; [`Dns::MOST`] at most.
    pub questions: Vec<DnsQuestion>,
    /// How long each may take in milliseconds.
    pub timeout_millis: u64,
}

/// A question to a DNS server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DnsQuestion {
    /// The server.
    pub server: SocketAddr,
    /// The whole name, as it is.
    pub name: String,
    /// Whether addresses of IPv6 are asked for.
    pub v6: bool,
    /// How it is sent.
    pub by: DnsBy,
}

/// How a question is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DnsBy {
    /// In a datagram, sent again until an answer comes.
    Udp,
    /// Over a connection.
    Tcp,
}

/// How a question ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "end")]
pub enum DnsReply {
    /// An answer came.
    Answer {
        /// The code of RFC 1035, 4.1.1: 0 is well, 2 SERVFAIL, 3 NXDOMAIN, 5 REFUSED.
        code: u8,
        /// Whether it was too long for its datagram: then it must be asked for over a connection.
        truncated: bool,
        /// The addresses, in the answer's order; [`DnsReply::MOST`] at most.
        addresses: Vec<IpAddr>,
        /// Milliseconds from the first packet.
        millis: u64,
    },
    /// It broke: `connection refused` …
    Broken {
        /// The system's own words.
        error: String,
    },
    /// No answer in time.
    Silent {
        /// Whether a connection stood by then.
        connected: bool,
    },
}

impl Dns {
    /// More questions are not asked.
    pub const MOST: usize = 512;

    /// Returns the longest reply that is taken.
    pub(super) fn reply_limit(&self) -> u32 {
        let each = 128 + 48 * DnsReply::MOST;
        let all = self.questions.len().min(Self::MOST).saturating_mul(each);
        u32::try_from(all).unwrap_or(u32::MAX).saturating_add(4 << 10)
    }
}

impl DnsReply {
    /// More addresses of an answer are not kept.
    pub const MOST: usize = 16;
}
