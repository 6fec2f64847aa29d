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
    RestartsCounted = "restarts-counted" {}
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
    ApiAsked = "api-asked" {}
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

    // facts
    FactsFile = "facts-file" {}
    FactsFileLine = "facts-file-line" { file, digest }
    FactsByLine = "facts-by-line" { user, uid, hostname, tool }
    FactsWhenLine = "facts-when-line" { began, ended }
    FactsWithApi = "facts-with-api" {}
    FactsWithoutApi = "facts-without-api" {}
    GatherReads = "gather-reads" { host }
    GatherReadsAgain = "gather-reads-again" { host }
    Gathered = "gathered" { file, host, answers, bytes }
    GatheredWithoutApi = "gathered-without-api" {}

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
    LabelAccepted = "label-accepted" {}
    AcceptedBy = "accepted-by" { reason, by, until }
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

    // paper: the report as a page and as a ticket
    OutcomePass = "outcome-pass" {}
    OutcomeAccepted = "outcome-accepted" {}
    OutcomeWarn = "outcome-warn" {}
    OutcomeFail = "outcome-fail" {}
    OutcomeError = "outcome-error" {}
    OutcomeSkip = "outcome-skip" {}
    VerdictPass = "verdict-pass" {}
    VerdictWarn = "verdict-warn" {}
    VerdictFail = "verdict-fail" {}
    VerdictError = "verdict-error" {}
    PaperAbout = "paper-about" { check }
    PaperAddress = "paper-address" {}
    PaperBundle = "paper-bundle" {}
    PaperBy = "paper-by" {}
    PaperByHost = "paper-by-host" {}
    PaperCertificates = "paper-certificates" {}
    PaperCertificatesElsewhere = "paper-certificates-elsewhere" { count }
    PaperCluster = "paper-cluster" {}
    PaperContents = "paper-contents" {}
    PaperControlPlane = "paper-control-plane" {}
    PaperDate = "paper-date" {}
    PaperDo = "paper-do" {}
    PaperEvidence = "paper-evidence" {}
    PaperEvidenceElsewhere = "paper-evidence-elsewhere" {}
    PaperFoot = "paper-foot" { tool }
    PaperHosts = "paper-hosts" {}
    PaperHostsLegend = "paper-hosts-legend" {}
    PaperImages = "paper-images" {}
    PaperImagesThere = "paper-images-there" {}
    PaperImagesElsewhere = "paper-images-elsewhere" { count }
    PaperInspector = "paper-inspector" {}
    PaperJump = "paper-jump" {}
    PaperKernel = "paper-kernel" {}
    PaperKubelet = "paper-kubelet" {}
    PaperMore = "paper-more" { count }
    PaperName = "paper-name" {}
    PaperNetwork = "paper-network" {}
    PaperNodes = "paper-nodes" {}
    PaperNotRun = "paper-not-run" {}
    PaperNothingLooked = "paper-nothing-looked" {}
    PaperNothingWrong = "paper-nothing-wrong" {}
    PaperOperator = "paper-operator" {}
    PaperPartial = "paper-partial" { left }
    PaperPartialShort = "paper-partial-short" {}
    PaperProcesses = "paper-processes" {}
    PaperQr = "paper-qr" {}
    PaperRedacted = "paper-redacted" {}
    PaperReport = "paper-report" {}
    PaperResults = "paper-results" {}
    PaperRoles = "paper-roles" {}
    PaperRuntime = "paper-runtime" {}
    PaperSeconds = "paper-seconds" { seconds }
    PaperSignature = "paper-signature" {}
    PaperSigned = "paper-signed" {}
    PaperSkipped = "paper-skipped" {}
    PaperStarted = "paper-started" {}
    PaperSystem = "paper-system" {}
    PaperTimeLine = "paper-time-line" { count, near }
    PaperTitle = "paper-title" {}
    PaperTogether = "paper-together" {}
    PaperTook = "paper-took" {}
    PaperTool = "paper-tool" {}
    PaperUid = "paper-uid" {}
    PaperUnseen = "paper-unseen" {}
    PaperUntested = "paper-untested" {}
    PaperVersion = "paper-version" {}
    PaperWhich = "paper-which" {}
    PaperWholeCluster = "paper-whole-cluster" {}
    PaperWhy = "paper-why" {}
    PaperWorkers = "paper-workers" {}
    PaperAccepted = "paper-accepted" {}
    PaperWrong = "paper-wrong" {}
    WayTitle = "way-title" {}
    WayFrom = "way-from" { host }
    WayFromPod = "way-from-pod" { host }
    WayService = "way-service" { host }
    WayRoutes = "way-routes" { host }
    WayFilter = "way-filter" { host }
    WayWire = "way-wire" {}
    WayPod = "way-pod" { host }
    WayBack = "way-back" { host }
    WayEnds = "way-ends" {}
    WayOther = "way-other" {}
    WayUnknown = "way-unknown" {}

    // report check and sign
    ReportGood = "report-good" { files, sums }
    ReportSignedBy = "report-signed-by" { key }
    ReportSignedUnasked = "report-signed-unasked" {}
    ReportUnsigned = "report-unsigned" {}
    ReportAltered = "report-altered" { name }
    ReportMissing = "report-missing" { name }
    ReportExtra = "report-extra" { name }
    ReportUnreadable = "report-unreadable" { name, reason }
    ReportList = "report-list" { name, reason }
    ReportSignature = "report-signature" { name, reason }
    ReportSigned = "report-signed" { directory, key }

    // report diff
    DiffBefore = "diff-before" {}
    DiffAfter = "diff-after" {}
    DiffOtherCluster = "diff-other-cluster" {}
    DiffClusterUnknown = "diff-cluster-unknown" {}
    DiffNone = "diff-none" {}
    DiffResults = "diff-results" {}
    DiffFindings = "diff-findings" {}
    DiffHosts = "diff-hosts" {}
    DiffCertificates = "diff-certificates" {}
    DiffImages = "diff-images" {}

    // images
    ImagesOf = "images-of" { runtime, version }
    ImageAbsent = "image-absent" { reference }
    ImagePinned = "image-pinned" { reference, id }
    SandboxImage = "sandbox-image" {}
    ImageNotes = "image-notes" {}
    ImageRoom = "image-room" {}
    ImageRoomLine = "image-room-line" { blobs, snapshots, images, freed }
    ImageLayers = "image-layers" {}
    ImageLayersLine = "image-layers-line" { layers, blobs, snapshots, recorded, snapshotter }
    ImagesAsleep = "images-asleep" {}
    ImagesNamed = "images-named" {}
    NodesUnseen = "nodes-unseen" {}
    ColumnHost = "column-host" {}
    ColumnImage = "column-image" {}
    ColumnId = "column-id" {}
    ColumnPinned = "column-pinned" {}
    ColumnBlobs = "column-blobs" {}
    ColumnSnapshots = "column-snapshots" {}
    ColumnSaid = "column-said" {}
    ImageRoomOf = "image-room-of" { host, blobs, snapshots, images, freed }

    // secrets
    StoredObjects = "stored-objects" {}
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
    AcceptExpired = "accept-expired" { what, until }
    AcceptUnmatched = "accept-unmatched" { what }
    AcceptUnseen = "accept-unseen" { what }
    AnotherRun = "another-run" { namespace, holder }
    BundleExpected = "bundle-expected" {}
    BundleGood = "bundle-good" { file, bundle }
    BundleSignatureUnknown = "bundle-signature-unknown" { reason }
    BundleSignedBy = "bundle-signed-by" { signer }
    BundleUnsigned = "bundle-unsigned" {}
    BundleUnverified = "bundle-unverified" { key }
    Connecting = "connecting" { hosts }
    HostDamaged = "host-damaged" { host, layers }
    HostHasAll = "host-has-all" { host }
    HostLacks = "host-lacks" { host, images, blobs }
    HostLoaded = "host-loaded" { host, images, bytes }
    HostProven = "host-proven" { host, files }
    HostNotLoaded = "host-not-loaded" { host, reason }
    HostUnreached = "host-unreached" { host, reason }
    KubeletsFound = "kubelets-found" { hosts }
    GuestKept = "guest-kept" { namespace, run }
    NamespaceKept = "namespace-kept" { namespace, run }
    NotRemoved = "not-removed" { namespace, reason }
    NothingLeft = "nothing-left" {}
    RemovedDead = "removed-dead" { namespace }
    RemovedGuest = "removed-guest" { namespace, run }
    RemovedKept = "removed-kept" { namespace }
    SerialUnkept = "serial-unkept" { path, reason }
    WorkCheck = "work-check" {}
    WorkLoad = "work-load" {}

    // plan
    PlanBeyond = "plan-beyond" { what }
    PlanHead = "plan-head" { checks, left }
    PlanReads = "plan-reads" {}
    PlanHereReads = "plan-here-reads" { files }
    PlanHereWrites = "plan-here-writes" { files }
    PlanProgram = "plan-program" { platform, bytes, sha256 }
    PlanHost = "plan-host" { host, user, address, port }
    PlanVia = "plan-via" { via }
    PlanSudo = "plan-sudo" {}
    PlanPlaces = "plan-places" { directories }
    PlanCommand = "plan-command" { command }
    PlanLoad = "plan-load" { images, blobs, bytes }
    PlanRequest = "plan-request" { request, touches, by }
    PlanApi = "plan-api" { server }
    PlanPermission = "plan-permission" { permission, by }
    PlanPaths = "plan-paths" { paths }
    PlanMakes = "plan-makes" { namespace, makes, label }
    PlanMakesNothing = "plan-makes-nothing" {}

    // certs
    TlsSecrets = "tls-secrets" {}
    ByHandBelow = "by-hand-below" { path }
    ByHandKubeconfig = "by-hand-kubeconfig" { path }
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
    Backups = "backups" { host, directory }
    BackupGrows = "backup-grows" { file }
    SnapshotOf = "snapshot-of" { member, host }
    SnapshotFailed = "snapshot-failed" { reason }
    SnapshotComes = "snapshot-comes" { member, host }
    SnapshotWhole = "snapshot-whole" { file, bytes }
    SnapshotNotWhole = "snapshot-not-whole" { file, bytes }
    SnapshotHashRight = "snapshot-hash-right" {}
    SnapshotHashWrong = "snapshot-hash-wrong" {}
    SnapshotForeign = "snapshot-foreign" {}
    SnapshotPageWrong = "snapshot-page-wrong" { page, problem }
    SnapshotBeyond = "snapshot-beyond" {}
    SnapshotHolds = "snapshot-holds" { keys, revision, revisions, pages }
    SnapshotKept = "snapshot-kept" { file }
    SnapshotTaken = "snapshot-taken" { time, age }
    SnapshotRestored = "snapshot-restored" { directory, keys, revision }
    SnapshotSwap = "snapshot-swap" { directory }
    SnapshotWritten = "snapshot-written" { time, age }
    SnapshotOdd = "snapshot-odd" { object, found }
    WorkSnapshot = "work-snapshot" {}

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
