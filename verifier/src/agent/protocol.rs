//! What the verifier asks of an agent and what the agent answers. Values only: serde types, no I/O.
//!
//! Every request is a type that implements [`Ask`]; its reply is a value that is kept as evidence and holds no
//! secret. On the wire a request is one stream of the connection: the JSON of a [`Request`] with its deadline behind
//! its length (u32, big-endian), then, where the request says so, raw bytes; the answer is the JSON of
//! `Result<Reply, Refusal>` behind its length.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

/// The version of the protocol. Both ends must be of the same.
pub const VERSION: u32 = 1;

/// A request with its reply.
pub trait Ask: Into<Request> + Clone + Send + Sync {
    /// What the agent answers.
    type Reply: Serialize + DeserializeOwned + Send;
}

/// Why an agent could not answer: a sentence, lower-case, with the path or address that it concerns.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{text}")]
pub struct Refusal {
    /// The sentence.
    pub text: String,
}

impl Refusal {
    /// Returns an error with its causes as one sentence.
    pub fn of(error: &dyn std::error::Error) -> Self {
        let mut text = error.to_string();
        let mut next = error.source();
        while let Some(cause) = next {
            // Some libraries repeat the cause in their own words.
            if !text.ends_with(&cause.to_string()) {
                let _ = write!(text, ": {cause}");
            }
            next = cause.source();
        }
        Self { text }
    }
}

/// Declares the requests: the enum on the wire, and for each the reply that belongs to it.
macro_rules! requests {
    ($($(#[$doc:meta])* $name:ident => $reply:ty),* $(,)?) => {
        /// A request as it travels.
        #[derive(Clone, Debug, Serialize, Deserialize)]
        #[serde(tag = "ask", rename_all = "kebab-case")]
        pub enum Request {
            $($(#[$doc])* $name($name)),*
        }
        $(
            impl Ask for $name { type Reply = $reply; }
            impl From<$name> for Request { fn from(ask: $name) -> Self { Self::$name(ask) } }
        )*
    };
}

requests! {
    /// Who is there.
    Hello => HelloReply,
    /// What time the host has.
    Clock => ClockReply,
    /// HTTP from this host, or from inside a pod's network namespace.
    HttpProbe => HttpReply,
    /// HTTP over TLS from this host to itself, for signs of life: no certificate is checked.
    TlsProbe => HttpReply,
    /// The processes of certain names.
    Processes => Vec<Process>,
    /// Where processes listen.
    Listeners => Vec<SocketAddr>,
    /// Which of these files are there.
    Existing => Vec<String>,
    /// The last lines of a unit's journal.
    Journal => Vec<String>,
    /// Lines of a container's log, past the kubelet.
    ContainerLog => Vec<String>,
    /// The routes of the host's main table.
    Routes => Vec<Route>,
    /// The interfaces of the host.
    Interfaces => Vec<Interface>,
    /// Values below /proc/sys.
    Sysctls => BTreeMap<String, Option<String>>,
    /// The packet filter's rules that matter to us.
    Chains => ChainsReply,
    /// The CNI's configuration.
    Cni => CniReply,
    /// crictl's configuration, and whether its socket answers.
    Crictl => CrictlReply,
    /// The sandboxes of the container runtime, with the interfaces inside them, and its containers.
    CriPods => CriPodsReply,
    /// What the container runtime says of itself.
    CriStatus => CriStatusReply,
    /// The images that the container runtime lists.
    CriImages => Vec<CriImage>,
    /// One image as the container runtime finds it, by any of its names.
    CriImageStatus => Option<CriImage>,
    /// One key of etcd, without its secret.
    EtcdGet => EtcdGetReply,
    /// How members of etcd are.
    EtcdStatus => Vec<EtcdEndpoint>,
    /// Bytes to and from an address, raw after the reply.
    Dial => (),
    /// What of a load is missing on this host, and whether there is room for it.
    Missing => crate::containerd::MissingReply,
    /// A load: the blobs follow raw, in the plan's order.
    Load => crate::containerd::LoadReply,
}

/// Asks who is there.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Hello {}

/// The agent's own account of itself.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct HelloReply {
    /// [`VERSION`] of the agent.
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

/// How a probe ended. A host that could not even try answers with a [`Refusal`] instead.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "end")]
pub enum HttpReply {
    /// An answer came.
    Answer {
        /// The status code.
        status: u16,
        /// The headers, names in lower case.
        headers: BTreeMap<String, String>,
        /// The first bytes of the body, as text.
        body: String,
        /// The length of the whole body in bytes.
        length: u64,
        /// Milliseconds from the connect to the last byte.
        millis: u64,
    },
    /// No connection, or one that broke: `connection refused`, `no route to host` …
    Broken {
        /// The system's own words.
        error: String,
    },
    /// Nothing until the deadline.
    Silent {
        /// Whether a TCP connection stood by then.
        connected: bool,
    },
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
    /// Its arguments, those that look like secrets masked.
    pub arguments: Vec<String>,
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

/// Asks for routes.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Routes {}

/// A route of the main table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Route {
    /// The network; `0.0.0.0/0` or `::/0` for a default route.
    pub destination: IpNet,
    /// The next hop; absent for a network on the link.
    pub via: Option<IpAddr>,
    /// The interface.
    pub device: Option<String>,
}

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
}

/// Asks for values below /proc/sys.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Sysctls {
    /// Keys with dots, for example `net.ipv4.ip_forward`.
    pub keys: Vec<String>,
}

/// Asks for the rules of iptables, legacy or over nftables: those of the built-in chains, those that drop or reject, and
/// those that contain one of these texts.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Chains {
    /// The texts, for example the name of a namespace as kube-proxy's comments have it.
    pub containing: Vec<String>,
}

/// The packet filter as far as it can be read. Rules that nft or eBPF programs hold beside iptables are not seen.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChainsReply {
    /// Whether there is an iptables-save that could be asked.
    pub readable: bool,
    /// The chains, IPv4 before IPv6, in the order of the tables.
    pub chains: Vec<Chain>,
}

/// A chain of iptables.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chain {
    /// Whether it is of ip6tables.
    pub v6: bool,
    /// `raw`, `mangle`, `nat` or `filter`.
    pub table: String,
    /// Its name.
    pub name: String,
    /// `ACCEPT` or `DROP`; absent for a chain that is not built in.
    pub policy: Option<String>,
    /// Rules as iptables-save prints them, without `-A NAME`, in order; of a chain that is not built in only those that
    /// were asked for.
    pub rules: Vec<String>,
}

/// Asks for the configuration that the container runtime reads from the CNI's directory.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Cni {
    /// As in [`CriStatus`].
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
    pub problem: Option<String>,
    /// The name of the network.
    pub name: String,
    /// The plugin that makes the interface, for example `bridge` or `flannel`.
    pub plugin: String,
    /// The bridge's name, for the plugin `bridge`.
    pub bridge: Option<String>,
    /// Whether the bridge has an address of the pod network.
    pub gateway: bool,
    /// The networks that host-local gives addresses of.
    pub subnets: Vec<IpNet>,
}

/// Asks for crictl's configuration.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Crictl {}

/// What crictl would read on this host.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CrictlReply {
    /// Where it looks, in order.
    pub places: Vec<String>,
    /// The first of them that is there; absent: none is.
    pub file: Option<String>,
    /// Why the file cannot be used: no YAML, or not to be read.
    pub problem: Option<String>,
    /// The settings that crictl knows.
    pub settings: BTreeMap<String, String>,
    /// Keys that crictl does not know; it refuses the file for them.
    pub unknown: Vec<String>,
    /// Which runtime answers on `runtime-endpoint`; absent where the file names none, or nobody answers.
    pub runtime: Option<String>,
    /// Why nobody answers there.
    pub silent: Option<String>,
}

/// Asks for sandboxes and containers.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CriPods {
    /// As in [`CriStatus`].
    pub socket: Option<String>,
}

/// What the container runtime holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CriPodsReply {
    /// The runtime, for example `containerd`.
    pub runtime: String,
    /// The sandboxes, by id.
    pub sandboxes: Vec<SandboxNetwork>,
    /// The containers, by id.
    pub containers: Vec<crate::cri::Container>,
}

/// A sandbox with its network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SandboxNetwork {
    /// The sandbox.
    pub sandbox: crate::cri::Sandbox,
    /// Whether it shares the host's network namespace.
    pub host_network: bool,
    /// The interfaces inside; absent where it is not ready, shares the host's, or its namespace could not be entered.
    pub interfaces: Option<Vec<Interface>>,
}

/// Asks the CRI for its version, its state and its configuration.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CriStatus {
    /// The socket's path; absent: the ones that the usual runtimes have, in turn.
    pub socket: Option<String>,
}

/// What the CRI says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CriStatusReply {
    /// The socket that answered.
    pub socket: String,
    /// For example `containerd`.
    pub runtime: String,
    /// For example `v2.4.2`.
    pub version: String,
    /// The image of the sandboxes, as the runtime is configured; absent where it does not say.
    pub sandbox_image: Option<String>,
    /// The snapshotter, as the runtime is configured.
    pub snapshotter: Option<String>,
}

/// Asks for all images.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CriImages {
    /// As in [`CriStatus`].
    pub socket: Option<String>,
}

/// Asks for one image by tag, by digest or by id.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CriImageStatus {
    /// As in [`CriStatus`].
    pub socket: Option<String>,
    /// `docker.io/library/nginx:1.29`, `docker.io/library/nginx@sha256:…` or `sha256:…`.
    pub reference: String,
}

/// An image as the CRI has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CriImage {
    /// The digest of its configuration.
    pub id: String,
    /// References by tag.
    pub tags: Vec<String>,
    /// References by digest.
    pub digests: Vec<String>,
    /// Its size in bytes as the runtime counts it.
    pub size: u64,
    /// Whether the kubelet must keep it.
    pub pinned: bool,
    /// `os/architecture` from its configuration, where it was asked for by name and the runtime says it.
    pub platform: Option<String>,
}

/// Asks for one key of etcd. The value stays on the host: see [`EtcdGetReply`].
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct EtcdGet {
    /// URLs as seen from the host, for example `http://127.0.0.1:2379`.
    pub endpoints: Vec<String>,
    /// Paths on the host, for endpoints with TLS.
    pub tls: Option<EtcdTls>,
    /// The key.
    pub key: String,
    /// Texts that must not be in the value, for example the plaintext of a canary and its base64.
    pub needles: Vec<String>,
}

/// Paths of the files that open etcd, on the host itself.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct EtcdTls {
    /// The CA's certificate.
    pub ca: String,
    /// The client's certificate.
    pub cert: Option<String>,
    /// The client's key.
    pub key: Option<String>,
}

/// What may leave the host of a value in etcd.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EtcdGetReply {
    /// The endpoint that answered.
    pub endpoint: String,
    /// The value; absent: there is no such key.
    pub value: Option<EtcdValue>,
}

/// A value without its secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EtcdValue {
    /// The text up to and with the colon behind the key's name, when it begins with `k8s:enc:`; else empty.
    pub prefix: String,
    /// The whole length in bytes.
    pub length: u64,
    /// The needles (by their place in the request) that stand in the value.
    pub found: Vec<usize>,
    /// `hexdump -C` of the first 128 bytes of key and value; behind the prefix only where the value is encrypted,
    /// else masked.
    pub hexdump: String,
    /// Etcd's modification revision.
    pub revision: i64,
}

/// Asks members of etcd how they are. Reads only: no key's value is touched.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct EtcdStatus {
    /// URLs as seen from the host; each is asked.
    pub endpoints: Vec<String>,
    /// Paths on the host, for endpoints with TLS.
    pub tls: Option<EtcdTls>,
    /// How long an endpoint may take in milliseconds.
    pub timeout_millis: u64,
}

/// What one endpoint of etcd answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EtcdEndpoint {
    /// Its URL.
    pub endpoint: String,
    /// What came.
    pub answer: EtcdAnswer,
}

/// How the question to a member ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "end")]
pub enum EtcdAnswer {
    /// It answered.
    Member(Box<EtcdMember>),
    /// Nobody listens there.
    Refused,
    /// No connection, or one that broke, or an error instead of an answer.
    Broken {
        /// Why.
        error: String,
    },
    /// Nothing until the deadline.
    Silent,
}

/// A member of etcd by its own account. Ids are hexadecimal, as etcdctl shows them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EtcdMember {
    /// Its id.
    pub id: String,
    /// The id of its cluster.
    pub cluster: String,
    /// Its version, for example `3.7.3`.
    pub version: String,
    /// The id of the leader that it follows; absent: it knows none.
    pub leader: Option<String>,
    /// The term of that leader.
    pub term: u64,
    /// The index that it has applied.
    pub applied: u64,
    /// The size of its database file in bytes.
    pub size: u64,
    /// The bytes of it that are in use.
    pub in_use: u64,
    /// The size that it may not pass; absent where it does not say (before 3.6).
    pub quota: Option<u64>,
    /// Whether it only learns and has no vote.
    pub learner: bool,
    /// What it says is wrong with itself.
    pub errors: Vec<String>,
    /// The alarms of the cluster; absent where it did not say.
    pub alarms: Option<Vec<EtcdAlarm>>,
    /// The members of the cluster; absent where it did not say.
    pub members: Option<Vec<EtcdPeer>>,
    /// Why a read that needs a majority failed; absent: it was answered.
    pub unread: Option<String>,
}

/// An alarm of etcd.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EtcdAlarm {
    /// The id of the member that raised it.
    pub member: String,
    /// `NOSPACE` or `CORRUPT`.
    pub alarm: String,
}

/// A member as the cluster knows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EtcdPeer {
    /// Its id.
    pub id: String,
    /// Its name; empty until it has started once.
    pub name: String,
    /// Where clients reach it.
    pub urls: Vec<String>,
    /// Whether it only learns and has no vote.
    pub learner: bool,
}

/// Asks for a byte stream to an address; after the reply the stream is raw in both directions.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Dial {
    /// `host:port` as the agent's host resolves it.
    pub to: String,
}

/// Asks what a load would have to bring.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Missing {
    /// What is to be there in the end.
    pub plan: crate::containerd::LoadPlan,
}

/// Asks for a load. The bytes of `send` follow, blob after blob in this order, without anything between them, and the
/// byte [`COMMIT`](crate::containerd::COMMIT) behind them once the whole archive was verified.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Load {
    /// What is to be there in the end.
    pub plan: crate::containerd::LoadPlan,
    /// The blobs that follow, in order: a subset of the plan's.
    pub send: Vec<crate::containerd::Blob>,
}
