//! What the checks share that go through the API server to a kubelet: the pod of a node, and why the way is closed.

use serde::{Deserialize, Serialize};

use crate::checks::components::component::known::KUBELET;
use crate::checks::components::component::{self, ComponentState, State};
use crate::checks::network::pods;
use crate::cluster::{ClusterError, PodFacts, RunNamespace};
use crate::findings::{Cause, CauseId, Evidence, Finding, Trouble, Verdict};
use crate::site::Host;
use crate::suite::{Ctx, Expect, Member, cause_of};

/// The suite's pod on a node.
pub(in crate::checks) struct NodePod<'a> {
    pub(in crate::checks) host: &'a Host,
    pub(in crate::checks) namespace: RunNamespace,
    pub(in crate::checks) pod: PodFacts,
}

/// Returns the suite's pod on the member's node.
pub(in crate::checks) async fn pod_of<'a>(ctx: &'a Ctx, member: &Member) -> Result<NodePod<'a>, Trouble> {
    let host = ctx.host(member)?;
    let spread = ctx.fixtures().spread(ctx).await?;
    if let Some((_, reason)) = spread.left_out.iter().find(|(node, _)| node == host.node()) {
        let cause = Cause::new(CauseId::NotSchedulable).with("node", host.node());
        return Err(Trouble::skip(cause.with("reason", reason)));
    }
    let mut pods = spread.pods.into_iter();
    let pod = pods.find(|pod| pod.is_up() && pod.node.as_deref() == Some(host.node()));
    Ok(NodePod {
        host,
        namespace: ctx.fixtures().namespace(ctx).await?,
        pod: pod.ok_or_else(|| pods::needs(&[host.node().to_owned()]))?,
    })
}

/// What came back from behind the API server.
#[derive(Serialize, Deserialize)]
pub(in crate::checks) enum KubeletReply<T> {
    /// The kubelet did what was asked.
    Answer(T),
    /// It did not.
    Failed(KubeletFailure),
}

/// A way that is closed.
#[derive(Serialize, Deserialize)]
pub(in crate::checks) struct KubeletFailure {
    /// The HTTP status of the answer; absent where none came.
    code: Option<u16>,
    /// The words of the API server, or of the kubelet.
    message: String,
    /// The kubelet as its own host sees it.
    kubelet: ComponentState,
    journal: Option<Evidence>,
}

/// Tells a closed way from what the API server itself refuses: a permission that we lack, an API that is not there.
pub(in crate::checks) async fn came<T>(
    ctx: &Ctx,
    host: &Host,
    result: Result<T, ClusterError>,
) -> Result<KubeletReply<T>, Trouble> {
    let (code, message) = match result {
        Ok(answer) => return Ok(KubeletReply::Answer(answer)),
        Err(ClusterError::Refused { code, message, .. }) if is_kubelets(code, &message) => {
            (Some(code), message)
        }
        Err(ClusterError::Late { seconds, .. }) => (None, format!("no answer within {seconds} s")),
        Err(error) => return Err(Trouble::error(cause_of(&error))),
    };
    Ok(KubeletReply::Failed(closed(ctx, host, code, message).await))
}

/// Looks at the kubelet behind a way that is closed.
pub(in crate::checks) async fn closed(
    ctx: &Ctx,
    host: &Host,
    code: Option<u16>,
    message: String,
) -> KubeletFailure {
    let kubelet = component::look(ctx, &host.name, &KUBELET).await;
    let journal = ctx.journal(&host.name, &kubelet.unit(&KUBELET)).await;
    KubeletFailure {
        code,
        message,
        kubelet,
        journal,
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

impl KubeletFailure {
    /// Returns the verdict.
    pub(in crate::checks) fn verdict(&self, expect: &Expect<'_>) -> Verdict {
        let host = expect.host.map(|host| host.name.as_str()).unwrap_or_default();
        let answer = self.code.map(|code| format!("{code} ")).unwrap_or_default();
        let evidence = [
            Evidence::new("the API server's answer", format!("{answer}{}", self.message)),
            self.kubelet.evidence(&KUBELET),
        ];
        Verdict::of(vec![Finding::fail(self.cause(host))])
            .with(evidence)
            .with(self.journal.clone())
    }

    /// Returns why it is closed.
    fn cause(&self, host: &str) -> Cause {
        if let State::Stopped | State::Hung(_) = self.kubelet.state(&KUBELET)
            && let Some(finding) = self.kubelet.finding(&KUBELET, host)
        {
            return finding.cause.with("node", host);
        }
        if let Some(cause) = certificate(&self.message) {
            return cause
                .with("of", format!("the kubelet of {host}"))
                .with("host", host);
        }
        let id = if self.code == Some(401) || is_kubelets_own(&self.message) {
            CauseId::KubeletForbids
        } else if self.code.is_none() || is_silence(&self.message) {
            CauseId::KubeletSilent
        } else {
            CauseId::KubeletRefuses
        };
        Cause::new(id).with("host", host).with("message", &self.message)
    }
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
fn certificate(message: &str) -> Option<Cause> {
    let (_, words) = message.split_once("x509: ")?;
    if let Some((_, times)) = words.split_once("current time ") {
        let (now, rest) = times.split_once(" is ")?;
        let (id, rest) = match rest.split_once(' ')? {
            ("after", rest) => (CauseId::CertificateExpired, rest),
            (_, rest) => (CauseId::CertificateNotYetValid, rest),
        };
        let limit = rest.split([' ', '"', '\n']).next()?;
        return Some(Cause::new(id).with("now", now).with("limit", limit));
    }
    let name = |found: &str, wanted: &str| {
        let wanted = wanted.split([' ', '"', '\n']).next().unwrap_or_default();
        Cause::new(CauseId::CertificateName)
            .with("found", found)
            .with("wanted", wanted)
    };
    if let Some((found, wanted)) = words
        .split_once("certificate is valid for ")
        .and_then(|(_, names)| names.rsplit_once(", not "))
    {
        return Some(name(found, wanted));
    }
    if let Some((_, rest)) = words.split_once("not valid for any names, but wanted to match ") {
        return Some(name("no name", rest));
    }
    if let Some((_, rest)) = words.split_once("cannot validate certificate for ") {
        return Some(name("no address", rest));
    }
    let unknown = words.contains("unknown authority");
    unknown.then(|| {
        Cause::new(CauseId::CertificateAuthority).with("words", words.lines().next().unwrap_or_default())
    })
}

#[cfg(test)]
pub(in crate::checks) mod tests {
    use super::*;
    use crate::checks::components::component::tests::{hung, stopped, well};
    use crate::checks::testing::{expect, seen, site};
    use crate::findings::Outcome;

    /// Returns a way that is closed though the kubelet is well.
    pub(in crate::checks) fn closed(code: Option<u16>, message: &str) -> KubeletFailure {
        KubeletFailure {
            code,
            message: message.to_owned(),
            kubelet: well("kubelet"),
            journal: None,
        }
    }

    fn cause(closed: &KubeletFailure) -> Cause {
        let site = site();
        let verdict = closed.verdict(&expect(&site, "node-1"));
        assert_eq!(seen(&verdict).0, Outcome::Fail);
        verdict.cause.unwrap()
    }

    fn id(code: Option<u16>, message: &str) -> CauseId {
        cause(&closed(code, message)).id
    }

    #[test]
    fn a_certificate_that_is_over_is_named_with_its_dates() {
        let message = "Get \"https://node-1:10250/containerLogs/verifier-x/nginx-b/nginx\": tls: failed to verify \
            certificate: x509: certificate has expired or is not yet valid: current time 2026-11-23T22:00:00Z is after \
            2026-11-23T20:50:00Z";
        let cause = cause(&closed(Some(500), message));
        assert_eq!(cause.id, CauseId::CertificateExpired);
        assert_eq!(cause.args["limit"], "2026-11-23T20:50:00Z");
        assert_eq!(cause.args["now"], "2026-11-23T22:00:00Z");
        let early = message.replace("is after", "is before");
        assert_eq!(id(Some(500), &early), CauseId::CertificateNotYetValid);
    }

    #[test]
    fn a_certificate_of_another_is_named_with_both_names() {
        let message = "error dialing backend: tls: failed to verify certificate: x509: certificate is valid for \
            node-0, node-0.kubernetes.local, not node-1";
        let cause = cause(&closed(Some(500), message));
        assert_eq!(cause.id, CauseId::CertificateName);
        assert_eq!(cause.args["found"], "node-0, node-0.kubernetes.local");
        assert_eq!(cause.args["wanted"], "node-1");
        let none =
            "x509: cannot validate certificate for 192.168.10.102 because it doesn't contain any IP SANs";
        assert_eq!(id(Some(500), none), CauseId::CertificateName);
        let unknown = "x509: certificate signed by unknown authority";
        assert_eq!(id(Some(500), unknown), CauseId::CertificateAuthority);
    }

    #[test]
    fn a_kubelet_that_forbids_or_is_silent_is_named() {
        let forbids = "Forbidden (user=kubernetes, verb=get, resource=nodes, subresource=proxy)";
        assert_eq!(id(Some(403), forbids), CauseId::KubeletForbids);
        assert_eq!(id(Some(401), "Unauthorized"), CauseId::KubeletForbids);
        let refused =
            "Get \"https://node-1:10250/x\": dial tcp 192.168.10.102:10250: connect: connection refused";
        assert_eq!(id(Some(500), refused), CauseId::KubeletSilent);
        assert_eq!(id(None, "no answer within 15 s"), CauseId::KubeletSilent);
        assert_eq!(id(Some(500), "container not found"), CauseId::KubeletRefuses);
    }

    #[test]
    fn a_kubelet_that_does_not_run_is_the_cause_whatever_the_words() {
        let mut way = closed(None, "no answer within 15 s");
        way.kubelet = stopped();
        assert_eq!(cause(&way).id, CauseId::KubeletStopped);
        way.kubelet = hung("kubelet");
        assert_eq!(cause(&way).id, CauseId::KubeletHung);
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
