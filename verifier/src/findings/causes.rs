//! Why something is not as it should be: an id with arguments. Its words are in the catalogue.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

/// Declares the ids, each with its stable name.
macro_rules! causes {
    ($($name:ident = $text:literal),* $(,)?) => {
        /// The id of a cause. Stable: scripts and other people's reports rest on the names.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum CauseId {
            $(#[doc = concat!("`", $text, "`")] #[serde(rename = $text)] $name),*
        }

        impl CauseId {
            /// Every id.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// Returns the stable name.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$name => $text),* }
            }
        }
    };
}

causes! {
    // The engine's own.
    Needs = "needs",
    HostUnreachable = "host-unreachable",
    HungCheck = "check-late",
    Internal = "internal",
    Interrupted = "interrupted",
    RunLate = "run-late",
    NoBundle = "no-bundle",
    NoSuite = "no-suite",
    BundleBad = "bundle-bad",
    NotSchedulable = "not-schedulable",
    AgentRefused = "agent-refused",
    // hosts.reach
    SshUnreachable = "ssh-unreachable",
    SshHostKeyUnknown = "ssh-host-key-unknown",
    SshHostKeyChanged = "ssh-host-key-changed",
    SshLoginRefused = "ssh-login-refused",
    SshFailed = "ssh-failed",
    SshOwnSide = "ssh-own-side",
    AgentMissing = "agent-missing",
    SudoRefused = "sudo-refused",
    AgentNotStarted = "agent-not-started",
    AgentVersion = "agent-version",
    // hosts.clock
    ClockOff = "clock-off",
    ClockBeforeImage = "clock-before-image",
    ClockUnmeasured = "clock-unmeasured",
    // The API.
    ApiUnreachable = "api-unreachable",
    ApiNotReady = "api-not-ready",
    ApiNotKubernetes = "api-not-kubernetes",
    ApiUnverified = "api-unverified",
    ApiCertificate = "api-certificate",
    ApiCredentials = "api-credentials",
    ApiRefused = "api-refused",
    ApiLate = "api-late",
    KubeconfigBad = "kubeconfig-bad",
    Forbidden = "forbidden",
    AdmissionRefused = "admission-refused",
    // nodes.ready
    NodeMissing = "node-missing",
    NodeUnknown = "node-unknown",
    NodeNotReady = "node-not-ready",
    NodePressure = "node-pressure",
    NodeCordoned = "node-cordoned",
    NodeTainted = "node-tainted",
    LeaseMissing = "lease-missing",
    LeaseStale = "lease-stale",
    KubeletStopped = "kubelet-stopped",
    KubeletHung = "kubelet-hung",
    VersionSkew = "version-skew",
    // components.*
    ComponentUnhealthy = "component-unhealthy",
    ComponentRefuses = "component-refuses",
    ComponentUnseen = "component-unseen",
    ContainerdStopped = "containerd-stopped",
    ContainerdHung = "containerd-hung",
    KubeProxyStopped = "kube-proxy-stopped",
    KubeProxyHung = "kube-proxy-hung",
    ServiceProxyUnknown = "service-proxy-unknown",
    ApiserverStopped = "apiserver-stopped",
    ApiserverHung = "apiserver-hung",
    SchedulerStopped = "scheduler-stopped",
    SchedulerHung = "scheduler-hung",
    ControllerManagerStopped = "controller-manager-stopped",
    ControllerManagerHung = "controller-manager-hung",
    LeaderLost = "leader-lost",
    // images.present, runtime.sandbox-image
    ImageMissing = "image-missing",
    ImageWrong = "image-wrong",
    ImageUnpinned = "image-unpinned",
    ImageNameMissing = "image-name-missing",
    ImagePlatform = "image-platform-missing",
    PinsUnknown = "pins-unknown",
    RuntimeSilent = "runtime-silent",
    SandboxImageMissing = "sandbox-image-missing",
    SandboxImageUnpinned = "sandbox-image-unpinned",
    SandboxImageUnknown = "sandbox-image-unknown",
    // workload.*
    ImageNeverPull = "image-never-pull",
    SandboxFailed = "sandbox-failed",
    PodUnschedulable = "pod-unschedulable",
    PodNotStarted = "pod-not-started",
    PodCrashed = "pod-crashed",
    PodMissing = "pod-missing",
    PodImageWrong = "pod-image-wrong",
    DeploymentLate = "deployment-late",
    SchedulerSilent = "scheduler-silent",
    ControllerSilent = "controller-silent",
    // network.*
    RouteMissing = "route-missing",
    RouteWrong = "route-wrong",
    PodSilent = "pod-silent",
    PodRefused = "pod-refused",
    WrongStatus = "wrong-status",
    WrongPage = "wrong-page",
    ChainDrops = "chain-drops",
    ForwardingOff = "forwarding-off",
    WaySilent = "way-silent",
    PodNetworksUnknown = "pod-networks-unknown",
    OneNode = "one-node",
    SandboxUnknown = "sandbox-unknown",
    OtherCni = "other-cni",
    BridgeMissing = "bridge-missing",
    BridgeDown = "bridge-down",
    BridgeAddress = "bridge-address-missing",
    BridgePorts = "bridge-ports",
    PodInterfaceMissing = "pod-interface-missing",
    VethMissing = "veth-missing",
    VethUnplugged = "veth-unplugged",
    VethDown = "veth-down",
    AddressMissing = "address-missing",
    InterfaceDown = "interface-down",
    InternalAddress = "internal-address",
    NetworksOverlap = "networks-overlap",
    // workload.pod-cidr
    PodOutsideNetwork = "pod-outside-network",
    CniNetwork = "cni-network",
    AddressesByCni = "addresses-by-cni",
    CniUnreadable = "cni-unreadable",
    // runtime.containers, runtime.process-tree
    ContainerMissing = "container-missing",
    ContainerNotRunning = "container-not-running",
    ContainerElsewhere = "container-elsewhere",
    ContainerImage = "container-image",
    ContainerStray = "container-stray",
    OtherRuntime = "other-runtime",
    ShimMissing = "shim-missing",
    ProcessMissing = "process-missing",
    // runtime.crictl-config
    CrictlConfigMissing = "crictl-config-missing",
    CrictlConfigBroken = "crictl-config-broken",
    CrictlUnknownKey = "crictl-unknown-key",
    CrictlNoEndpoint = "crictl-no-endpoint",
    CrictlDeadSocket = "crictl-dead-socket",
    // kubectl.*
    CertificateExpired = "certificate-expired",
    CertificateNotYetValid = "certificate-not-yet-valid",
    CertificateName = "certificate-name",
    CertificateAuthority = "certificate-authority",
    KubeletForbids = "kubelet-forbids",
    KubeletSilent = "kubelet-silent",
    KubeletRefuses = "kubelet-refuses",
    ForwardAnswer = "port-forward-answer",
    ForwardSilent = "port-forward-silent",
    LogUnwritten = "log-unwritten",
    LogLineMissing = "log-line-missing",
    ExecFailed = "exec-failed",
    ExecOutput = "exec-output",
    // service.*
    EndpointsNone = "endpoints-none",
    EndpointMissing = "endpoint-missing",
    EndpointExtra = "endpoint-extra",
    ServiceSilent = "service-silent",
    ServiceUnsteady = "service-unsteady",
    ServiceAnswer = "service-answer",
    ServiceRulesMissing = "service-rules-missing",
    NodePortRulesMissing = "nodeport-rules-missing",
    PodNeverAnswered = "pod-never-answered",
    PodsUntold = "pods-untold",
    // secrets.*
    SecretDiffers = "secret-differs",
    SecretUnreadable = "secret-unreadable",
    SecretPlaintext = "secret-plaintext",
    PlaintextExpected = "plaintext-expected",
    EncryptedUnexpectedly = "encrypted-unexpectedly",
    WrongProvider = "wrong-provider",
    WrongKey = "wrong-key",
    SecretNotStored = "secret-not-stored",
    SecretLength = "secret-length",
    EtcdUnreachable = "etcd-unreachable",
    NoEtcdHost = "no-etcd-host",
    // etcd.health
    EtcdHung = "etcd-hung",
    EtcdAlarm = "etcd-alarm",
    EtcdNoLeader = "etcd-no-leader",
    EtcdDisagree = "etcd-disagree",
    EtcdNoMajority = "etcd-no-majority",
    EtcdMemberLost = "etcd-member-lost",
    EtcdFull = "etcd-full",
}

impl fmt::Display for CauseId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A cause with what it concerns.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Cause {
    /// Which cause.
    pub id: CauseId,
    /// What it concerns, by name.
    pub args: BTreeMap<String, String>,
}

impl Cause {
    /// Returns the cause without arguments.
    pub const fn new(id: CauseId) -> Self {
        Self {
            id,
            args: BTreeMap::new(),
        }
    }

    /// Adds an argument.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl fmt::Display) -> Self {
        self.args.insert(name.to_owned(), value.to_string());
        self
    }
}
