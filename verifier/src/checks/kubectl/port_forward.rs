//! `kubectl.port-forward`: HTTP through a port-forward to the pod of this node.

use std::net::{IpAddr, SocketAddr};

use serde::{Deserialize, Serialize};

use super::through_kubelet::{self, KubeletReply, NodePod};
use crate::checks::network::pods::PORT;
use crate::cluster::{Forwarded, Permission};
use crate::findings::{Cause, CauseId, Evidence, Finding, Trouble, Verdict};
use crate::protocol::{HttpProbe, HttpReply, Place};
use crate::suite::fixtures::Fixture;
use crate::suite::{About, Check, Ctx, Expect, Member, Probe, Scope};

/// How long the answer may take once the forward stands.
const ANSWER_MILLIS: u64 = 5000;

pub(super) const CHECK: Check = Check::of::<PortForward>(About {
    id: "kubectl.port-forward",
    scope: Scope::Worker,
    needs: &[Fixture::Pods],
    // A websocket begins with a GET; from Kubernetes 1.35 on it asks for `create` too.
    permissions: &[
        Permission::within("create", "", "pods/portforward"),
        Permission::within("get", "", "pods/portforward"),
    ],
    summary: "nginx answers through a port-forward to the pod of this node",
    explain: "Opens a port-forward to port 80 of the suite's pod on this node, as kubectl port-forward does, and asks HEAD \
/ through it: status 200 and a Server header of nginx. The API server connects to the kubelet (port 10250), the kubelet \
to the container runtime, and that to the port inside the pod's own network: the pod network is not needed for \
it.\n\nUsual causes of failure, in order: the kubelet's serving certificate has expired, or names another node; the API \
server may not use the kubelet's API (the ClusterRole system:kube-apiserver-to-kubelet is missing); a firewall is \
between the API server and port 10250; the kubelet does not run; a proxy on the way allows no websockets.\n\nWhere to \
look: `journalctl -u kubelet` and `journalctl -u containerd` on the node, `journalctl -u kube-apiserver`.",
    by_hand: "kubectl port-forward POD_ON_{host} 8080:80; curl --head http://127.0.0.1:8080",
});

struct PortForward;

#[derive(Serialize, Deserialize)]
struct Facts {
    pod: String,
    came: KubeletReply<Forwarded>,
}

impl Probe for PortForward {
    type Facts = Facts;

    async fn gather(ctx: &Ctx, member: &Member) -> Result<Facts, Trouble> {
        let NodePod { host, namespace, pod } = through_kubelet::pod_of(ctx, member).await?;
        let probe = HttpProbe {
            // Only the port counts: the forward ends inside the pod.
            to: SocketAddr::new(IpAddr::from([127, 0, 0, 1]), PORT),
            method: "HEAD".to_owned(),
            path: "/".to_owned(),
            from: Place::Host,
            timeout_millis: ANSWER_MILLIS,
            keep_body: 0,
        };
        let result = ctx.api()?.forward(&namespace, &pod.name, &probe).await;
        let came = match through_kubelet::came(ctx, host, result).await? {
            // The kubelet's own words about the port.
            KubeletReply::Answer(Forwarded {
                error: Some(message), ..
            }) => KubeletReply::Failed(through_kubelet::closed(ctx, host, Some(500), message).await),
            other => other,
        };
        Ok(Facts { pod: pod.name, came })
    }

    fn judge(facts: &Facts, expect: &Expect<'_>) -> Verdict {
        let forwarded = match &facts.came {
            KubeletReply::Answer(forwarded) => forwarded,
            KubeletReply::Failed(closed) => return closed.verdict(expect),
        };
        let answer = match &forwarded.reply {
            HttpReply::Answer { status, headers, .. } => {
                let server = headers.get("server").map_or("none", String::as_str);
                format!("{status}, Server: {server}")
            }
            HttpReply::Broken { error } => error.clone(),
            HttpReply::Silent { .. } => "no answer in time".to_owned(),
        };
        let id = match &forwarded.reply {
            HttpReply::Answer {
                status: 200, headers, ..
            } if headers
                .get("server")
                .is_some_and(|server| server.starts_with("nginx")) =>
            {
                None
            }
            HttpReply::Answer { .. } => Some(CauseId::ForwardAnswer),
            HttpReply::Broken { .. } | HttpReply::Silent { .. } => Some(CauseId::ForwardSilent),
        };
        let cause = id.map(|id| {
            let host = expect.host.map(|host| host.name.as_str()).unwrap_or_default();
            let cause = Cause::new(id).with("pod", &facts.pod).with("host", host);
            Finding::fail(cause.with("answer", &answer))
        });
        let title = format!("HEAD / through a port-forward to {}", facts.pod);
        Verdict::of(cause.into_iter().collect()).with([Evidence::new(title, answer)])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::kubectl::through_kubelet::tests::closed;
    use crate::checks::testing::{expect, seen, site};
    use crate::findings::Outcome;

    fn judge(came: KubeletReply<Forwarded>) -> (Outcome, Option<CauseId>) {
        let facts = Facts {
            pod: "nginx-b".to_owned(),
            came,
        };
        seen(&PortForward::judge(&facts, &expect(&site(), "node-1")))
    }

    fn answer(status: u16, server: &str) -> KubeletReply<Forwarded> {
        let headers = [("server".to_owned(), server.to_owned())].into();
        let reply = HttpReply::Answer {
            status,
            headers,
            body: String::new(),
            length: 0,
            millis: 3,
        };
        KubeletReply::Answer(Forwarded { reply, error: None })
    }

    #[test]
    fn nginx_with_200_passes_and_nothing_else() {
        assert_eq!(judge(answer(200, "nginx/1.22.1")), (Outcome::Pass, None));
        let other = (Outcome::Fail, Some(CauseId::ForwardAnswer));
        assert_eq!(judge(answer(502, "nginx/1.22.1")), other);
        assert_eq!(judge(answer(200, "squid")), other);
        let reply = HttpReply::Silent { connected: true };
        let silent = KubeletReply::Answer(Forwarded { reply, error: None });
        assert_eq!(judge(silent), (Outcome::Fail, Some(CauseId::ForwardSilent)));
    }

    #[test]
    fn a_closed_way_is_named() {
        let came = KubeletReply::Failed(closed(Some(500), "dial tcp 192.168.10.102:10250: i/o timeout"));
        assert_eq!(judge(came), (Outcome::Fail, Some(CauseId::KubeletSilent)));
    }
}
