//! What the checks share that go through the API server to a kubelet: the pod of a node, and why the way is closed.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use crate::checks::components::component::known::KUBELET;
use crate::checks::components::component::{self, ComponentState, State};
use crate::checks::network::path_trace::{Origin, PathTrace};
use crate::checks::network::pods::Lost;
use crate::cluster::{ClusterError, PodFacts, RunNamespace};
use crate::findings::{Cause, Evidence, Finding, Line, Unjudged, cause, phrase};
use crate::protocol::Names;
use crate::site::{Host, Role};
use crate::suite::fixtures::Fixture;
use crate::suite::{Ctx, Expect, Member, Probe, Trace};

/// Where kubelets listen unless they are told otherwise.
const PORT: u16 = 10250;

/// The suite's pod on a node.
pub(super) struct NodePod<'a> {
    pub(super) host: &'a Host,
    pub(super) namespace: RunNamespace,
    pub(super) pod: PodFacts,
}

/// Returns the suite's pod on the member's node.
pub(super) async fn pod_of<'a>(ctx: &'a Ctx, member: &Member) -> Result<NodePod<'a>, Unjudged> {
    let host = ctx.host(member)?;
    let spread = ctx.fixtures().spread(ctx).await?;
    spread.takes(host.node())?;
    let mut pods = spread.pods.into_iter();
    let pod = pods.find(|pod| pod.is_up() && pod.node.as_deref() == Some(host.node()));
    let needs = || {
        Unjudged::skip(cause::Needs {
            what: &Fixture::Pods.owner(),
        })
    };
    Ok(NodePod {
        host,
        namespace: ctx.fixtures().namespace(ctx).await?,
        pod: pod.ok_or_else(needs)?,
    })
}

/// What came back from behind the API server.
#[derive(Serialize, Deserialize)]
pub(super) enum KubeletReply<T> {
    /// The kubelet did what was asked.
    Answer(T),
    /// It did not.
    Failed(KubeletFailure),
}

/// How a way is closed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum KubeletFailure {
    /// Somebody on the way refused.
    Refused {
        /// The HTTP status of the answer.
        code: u16,
        /// The words of the API server, or of the kubelet.
        message: String,
    },
    /// The API server does not find the address of the node's name.
    Lookup {
        /// The name.
        name: String,
        /// The words of the API server.
        message: String,
    },
    /// No answer came.
    Late {
        /// How long was waited.
        seconds: u64,
    },
    /// The stream ended without a status.
    Ended,
}

/// Tells a closed way from what the API server itself refuses: a permission that we lack, an API that is not there.
pub(super) fn reply<T>(result: Result<T, ClusterError>) -> Result<KubeletReply<T>, Unjudged> {
    match result {
        Ok(answer) => Ok(KubeletReply::Answer(answer)),
        Err(ClusterError::Refused { code, message, .. }) if is_kubelets(code, &message) => {
            Ok(KubeletReply::Failed(refused(code, message)))
        }
        Err(ClusterError::Late { seconds, .. }) => Ok(KubeletReply::Failed(KubeletFailure::Late { seconds })),
        Err(error) => Err(error.into()),
    }
}

/// Tells a name that the API server does not find from other refusals, by the words of Go's net package (net.DNSError):
/// `lookup NAME: no such host`, `lookup NAME on SERVER: ...`.
pub(super) fn refused(code: u16, message: String) -> KubeletFailure {
    let after = message.split_once("dial tcp: lookup ");
    let name = after.and_then(|(_, rest)| rest.split([' ', ':']).next());
    match name.filter(|name| !name.is_empty()).map(str::to_owned) {
        Some(name) => KubeletFailure::Lookup { name, message },
        None => KubeletFailure::Refused { code, message },
    }
}

/// Returns whether a refusal came from the kubelet or from the way there. The same credentials have made the suite's pods
/// before, so that it is the kubelet that does not know whoever asks.
fn is_kubelets(code: u16, message: &str) -> bool {
    match code {
        401 | 500.. => true,
        403 => is_kubelets_own(message),
        _ => false,
    }
}

/// The kubelet's own words, from `pkg/kubelet/server/server.go`.
fn is_kubelets_own(message: &str) -> bool {
    message.contains("Forbidden (user=")
}

impl<T> KubeletReply<T> {
    pub(super) const fn failure(&self) -> Option<&KubeletFailure> {
        match self {
            Self::Answer(_) => None,
            Self::Failed(failure) => Some(failure),
        }
    }
}

impl KubeletFailure {
    /// Returns the finding of a way that is closed.
    pub(super) fn finding(&self, expect: &Expect<'_>) -> Result<Finding, Unjudged> {
        let host = &expect.host()?.name;
        let Self::Lookup { name, message } = self else {
            return Ok(Finding::fail(self.cause(host)));
        };
        let servers = expect.site.with_role(Role::ControlPlane);
        let servers: Vec<&str> = servers.map(|server| server.name.as_str()).collect();
        Ok(Finding::fail(unknown_name(host, name, &servers, message)))
    }

    /// Returns what came instead of an answer.
    pub(super) fn evidence(&self) -> Option<Evidence> {
        let line = match self {
            Self::Refused { code, message } => {
                return Evidence::text(phrase::ApiServerAnswer, &format!("{code} {message}"));
            }
            Self::Lookup { message, .. } => return Evidence::text(phrase::ApiServerAnswer, message),
            Self::Late { seconds } => Line::said(phrase::NoAnswerWithin { seconds }),
            Self::Ended => Line::said(phrase::StreamEnded),
        };
        Evidence::lines(phrase::ApiServerAnswer, [line])
    }

    /// Returns why it is closed.
    fn cause(&self, host: &str) -> Cause {
        let (code, message) = match self {
            Self::Refused { code, message } => (*code, message),
            Self::Lookup { name, message } => return unknown_name(host, name, &[], message),
            Self::Late { seconds } => {
                return cause::KubeletTimeout { host: &host, seconds }.into();
            }
            Self::Ended => return cause::KubeletStreamEnded { host: &host }.into(),
        };
        if let Some(cause) = certificate(host, message) {
            cause
        } else if code == 401 || is_kubelets_own(message) {
            cause::KubeletForbids { host: &host, message }.into()
        } else if is_silence(message) {
            cause::KubeletSilent { host: &host, message }.into()
        } else {
            cause::KubeletRefuses { host: &host, message }.into()
        }
    }
}

fn unknown_name(host: &str, name: &str, servers: &[&str], message: &str) -> Cause {
    let (node, name, servers, message) = (&host, &name, &servers.join(", "), &message);
    cause::KubeletNameUnknown {
        node,
        name,
        servers,
        message,
    }
    .into()
}

/// The kubelet behind a way that is closed, as its own host sees it; and where its name is not found, the hosts of the control
/// plane that do not know it.
#[derive(Serialize, Deserialize)]
pub struct Kubelet {
    state: ComponentState,
    journal: Option<Evidence>,
    #[serde(default)]
    strangers: Vec<String>,
    /// The ways to it from the hosts of the control plane, by their names.
    #[serde(default)]
    ways: BTreeMap<String, PathTrace>,
}

impl Kubelet {
    /// Returns what a person can look at.
    fn evidence(&self) -> Vec<Evidence> {
        let state = self.state.evidence(&KUBELET);
        let ways = self.ways.values().flat_map(PathTrace::evidence);
        [state]
            .into_iter()
            .chain(self.journal.clone())
            .chain(ways)
            .collect()
    }
}

/// A check that goes through the API server to a kubelet: where the way is closed, the kubelet itself is looked at.
pub trait ThroughKubelet: Probe {
    /// Returns how the way was closed.
    fn failure(facts: &Self::Facts) -> Option<&KubeletFailure>;
}

impl<P: ThroughKubelet> Trace for P {
    type Depth = Option<Kubelet>;

    async fn trace(ctx: &Ctx, member: &Member, facts: &P::Facts, _: &[Finding]) -> Option<Kubelet> {
        let failure = P::failure(facts)?;
        let host = &ctx.host(member).ok()?.name;
        let state = component::look(ctx, host, &KUBELET).await;
        if let KubeletFailure::Lookup { name, .. } = failure {
            // Nothing got as far as the kubelet: its journal knows nothing.
            return Some(Kubelet {
                state,
                journal: None,
                strangers: strangers(ctx, name).await,
                ways: BTreeMap::new(),
            });
        }
        let unit = state.unit(&KUBELET);
        let (journal, ways) = futures::join!(ctx.journal(host, &unit), ways(ctx, member, failure));
        Some(Kubelet {
            state,
            journal,
            strangers: Vec::new(),
            ways,
        })
    }

    /// A kubelet that does not run, or hangs, explains whatever the API server says of it.
    fn explain(
        findings: Vec<Finding>,
        facts: &P::Facts,
        kubelet: &Option<Kubelet>,
        expect: &Expect<'_>,
    ) -> Vec<Finding> {
        explain(findings, (P::failure(facts), kubelet.as_ref()), expect)
    }

    fn deeper(kubelet: &Option<Kubelet>, _: &Expect<'_>) -> Vec<Evidence> {
        kubelet.as_ref().map(Kubelet::evidence).unwrap_or_default()
    }
}

/// Returns the hosts of the control plane that do not know a name.
async fn strangers(ctx: &Ctx, name: &str) -> Vec<String> {
    let servers = ctx.site.with_role(Role::ControlPlane);
    let asked = servers.map(|server| async move {
        let names = Names {
            names: vec![name.to_owned()],
            of_file: false,
        };
        let reply = ctx.ask(&server.name, names).await.ok()?;
        let is_stranger = reply
            .names
            .get(name)
            .is_some_and(|found| found.addresses().is_empty());
        is_stranger.then(|| server.name.clone())
    });
    futures::future::join_all(asked)
        .await
        .into_iter()
        .flatten()
        .collect()
}

fn explain(
    findings: Vec<Finding>,
    (failure, kubelet): (Option<&KubeletFailure>, Option<&Kubelet>),
    expect: &Expect<'_>,
) -> Vec<Finding> {
    if let (Some(KubeletFailure::Lookup { name, message }), Some(kubelet), Some(host)) =
        (failure, kubelet, expect.host)
        && !kubelet.strangers.is_empty()
    {
        let servers: Vec<&str> = kubelet.strangers.iter().map(String::as_str).collect();
        return vec![Finding::fail(unknown_name(&host.name, name, &servers, message))];
    }
    let down = kubelet.and_then(|kubelet| match kubelet.state.state(&KUBELET) {
        State::Stopped | State::Hung(_) => kubelet.state.finding(&KUBELET, &expect.host?.name),
        _ => None,
    });
    let way = || Some(Finding::fail(closed_way(kubelet?, expect)?));
    down.or_else(way).map_or(findings, |finding| vec![finding])
}

/// Asks both ends of the ways to a kubelet that does not answer.
async fn ways(ctx: &Ctx, member: &Member, failure: &KubeletFailure) -> BTreeMap<String, PathTrace> {
    let is_silent = match failure {
        KubeletFailure::Late { .. } => true,
        KubeletFailure::Refused { message, .. } => is_silence(message),
        KubeletFailure::Lookup { .. } | KubeletFailure::Ended => false,
    };
    let Some((host, address)) = ctx.host(member).ok().filter(|_| is_silent).and_then(address) else {
        return BTreeMap::new();
    };
    let servers = ctx.site.with_role(Role::ControlPlane);
    let asked = servers
        .filter(|server| server.name != host.name)
        .map(|server| async move {
            let lost = [Lost {
                node: host.node(),
                address: address.ip(),
            }];
            let way = PathTrace::of(ctx, server, Origin::Host, lost.into_iter()).await;
            (server.name.clone(), way)
        });
    futures::future::join_all(asked).await.into_iter().collect()
}

/// Returns where a host's kubelet listens for API servers.
fn address(host: &Host) -> Option<(&Host, SocketAddr)> {
    Some((host, SocketAddr::new(host.ips().first().copied()?, PORT)))
}

/// Returns what closes the way from a host of the control plane.
fn closed_way(kubelet: &Kubelet, expect: &Expect<'_>) -> Option<Cause> {
    let (there, address) = address(expect.host?)?;
    kubelet.ways.iter().find_map(|(server, way)| {
        let here = expect.site.host(server)?;
        way.between((here, there), address)
    })
}

/// The words of Go's net package and of its HTTP client for somebody who does not answer.
fn is_silence(message: &str) -> bool {
    let silence = [
        "connection refused",
        "i/o timeout",
        "no route to host",
        "network is unreachable",
        "TLS handshake timeout",
        "deadline exceeded",
        "connection reset by peer",
        "Client.Timeout",
    ];
    silence.iter().any(|words| message.contains(words))
}

/// Returns what is wrong with a certificate, by the words of Go's crypto/x509 (verify.go).
fn certificate(host: &str, message: &str) -> Option<Cause> {
    let (_, words) = message.split_once("x509: ")?;
    let host: &dyn std::fmt::Display = &host;
    if let Some((_, times)) = words.split_once("current time ") {
        let (now, rest) = times.split_once(" is ")?;
        let (order, rest) = rest.split_once(' ')?;
        let (now, limit) = (&now, &first(rest));
        return Some(match order {
            "after" => cause::CertificateExpired { host, limit, now }.into(),
            _ => cause::CertificateNotYetValid { host, limit, now }.into(),
        });
    }
    if let Some((found, wanted)) = words
        .split_once("certificate is valid for ")
        .and_then(|(_, names)| names.rsplit_once(", not "))
    {
        let (found, wanted) = (&found, &first(wanted));
        return Some(cause::CertificateName { host, found, wanted }.into());
    }
    if let Some((_, rest)) = words.split_once("not valid for any names, but wanted to match ") {
        let wanted = &first(rest);
        return Some(cause::CertificateNoNames { host, wanted }.into());
    }
    if let Some((_, rest)) = words.split_once("cannot validate certificate for ") {
        let wanted = &first(rest);
        return Some(cause::CertificateNoAddresses { host, wanted }.into());
    }
    let message = &words.lines().next().unwrap_or_default();
    let unknown = words.contains("unknown authority");
    unknown.then(|| cause::CertificateAuthority { host, message }.into())
}

/// Returns what stands before the end of a word in a sentence of Go's.
fn first(words: &str) -> &str {
    words.split([' ', '"', '\n']).next().unwrap_or_default()
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::checks::components::component::tests::{hung, stopped, well};
    use crate::checks::testing::{expect, site};
    use crate::findings::{CauseId, Severity};

    /// Returns a way that somebody closed.
    pub(in crate::checks::kubectl) fn closed(code: u16, message: &str) -> KubeletFailure {
        KubeletFailure::Refused {
            code,
            message: message.to_owned(),
        }
    }

    fn cause(way: &KubeletFailure) -> Cause {
        let site = site();
        let finding = way.finding(&expect(&site, "node-1")).unwrap();
        assert_eq!(finding.severity, Severity::Fail);
        finding.cause
    }

    fn id(code: u16, message: &str) -> CauseId {
        cause(&closed(code, message)).id()
    }

    #[test]
    fn a_certificate_that_is_over_is_named_with_its_dates() {
        let message = "Get \"https://node-1:10250/containerLogs/verifier-x/nginx-b/nginx\": tls: failed to verify \
            certificate: x509: certificate has expired or is not yet valid: current time 2026-11-23T22:00:00Z is after \
            2026-11-23T20:50:00Z";
        let cause = cause(&closed(500, message));
        assert_eq!(cause.id(), CauseId::CertificateExpired);
        assert_eq!(cause.args()["limit"], "2026-11-23T20:50:00Z");
        assert_eq!(cause.args()["now"], "2026-11-23T22:00:00Z");
        let early = message.replace("is after", "is before");
        assert_eq!(id(500, &early), CauseId::CertificateNotYetValid);
    }

    #[test]
    fn a_certificate_of_another_is_named_with_both_names() {
        let message = "error dialing backend: tls: failed to verify certificate: x509: certificate is valid for \
            node-0, node-0.kubernetes.local, not node-1";
        let cause = cause(&closed(500, message));
        assert_eq!(cause.id(), CauseId::CertificateName);
        assert_eq!(cause.args()["found"], "node-0, node-0.kubernetes.local");
        assert_eq!(cause.args()["wanted"], "node-1");
        let none = "x509: certificate is not valid for any names, but wanted to match node-1";
        assert_eq!(id(500, none), CauseId::CertificateNoNames);
        let none =
            "x509: cannot validate certificate for 192.168.10.102 because it doesn't contain any IP SANs";
        assert_eq!(id(500, none), CauseId::CertificateNoAddresses);
        let unknown = "x509: certificate signed by unknown authority";
        assert_eq!(id(500, unknown), CauseId::CertificateAuthority);
    }

    #[test]
    fn a_kubelet_that_forbids_or_is_silent_is_named() {
        let forbids = "Forbidden (user=kubernetes, verb=get, resource=nodes, subresource=proxy)";
        assert_eq!(id(403, forbids), CauseId::KubeletForbids);
        assert_eq!(id(401, "Unauthorized"), CauseId::KubeletForbids);
        let refused =
            "Get \"https://node-1:10250/x\": dial tcp 192.168.10.102:10250: connect: connection refused";
        assert_eq!(id(500, refused), CauseId::KubeletSilent);
        let late = KubeletFailure::Late { seconds: 15 };
        assert_eq!(cause(&late).id(), CauseId::KubeletTimeout);
        assert_eq!(cause(&KubeletFailure::Ended).id(), CauseId::KubeletStreamEnded);
        assert_eq!(id(500, "container not found"), CauseId::KubeletRefuses);
    }

    #[test]
    fn a_kubelet_that_does_not_run_is_the_cause_whatever_the_words() {
        let site = site();
        let expect = expect(&site, "node-1");
        let explained = |state| {
            let found = vec![KubeletFailure::Late { seconds: 15 }.finding(&expect).unwrap()];
            let kubelet = Kubelet {
                ways: BTreeMap::new(),
                state,
                journal: None,
                strangers: Vec::new(),
            };
            let failure = KubeletFailure::Late { seconds: 15 };
            let ids = explain(found, (Some(&failure), Some(&kubelet)), &expect).into_iter();
            ids.map(|finding| finding.cause.id()).collect::<Vec<_>>()
        };
        assert_eq!(explained(stopped()), [CauseId::KubeletStopped]);
        assert_eq!(explained(hung("kubelet")), [CauseId::KubeletHung]);
        assert_eq!(explained(well("kubelet")), [CauseId::KubeletTimeout]);
    }

    #[test]
    fn a_name_that_the_api_server_does_not_find_is_told_with_the_hosts_that_do_not_know_it() {
        for message in [
            "error dialing backend: dial tcp: lookup node-1: no such host",
            "Get \"https://node-1:10250/x\": dial tcp: lookup node-1 on 127.0.0.53:53: server misbehaving",
            "dial tcp: lookup node-1 on [::1]:53: read udp [::1]:4->[::1]:53: read: connection refused",
        ] {
            let failure = refused(500, message.to_owned());
            assert!(
                matches!(&failure, KubeletFailure::Lookup { name, .. } if name == "node-1"),
                "{failure:?}"
            );
            let cause = cause(&failure);
            assert_eq!(cause.id(), CauseId::KubeletNameUnknown);
            assert_eq!(cause.args()["servers"], "server");
        }
        let site = site();
        let expect = expect(&site, "node-1");
        let failure = refused(500, "dial tcp: lookup node-1: no such host".to_owned());
        let kubelet = Kubelet {
            ways: BTreeMap::new(),
            state: well("kubelet"),
            journal: None,
            strangers: vec!["cp-2".to_owned()],
        };
        let found = vec![failure.finding(&expect).unwrap()];
        let explained = explain(found, (Some(&failure), Some(&kubelet)), &expect);
        assert_eq!(explained[0].cause.args()["servers"], "cp-2");
        let other = refused(
            500,
            "dial tcp 192.168.10.102:10250: connect: connection refused".to_owned(),
        );
        assert!(matches!(other, KubeletFailure::Refused { .. }));
    }

    #[test]
    fn our_own_missing_permission_is_not_the_kubelets() {
        let rbac =
            "pods \"nginx\" is forbidden: User \"u\" cannot get resource \"pods/log\" in API group \"\"";
        assert!(!is_kubelets(403, rbac));
        assert!(!is_kubelets(404, "pods \"nginx\" not found"));
        assert!(is_kubelets(502, "Bad Gateway"));
    }
}
