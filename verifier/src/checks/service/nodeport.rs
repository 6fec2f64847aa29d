//! `service.nodeport`: this node's port of the Service answers from every place of `nodePortFrom`, and every ready pod
//! answers through it.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use serde::{Deserialize, Serialize};

use super::backends::{Backends, Caller, named};
use super::deeper::{self, Depth};
use super::service_trace::{self, Entry};
use crate::checks::network::packet_filter;
use crate::cluster::ServiceFacts;
use crate::findings::{Cause, Evidence, Finding, Judged, Unjudged, cause, phrase};
use crate::protocol::{ChainsReply, Place};
use crate::site::Host;
use crate::suite::fixtures::Fixture;
use crate::suite::{Check, Ctx, Expect, Member, Probe, Scope, Trace};

pub(super) const CHECK: Check = Check::of::<NodePort>("service.nodeport", Scope::Worker)
    .needs(&[Fixture::Service])
    .wants(&[Fixture::Pods])
    .traced::<NodePort>();

struct NodePort;

#[derive(Serialize, Deserialize)]
struct Facts {
    service: ServiceFacts,
    /// The node's address and its port.
    to: SocketAddr,
    /// The ready pods, each with its node.
    pods: BTreeMap<String, String>,
    places: Vec<Backends>,
    /// Places that could not be asked from, and why.
    unasked: BTreeMap<String, Cause>,
    /// Read where there is no pod that could answer; absent where nobody could list them.
    rules: Option<ChainsReply>,
}

impl Probe for NodePort {
    type Facts = Facts;

    async fn gather(ctx: &Ctx, member: &Member) -> Result<Facts, Unjudged> {
        let host = ctx.host(member)?;
        let service = ctx.fixtures().service(ctx).await?;
        let to = SocketAddr::new(address(ctx, host).await?, service.node_port);
        let spread = ctx.fixtures().spread(ctx).await;
        let pods = spread.map(|spread| spread.pods).unwrap_or_default();
        let mut facts = Facts {
            service,
            to,
            pods: pods.iter().filter(|pod| pod.is_up()).map(named).collect(),
            places: Vec::new(),
            unasked: BTreeMap::new(),
            rules: None,
        };
        if facts.pods.is_empty() {
            facts.rules = service_trace::rules(ctx, host, &facts.service).await;
            return Ok(facts);
        }
        let caller = Caller {
            ctx,
            namespace: ctx.fixtures().namespace(ctx).await?,
            pods: pods.iter().filter(|pod| pod.is_up()).collect(),
            to,
            itself: None,
        };
        let places = ctx.site.node_port_places();
        let asked =
            futures::future::join_all(places.iter().map(|place| caller.ask(place, &Place::Host))).await;
        for (name, place) in places.into_iter().zip(asked) {
            match place {
                Ok(place) => facts.places.push(place),
                Err(unjudged) => {
                    facts.unasked.insert(name.to_owned(), unjudged.into_cause());
                }
            }
        }
        Ok(facts)
    }

    fn judge(facts: &Facts, expect: &Expect<'_>) -> Judged {
        let host = &expect.host()?.name;
        if facts.pods.is_empty() {
            let entry = Entry::NodePort(facts.to);
            return service_trace::judge_rules(facts.rules.as_ref(), &facts.service, entry, host);
        }
        let wrong = |place: &Backends| place.wrong(&facts.url(), host, &facts.service, &facts.pods);
        let wrong = facts.places.iter().flat_map(wrong);
        let unasked = facts.unasked.iter();
        let unasked = unasked.map(|(place, cause)| Finding::error(cause.clone()).of(place));
        Ok(wrong.chain(unasked).collect())
    }

    fn evidence(facts: &Facts, expect: &Expect<'_>) -> Vec<Evidence> {
        let host = expect.host.map(|host| host.name.as_str()).unwrap_or_default();
        let title = phrase::AnswersTo {
            method: &"HEAD",
            url: &facts.url(),
        };
        let failures = facts.places.iter().filter_map(|place| place.heard.failure());
        let evidence = [
            Evidence::lines(title, facts.places.iter().flat_map(Backends::lines)),
            Evidence::lines(phrase::LastFailures, failures),
            facts
                .rules
                .as_ref()
                .and_then(|rules| packet_filter::evidence(rules, host)),
        ];
        evidence.into_iter().flatten().collect()
    }
}

impl Trace for NodePort {
    type Depth = Depth;

    async fn trace(ctx: &Ctx, member: &Member, facts: &Facts, found: &[Finding]) -> Depth {
        deeper::look(ctx, member, &facts.service, found).await
    }

    fn explain(findings: Vec<Finding>, facts: &Facts, depth: &Depth, expect: &Expect<'_>) -> Vec<Finding> {
        let why = depth.as_ref().and_then(|trace| {
            if facts.pods.is_empty() {
                trace.proxy_dead(&expect.host?.name)
            } else {
                trace.cause(&facts.service, Entry::NodePort(facts.to), expect)
            }
        });
        deeper::explained(findings, why)
    }

    fn deeper(depth: &Depth, expect: &Expect<'_>) -> Vec<Evidence> {
        deeper::evidence(depth, expect)
    }
}

/// Returns the address at which a node is asked: that of the site file, else the one that the API has.
async fn address(ctx: &Ctx, host: &Host) -> Result<IpAddr, Unjudged> {
    if let Some(address) = host.ips().first() {
        return Ok(*address);
    }
    let nodes = ctx.api()?.nodes().await?;
    let node = nodes.iter().find(|node| node.name == host.node());
    let addresses = node.into_iter().flat_map(|node| &node.addresses);
    let mut internal = addresses.filter(|(kind, _)| kind == "InternalIP");
    let found = internal.find_map(|(_, address)| address.parse().ok());
    found.ok_or_else(|| Unjudged::error(cause::NodeMissing { node: &host.node() }))
}

impl Facts {
    fn url(&self) -> String {
        format!("http://{}/", self.to)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::network::pods::tests::asked;
    use crate::checks::service::attempts::Attempts;
    use crate::checks::service::service_trace::ServiceTrace;
    use crate::checks::service::service_trace::tests::good;
    use crate::checks::testing::{expect, judged, service, site};
    use crate::findings::{CauseId, Outcome, Verdict};
    use crate::protocol::HttpReply;
    use crate::suite::Seen;

    fn place(right: usize, failed: usize, answered: &[&str]) -> Backends {
        Backends {
            heard: Attempts {
                from: "local".to_owned(),
                asked: 11,
                right,
                last_asked: 10,
                last_failed: failed,
                wrong: (failed > 0).then_some(HttpReply::Silent { connected: false }),
            },
            answered: answered.iter().map(|pod| (*pod).to_owned()).collect(),
            ..Backends::default()
        }
    }

    fn facts(places: Vec<Backends>) -> Facts {
        let pods = [("nginx-a", "node-0"), ("nginx-b", "node-1")];
        Facts {
            service: service(),
            to: "192.168.10.102:30443".parse().unwrap(),
            pods: pods.map(|(pod, node)| (pod.to_owned(), node.to_owned())).into(),
            places,
            unasked: BTreeMap::new(),
            rules: None,
        }
    }

    fn judge(facts: &Facts) -> (Outcome, Option<CauseId>) {
        judged::<NodePort>(facts, &expect(&site(), "node-1"))
    }

    fn explained(facts: &Facts, depth: &ServiceTrace) -> Verdict {
        let seen = Seen {
            facts: serde_json::to_value(facts).unwrap().into(),
            again: None,
            depth: Some(serde_json::to_value(depth).unwrap().into()),
        };
        CHECK.judge(&seen, &expect(&site(), "node-1"))
    }

    #[test]
    fn every_pod_must_answer_from_every_place() {
        let both = || place(11, 0, &["nginx-a", "nginx-b"]);
        assert_eq!(judge(&facts(vec![both(), both()])), (Outcome::Pass, None));
        let facts = facts(vec![both(), place(11, 0, &["nginx-a"])]);
        assert_eq!(judge(&facts), (Outcome::Fail, Some(CauseId::PodNeverAnswered)));
        let verdict = explained(&facts, &good());
        assert_eq!(verdict.cause().unwrap().args()["pod"], "nginx-b");
    }

    #[test]
    fn a_port_that_is_silent_from_one_place_fails_with_its_cause_where_there_is_one() {
        let both = || place(11, 0, &["nginx-a", "nginx-b"]);
        let mut facts = facts(vec![both(), place(0, 10, &[])]);
        assert_eq!(judge(&facts), (Outcome::Fail, Some(CauseId::ServiceSilent)));
        facts.places[1] = place(6, 4, &["nginx-a", "nginx-b"]);
        assert_eq!(judge(&facts), (Outcome::Fail, Some(CauseId::ServiceUnsteady)));
        let mut way = good();
        way.asked_for_tests(vec![asked(HttpReply::Silent { connected: false })]);
        let verdict = explained(&facts, &way);
        assert_eq!(verdict.cause().map(Cause::id), Some(CauseId::PodSilent));
        assert_eq!(verdict.findings().len(), 2);
    }

    #[test]
    fn what_cannot_be_told_or_asked_is_an_error_and_no_pass() {
        let mut unlogged = place(11, 0, &["nginx-a"]);
        unlogged.unlogged = 5;
        assert_eq!(
            judge(&facts(vec![unlogged])),
            (Outcome::Error, Some(CauseId::ServiceBackendsUnknown))
        );
        let mut unread = place(11, 0, &["nginx-a"]);
        unread.unread.insert("nginx-b".to_owned());
        assert_eq!(
            judge(&facts(vec![unread])),
            (Outcome::Error, Some(CauseId::ServiceLogUnreadable))
        );
        let mut facts = facts(vec![place(11, 0, &["nginx-a", "nginx-b"])]);
        let cause = cause::HostUnreachable {
            host: &"server",
            reason: &"timeout",
        };
        facts.unasked.insert("server".to_owned(), cause.into());
        assert_eq!(judge(&facts), (Outcome::Error, Some(CauseId::HostUnreachable)));
    }
}
