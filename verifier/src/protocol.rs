//! What the verifier asks of an agent and what the agent answers. Values only: serde types, no I/O.
//!
//! Every request is a type that implements [`Ask`]; its reply is a value that is kept as evidence and holds no
//! secret: free text is masked by its type, on the host and again where it is read, since an agent may be old or hostile. On the wire a request is one stream of the connection: the JSON of a [`Request`] with its deadline behind
//! its length (u32, big-endian), then, where the request says so, raw bytes; the answer is the JSON of
//! `Result<Reply, Refusal>` behind its length.

mod certificates;
mod disks;
mod dns;
mod etcd;
mod host;
mod inputs;
mod load;
mod names;
mod network;
mod persistence;
mod routes;
mod runtime;
mod store;
mod stored;
mod time;
mod touches;
mod usage;
pub(crate) mod wire;

use std::collections::BTreeMap;

use secrets::{Masked, MaskedLines};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

pub use certificates::{
    ASKED, CertificateFile, CertificateUser, Certificates, CertificatesReply, DER, Der, FileItem, FileUse,
    ItemFacts, KeyFacts, KeyProof, KubeconfigCluster, KubeconfigContext, KubeconfigParts, KubeconfigUser,
    TlsPeek, TlsPeekReply, UnreadFile,
};
pub use disks::{DiskLimits, DiskPlace, Disks, DisksReply, Purpose};
pub use dns::{Dns, DnsBy, DnsQuestion, DnsReply, Resolver, ResolverReply};
pub use etcd::{
    EtcdAlarm, EtcdAnswer, EtcdEndpoint, EtcdGet, EtcdGetReply, EtcdLatency, EtcdMember, EtcdPeer,
    EtcdStatus, EtcdTls, EtcdUnread, EtcdValue,
};
pub(crate) use host::flag;
pub use host::{
    Clock, ClockReply, ContainerLog, ErrorCounters, ErrorCountersReply, Existing, Hello, HelloReply,
    InterfaceErrors, Journal, Listeners, ListenersReply, Process, Processes, Restarts, Setting, SettingReply,
    Settled, Sysctls,
};
pub(crate) use inputs::inputs;
pub use load::{
    Blob, COMMIT, HollowLayer, LoadPlan, LoadReply, MissingReply, PlannedImage, PlannedLayer, Proof,
    Unpacked, UnpackedReply,
};
pub(crate) use load::{chain_ids, repository, split_digest};
pub use names::{NameFound, Names, NamesReply};
pub(crate) use network::KEPT_BODY;
pub use network::{
    Chain, Chains, ChainsReply, Cni, CniReply, Dial, Echo, EchoPorts, EchoReply, EchoServer, EchoSurvey,
    EchoSurveyReply, Filter, HttpProbe, HttpReply, Interface, Interfaces, Place, TlsProbe, Transport,
};
pub use persistence::{
    HostnameFacts, Input, InputFacts, ModuleFacts, MountDiffers, MountFacts, Obstacle, Persistence,
    PersistenceReply, SysctlFacts, UnitFacts,
};
pub use routes::{
    Hop, Neighbour, Route, RouteAsk, RouteLookup, RouteLookups, RouteRefusal, RouteTaken, Routes,
};
pub use runtime::{
    Container, CriCondition, CriImage, CriImageStatus, CriImages, CriPods, CriPodsReply, CriStatus,
    CriStatusReply, Crictl, CrictlProblem, CrictlReply, Headroom, HeadroomReply, Left, Load, Missing,
    Sandbox, SandboxNetwork,
};
pub use store::{
    BlobState, ImageStore, ImageStoreReply, RunningImage, SnapshotState, Store, StoreDepth, StoredImage,
    StoredLayer,
};
pub use stored::{
    Backup, BackupFile, BackupReply, EncryptionEntry, EncryptionRules, EncryptionRulesReply, EtcdObjects,
    EtcdObjectsReply, EtcdProof, EtcdProofReply, EtcdSnapshot, KMS_V2, PageProblem, SnapshotBegun,
    SnapshotFacts, SnapshotHash, SnapshotPacked, SnapshotProblem, StoredGroup, kms_key, kms_writers,
    writer_label,
};
pub use time::{KernelClock, TimeProtocol, TimeService, TimeSource, TimeSourceReply};
pub use touches::{TOUCHES, Touches, touches};
pub use usage::{InotifyUse, OpenFiles, SwapRule, Usage, UsageReply};

/// The version of the protocol. Both ends must be of the same.
pub const VERSION: u32 = 1;

/// The program and version that both ends must share.
pub(crate) const TOOL: &str = concat!("verifier ", env!("CARGO_PKG_VERSION"));

/// A request with its reply.
pub trait Ask: Into<Request> + Clone + Send + Sync {
    /// What the agent answers.
    type Reply: Serialize + DeserializeOwned + Send;
    /// What it is called where a person reads it.
    const NAME: &'static str;

    /// Returns the longest reply that is taken, in bytes of its JSON. The agent refuses to send more, and who asks refuses
    /// to read more: a host is nobody whom one must believe.
    fn limit(&self) -> u32;
}

const KIB: u32 = 1 << 10;
const MIB: u32 = 1 << 20;

/// Why an agent could not answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{text}")]
pub struct Refusal {
    /// What sort of failure it is: what a verdict may rest on.
    pub kind: RefusalKind,
    /// A sentence for people, lower-case, with the path or address that it concerns.
    pub text: Masked,
}

/// What sort of failure it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RefusalKind {
    /// The agent's user may not.
    Denied,
    /// What was to be looked at is not there.
    Absent,
    /// It did not end in time.
    Late,
    /// Whoever was asked does not know how.
    NotImplemented,
    /// Anything else.
    Failed,
}

impl Refusal {
    /// Returns an error with its causes as a refusal; its kind is that of the system's own error below it.
    pub fn of(error: &(dyn std::error::Error + 'static)) -> Self {
        let mut next = Some(error);
        let mut kind = RefusalKind::Failed;
        while let Some(cause) = next {
            if let Some(system) = cause.downcast_ref::<std::io::Error>() {
                kind = RefusalKind::of(system.kind());
            }
            next = cause.source();
        }
        Self {
            kind,
            text: cli::chain(error).into(),
        }
    }
}

impl RefusalKind {
    /// Returns the kind of a system's error.
    pub const fn of(kind: std::io::ErrorKind) -> Self {
        use std::io::ErrorKind;
        match kind {
            ErrorKind::PermissionDenied => Self::Denied,
            ErrorKind::NotFound => Self::Absent,
            ErrorKind::TimedOut => Self::Late,
            ErrorKind::Unsupported => Self::NotImplemented,
            _ => Self::Failed,
        }
    }
}

/// Declares the requests: the enum on the wire, and for each the reply that belongs to it and how long that may be.
macro_rules! requests {
    ($($(#[$doc:meta])* $name:ident => $reply:ty, $limit:expr;)*) => {
        /// A request as it travels.
        #[derive(Clone, Debug, Serialize, Deserialize)]
        #[serde(tag = "ask", rename_all = "kebab-case")]
        pub enum Request {
            $($(#[$doc])* $name($name)),*
        }

        /// The names of all requests, in this order.
        #[cfg(test)]
        pub(crate) const REQUESTS: &[&str] = &[$(stringify!($name)),*];

        $(
            impl Ask for $name {
                type Reply = $reply;
                const NAME: &'static str = stringify!($name);

                fn limit(&self) -> u32 {
                    let limit: fn(&Self) -> u32 = $limit;
                    limit(self)
                }
            }
            impl From<$name> for Request { fn from(ask: $name) -> Self { Self::$name(ask) } }
        )*
    };
}

requests! {
    /// Who is there.
    Hello => HelloReply, |_| 4 * KIB;
    /// What time the host has.
    Clock => ClockReply, |_| KIB;
    /// Whether something keeps the host's clock right.
    TimeSource => TimeSourceReply, |_| 4 * KIB;
    /// What names mean on the host.
    Names => NamesReply, Names::reply_limit;
    /// HTTP from this host, or from inside a pod's network namespace.
    HttpProbe => HttpReply, HttpProbe::reply_limit;
    /// HTTP over TLS from this host to itself, for signs of life: no certificate is checked.
    TlsProbe => HttpReply, |ask| ask.probe.reply_limit();
    /// An echo server for a while.
    EchoServer => EchoPorts, |_| 4 * KIB;
    /// Bytes to an echo server and back.
    Echo => EchoReply, |_| 4 * KIB;
    /// What a pod's programs are told of DNS.
    Resolver => ResolverReply, |_| 64 * KIB;
    /// Questions to DNS servers, from inside a pod's network namespace.
    Dns => Vec<DnsReply>, Dns::reply_limit;
    /// Datagrams to a Service, and who answered them.
    EchoSurvey => EchoSurveyReply, |_| 16 * KIB;
    /// The processes of certain names.
    Processes => Vec<Process>, |_| 2 * MIB;
    /// Where processes listen.
    Listeners => ListenersReply, |_| 256 * KIB;
    /// How a process was set in one respect.
    Setting => SettingReply, |_| KIB;
    /// Which of these files are there.
    Existing => Vec<String>, |ask| listed(&ask.paths);
    /// The last lines of a unit's journal.
    Journal => MaskedLines, |_| MIB;
    /// How often units were started again.
    Restarts => BTreeMap<String, u32>, |_| 64 * 1024;
    /// Lines of a container's log, past the kubelet.
    ContainerLog => MaskedLines, |_| MIB;
    /// The routes of the host's main table.
    Routes => Vec<Route>, |_| MIB;
    /// Which way the kernel sends packets.
    RouteLookups => Vec<RouteLookup>, RouteLookups::reply_limit;
    /// The interfaces of the host.
    Interfaces => Vec<Interface>, |_| MIB;
    /// Values below /proc/sys.
    Sysctls => BTreeMap<String, Option<String>>, |_| 64 * KIB;
    /// The file systems that the programs of a node write to.
    Disks => DisksReply, |_| 64 * KIB;
    /// How much of the kernel's limits is in use.
    Usage => UsageReply, |_| 256 * KIB;
    /// What the kernel counted that went wrong.
    ErrorCounters => ErrorCountersReply, |_| 64 * KIB;
    /// What of the host is still so when it starts again.
    Persistence => PersistenceReply, Persistence::reply_limit;
    /// The certificates and keys of the host, and who uses them.
    Certificates => CertificatesReply, |_| 16 * MIB;
    /// Which certificates a server shows.
    TlsPeek => TlsPeekReply, |_| 2 * MIB;
    /// The packet filter's rules that matter to us.
    Chains => ChainsReply, |_| 4 * MIB;
    /// The CNI's configuration.
    Cni => CniReply, |_| 64 * KIB;
    /// crictl's configuration, and whether its socket answers.
    Crictl => CrictlReply, |_| 64 * KIB;
    /// The sandboxes of the container runtime, with the interfaces inside them, and its containers.
    CriPods => CriPodsReply, |_| 4 * MIB;
    /// What the container runtime says of itself.
    CriStatus => CriStatusReply, |_| 64 * KIB;
    /// How much is left of what the kubelet watches.
    Headroom => HeadroomReply, |_| 16 * KIB;
    /// The images that the container runtime lists.
    CriImages => Vec<CriImage>, |_| 4 * MIB;
    /// One image as the container runtime finds it, by any of its names.
    CriImageStatus => Option<CriImage>, |_| 256 * KIB;
    /// What images the host holds, and whether they are whole.
    ImageStore => ImageStoreReply, |_| 16 * MIB;
    /// One key of etcd, without its secret.
    EtcdGet => EtcdGetReply, |_| 64 * KIB;
    /// What an API server encrypts with what, by its configuration.
    EncryptionRules => EncryptionRulesReply, |_| 256 * KIB;
    /// What etcd stores, and encrypted with what.
    EtcdObjects => EtcdObjectsReply, |_| 4 * MIB;
    /// A snapshot of etcd, read where it is.
    EtcdProof => EtcdProofReply, |_| 4 * MIB;
    /// A snapshot of etcd: it follows raw.
    EtcdSnapshot => SnapshotBegun, |_| 4 * KIB;
    /// The newest file of a directory of backups, read where it is.
    Backup => BackupReply, |_| 4 * MIB;
    /// How members of etcd are.
    EtcdStatus => Vec<EtcdEndpoint>, |_| MIB;
    /// Bytes to and from an address, raw after the reply.
    Dial => (), |_| 4 * KIB;
    /// What of a load is missing on this host, and whether there is room for it.
    Missing => MissingReply, |ask| ask.plan.reply_limit();
    /// Whether an image's snapshots hold what its layers have.
    Unpacked => UnpackedReply, Unpacked::reply_limit;
    /// A load: the blobs follow raw, in the plan's order.
    Load => LoadReply, |ask| ask.plan.reply_limit();
}

/// Returns the limit of a reply that says again some of what was asked: each text with what JSON needs around it, and room
/// for a refusal.
fn listed<'a>(texts: impl IntoIterator<Item = &'a String>) -> u32 {
    // A text grows sixfold where all of it must be escaped.
    let bytes = texts
        .into_iter()
        .map(|text| text.len().saturating_mul(6).saturating_add(3));
    let bytes = bytes.fold(4 * KIB as usize, usize::saturating_add);
    u32::try_from(bytes).unwrap_or(u32::MAX)
}
