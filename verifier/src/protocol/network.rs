//! Probes from a host, and its interfaces and packet filter.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;
use secrets::Masked;
use serde::{Deserialize, Serialize};

/// Where a probe starts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Place {
    /// The host's own network namespace.
    Host,
    /// The network namespace of the CRI sandbox with this id.
    Sandbox(String),
}

/// An HTTP/1.1 request over plain TCP, without redirects and without any proxy.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct HttpProbe {
    /// Where to connect.
    pub to: SocketAddr,
    /// `GET` or `HEAD`.
    pub method: String,
    /// The path, for example `/`.
    pub path: String,
    /// Where the connection starts.
    pub from: Place,
    /// How long to wait in milliseconds, from the connect to the last byte.
    pub timeout_millis: u64,
    /// How many bytes of the body to keep; all are read and counted.
    pub keep_body: usize,
}

/// An HTTP/1.1 request over TLS to an address of the host itself. The components of Kubernetes serve their health with
/// certificates that they sign themselves, so none is checked; nothing is sent but the path, and what comes back is
/// taken for a sign of life and nothing else. Any other host's address is refused.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct TlsProbe {
    /// The request; `from` must be the host.
    pub probe: HttpProbe,
}

/// How a probe ended. A host that could not even try answers with a [`Refusal`](super::Refusal) instead.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "end")]
pub enum HttpReply {
    /// An answer came.
    Answer {
        /// The status code.
        status: u16,
        /// The headers, names in lower case.
        headers: BTreeMap<String, Masked>,
        /// The first bytes of the body, as text.
        body: Masked,
        /// The length of the whole body in bytes.
        length: u64,
        /// Milliseconds from the connect to the last byte.
        millis: u64,
    },
    /// No connection, or one that broke: `connection refused`, `no route to host` …
    Broken {
        /// The system's own words.
        error: Masked,
    },
    /// Nothing until the deadline.
    Silent {
        /// Whether a TCP connection stood by then.
        connected: bool,
    },
}

/// Starts an echo server, TCP and UDP, on ports that the system chooses: what shows that packets pass, of either
/// protocol and of any length, without any image. It answers nobody who does not know `token`, and ends by itself.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct EchoServer {
    /// Where it listens.
    pub at: Place,
    /// On which address.
    pub address: IpAddr,
    /// On which port it takes datagrams; 0: the system chooses.
    pub udp: u16,
    /// What every datagram and every connection must begin with.
    pub token: u64,
    /// What is added to the answer to a datagram that holds the token alone: it says who answers.
    pub mark: u64,
    /// How long it serves, in milliseconds.
    pub serve_millis: u64,
}

/// Where an echo server listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EchoPorts {
    /// The port of TCP.
    pub tcp: u16,
    /// The port of UDP.
    pub udp: u16,
}

/// Sends bytes to an echo server and waits until all of them came back.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Echo {
    /// The server.
    pub to: SocketAddr,
    /// Where the packets start.
    pub from: Place,
    /// What the server knows its friends by.
    pub token: u64,
    /// How they are sent.
    pub by: Transport,
    /// How long to wait in milliseconds.
    pub timeout_millis: u64,
}

/// How bytes are sent to an echo server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Transport {
    /// Over one connection, so many bytes.
    Tcp(u32),
    /// In one datagram of so many bytes, which may be cut into fragments; sent again until it comes back.
    Udp(u16),
    /// In one datagram of so many bytes, which must not be cut.
    WholeUdp(u16),
    /// In the longest datagram that need not be cut: to begin with, one that fills the MTU of the interface it leaves by,
    /// and where somebody on the way says that he takes less, one of that.
    LargestUdp,
}

impl Transport {
    /// Returns whether it is datagrams.
    pub const fn is_udp(self) -> bool {
        !matches!(self, Self::Tcp(_))
    }
}

/// How an echo ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "end")]
pub enum EchoReply {
    /// All came back.
    Back {
        /// The bytes that were sent, headers apart.
        bytes: u32,
        /// Milliseconds from the first packet to the last byte.
        millis: u64,
        /// The address that the server saw, where it is not the one that they were sent from; over TCP alone.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        seen_as: Option<IpAddr>,
    },
    /// It broke: `connection refused`, `message too long` ...
    Broken {
        /// The bytes that were to be sent.
        bytes: u32,
        /// The system's own words.
        error: String,
    },
    /// Not all came back in time.
    Silent {
        /// The bytes that were to be sent.
        bytes: u32,
        /// How many of them came back.
        back: u32,
    },
}

/// Sends datagrams that hold a token alone, each from a port of its own, and counts which echo servers answer: what a Service
/// does with datagrams.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct EchoSurvey {
    /// Where they go.
    pub to: SocketAddr,
    /// Where they start.
    pub from: Place,
    /// What the servers know their friends by.
    pub token: u64,
    /// How many are sent; [`EchoSurvey::MOST`] at most.
    pub datagrams: u16,
    /// How long each may take in milliseconds; it is sent again within that time.
    pub timeout_millis: u64,
}

/// Which echo servers answered.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EchoSurveyReply {
    /// The marks of those that answered, each with how often.
    pub answered: Vec<(u64, u32)>,
    /// How many datagrams were not answered.
    pub lost: u32,
    /// With which words of the system the last of these broke; absent where nothing came.
    pub error: Option<String>,
}

impl EchoSurvey {
    /// No more datagrams are sent at once.
    pub const MOST: u16 = 256;
}

/// The most of a body that is ever kept, in bytes.
pub(crate) const KEPT_BODY: usize = 256 * 1024;

/// Asks for interfaces.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Interfaces {}

/// A network interface.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Interface {
    /// Its index.
    pub index: u32,
    /// Its name.
    pub name: String,
    /// `veth`, `bridge` …; empty for a physical one.
    pub kind: String,
    /// Whether it is up.
    pub up: bool,
    /// The name of its master, for example a bridge.
    pub master: Option<String>,
    /// The index of its peer, for a veth.
    pub peer: Option<u32>,
    /// Its addresses with their networks.
    pub addresses: Vec<IpNet>,
    /// Its MTU in bytes.
    pub mtu: u32,
    /// Its Ethernet address, as `ip` prints it.
    #[serde(default)]
    pub card: Option<String>,
}

/// Asks for the rules of the packet filter: those of the built-in chains, those that drop or reject, and those that contain
/// one of these texts.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Chains {
    /// The texts, for example the name of a namespace as kube-proxy's comments have it.
    pub containing: Vec<String>,
}

/// The packet filter as far as it can be read: both backends of iptables, and nftables' own tables where there is an `nft`.
/// What eBPF programs do is not seen.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChainsReply {
    /// Whether there is an iptables-save that could be asked.
    pub readable: bool,
    /// The chains: iptables' own before the other backend's and nftables', IPv4 before IPv6, in the order of the tables.
    pub chains: Vec<Chain>,
}

/// A chain of the packet filter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chain {
    /// Whose it is.
    pub of: Filter,
    /// Whether it is for IPv6.
    pub v6: bool,
    /// `raw`, `mangle`, `nat` or `filter`; of nftables the family and the name, `inet firewalld`.
    pub table: String,
    /// Its name.
    pub name: String,
    /// Where packets come to it by themselves, as iptables calls it: `FORWARD`; absent for a chain that others jump to.
    pub hook: Option<String>,
    /// `ACCEPT` or `DROP`; absent for a chain that others jump to.
    pub policy: Option<String>,
    /// Rules in order, as iptables-save prints them without `-A NAME`, or as nft does; of a chain that others jump to only
    /// those that were asked for.
    pub rules: Vec<String>,
}

/// Who keeps a chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Filter {
    /// What the host calls `iptables`.
    Iptables,
    /// The older backend, where `iptables` is the newer one.
    IptablesLegacy,
    /// The newer backend, where `iptables` is the older one.
    IptablesNft,
    /// nftables, by itself.
    Nftables,
}

impl Filter {
    /// Returns the command that shows a chain of it.
    pub const fn command(self, v6: bool) -> &'static str {
        match (self, v6) {
            (Self::Iptables, false) => "iptables",
            (Self::Iptables, true) => "ip6tables",
            (Self::IptablesLegacy, false) => "iptables-legacy",
            (Self::IptablesLegacy, true) => "ip6tables-legacy",
            (Self::IptablesNft, false) => "iptables-nft",
            (Self::IptablesNft, true) => "ip6tables-nft",
            (Self::Nftables, _) => "nft",
        }
    }
}

/// Asks for the configuration that the container runtime reads from the CNI's directory.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Cni {
    /// As in [`CriStatus`](super::CriStatus).
    pub socket: Option<String>,
}

/// The CNI's configuration: the first file of the directory by name, as runtimes take it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CniReply {
    /// The directory.
    pub directory: String,
    /// The file; absent: there is none.
    pub file: Option<String>,
    /// Why the file cannot be used.
    pub problem: Option<Masked>,
    /// The name of the network.
    pub name: String,
    /// The plugin that makes the interface, for example `bridge` or `flannel`.
    pub plugin: String,
    /// The bridge's name, for the plugin `bridge`.
    pub bridge: Option<String>,
    /// Whether the bridge has an address of the pod network.
    pub gateway: bool,
    /// Whether it hides its pods behind the host's address from everybody outside of their own network (`ipMasq`).
    #[serde(default)]
    pub masquerades: bool,
    /// The networks that host-local gives addresses of.
    pub subnets: Vec<IpNet>,
}

/// Asks for a byte stream to an address; after the reply the stream is raw in both directions.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Dial {
    /// `host:port` as the agent's host resolves it.
    pub to: String,
    /// Where the stream begins.
    pub from: Place,
}

impl HttpProbe {
    /// Returns the longest reply that is taken: the body that is asked for, escaped, and the headers that are kept.
    pub(super) fn reply_limit(&self) -> u32 {
        let body = self.keep_body.min(KEPT_BODY).saturating_mul(6);
        u32::try_from(body).unwrap_or(u32::MAX).saturating_add(128 << 10)
    }
}
