//! `service.from-pod`: from inside this node's pod the Service answers, whichever pod it leads to, this one included.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use super::backends::{Backends, Caller, named};
use super::deeper::{self, Depth};
use super::service_trace::Entry;
use crate::checks::network::pods;
use crate::cluster::ServiceFacts;
use crate::findings::{Evidence, Finding, Judged, Unjudged, cause, phrase};
use crate::protocol::Place;
use crate::suite::fixtures::Fixture;
use crate::suite::{Check, Ctx, Expect, Member, Probe, Scope, Trace};

pub(super) const CHECK: Check = Check::of::<FromPod>("service.from-pod", Scope::Worker)
    .needs(&[Fixture::Service, Fixture::Pods])
    .traced::<FromPod>();

struct FromPod;

#[derive(Serialize, Deserialize)]
struct Facts {
    service: ServiceFacts,
    /// The pod that asks.
    pod: String,
    /// The ready pods, each with its node.
    pods: BTreeMap<String, String>,
    heard: Backends,
}

impl Probe for FromPod {
    type Facts = Facts;

    async fn gather(ctx: &Ctx, member: &Member) -> Result<Facts, Unjudged> {
        let host = ctx.host(member)?;
        let service = ctx.fixtures().service(ctx).await?;
        let spread = ctx.fixtures().spread(ctx).await?;
        spread.takes(host.node())?;
        let mut all = pods::up(&spread.pods).map(|(pod, _)| pod);
        let Some(own) = all.find(|pod| pod.node.as_deref() == Some(host.node())) else {
            return Err(pods::needs(&[host.node().to_owned()]));
        };
        let caller = Caller {
            ctx,
            namespace: ctx.fixtures().namespace(ctx).await?,
            pods: spread.pods.iter().filter(|pod| pod.is_up()).collect(),
            to: SocketAddr::new(service.cluster_ip, service.port),
            itself: Some(&own.name),
        };
        let at = Place::Sandbox(ctx.sandbox_of(host, own).await?);
        let heard = caller.ask(&host.name, &at).await?;
        Ok(Facts {
            pod: own.name.clone(),
            pods: caller.pods.iter().map(|pod| named(pod)).collect(),
            heard,
            service,
        })
    }

    fn judge(facts: &Facts, expect: &Expect<'_>) -> Judged {
        let host = &expect.host()?.name;
        if facts.is_deaf_to_itself() {
            return Ok(vec![facts.hairpin(host)]);
        }
        Ok(facts.heard.wrong(&facts.url(), host, &facts.service, &facts.pods))
    }

    fn evidence(facts: &Facts, _: &Expect<'_>) -> Vec<Evidence> {
        let title = phrase::AnswersTo {
            method: &"HEAD",
            url: &facts.url(),
        };
        let evidence = [
            Evidence::lines(title, facts.heard.lines()),
            Evidence::lines(phrase::LastFailures, facts.heard.heard.failure()),
        ];
        evidence.into_iter().flatten().collect()
    }
}

impl Trace for FromPod {
    type Depth = Depth;

    async fn trace(ctx: &Ctx, member: &Member, facts: &Facts, found: &[Finding]) -> Depth {
        deeper::look(ctx, member, &facts.service, found).await
    }

    fn explain(findings: Vec<Finding>, facts: &Facts, depth: &Depth, expect: &Expect<'_>) -> Vec<Finding> {
        let why = depth
            .as_ref()
            .and_then(|trace| trace.cause(&facts.service, Entry::FromPod, expect));
        deeper::explained(findings, why)
    }

    fn deeper(depth: &Depth, expect: &Expect<'_>) -> Vec<Evidence> {
        deeper::evidence(depth, expect)
    }
}

impl Facts {
    fn url(&self) -> String {
        format!(
            "http://{}/",
            SocketAddr::new(self.service.cluster_ip, self.service.port)
        )
    }

    /// Returns whether every other pod answered, and what was lost was what the Service led back to the pod that asked.
    fn is_deaf_to_itself(&self) -> bool {
        let heard = &self.heard;
        let others = || self.pods.keys().filter(|pod| **pod != self.pod);
        let (asked, lost) = (heard.heard.asked, heard.heard.asked - heard.heard.right);
        // The share of one pod, and what chance adds to it; more than that was lost elsewhere.
        let is_its_share = lost > 0 && lost <= 3 * asked / self.pods.len().max(1) + 3;
        let known = heard.unread.is_empty() && heard.unlogged == 0;
        // A pod that is alone has nobody else to hear of.
        let alone = others().next().is_none();
        is_its_share
            && (alone || heard.loses_a_share(self.pods.len()))
            && known
            && !heard.answered.contains(&self.pod)
            && others().all(|pod| heard.answered.contains(pod))
            && (heard.heard.right > 0 || alone)
    }

    /// Returns that the pod does not reach itself through the Service.
    fn hairpin(&self, host: &str) -> Finding {
        let cause = cause::HairpinLost {
            pod: &self.pod,
            service: &self.service.full_name(),
            url: &self.url(),
            host: &host,
        };
        Finding::warn(cause).of(&self.pod)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::service::attempts::Attempts;
    use crate::checks::testing::{expect, judged, service, site};
    use crate::findings::{CauseId, Outcome};
    use crate::protocol::HttpReply;

    fn judge(asked: usize, right: usize, answered: &[&str], pods: &[&str]) -> (Outcome, Option<CauseId>) {
        let failed = asked - right;
        let facts = Facts {
            service: service(),
            pod: "nginx-b".to_owned(),
            pods: pods
                .iter()
                .map(|pod| ((*pod).to_owned(), "node".to_owned()))
                .collect(),
            heard: Backends {
                heard: Attempts {
                    from: "node-1".to_owned(),
                    asked,
                    right,
                    last_asked: asked,
                    last_failed: failed,
                    wrong: (failed > 0).then_some(HttpReply::Silent { connected: false }),
                },
                answered: answered.iter().map(|pod| (*pod).to_owned()).collect(),
                ..Backends::default()
            },
        };
        judged::<FromPod>(&facts, &expect(&site(), "node-1"))
    }

    const BOTH: [&str; 2] = ["nginx-a", "nginx-b"];

    #[test]
    fn a_pod_that_hears_of_all_passes_and_one_that_is_deaf_to_itself_warns() {
        assert_eq!(judge(10, 10, &BOTH, &BOTH), (Outcome::Pass, None));
        let hairpin = (Outcome::Warn, Some(CauseId::HairpinLost));
        assert_eq!(judge(10, 6, &["nginx-a"], &BOTH), hairpin);
        assert_eq!(judge(10, 0, &[], &["nginx-b"]), hairpin);
    }

    #[test]
    fn more_than_a_pod_s_own_share_was_lost_elsewhere() {
        let all: Vec<String> = (0..50)
            .map(|at| format!("nginx-{at}"))
            .chain(["nginx-b".to_owned()])
            .collect();
        let all: Vec<&str> = all.iter().map(String::as_str).collect();
        let hairpin = (Outcome::Warn, Some(CauseId::HairpinLost));
        assert_eq!(judge(1000, 980, &all[..50], &all), hairpin);
        // One that was lost by chance, before kube-proxy knew the pod that asks.
        assert_ne!(judge(11, 10, &["nginx-a"], &BOTH), hairpin);
        assert_eq!(
            judge(1000, 700, &all[..50], &all),
            (Outcome::Fail, Some(CauseId::PodNeverAnswered))
        );
    }

    #[test]
    fn another_pod_that_is_not_heard_of_and_answers_that_get_lost_fail() {
        let never = (Outcome::Fail, Some(CauseId::PodNeverAnswered));
        assert_eq!(judge(600, 300, &["nginx-b"], &BOTH), never);
        // Nothing was lost, and it never answered: the Service does not lead to it.
        assert_eq!(judge(600, 600, &["nginx-a"], &BOTH), never);
        assert_eq!(
            judge(10, 6, &BOTH, &BOTH),
            (Outcome::Fail, Some(CauseId::ServiceUnsteady))
        );
        assert_eq!(
            judge(8, 0, &[], &BOTH),
            (Outcome::Fail, Some(CauseId::ServiceSilent))
        );
    }
}
