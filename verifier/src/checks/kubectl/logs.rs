//! `kubectl.logs`: a request that was just made stands in the log of a container of this node.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::through_kubelet::{self, KubeletReply, NodePod};
use crate::checks::network::pods::PORT;
use crate::cluster::{Permission, PodFacts};
use crate::findings::{Cause, CauseId, Evidence, Finding, Trouble, Verdict};
use crate::protocol::{HttpProbe, HttpReply, Place};
use crate::site::Host;
use crate::suite::fixtures::Fixture;
use crate::suite::{About, Check, Ctx, Expect, Member, Probe, Scope};

/// How long the pod may take to answer the request.
const ANSWER: Duration = Duration::from_secs(3);
/// How long a line may take from the container to the log.
const WRITTEN: Duration = Duration::from_secs(8);
/// How often the log is read.
const POLL: Duration = Duration::from_millis(100);
/// How many lines are read: the other checks make requests too.
const LINES: u32 = 2000;
/// How many of them are shown where the line is missing.
const SHOWN: usize = 10;

pub(super) const CHECK: Check = Check::of::<Logs>(About {
    id: "kubectl.logs",
    scope: Scope::Worker,
    needs: &[Fixture::Pods],
    permissions: &[Permission::within("get", "", "pods/log")],
    summary: "the log of a container of this node holds the request just made",
    explain: "Makes a request to the suite's pod on this node whose path nobody else asks for, then reads the container's \
log through the API server, as kubectl logs does, until that very request stands in it. The container writes to its \
stdout, the runtime to a file below /var/log/pods, the kubelet (port 10250) serves the file to the API server.\n\nUsual \
causes of failure, in order: the kubelet's serving certificate has expired, or names another node; the API server may \
not use the kubelet's API (the ClusterRole system:kube-apiserver-to-kubelet is missing); a firewall is between the API \
server and port 10250; the kubelet does not run; the disk of /var/log is full.\n\nWhere to look: `journalctl -u kubelet` \
on the node, /var/log/pods there; `openssl x509 -noout -dates -ext subjectAltName -in /var/lib/kubelet/kubelet.crt`.",
    by_hand: "kubectl logs POD_ON_{host}; ssh {host} ls /var/log/pods",
});

struct Logs;

#[derive(Serialize, Deserialize)]
struct Facts {
    pod: String,
    /// What the request's path holds.
    marker: String,
    came: KubeletReply<Log>,
}

#[derive(Serialize, Deserialize)]
struct Log {
    /// The line with the marker.
    line: Option<String>,
    /// The last lines, where the marker is in none.
    last: Vec<String>,
    /// How many lines there are.
    lines: usize,
    /// How long was waited.
    waited_millis: u64,
}

impl Probe for Logs {
    type Facts = Facts;

    async fn gather(ctx: &Ctx, member: &Member) -> Result<Facts, Trouble> {
        let NodePod { host, namespace, pod } = through_kubelet::pod_of(ctx, member).await?;
        let marker = format!("verifier-{}-{:016x}", ctx.run, crate::suite::random());
        request(ctx, host, &pod, &marker).await?;
        let api = ctx.api()?;
        let container = pod.containers.first().map(|container| container.name.as_str());
        let since = Instant::now();
        let came = loop {
            let result = api
                .log(&namespace, &pod.name, container.unwrap_or_default(), LINES)
                .await;
            let log = match through_kubelet::came(ctx, host, result).await? {
                KubeletReply::Answer(text) => log(&text, &marker, since.elapsed()),
                KubeletReply::Failed(closed) => break KubeletReply::Failed(closed),
            };
            if log.line.is_some() || since.elapsed() > WRITTEN {
                break KubeletReply::Answer(log);
            }
            tokio::time::sleep(POLL).await;
        };
        Ok(Facts {
            pod: pod.name,
            marker,
            came,
        })
    }

    fn judge(facts: &Facts, expect: &Expect<'_>) -> Verdict {
        let log = match &facts.came {
            KubeletReply::Answer(log) => log,
            KubeletReply::Failed(closed) => return closed.verdict(expect),
        };
        let title = format!("log of {}", facts.pod);
        if let Some(line) = &log.line {
            return Verdict::pass().with([Evidence::new(title, line)]);
        }
        let cause = Cause::new(CauseId::LogLineMissing)
            .with("pod", &facts.pod)
            .with("marker", &facts.marker)
            .with("lines", log.lines)
            .with("seconds", log.waited_millis / 1000);
        Verdict::of(vec![Finding::fail(cause)]).with(Evidence::lines(title, &log.last))
    }
}

fn log(text: &str, marker: &str, waited: Duration) -> Log {
    let line = text.lines().find(|line| line.contains(marker));
    let lines: Vec<&str> = text.lines().collect();
    let last = if line.is_some() {
        &[]
    } else {
        &lines[lines.len().saturating_sub(SHOWN)..]
    };
    Log {
        line: line.map(str::to_owned),
        last: last.iter().map(|line| (*line).to_owned()).collect(),
        lines: lines.len(),
        waited_millis: u64::try_from(waited.as_millis()).unwrap_or(u64::MAX),
    }
}

/// Makes the request from inside the pod's own network namespace, so that nothing of the network is needed for it; from
/// the node where that cannot be.
async fn request(ctx: &Ctx, host: &Host, pod: &PodFacts, marker: &str) -> Result<(), Trouble> {
    let silent = |reason: String| {
        let cause = Cause::new(CauseId::LogUnwritten).with("pod", &pod.name);
        Trouble::error(cause.with("reason", reason))
    };
    let address: Option<IpAddr> = pod.ip.as_deref().and_then(|ip| ip.parse().ok());
    let address = address.ok_or_else(|| silent("it has no address".to_owned()))?;
    let container = pod.containers.first().map(|container| container.id.as_str());
    let id = container
        .and_then(|id| id.split_once("://"))
        .map(|(_, id)| id.to_owned());
    let mut last = String::new();
    for from in id.map(Place::Sandbox).into_iter().chain([Place::Host]) {
        let probe = HttpProbe {
            to: SocketAddr::new(address, PORT),
            method: "GET".to_owned(),
            path: format!("/?{marker}"),
            from,
            timeout_millis: u64::try_from(ANSWER.as_millis()).unwrap_or(u64::MAX),
            keep_body: 0,
        };
        last = match ctx.ask_within(&host.name, probe, ANSWER * 2).await {
            Ok(HttpReply::Answer { .. }) => return Ok(()),
            Ok(HttpReply::Broken { error }) => error,
            Ok(HttpReply::Silent { .. }) => "it does not answer".to_owned(),
            Err(trouble) => trouble.cause.args.get("message").cloned().unwrap_or_default(),
        };
    }
    Err(silent(last))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::kubectl::through_kubelet::tests::closed;
    use crate::checks::testing::{expect, seen, site};
    use crate::findings::Outcome;

    const LOG: &str = "10.200.1.1 - - [23/Nov/2026:22:00:00 +0000] \"GET / HTTP/1.1\" 200 615 \"-\" \"kube-probe/1.37\"\n\
        127.0.0.1 - - [23/Nov/2026:22:00:01 +0000] \"GET /?verifier-x-1 HTTP/1.1\" 200 615 \"-\" \"verifier\"\n";

    fn judge(came: KubeletReply<Log>) -> (Outcome, Option<CauseId>) {
        let facts = Facts {
            pod: "nginx-b".to_owned(),
            marker: "verifier-x-1".to_owned(),
            came,
        };
        seen(&Logs::judge(&facts, &expect(&site(), "node-1")))
    }

    #[test]
    fn only_the_very_request_passes() {
        let read = |text: &str| KubeletReply::Answer(log(text, "verifier-x-1", Duration::from_secs(8)));
        assert_eq!(judge(read(LOG)), (Outcome::Pass, None));
        let missing = (Outcome::Fail, Some(CauseId::LogLineMissing));
        assert_eq!(judge(read(&LOG.replace("x-1", "y-1"))), missing);
        assert_eq!(judge(read("")), missing);
        assert_eq!(log(LOG, "none", Duration::ZERO).last.len(), 2);
    }

    #[test]
    fn a_closed_way_is_named() {
        let came = KubeletReply::Failed(closed(
            Some(500),
            "x509: certificate is valid for node-0, not node-1",
        ));
        assert_eq!(judge(came), (Outcome::Fail, Some(CauseId::CertificateName)));
    }
}
