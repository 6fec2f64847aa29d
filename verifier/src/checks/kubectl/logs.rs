//! `kubectl.logs`: a request that was just made stands in the log of a container of this node.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::through_kubelet::{self, KubeletFailure, KubeletReply, NodePod, ThroughKubelet};
use crate::cluster::{Permission, PodFacts};
use crate::findings::{Evidence, Finding, Judged, Unjudged, cause, phrase};
use crate::protocol::{HttpProbe, HttpReply, Place};
use crate::site::Host;
use crate::suite::fixtures::Fixture;
use crate::suite::{Check, Ctx, Expect, Member, Probe, Scope};

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

pub(super) const CHECK: Check = Check::of::<Logs>("kubectl.logs", Scope::Worker)
    .needs(&[Fixture::Pods])
    .permissions(&[Permission::within("get", "", "pods/log")])
    .traced::<Logs>();

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

    async fn gather(ctx: &Ctx, member: &Member) -> Result<Facts, Unjudged> {
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
            let log = match through_kubelet::reply(result)? {
                KubeletReply::Answer(text) => log(&text, &marker, since.elapsed()),
                KubeletReply::Failed(failure) => break KubeletReply::Failed(failure),
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

    fn judge(facts: &Facts, expect: &Expect<'_>) -> Judged {
        let finding = match &facts.came {
            KubeletReply::Answer(Log { line: Some(_), .. }) => None,
            KubeletReply::Answer(log) => Some(Finding::fail(cause::LogLineMissing {
                marker: &facts.marker,
                pod: &facts.pod,
                seconds: &(log.waited_millis / 1000),
                lines: &log.lines,
            })),
            KubeletReply::Failed(failure) => Some(failure.finding(expect)?),
        };
        Ok(finding.into_iter().collect())
    }

    fn evidence(facts: &Facts, _: &Expect<'_>) -> Vec<Evidence> {
        let evidence = match &facts.came {
            KubeletReply::Answer(log) => {
                let title = phrase::LogOf { pod: &facts.pod };
                Evidence::lines(title, log.line.iter().chain(&log.last))
            }
            KubeletReply::Failed(failure) => failure.evidence(),
        };
        evidence.into_iter().collect()
    }
}

impl ThroughKubelet for Logs {
    fn failure(facts: &Facts) -> Option<&KubeletFailure> {
        facts.came.failure()
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
async fn request(ctx: &Ctx, host: &Host, pod: &PodFacts, marker: &str) -> Result<(), Unjudged> {
    let (id, name) = (container_id(pod), &host.name);
    let pod_name = &pod.name;
    let mut last = Unjudged::error(cause::LogPodNoAddress {
        pod: pod_name,
        host: name,
    });
    let Some(address) = pod.ip.as_deref().and_then(|ip| ip.parse().ok()) else {
        return Err(last);
    };
    for from in id.map(Place::Sandbox).into_iter().chain([Place::Host]) {
        let unwritten = |reason: &str| {
            Unjudged::error(cause::LogUnwritten {
                pod: pod_name,
                host: name,
                reason: &reason,
            })
        };
        let to = SocketAddr::new(address, ctx.site.suite.port());
        let probe = probe(to, from, marker);
        last = match ctx.ask_within(name, probe, ANSWER * 2).await {
            Ok(HttpReply::Answer { .. }) => return Ok(()),
            Ok(HttpReply::Broken { error }) => unwritten(&error),
            Ok(HttpReply::Silent { .. }) => Unjudged::error(cause::LogPodSilent {
                pod: pod_name,
                host: name,
                seconds: &ANSWER.as_secs(),
            }),
            Err(failure) => match failure.message() {
                Some(message) => unwritten(message),
                None => failure.into(),
            },
        };
    }
    Err(last)
}

fn probe(to: SocketAddr, from: Place, marker: &str) -> HttpProbe {
    HttpProbe {
        to,
        method: "GET".to_owned(),
        path: format!("/?{marker}"),
        from,
        timeout_millis: u64::try_from(ANSWER.as_millis()).unwrap_or(u64::MAX),
        keep_body: 0,
    }
}

/// Returns the id of the pod's container as its runtime knows it.
fn container_id(pod: &PodFacts) -> Option<String> {
    let container = pod.containers.first()?;
    let (_, id) = container.id.split_once("://")?;
    Some(id.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::kubectl::through_kubelet::tests::closed;
    use crate::checks::testing::{expect, judged, site};
    use crate::findings::{CauseId, Outcome};

    const LOG: &str = "10.200.1.1 - - [23/Nov/2026:22:00:00 +0000] \"GET / HTTP/1.1\" 200 615 \"-\" \"kube-probe/1.37\"\n\
        127.0.0.1 - - [23/Nov/2026:22:00:01 +0000] \"GET /?verifier-x-1 HTTP/1.1\" 200 615 \"-\" \"verifier\"\n";

    fn judge(came: KubeletReply<Log>) -> (Outcome, Option<CauseId>) {
        let facts = Facts {
            pod: "nginx-b".to_owned(),
            marker: "verifier-x-1".to_owned(),
            came,
        };
        judged::<Logs>(&facts, &expect(&site(), "node-1"))
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
        let came = KubeletReply::Failed(closed(500, "x509: certificate is valid for node-0, not node-1"));
        assert_eq!(judge(came), (Outcome::Fail, Some(CauseId::CertificateName)));
    }
}
