//! `kubectl.port-forward`: HTTP through a port-forward to the pod of this node.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::through_kubelet::{self, KubeletFailure, KubeletReply, NodePod, ThroughKubelet};
use crate::cluster::{Forwarded, Permission};
use crate::findings::{Cause, Evidence, Finding, Judged, Line, Unjudged, cause, phrase};
use crate::protocol::{HttpProbe, HttpReply, Place};
use crate::suite::fixtures::Fixture;
use crate::suite::{Check, Ctx, Expect, Member, Probe, Scope};

/// How long the answer may take once the forward stands.
const ANSWER: Duration = Duration::from_secs(5);

pub(super) const CHECK: Check = Check::of::<PortForward>("kubectl.port-forward", Scope::Worker)
    .needs(&[Fixture::Pods])
    .permissions(&[
        Permission::within("create", "", "pods/portforward"),
        Permission::within("get", "", "pods/portforward"),
    ])
    .traced::<PortForward>();

struct PortForward;

#[derive(Serialize, Deserialize)]
struct Facts {
    pod: String,
    came: KubeletReply<Forwarded>,
}

impl Probe for PortForward {
    type Facts = Facts;

    async fn gather(ctx: &Ctx, member: &Member) -> Result<Facts, Unjudged> {
        let NodePod { namespace, pod, .. } = through_kubelet::pod_of(ctx, member).await?;
        let probe = HttpProbe {
            // Only the port counts: the forward ends inside the pod.
            to: SocketAddr::new(IpAddr::from([127, 0, 0, 1]), ctx.site.suite.port()),
            method: "HEAD".to_owned(),
            path: "/".to_owned(),
            from: Place::Host,
            timeout_millis: u64::try_from(ANSWER.as_millis()).unwrap_or(u64::MAX),
            keep_body: 0,
        };
        let result = ctx.api()?.forward(&namespace, &pod.name, &probe).await;
        let came = match through_kubelet::reply(result)? {
            // The kubelet's own words about the port.
            KubeletReply::Answer(Forwarded {
                error: Some(message), ..
            }) => KubeletReply::Failed(through_kubelet::refused(500, message)),
            other => other,
        };
        Ok(Facts { pod: pod.name, came })
    }

    fn judge(facts: &Facts, expect: &Expect<'_>) -> Judged {
        let finding = match &facts.came {
            KubeletReply::Answer(forwarded) => {
                let host = &expect.host()?.name;
                wrong(&forwarded.reply, &facts.pod, host).map(Finding::fail)
            }
            KubeletReply::Failed(failure) => Some(failure.finding(expect)?),
        };
        Ok(finding.into_iter().collect())
    }

    fn evidence(facts: &Facts, _: &Expect<'_>) -> Vec<Evidence> {
        let evidence = match &facts.came {
            KubeletReply::Answer(forwarded) => {
                let title = phrase::ForwardedRequest { pod: &facts.pod };
                Evidence::lines(title, said(&forwarded.reply))
            }
            KubeletReply::Failed(failure) => failure.evidence(),
        };
        evidence.into_iter().collect()
    }
}

impl ThroughKubelet for PortForward {
    fn failure(facts: &Facts) -> Option<&KubeletFailure> {
        facts.came.failure()
    }
}

/// Returns what is wrong with an answer.
#[rustfmt::skip]
fn wrong(reply: &HttpReply, pod: &str, host: &str) -> Option<Cause> {
    let (pod, host, seconds) = (&pod, &host, &ANSWER.as_secs());
    Some(match reply {
        HttpReply::Answer { status, headers, .. } => match headers.get("server") {
            Some(server) if *status == 200 && server.starts_with("nginx") => return None,
            Some(server) => cause::PortForwardAnswer { pod, host, status, server }.into(),
            None => cause::PortForwardUnnamed { pod, host, status }.into(),
        },
        HttpReply::Broken { error: reason } => cause::PortForwardBroken { pod, host, reason }.into(),
        HttpReply::Silent { .. } => cause::PortForwardSilent { pod, host, seconds }.into(),
    })
}

/// Returns what came.
fn said(reply: &HttpReply) -> Vec<Line> {
    match reply {
        HttpReply::Answer { status, headers, .. } => {
            let server = headers.get("server").map(|server| format!("Server: {server}"));
            let status = format!("HTTP {status}");
            [status].into_iter().chain(server).map(Line::from).collect()
        }
        HttpReply::Broken { error } => vec![error.into()],
        HttpReply::Silent { .. } => {
            let seconds = &ANSWER.as_secs();
            vec![Line::said(phrase::NoAnswerWithin { seconds })]
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::kubectl::through_kubelet::tests::closed;
    use crate::checks::testing::{expect, judged, site};
    use crate::findings::{CauseId, Outcome};

    fn judge(came: KubeletReply<Forwarded>) -> (Outcome, Option<CauseId>) {
        let facts = Facts {
            pod: "nginx-b".to_owned(),
            came,
        };
        judged::<PortForward>(&facts, &expect(&site(), "node-1"))
    }

    fn answer(status: u16, server: Option<&str>) -> KubeletReply<Forwarded> {
        let server = server.map(|server| ("server".to_owned(), server.into()));
        let headers = server.into_iter().collect();
        let reply = HttpReply::Answer {
            status,
            headers,
            body: secrets::Masked::default(),
            length: 0,
            millis: 3,
        };
        KubeletReply::Answer(Forwarded { reply, error: None })
    }

    #[test]
    fn nginx_with_200_passes_and_nothing_else() {
        let nginx = Some("nginx/1.22.1");
        assert_eq!(judge(answer(200, nginx)), (Outcome::Pass, None));
        let other = (Outcome::Fail, Some(CauseId::PortForwardAnswer));
        assert_eq!(judge(answer(502, nginx)), other);
        assert_eq!(judge(answer(200, Some("squid"))), other);
        assert_eq!(
            judge(answer(200, None)),
            (Outcome::Fail, Some(CauseId::PortForwardUnnamed))
        );
        let instead = |reply| judge(KubeletReply::Answer(Forwarded { reply, error: None }));
        assert_eq!(
            instead(HttpReply::Silent { connected: true }),
            (Outcome::Fail, Some(CauseId::PortForwardSilent))
        );
        let error = "connection reset by peer".into();
        assert_eq!(
            instead(HttpReply::Broken { error }),
            (Outcome::Fail, Some(CauseId::PortForwardBroken))
        );
    }

    #[test]
    fn a_closed_way_is_named() {
        let came = KubeletReply::Failed(closed(500, "dial tcp 192.168.10.102:10250: i/o timeout"));
        assert_eq!(judge(came), (Outcome::Fail, Some(CauseId::KubeletSilent)));
    }
}
