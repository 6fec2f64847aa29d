//! Why something is not as it should be: the register of causes. Its words lie in `words/`, by group as here.

use std::collections::BTreeMap;

use cli::Shown;
use serde::{Deserialize, Serialize};

use super::register::register;

/// A cause with what it concerns. Made of a type of [`cause`] and of nothing else, so that its words are complete.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Cause {
    id: CauseId,
    args: BTreeMap<String, Shown>,
}

impl Cause {
    /// Returns which cause it is.
    pub const fn id(&self) -> CauseId {
        self.id
    }

    /// Returns what it concerns, by the names of its fields.
    pub const fn args(&self) -> &BTreeMap<String, Shown> {
        &self.args
    }

    /// Returns the cause that a report has by its id, where we know it and it names what its words name.
    pub fn stored(id: &str, args: &BTreeMap<String, Shown>) -> Option<Self> {
        let id = *CauseId::ALL.iter().find(|known| known.name() == id)?;
        let fields = id.fields();
        let whole = args.len() == fields.len() && fields.iter().all(|field| args.contains_key(*field));
        whole.then(|| Self {
            id,
            args: args.clone(),
        })
    }

    /// Returns a cause of any id, each of whose fields holds one text: for tests that walk the register.
    #[cfg(test)]
    pub(crate) fn holding(id: CauseId, text: &str) -> Self {
        let args = id
            .fields()
            .iter()
            .map(|field| ((*field).to_owned(), Shown::new(text)));
        Self {
            id,
            args: args.collect(),
        }
    }

    /// Returns whether both say the same of the same thing; figures may differ.
    pub fn is_same(&self, other: &Self) -> bool {
        let about = |cause: &Self| -> Vec<(String, Shown)> {
            let args = cause.args.clone().into_iter();
            args.filter(|(name, _)| !cause.id.figures().contains(&name.as_str()))
                .collect()
        };
        self.id == other.id && about(self) == about(other)
    }
}

register! {
    /// The id of a cause. Stable: scripts and other people's reports rest on the names (docs/ids.txt).
    CauseId, Cause, cause;

    // suite
    Needs = "needs" { what }
    HostUnreachable = "host-unreachable" { host, reason }
    HostNotConnected = "host-not-connected" { host }
    CheckTimeout = "check-timeout" { seconds }
    Internal = "internal" { message }
    Interrupted = "interrupted" {}
    RunTimeout = "run-timeout" { seconds }
    NoBundle = "no-bundle" {}
    NoSuite = "no-suite" {}
    NoWorkers = "no-workers" {}
    WorkerUnseen = "worker-unseen" { host, rows }
    NeighbourSilent = "neighbour-silent" { node, via, device, host }
    NeighbourWrong = "neighbour-wrong" { node, via, found, right, device, host }
    VersionOdd = "version-odd" { host, what, version, others }
    HostNotRestarted = "host-not-restarted" { host, since }
    RestartUnknown = "restart-unknown" { host, since }
    ReportOfAnotherCluster = "report-of-another-cluster" { then; now }
    InterfaceErrors = "interface-errors" { host, interface; received, sent }
    SegmentsSentAgain = "segments-sent-again" { host; again, sent }
    ChecksumsWrong = "checksums-wrong" { host; packets }
    ConnectionsRefused = "connections-refused" { host; connections }
    ConnectionsUntracked = "connections-untracked" { host; packets }
    MemoryShort = "memory-short" { host; processes }
    FileSystemErrors = "file-system-errors" { host; errors }
    ScopeEmpty = "scope-empty" { role }
    NoTakers = "no-takers" { nodes }
    NotSchedulable = "not-schedulable" { node }
    AgentRefused = "agent-refused" { host, message }
    AgentTooMuch = "agent-too-much" { host, message }
    NamespaceTaken = "namespace-taken" { namespace }
    SuiteNamespaceMissing = "suite-namespace-missing" { namespace }
    SuiteNamespaceEnding = "suite-namespace-ending" { namespace }

    // facts
    OnlyLive = "only-live" {}
    NotGathered = "not-gathered" { host, ask }
    ApiNotGathered = "api-not-gathered" { operation }
    FactsMissing = "facts-missing" { host }
    FactsBad = "facts-bad" { file, reason }
    FactsOfStranger = "facts-of-stranger" { file, hostname }
    FactsOfAnotherHost = "facts-of-another-host" { file, host, address, addresses }
    FactsTwice = "facts-twice" { host, used, other }
    FactsApart = "facts-apart" { first, early, last, late }
    FactsAhead = "facts-ahead" { host, at, now }
    FactsOld = "facts-old" { host, at, days }
    FactsOfTwoClusters = "facts-of-two-clusters" { hosts }
    FactsSayNothing = "facts-say-nothing" {}
    ApiUngathered = "api-ungathered" {}

    // run
    BundleBad = "bundle-bad" { message }
    BundleUnreadable = "bundle-unreadable" { message }
    LoadFailed = "load-failed" { host, reason }
    LoadStopped = "load-stopped" { reason }
    NamespaceStays = "namespace-stays" { namespace }
    NamespaceUndiscovered = "namespace-undiscovered" { namespace, groups; message }
    NamespaceStuck = "namespace-stuck" { namespace, condition; reason, message }
    ObjectsStay = "objects-stay" { namespace; objects }
    NamespaceNotRemoved = "namespace-not-removed" { namespace, reason }
    ReportUnwritten = "report-unwritten" { reason }

    // hosts: reaching them
    SshNameUnknown = "ssh-name-unknown" { host, address }
    SshUnreachable = "ssh-unreachable" { host, reason }
    SshRefused = "ssh-refused" { host }
    SshHostKeyUnknown = "ssh-host-key-unknown" { host, fingerprint }
    SshHostKeyChanged = "ssh-host-key-changed" { host, fingerprint, file, line }
    SshHostKeyRevoked = "ssh-host-key-revoked" { host, fingerprint }
    SshKnownHostsUnreadable = "ssh-known-hosts-unreadable" { host, reason }
    SshKeyUnreadable = "ssh-key-unreadable" { host, reason }
    SshPassphraseNeeded = "ssh-passphrase-needed" { host, reason }
    SshAgentUnreachable = "ssh-agent-unreachable" { host, reason }
    SshLoginRefused = "ssh-login-refused" { host, user, reason }
    SshBroken = "ssh-broken" { host, reason }
    SshDropped = "ssh-dropped" { host, reason }
    SshNothingInCommon = "ssh-nothing-in-common" { host, reason }
    SshHostCertificate = "ssh-host-certificate" { host, reason }
    SshCertificateUnreadable = "ssh-certificate-unreadable" { host, reason }
    SshDescriptors = "ssh-descriptors" { host, reason }
    SshBastionUnreached = "ssh-bastion-unreached" { host, bastion, reason }
    SshBastionConnects = "ssh-bastion-connects" { host, bastion }
    SshSessionsTooFew = "ssh-sessions-too-few" { host, reason }
    SshBastionRefused = "ssh-bastion-refused" { host, reason }
    SshProxyCommandFailed = "ssh-proxy-command-failed" { host, reason }
    PlatformUnknown = "platform-unknown" { host, reason }
    AgentMissing = "agent-missing" { host, reason }
    AgentUnreadable = "agent-unreadable" { host, reason }
    NoExecDirectory = "no-exec-directory" { host, reason, sha256 }
    SudoPasswordNeeded = "sudo-password-needed" { host, user }
    SudoPasswordWrong = "sudo-password-wrong" { host, user }
    SudoExpired = "sudo-expired" { host, user }
    SudoLocked = "sudo-locked" { host, user }
    SudoAsksMore = "sudo-asks-more" { host, user, question }
    SudoRefused = "sudo-refused" { host, reason }
    SudoNeedsTerminal = "sudo-needs-terminal" { host, user }
    SudoMissing = "sudo-missing" { host }
    AgentNotStarted = "agent-not-started" { host, reason }
    AgentVersion = "agent-version" { host, found, expected }
    ClockAhead = "clock-ahead" { host; seconds, error }
    ClockBehind = "clock-behind" { host; seconds, error }
    ClockBeforeImage = "clock-before-image" { host, image, created; now }
    ClockUnmeasured = "clock-unmeasured" { host; seconds, error }

    // certs
    CertsNone = "certs-none" { host }
    CertsNotThere = "certs-not-there" { path }
    CertsMore = "certs-more" { host }
    CertUserUnknown = "cert-user-unknown" { program, host }
    CertPlaceUnreadable = "cert-place-unreadable" { path, reason, host }
    CertFileUnreadable = "cert-file-unreadable" { path, program, setting, host }
    CertFileMissing = "cert-file-missing" { path, program, setting, host }
    CertFileBroken = "cert-file-broken" { path, what, used, host }
    CertExpired = "cert-expired" { path, subject, until, used, program, host; days }
    CertExpiresSoon = "cert-expires-soon" { path, subject, until, used, program, host; days }
    CertNotYetValid = "cert-not-yet-valid" { path, subject, from, used, host }
    CertByHostClock = "cert-by-host-clock" { path, subject, from, until, host; clock }
    KubeletConfStale = "kubelet-conf-stale" { path, until, host }
    CaEndsEarlier = "ca-ends-earlier" { ca, subject, until, path, longer, host }
    CertKeyMismatch = "cert-key-mismatch" { path, key, subject, used, host }
    CertKeyMissing = "cert-key-missing" { path, key, used, host }
    CertKeyBroken = "cert-key-broken" { key, used, host }
    CertKeyEncrypted = "cert-key-encrypted" { key, used, host }
    CertKeyUnproven = "cert-key-unproven" { key, path, host }
    CertKeyReadable = "cert-key-readable" { key, mode, host }
    CertKeyOwner = "cert-key-owner" { key, uid, host }
    CertKeyWeak = "cert-key-weak" { path, subject, key, used, host }
    CertSignatureWeak = "cert-signature-weak" { path, subject, algorithm, used, host }
    CertChainOrder = "cert-chain-order" { path, subject, used, host }
    CertIssuerKey = "cert-issuer-key" { path, subject, issuer, used, host }
    CertIssuerUnknown = "cert-issuer-unknown" { path, subject, issuer, believed, used, host }
    CertNotCa = "cert-not-ca" { path, subject, used, host }
    CaTwins = "ca-twins" { path, subject, sha256, other, host }
    KubeletSelfSigned = "kubelet-self-signed" { path, host }
    CertUsage = "cert-usage" { path, subject, missing, used, host }
    CertIdentity = "cert-identity" { path, subject, expected, program, host }
    CertNodeOther = "cert-node-other" { path, node, expected, host }
    CertNameMissing = "cert-name-missing" { path, name, by, names, host }
    KubeconfigCa = "kubeconfig-ca" { path, subject, issuer, used, host }
    RootCaOther = "root-ca-other" { path, subject, issuer, host }
    CertServedUnseen = "cert-served-unseen" { to, program, reason, host }
    CertServedBroken = "cert-served-broken" { to, program, what, host }
    CertServedExpired = "cert-served-expired" { to, program, subject, until, path, given_until, host }
    CertServedOther = "cert-served-other" { to, program, subject, until, path, given_until, host }
    NothingServes = "nothing-serves" { host }
    NobodyCalled = "nobody-called" {}
    CalledUnseen = "called-unseen" { called, to, reason }
    CalledBroken = "called-broken" { called, to }
    CalledEnds = "called-ends" { called, to, subject, until }
    CalledCaEnded = "called-ca-ended" { called, to, subject, until }
    CalledDistrusted = "called-distrusted" { called, to, subject, issuer, bundle }
    CalledOtherName = "called-other-name" { called, to, name, names }
    TlsSecretsNone = "tls-secrets-none" {}
    TlsSecretWithout = "tls-secret-without" { name }
    TlsSecretWithoutKey = "tls-secret-without-key" { name }
    TlsSecretKeyUnusable = "tls-secret-key-unusable" { name }
    TlsSecretKeyOfAnother = "tls-secret-key-of-another" { name, subject }
    TlsSecretOrder = "tls-secret-order" { name, subject }
    TlsSecretEnds = "tls-secret-ends" { name, subject, until }
    KubeconfigWithout = "kubeconfig-without" {}
    KubeconfigElsewhere = "kubeconfig-elsewhere" {}
    KubeconfigInsecure = "kubeconfig-insecure" { path, server, host }
    KubeconfigDangling = "kubeconfig-dangling" { path, what, name, host }
    KubeconfigBare = "kubeconfig-bare" { path, user, host }
    CertRefused = "cert-refused" { path, subject, rule, used, host }
    CertChainRefused = "cert-chain-refused" { path, subject, issuer, rule, used, host }
    CertMaySign = "cert-may-sign" { path, subject, used, host }
    CertMasters = "cert-masters" { path, subject, program, host }
    CertNameless = "cert-nameless" { path, subject, used, host }
    CertAddressAsName = "cert-address-as-name" { path, address, used, host }
    FrontProxyShared = "front-proxy-shared" { path, subject, host }
    TokenKeyOther = "token-key-other" { key, believed, program, host }

    // hosts: their time
    TimeServiceMissing = "time-service-missing" { host }
    TimeUnsynchronised = "time-unsynchronised" { host, services }
    TimeUnknown = "time-unknown" { host, services }

    // hosts: their names
    NameElsewhere = "name-elsewhere" { name, found, expected, host }
    NameElsewhereToo = "name-elsewhere-too" { name, found, expected, host }
    NodeNameUnknown = "node-name-unknown" { node, host }
    NameUnknown = "name-unknown" { name, host }
    NameUnasked = "name-unasked" { name, sources, host }
    ApiNameUnknown = "api-name-unknown" { name, host }
    NamesNotUsed = "names-not-used" { host }

    // hosts: their kernels
    BridgeUnfiltered = "bridge-unfiltered" { key, bridge, host }
    BridgeFilterMissing = "bridge-filter-missing" { module, bridge, host }
    InterfaceForwardingOff = "interface-forwarding-off" { interface, key, host }
    ReversePathStrict = "reverse-path-strict" { interface, node, device, host; drops }
    SwapRefused = "swap-refused" { devices, host }
    SwapUnjudged = "swap-unjudged" { devices, file, host }
    PortsFew = "ports-few" { host, ports, range }
    ConntrackNear = "conntrack-near" { host; used, limit }
    TasksNear = "tasks-near" { host; used, limit }
    InotifyNear = "inotify-near" { key, user, host; used, limit, advised }
    FilesNear = "files-near" { process, host; pid, used, limit }
    UsageUnseen = "usage-unseen" { host; unseen, seen }

    // hosts: their disks
    DiskReadOnly = "disk-read-only" { path, host }
    DiskEvicts = "disk-evicts" { path, host, source, limit; left, of }
    DiskNear = "disk-near" { path, host, source, limit; left, of }
    DiskFull = "disk-full" { path, host; left, of }
    DiskLow = "disk-low" { path, host; left, of }
    InodesEvict = "inodes-evict" { path, host, source, limit; left, of }
    InodesNear = "inodes-near" { path, host, source, limit; left, of }
    InodesLow = "inodes-low" { path, host; left, of }
    ImagesCollected = "images-collected" { path, host, images, limit; used }
    DiskUnjudged = "disk-unjudged" { file, host }

    // hosts: their next start
    UnitRestarts = "unit-restarts" { process, host, unit; restarts, seconds }
    UnitDisabled = "unit-disabled" { unit, host, runs }
    UnitMasked = "unit-masked" { unit, host, runs }
    UnitVolatile = "unit-volatile" { unit, host, runs, file }
    ProcessOutsideUnit = "process-outside-unit" { process, host; pid, cgroup }
    SysctlNotPersistent = "sysctl-not-persistent" { key, host }
    SysctlOtherwise = "sysctl-otherwise" { key, now, at_boot, file, host }
    ModuleBarred = "module-barred" { module, host, file }
    ModuleNotPersistent = "module-not-persistent" { module, host }
    SwapReturns = "swap-returns" { device, host }
    UnitProgramMissing = "unit-program-missing" { unit, host, path }
    UnitInputMissing = "unit-input-missing" { unit, host, path }
    UnitInputVolatile = "unit-input-volatile" { unit, host, path }
    UnitConditionUnmet = "unit-condition-unmet" { unit, host, condition }
    InputMissing = "input-missing" { process, host, path }
    InputNewer = "input-newer" { process, host, path }
    HostnameOtherwise = "hostname-otherwise" { host, now, at_boot }
    MountWithoutDevice = "mount-without-device" { host, source, path }
    MountReturns = "mount-returns" { host, source, path }
    DataInMemory = "data-in-memory" { host, source, path }
    FirewallReturns = "firewall-returns" { unit, host }
    RouteNotPersistent = "route-not-persistent" { network, via, node, host }
    NoSystemd = "no-systemd" { host }

    // api
    ApiUnreachable = "api-unreachable" { server, reason }
    ApiNotReady = "api-not-ready" { failed }
    ApiNotKubernetes = "api-not-kubernetes" { operation, server, reason }
    ApiVersionUnknown = "api-version-unknown" { server }
    ApiUnverified = "api-unverified" { server }
    ApiServerUnlisted = "api-server-unlisted" { addresses }
    ApiCertificate = "api-certificate" { server, reason }
    ApiCredentials = "api-credentials" { operation, message }
    ApiRefused = "api-refused" { operation, code, reason, message }
    ApiTimeout = "api-timeout" { operation, server, seconds }
    KubeconfigBad = "kubeconfig-bad" { path, reason }
    Forbidden = "forbidden" { operation, verbs, message }
    PermissionsMissing = "permissions-missing" { verbs; missing, asked }
    AdmissionRefused = "admission-refused" { operation, message }
    WebhookDead = "webhook-dead" { webhook, operation; message }
    ApiserviceDead = "apiservice-dead" { apiservice, service; reason, message }
    ApiserviceUnavailable = "apiservice-unavailable" { apiservice; reason, message }
    CrdBroken = "crd-broken" { crd, condition; reason, message }
    ApiSilentToPods = "api-silent-to-pods" { address, pod, host; reason }
    ApiServiceSilentToPods = "api-service-silent-to-pods" { address, pod, host; reason }
    ApiEndpointElsewhere = "api-endpoint-elsewhere" { address, pod, host; servers, reason }
    ApiEndpointsMissing = "api-endpoints-missing" { address }
    ApiCertificateForPods = "api-certificate-for-pods" { address, service; reason }
    ApiTokenRefused = "api-token-refused" { address }
    ApiStatusToPods = "api-status-to-pods" { address, status }
    RootAuthorityMissing = "root-authority-missing" {}
    ServiceAccountMissing = "service-account-missing" {}
    WebhookServiceMissing = "webhook-service-missing" { name, kind, configuration, policy, service }
    WebhookPortMissing = "webhook-port-missing" { name, kind, configuration, policy, service, port }
    WebhookNoEndpoints = "webhook-no-endpoints" { name, kind, configuration, policy, service }
    WebhookCaUnreadable = "webhook-ca-unreadable" { name, kind, configuration, policy, reason }
    WebhookCaExpired = "webhook-ca-expired" { name, kind, configuration, policy, from, until; now }
    WebhookCaMissing = "webhook-ca-missing" { name, kind, configuration, policy, service }

    // nodes
    NodeMissing = "node-missing" { node }
    NodeUnknown = "node-unknown" { node }
    NodesUnknown = "nodes-unknown" { names; count }
    NodeNotReady = "node-not-ready" { node, reason; message }
    NodeUnreported = "node-unreported" { node }
    NodePressure = "node-pressure" { node, condition; available, capacity, message }
    NodePressureUnmeasured = "node-pressure-unmeasured" { node, condition; message }
    NodeNetworkUnavailable = "node-network-unavailable" { node, reason; message }
    NodeCondition = "node-condition" { node, condition, status, reason; message }
    NodeWithoutRole = "node-without-role" { node, host }
    NodeCordoned = "node-cordoned" { node }
    NodeTainted = "node-tainted" { node, taint }
    LeaseMissing = "lease-missing" { node }
    LeaseStale = "lease-stale" { node, limit; age }
    KubeletStopped = "kubelet-stopped" { node }
    KubeletHung = "kubelet-hung" { node; state }
    VersionSkew = "version-skew" { node, kubelet, server }

    // components
    ComponentUnhealthy = "component-unhealthy" { component, host, status; body }
    ComponentRefuses = "component-refuses" { component, host; reason }
    ComponentOther = "component-other" { component, host, url }
    ComponentClosed = "component-closed" { component, host, status }
    ComponentUnseen = "component-unseen" { component, host }
    ContainerdStopped = "containerd-stopped" { host; message }
    ContainerdHung = "containerd-hung" { host; state }
    RuntimeNotReady = "runtime-not-ready" { host, condition, reason; message }
    KubeProxyStopped = "kube-proxy-stopped" { host }
    KubeProxyHung = "kube-proxy-hung" { host; state }
    ServiceProxyUnknown = "service-proxy-unknown" { host }
    ServiceProxyUnclear = "service-proxy-unclear" { host, instead, installed }
    ServiceProxyUntold = "service-proxy-untold" { host, instead }
    ServiceProxyNone = "service-proxy-none" { host, instead }
    EtcdHalted = "etcd-halted" { host; state }
    ApiserverStopped = "apiserver-stopped" { host }
    ApiserverHung = "apiserver-hung" { host; state }
    ServerHidden = "server-hidden" { host }
    ServerNotListening = "server-not-listening" { host }
    ServerNotReady = "server-not-ready" { host, server; failed }
    ServerCredentials = "server-credentials" { host, server }
    ServerBehindTls = "server-behind-tls" { host; reason }
    SchedulerStopped = "scheduler-stopped" { host }
    SchedulerHung = "scheduler-hung" { host; state }
    ControllerManagerStopped = "controller-manager-stopped" { host }
    ControllerManagerHung = "controller-manager-hung" { host; state }
    ControllersOff = "controllers-off" { controllers, host }
    LeaderLost = "leader-lost" { component, holder, renewed; age }
    LeaderAbsent = "leader-absent" { component, renewed; age }
    LeaderNever = "leader-never" { component }
    LeaderUnknown = "leader-unknown" { component }

    // images
    ImageMissing = "image-missing" { image }
    ImageWrong = "image-wrong" { image, found, expected }
    ImageUnpinned = "image-unpinned" { image }
    ImageNameMissing = "image-name-missing" { image, reference }
    ImagePlatformMissing = "image-platform-missing" { image, platform }
    ImageOtherPlatform = "image-other-platform" { image, found, platform }
    ImageOtherNamespace = "image-other-namespace" { image, namespace }
    ImageUnlisted = "image-unlisted" { image }
    ImageUnheld = "image-unheld" { image, users }
    ImageUnbundled = "image-unbundled" { image, users }
    ImageExtra = "image-extra" { image; bytes }
    ImageMutableTag = "image-mutable-tag" { image }
    ImageStoreUnseen = "image-store-unseen" { runtime }
    ImageBlobGone = "image-blob-gone" { image, blob; count }
    ImageBlobSpoilt = "image-blob-spoilt" { image, blob; count }
    ImageSnapshotGone = "image-snapshot-gone" { image, layer, snapshotter }
    ImageSnapshotElsewhere = "image-snapshot-elsewhere" { image, snapshotter, other }
    ImageSnapshotHollow = "image-snapshot-hollow" { image, layer; found, recorded }
    ImageSnapshotUnread = "image-snapshot-unread" { image; reason }
    ImageNowhere = "image-nowhere" { image, kind, namespace, name, nodes }
    ImageNotOnNodes = "image-not-on-nodes" { image, kind, namespace, name, nodes }
    ImageNowhereSeen = "image-nowhere-seen" { image, kind, namespace, name, nodes }
    WorkloadsUnread = "workloads-unread" { what; message }
    PinsUnknown = "pins-unknown" { runtime, version }
    RuntimeSilent = "runtime-silent" { ; message }
    SandboxImageMissing = "sandbox-image-missing" { image }
    SandboxImageUnpinned = "sandbox-image-unpinned" { image }
    SandboxImageUnknown = "sandbox-image-unknown" {}

    // secrets
    SecretDiffers = "secret-differs" { secret, written, found }
    SecretEmpty = "secret-empty" { secret, written }
    SecretUnreadable = "secret-unreadable" { secret, code, message }
    SecretUnreadableThere = "secret-unreadable-there" { secret, writer, reader, code, message }
    SecretPlaintext = "secret-plaintext" {}
    PlaintextExpected = "plaintext-expected" {}
    EncryptedUnexpectedly = "encrypted-unexpectedly" { found }
    WrongProvider = "wrong-provider" { found, expected }
    WrongKey = "wrong-key" { found, expected }
    SecretNotStored = "secret-not-stored" { key }
    SecretLength = "secret-length" { length, provider }
    EtcdUnreachable = "etcd-unreachable" { host; message }
    NoEtcdHost = "no-etcd-host" {}
    EncryptionNotConfigured = "encryption-not-configured" {}
    EncryptionUnread = "encryption-unread" { host, reason }
    EncryptionDiffers = "encryption-differs" { resource, views }
    EncryptionIdentityFirst = "encryption-identity-first" { resource, host }
    StoredPlaintext = "stored-plaintext" { object, expected }
    StoredOldKey = "stored-old-key" { object, found, expected }
    StoredUnknownKey = "stored-unknown-key" { object, found, expected }
    StoredKeyUnsaid = "stored-key-unsaid" { object, found }
    StoredMore = "stored-more" { resource, found, expected; count }
    StoredUnknownResource = "stored-unknown-resource" { path }
    ObjectsUnread = "objects-unread" { ; looked_at }
    EtcdHoldsNothing = "etcd-holds-nothing" { prefix, endpoint }

    // workload
    ImageNeverPull = "image-never-pull" { image, node, pod }
    SandboxFailed = "sandbox-failed" { pod, node, message }
    PodUnschedulable = "pod-unschedulable" { pod, message }
    PodNotStarted = "pod-not-started" { pod, node, reason }
    PodKubeletSilent = "pod-kubelet-silent" { pod, node }
    PodCrashed = "pod-crashed" { pod, node, reason, exit, message }
    PodMutated = "pod-mutated" { pod, field, found, expected }
    ImageHollow = "image-hollow" { image, node, layer, file; files }
    PodMissing = "pod-missing" { node }
    PodImageWrong = "pod-image-wrong" { pod, found, expected }
    DeploymentTimeout = "deployment-timeout" { seconds, wanted; available }
    SchedulerSilent = "scheduler-silent" { pod }
    ControllerSilent = "controller-silent" {}
    PodOutsideNetwork = "pod-outside-network" { pod, node, address, expected }
    CniNetwork = "cni-network" { file, node, found, expected }
    AddressesByCni = "addresses-by-cni" { cni, address }
    CniUnreadable = "cni-unreadable" { file, node, message }
    ContainerNotRestarted = "container-not-restarted" { pod, node; seconds, state }
    PodNotReplaced = "pod-not-replaced" { node; seconds }
    PodStaysTerminating = "pod-stays-terminating" { node; seconds }
    PullsForced = "pulls-forced" { host }
    ImagesPoliced = "images-policed" { host }
    PullsVerified = "pulls-verified" { host }
    SiteDiffers = "site-differs" { host, field, written, found }
    SiteExpects = "site-expects" { field, written, found }
    SiteNodeMissing = "site-node-missing" { host, node }
    SiteNodeUnknown = "site-node-unknown" { node }
    SiteUnknown = "site-unknown" { what, reason }

    // runtime
    ContainerMissing = "container-missing" { container, pod, id }
    ContainerNotRunning = "container-not-running" { container, pod, id }
    ContainerElsewhere = "container-elsewhere" { container, pod, found }
    ContainerSandboxMissing = "container-sandbox-missing" { container, pod, sandbox }
    ContainerImage = "container-image" { container, pod, found, expected }
    ContainerUnknown = "container-unknown" { container, pod, id }
    OtherRuntime = "other-runtime" { runtime }
    ShimMissing = "shim-missing" { pod, sandbox; count }
    ProcessMissing = "process-missing" { process }
    PodProcessMissing = "pod-process-missing" { process, pod, shim }
    PodWorkerMissing = "pod-worker-missing" { process, pod, shim }
    CrictlConfigMissing = "crictl-config-missing" { file }
    CrictlConfigBroken = "crictl-config-broken" { file, message }
    CrictlConfigNoMapping = "crictl-config-no-mapping" { file }
    CrictlUnknownKey = "crictl-unknown-key" { file, key }
    CrictlNoEndpoint = "crictl-no-endpoint" { file }
    CrictlOtherRuntime = "crictl-other-runtime" { endpoint, file, socket }
    CrictlDeadSocket = "crictl-dead-socket" { setting, endpoint, file, socket }

    // network
    RouteMissing = "route-missing" { network, node, via, host }
    RouteWrong = "route-wrong" { network, node, found, via, host }
    RouteRefused = "route-refused" { network, node, to, how, rule, table, host }
    RouteDiverted = "route-diverted" { network, node, to, found, via, rule, table, host }
    PodSilent = "pod-silent" { pod, address, node, host }
    PodAddressHidden = "pod-address-hidden" { pod, node, host, seen }
    PodSilentConnected = "pod-silent-connected" { pod, address, node, host }
    PodRefused = "pod-refused" { pod, address, node, reason, host }
    WrongStatus = "wrong-status" { pod, address, node, status, host }
    WrongPage = "wrong-page" { pod, address, node, title, host }
    WrongPageUntitled = "wrong-page-untitled" { pod, address, node, host }
    ChainDrops = "chain-drops" { command, chain, table, host, rule }
    NftDrops = "nft-drops" { chain, table, host, rule }
    ForwardingOff = "forwarding-off" { host, key }
    PodNetworkUnreachable = "pod-network-unreachable" { node, network, route, host }
    PodNetworkUnrouted = "pod-network-unrouted" { node, network, host }
    PodNetworksUnknown = "pod-networks-unknown" {}
    OneNode = "one-node" {}
    SandboxUnknown = "sandbox-unknown" { pod }
    UdpSilent = "udp-silent" { pod, address, node, host }
    UdpRefused = "udp-refused" { pod, address, node, reason, host }
    EchoBroken = "echo-broken" { pod, address, node, reason, host }
    BodyLost = "body-lost" { pod, address, node, bytes, host }
    PacketLost = "packet-lost" { pod, address, node, bytes, host }
    MtuHole = "mtu-hole" { pod, address, node, bytes, passes, host }
    DnsNone = "dns-none" {}
    DnsNoneNamed = "dns-none-named" { addresses }
    DnsNoEndpoints = "dns-no-endpoints" { service }
    DnsPodSilent = "dns-pod-silent" { pod, address, node; from }
    DnsPodHalf = "dns-pod-half" { pod, address, node, lost, other; from }
    DnsServiceSilent = "dns-service-silent" { service, address; from }
    DnsServiceHalf = "dns-service-half" { service, address, lost, other; from }
    DnsServerSilent = "dns-server-silent" { node, address }
    DnsKubeletAddress = "dns-kubelet-address" { node, address, service, expected }
    DnsDomainDiffers = "dns-domain-differs" { node, domain, served }
    DnsAnswerWrong = "dns-answer-wrong" { name, server, answer, expected; from }
    DnsServiceUnknown = "dns-service-unknown" { name, server, answer, expected; from }
    DnsOutsideSilent = "dns-outside-silent" { name, server; seconds, from }
    PolicyNotEnforced = "policy-not-enforced" { cni }
    PoliciesWithoutEffect = "policies-without-effect" { cni, policies, count }
    PolicyWithoutEffect = "policy-without-effect" { cni, pod, address, node; seconds }
    PolicyStays = "policy-stays" { cni, pod, address, node; seconds }
    OtherCni = "other-cni" { cni }
    BridgeMissing = "bridge-missing" { bridge, host }
    BridgeDown = "bridge-down" { bridge, host }
    BridgeAddressMissing = "bridge-address-missing" { bridge, host, network }
    BridgePorts = "bridge-ports" { bridge, host; ports, pods }
    PodInterfaceMissing = "pod-interface-missing" { pod, host }
    VethMissing = "veth-missing" { interface, pod, host }
    VethUnplugged = "veth-unplugged" { veth, pod, host, bridge }
    VethDown = "veth-down" { veth, pod, host, bridge }
    AddressMissing = "address-missing" { host, address }
    InterfaceDown = "interface-down" { interface, host, address }
    InternalAddress = "internal-address" { node, found, expected }
    NetworksOverlap = "networks-overlap" { one, one_of, other, other_of }

    // storage
    NoStorageClass = "no-storage-class" {}
    StorageClassMissing = "storage-class-missing" { class }
    StorageClassRetains = "storage-class-retains" { class, reclaims }
    ClaimUnbound = "claim-unbound" { class, message; seconds }
    VolumeUnmounted = "volume-unmounted" { class, node, message; seconds }
    VolumePodMissing = "volume-pod-missing" { class; seconds }
    VolumeUnusable = "volume-unusable" { class, node, output }
    VolumeOther = "volume-other" { class, written, read }
    VolumeOneNode = "volume-one-node" { class, node }

    // kubectl
    CertificateExpired = "certificate-expired" { host, limit; now }
    CertificateNotYetValid = "certificate-not-yet-valid" { host, limit; now }
    CertificateName = "certificate-name" { host, found, wanted }
    CertificateNoNames = "certificate-no-names" { host, wanted }
    CertificateNoAddresses = "certificate-no-addresses" { host, wanted }
    CertificateAuthority = "certificate-authority" { host, message }
    KubeletForbids = "kubelet-forbids" { host, message }
    KubeletNameUnknown = "kubelet-name-unknown" { node, name, servers; message }
    KubeletSilent = "kubelet-silent" { host, message }
    KubeletTimeout = "kubelet-timeout" { host, seconds }
    KubeletRefuses = "kubelet-refuses" { host, message }
    KubeletStreamEnded = "kubelet-stream-ended" { host }
    PortForwardAnswer = "port-forward-answer" { pod, host, status, server }
    PortForwardUnnamed = "port-forward-unnamed" { pod, host, status }
    PortForwardBroken = "port-forward-broken" { pod, host, reason }
    PortForwardSilent = "port-forward-silent" { pod, host, seconds }
    LogUnwritten = "log-unwritten" { pod, host, reason }
    LogPodSilent = "log-pod-silent" { pod, host, seconds }
    LogPodNoAddress = "log-pod-no-address" { pod, host }
    LogLineMissing = "log-line-missing" { marker, pod, seconds; lines }
    ExecFailed = "exec-failed" { command, pod, code, output }
    ExecFailedMutely = "exec-failed-mutely" { command, pod, code }
    ExecOutput = "exec-output" { command, pod, output }
    ExecNoOutput = "exec-no-output" { command, pod }

    // service
    EndpointsNone = "endpoints-none" { service }
    EndpointMissing = "endpoint-missing" { service, pod, address }
    EndpointExtra = "endpoint-extra" { service, address, pod }
    EndpointWithoutPod = "endpoint-without-pod" { service, address }
    ServiceSilent = "service-silent" { url, from, host, service }
    ServiceSilentConnected = "service-silent-connected" { url, from, host, service }
    ServiceRefused = "service-refused" { url, from, reason, host, service }
    ServiceUnsteady = "service-unsteady" { url, from, host, service; failed, asked }
    ServiceAnswer = "service-answer" { url, answer, from, host, service }
    ServiceRulesMissing = "service-rules-missing" { host, address, service }
    ServiceNoUdp = "service-no-udp" {}
    ServiceUdpSilent = "service-udp-silent" { service, address, host; asked }
    ServiceUdpRefused = "service-udp-refused" { service, address, host, reason }
    ServiceUdpUnsteady = "service-udp-unsteady" { service, address, host; lost, asked }
    ServiceUdpRulesMissing = "service-udp-rules-missing" { host, address, service }
    PodUdpNever = "pod-udp-never" { pod, node, service, address, host; asked }
    NodeportRulesMissing = "nodeport-rules-missing" { host, port, service }
    PodNeverAnswered = "pod-never-answered" { pod, node, url, from, host, service; asked }
    HairpinLost = "hairpin-lost" { pod, service, url, host }
    ServiceBackendsUnknown = "service-backends-unknown" { url, from, pod, node, host; unlogged }
    ServiceLogUnreadable = "service-log-unreadable" { url, from, pod, node, host }

    // etcd
    EtcdStopped = "etcd-stopped" { host }
    EtcdHung = "etcd-hung" { host, endpoint; state }
    EtcdSilent = "etcd-silent" { host, endpoint }
    EtcdNotListening = "etcd-not-listening" { host, endpoint }
    EtcdRefused = "etcd-refused" { host, endpoint }
    EtcdAlarm = "etcd-alarm" { alarm, member, host; size, in_use }
    EtcdAlarmOfSilent = "etcd-alarm-of-silent" { alarm, member }
    EtcdNoLeader = "etcd-no-leader" { ; hosts }
    EtcdClustersDiffer = "etcd-clusters-differ" { ; views }
    EtcdLeadersDiffer = "etcd-leaders-differ" { ; views }
    EtcdMemberListsDiffer = "etcd-member-lists-differ" { ; views }
    EtcdNoMajority = "etcd-no-majority" { host; message }
    EtcdReadTimeout = "etcd-read-timeout" { host }
    EtcdMemberLost = "etcd-member-lost" { member, name, host, endpoints }
    EtcdMemberNeverStarted = "etcd-member-never-started" { member }
    EtcdMemberBroken = "etcd-member-broken" { member, name, host; message }
    EtcdMemberUnasked = "etcd-member-unasked" { member, name, host }
    EtcdBehind = "etcd-behind" { host, most; behind }
    EtcdLearner = "etcd-learner" { member, name }
    EtcdEven = "etcd-even" { count }
    EtcdVersionsDiffer = "etcd-versions-differ" { views }
    EtcdQuotaUnknown = "etcd-quota-unknown" { host, quota; percent, size }
    EtcdSlowLog = "etcd-slow-log" { host, bound; millis, count }
    EtcdSlowDatabase = "etcd-slow-database" { host, bound; millis, count }
    NoEtcdMember = "no-etcd-member" {}
    SnapshotTooLarge = "snapshot-too-large" { most; bytes }
    SnapshotUnread = "snapshot-unread" { host, member }
    SnapshotUnkept = "snapshot-unkept" { file, reason }
    SnapshotDamaged = "snapshot-damaged" { host, member, problem }
    SnapshotWithoutCanary = "snapshot-without-canary" { key }
    SnapshotCanaryPlaintext = "snapshot-canary-plaintext" { key }
    BackupNotNamed = "backup-not-named" {}
    BackupDirectoryMissing = "backup-directory-missing" { host, directory }
    BackupNone = "backup-none" { host, directory }
    BackupDamaged = "backup-damaged" { host, file, problem }
    BackupUnread = "backup-unread" { host, file }
    BackupPacked = "backup-packed" { host, file }
    BackupOfTomorrow = "backup-of-tomorrow" { host, file }
    BackupOld = "backup-old" { host, file, most; age }
    BackupContentOld = "backup-content-old" { host, file, most; age }
    EtcdFull = "etcd-full" { host, quota; percent, size, in_use }

    // addons
    AddonImageMissing = "addon-image-missing" { kind, namespace, name, image; nodes, reason, message }
    AddonImageUnbundled = "addon-image-unbundled" { kind, namespace, name, image; nodes, reason, message }
    AddonImageUnloaded = "addon-image-unloaded" { kind, namespace, name, image; nodes, reason, message }
    AddonImageAlways = "addon-image-always" { kind, namespace, name, image; nodes, reason, message }
    AddonCrashes = "addon-crashes" { kind, namespace, name, container; nodes, restarts, ended }
    AddonContainerWaits = "addon-container-waits" { kind, namespace, name, container; nodes, reason, message }
    AddonUnschedulable = "addon-unschedulable" { kind, namespace, name; message }
    AddonHangs = "addon-hangs" { kind, namespace, name; pod, nodes, seconds }
    AddonRestarts = "addon-restarts" { kind, namespace, name, container; restarts, ended, seconds }
    AddonUnready = "addon-unready" { kind, namespace, name; nodes }
    AddonRefused = "addon-refused" { kind, namespace, name; message }
    AddonShort = "addon-short" { kind, namespace, name; ready, wanted }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cause_of_the_same_thing_with_other_figures_is_the_same() {
        let stale = |node: &str, age: u32| -> Cause {
            cause::LeaseStale {
                node: &node,
                limit: &20,
                age: &age,
            }
            .into()
        };
        assert!(stale("node-0", 25).is_same(&stale("node-0", 28)));
        assert!(!stale("node-0", 25).is_same(&stale("node-1", 25)));
        assert!(!stale("node-0", 25).is_same(&cause::LeaseMissing { node: &"node-0" }.into()));
    }

    #[test]
    fn names_of_causes_are_kebab_case_and_unique() {
        let mut names: Vec<&str> = CauseId::ALL.iter().map(|id| id.name()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), CauseId::ALL.len());
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        assert!(names.iter().all(|name| name.chars().all(plain)));
    }
}
