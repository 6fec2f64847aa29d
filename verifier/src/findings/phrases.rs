//! What we say that is no cause: titles and lines of evidence, notes, the frames of reports. Its words lie in `words/`.

use std::collections::BTreeMap;

use cli::Shown;
use serde::{Deserialize, Serialize};

use super::register::register;

/// A phrase with what it names. Made of a type of [`phrase`] and of nothing else.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Phrase {
    id: PhraseId,
    args: BTreeMap<String, Shown>,
}

impl Phrase {
    /// Returns which phrase it is.
    pub const fn id(&self) -> PhraseId {
        self.id
    }

    /// Returns what it names.
    pub const fn args(&self) -> &BTreeMap<String, Shown> {
        &self.args
    }

    /// Returns a phrase of any id, each of whose fields holds one text: for tests that walk the register.
    #[cfg(test)]
    pub(crate) fn holding(id: PhraseId, text: &str) -> Self {
        let args = id
            .fields()
            .iter()
            .map(|field| ((*field).to_owned(), Shown::new(text)));
        Self {
            id,
            args: args.collect(),
        }
    }
}

register! {
    /// The id of a phrase. Not stable: no report shows it.
    PhraseId, Phrase, phrase;

    // suite
    LeftOut = "left-out" { bytes }
    MoreFindings = "more-findings" {}
    MoreFindingsLine = "more-findings-line" { count }

    UntestedFailover = "untested-failover" {}
    UntestedReboot = "untested-reboot" {}
    UntestedStorage = "untested-storage" {}
    UntestedBackup = "untested-backup" {}
    UntestedIngress = "untested-ingress" {}
    UntestedPolicy = "untested-policy" {}

    // hosts
    Agent = "agent" {}
    AgentLine = "agent-line" { tool, hostname, platform, uid }
    AtBoot = "at-boot" {}
    Clocks = "clocks" {}
    FileSystems = "file-systems" {}
    InUse = "in-use" {}
    Names = "names" {}
    Settings = "settings" {}
    HostVersions = "host-versions" {}
    TimeSources = "time-sources" {}

    // api
    Readyz = "readyz" {}
    VerbsAsked = "verbs-asked" {}
    Extensions = "extensions" {}
    ExtensionsLookedAt = "extensions-looked-at" { services, definitions, more }
    Webhooks = "webhooks" {}

    // nodes
    LeaseRenewed = "lease-renewed" { renewed, now }
    NodeConditions = "node-conditions" { node }
    NodeLease = "node-lease" {}

    // components
    Component = "component" { component }
    ContainerRuntime = "container-runtime" {}
    HealthSilent = "health-silent" { url }
    HealthUnasked = "health-unasked" { url }
    HealthUnconnected = "health-unconnected" { url }
    LeaderLeases = "leader-leases" { now }
    LeaseHeld = "lease-held" { component, holder, renewed, seconds }
    LeaseReleased = "lease-released" { component, renewed, seconds }
    LeaseUnrenewed = "lease-unrenewed" { component }
    NoProcess = "no-process" {}
    ProcessLine = "process-line" { pid, name, state, seconds, cgroup }
    ProcessesUnseen = "processes-unseen" {}
    ProxyElsewhere = "proxy-elsewhere" { hosts }
    ProxyFiles = "proxy-files" { files }
    ProxyInstead = "proxy-instead" { programs }
    RuntimeAnswers = "runtime-answers" { socket }
    RuntimeVersionUnknown = "runtime-version-unknown" {}
    VersionUnknown = "version-unknown" { program }
    Versions = "versions" { host }

    // addons
    Addons = "addons" {}
    AddonPods = "addon-pods" {}
    AddonWorkloads = "addon-workloads" {}
    AddonsLookedAt = "addons-looked-at" { deployments, daemon_sets, stateful_sets, pods, more }

    // cmd
    CheckBeside = "check-beside" { file }
    CheckGood = "check-good" { file, members, bytes, bundle, name }
    CheckLayers = "check-layers" {}
    FileReadable = "file-readable" { path, mode }
    KeyChanged = "key-changed" { line }
    KeyDeclined = "key-declined" {}
    KeyKnown = "key-known" {}
    KeyNew = "key-new" {}
    KeyPinned = "key-pinned" {}
    KeyRevoked = "key-revoked" { line }
    KeyShared = "key-shared" {}
    KeyUnexpected = "key-unexpected" {}
    KeysQuestion = "keys-question" { keys }
    KeysPinned = "keys-pinned" { keys }
    NoControlPlane = "no-control-plane" {}
    NotFoundOut = "not-found-out" { what, reason }
    SiteWritten = "site-written" { path }
    SudoPrompt = "sudo-prompt" { user, count, hosts }
    Unpacked = "unpacked" { directory, members, bundle }
    WorkUnpack = "work-unpack" {}

    // explain
    FrameAgain = "frame-again" {}
    FrameByHand = "frame-by-hand" {}
    FrameMore = "frame-more" {}
    FrameNext = "frame-next" { hint }
    FrameSkipped = "frame-skipped" { checks }

    // report: the list and its end
    LabelAlso = "label-also" {}
    LabelByHand = "label-by-hand" {}
    LabelCause = "label-cause" {}
    LabelHint = "label-hint" {}
    LabelNote = "label-note" {}
    LabelRows = "label-rows" {}
    WhatIsWrong = "what-is-wrong" {}
    LookingAt = "looking-at" { done, rows, names }
    OutputLost = "output-lost" { reason }
    Removing = "removing" {}
    ReportLies = "report-lies" { directory }
    TimeWent = "time-went" { laps, longest }
    VerdictLine = "verdict-line" { outcome, counts, seconds }
    VerdictPartial = "verdict-partial" { outcome, counts, seconds, left }

    // images
    ImagesOf = "images-of" { runtime, version }
    ImageAbsent = "image-absent" { reference }
    ImagePinned = "image-pinned" { reference, id }
    SandboxImage = "sandbox-image" {}

    // secrets
    StoredValue = "stored-value" { key, endpoint }
    SecretThroughApi = "secret-through-api" { secret }
    SecretWritten = "secret-written" { length, sha256 }
    SecretRead = "secret-read" { length, sha256 }
    SecretReadEmpty = "secret-read-empty" {}
    SecretReadRefused = "secret-read-refused" { code, message }
    SecretCrossed = "secret-crossed" { secret, writer, reader }
    SecretNotCrossed = "secret-not-crossed" { secret, writer, reader }

    // workload
    LastWords = "last-words" { pod }
    HollowLayers = "hollow-layers" { image, host }
    Pods = "pods" {}
    PodsOfNode = "pods-of-node" {}
    Events = "events" {}
    CniConfig = "cni-config" {}
    CniUnconfigured = "cni-unconfigured" { directory }
    Restarts = "restarts" {}

    // runtime
    ContainersOfRuntime = "containers-of-runtime" {}
    ContainersOfApi = "containers-of-api" {}
    CrictlConfig = "crictl-config" {}
    CrictlPlaces = "crictl-places" { places }
    CrictlFile = "crictl-file" { file }
    CrictlFileAbsent = "crictl-file-absent" {}
    CrictlRuntime = "crictl-runtime" { runtime }
    Processes = "processes" {}

    // run
    AnotherRun = "another-run" { namespace, holder }
    BundleGood = "bundle-good" { file, bundle }
    Connecting = "connecting" { hosts }
    HostDamaged = "host-damaged" { host, layers }
    HostHasAll = "host-has-all" { host }
    HostLacks = "host-lacks" { host, images, blobs }
    HostLoaded = "host-loaded" { host, images, bytes }
    HostProven = "host-proven" { host, files }
    HostNotLoaded = "host-not-loaded" { host, reason }
    HostUnreached = "host-unreached" { host, reason }
    KubeletsFound = "kubelets-found" { hosts }
    NamespaceKept = "namespace-kept" { namespace, run }
    NotRemoved = "not-removed" { namespace, reason }
    NothingLeft = "nothing-left" {}
    RemovedDead = "removed-dead" { namespace }
    RemovedKept = "removed-kept" { namespace }
    WorkCheck = "work-check" {}
    WorkLoad = "work-load" {}

    // certs
    CertificatesServed = "certificates-served" {}
    CertificatesThere = "certificates-there" {}
    ColumnUntil = "column-until" {}
    ColumnDays = "column-days" {}
    ColumnStanding = "column-standing" {}
    ColumnWhere = "column-where" {}
    ColumnSubject = "column-subject" {}
    ColumnUsedBy = "column-used-by" {}

    // kubectl
    ApiServerAnswer = "api-server-answer" {}
    CommandOutput = "command-output" { command, pod }
    ExitCode = "exit-code" { code }
    ForwardedRequest = "forwarded-request" { pod }
    LogOf = "log-of" { pod }
    NoAnswerWithin = "no-answer-within" { seconds }
    StreamEnded = "stream-ended" {}

    // etcd
    EndpointRefused = "endpoint-refused" { host, endpoint }
    EndpointSilent = "endpoint-silent" { host, endpoint }
    EtcdMembers = "etcd-members" {}

    // network
    Answers = "answers" {}
    ReplyNone = "reply-none" { request }
    EchoCut = "echo-cut" { request, back }
    ReplySilent = "reply-silent" { request }
    HostInterfaces = "host-interfaces" {}
    PodInterfaces = "pod-interfaces" {}
    Resolvers = "resolvers" {}
    OtherWays = "other-ways" {}
    RoutesOf = "routes-of" { host }
    Ways = "ways" {}
    WaysOf = "ways-of" { host }
    PacketFilter = "packet-filter" { host }

    // service
    ReadyPods = "ready-pods" {}
    EndpointsOf = "endpoints-of" { service }
    ReadyEndpoints = "ready-endpoints" {}
    AnswersTo = "answers-to" { method, url }
    Attempts = "attempts" { from, right, asked }
    AnsweredBy = "answered-by" { from, pods }
    LastFailures = "last-failures" {}

    // suite: titles that several checks have
    Journal = "journal" { unit, host }
    Routes = "routes" {}
}
