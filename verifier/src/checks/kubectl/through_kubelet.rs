//! What the checks share that go through the API server to a kubelet: the pod of a node, and why the way is closed.

use serde::{Deserialize, Serialize};

use crate::checks::components::component::known::KUBELET;
use crate::checks::components::component::{self, ComponentState, State};
use crate::cluster::{ClusterError, PodFacts, RunNamespace};
use crate::findings::{Cause, Evidence, Finding, Line, Unjudged, cause, phrase};
use crate::site::Host;
use crate::suite::fixtures::Fixture;
use crate::suite::{Ctx, Expect, Member, Probe, Trace};

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
pub(super) enum KubeletFailure {
    /// Somebody on the way refused.
    Refused {
        /// The HTTP status of the answer.
        code: u16,
        /// The words of the API server, or of the kubelet.
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
            Ok(KubeletReply::Failed(KubeletFailure::Refused { code, message }))
        }
        Err(ClusterError::Late { seconds, .. }) => Ok(KubeletReply::Failed(KubeletFailure::Late { seconds })),
        Err(error) => Err(error.into()),
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
    pub(super) const fn is_closed(&self) -> bool {
        matches!(self, Self::Failed(_))
    }
}

impl KubeletFailure {
    /// Returns the finding of a way that is closed.
    pub(super) fn finding(&self, expect: &Expect<'_>) -> Result<Finding, Unjudged> {
        Ok(Finding::fail(self.cause(&expect.host()?.name)))
    }

    /// Returns what came instead of an answer.
    pub(super) fn evidence(&self) -> Option<Evidence> {
        let line = match self {
            Self::Refused { code, message } => {
                return Evidence::text(phrase::ApiServerAnswer, &format!("{code} {message}"));
            }
            Self::Late { seconds } => Line::said(phrase::NoAnswerWithin { seconds }),
            Self::Ended => Line::said(phrase::StreamEnded),
        };
        Evidence::lines(phrase::ApiServerAnswer, [line])
    }

    /// Returns why it is closed.
    fn cause(&self, host: &str) -> Cause {
        let (code, message) = match self {
            Self::Refused { code, message } => (*code, message),
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

/// The kubelet behind a way that is closed, as its own host sees it.
#[derive(Serialize, Deserialize)]
pub struct Kubelet {
    state: ComponentState,
    journal: Option<Evidence>,
}

impl Kubelet {
    /// Returns what a person can look at.
    fn evidence(&self) -> Vec<Evidence> {
        let state = self.state.evidence(&KUBELET);
        [state].into_iter().chain(self.journal.clone()).collect()
    }
}

/// A check that goes through the API server to a kubelet: where the way is closed, the kubelet itself is looked at.
pub trait ThroughKubelet: Probe {
    /// Returns whether the way was closed.
    fn is_closed(facts: &Self::Facts) -> bool;
}

impl<P: ThroughKubelet> Trace for P {
    type Depth = Option<Kubelet>;

    async fn trace(ctx: &Ctx, member: &Member, facts: &P::Facts, _: &[Finding]) -> Option<Kubelet> {
        if !P::is_closed(facts) {
            return None;
        }
        let host = &ctx.host(member).ok()?.name;
        let state = component::look(ctx, host, &KUBELET).await;
        let journal = ctx.journal(host, &state.unit(&KUBELET)).await;
        Some(Kubelet { state, journal })
    }

    /// A kubelet that does not run, or hangs, explains whatever the API server says of it.
    fn explain(
        findings: Vec<Finding>,
        _: &P::Facts,
        kubelet: &Option<Kubelet>,
        expect: &Expect<'_>,
    ) -> Vec<Finding> {
        explain(findings, kubelet.as_ref(), expect)
    }

    fn deeper(kubelet: &Option<Kubelet>, _: &Expect<'_>) -> Vec<Evidence> {
        kubelet.as_ref().map(Kubelet::evidence).unwrap_or_default()
    }
}

fn explain(findings: Vec<Finding>, kubelet: Option<&Kubelet>, expect: &Expect<'_>) -> Vec<Finding> {
    let down = kubelet.and_then(|kubelet| match kubelet.state.state(&KUBELET) {
        State::Stopped | State::Hung(_) => kubelet.state.finding(&KUBELET, &expect.host?.name),
        _ => None,
    });
    down.map_or(findings, |finding| vec![finding])
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
            let kubelet = Kubelet { state, journal: None };
            let ids = explain(found, Some(&kubelet), &expect).into_iter();
            ids.map(|finding| finding.cause.id()).collect::<Vec<_>>()
        };
        assert_eq!(explained(stopped()), [CauseId::KubeletStopped]);
        assert_eq!(explained(hung("kubelet")), [CauseId::KubeletHung]);
        assert_eq!(explained(well("kubelet")), [CauseId::KubeletTimeout]);
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
