//! `service.udp`: datagrams from inside this node's pod to the Service are answered by every pod behind it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::attempts::{FIRST, POLL};
use super::deeper::{self, Depth};
use super::service_trace::Entry;
use crate::checks::network::pods;
use crate::cluster::ServiceFacts;
use crate::findings::{Cause, Evidence, Finding, Judged, Line, Unjudged, cause, phrase};
use crate::protocol::{EchoSurvey, EchoSurveyReply, Place};
use crate::suite::fixtures::{Echoes, Fixture};
use crate::suite::{Check, Ctx, Expect, Member, Probe, Scope, Trace};

pub(super) const CHECK: Check = Check::of::<ServiceUdp>("service.udp", Scope::Worker)
    .needs(&[Fixture::Service, Fixture::Pods])
    .traced::<ServiceUdp>();

/// How long a datagram may take. It is sent again within that time.
const ANSWER: Duration = Duration::from_secs(1);
/// How long an agent may take beyond that.
const MARGIN: Duration = Duration::from_secs(5);
/// How many datagrams are sent at most, unless there are so many pods that it takes more.
const MOST: usize = 200;
/// In so many rounds something may be lost.
const SHAKY: usize = 3;

struct ServiceUdp;

#[derive(Serialize, Deserialize)]
struct Facts {
    service: ServiceFacts,
    /// The pod that asks.
    pod: String,
    /// The pods in which a server answers, each with its node.
    pods: BTreeMap<String, String>,
    /// Nodes in whose pod none could be started, each with the reason.
    unserved: Vec<(String, Cause)>,
    /// Nodes that should have a pod and have none that runs.
    without: Vec<String>,
    heard: Heard,
}

/// Who answered.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Heard {
    /// How many datagrams were sent, those that were sent again apart.
    asked: usize,
    /// How many of them each pod answered.
    answered: BTreeMap<String, usize>,
    /// How many the last round had, and how many of these were lost.
    last_asked: usize,
    last_lost: usize,
    /// With which words the last one broke that did.
    error: Option<String>,
}

impl Probe for ServiceUdp {
    type Facts = Facts;

    async fn gather(ctx: &Ctx, member: &Member) -> Result<Facts, Unjudged> {
        let host = ctx.host(member)?;
        let service = ctx.fixtures().service(ctx).await?;
        let port = service
            .udp_port
            .ok_or_else(|| Unjudged::skip(cause::ServiceNoUdp))?;
        let spread = ctx.fixtures().spread(ctx).await?;
        spread.takes(host.node())?;
        let echoes = ctx.fixtures().echoes(ctx).await?;
        if let Some((_, reason)) = echoes.unserved.iter().find(|(node, _)| node == host.node()) {
            return Err(Unjudged::error(reason.clone()));
        }
        let Some(own) = echoes.servers.iter().find(|server| server.node == host.node()) else {
            return Err(pods::needs(&[host.node().to_owned()]));
        };
        let (pod, sandbox) = (own.pod.clone(), own.sandbox.clone());
        let caller = Caller {
            ctx,
            host: &host.name,
            to: SocketAddr::new(service.cluster_ip, port),
            sandbox,
            pod: &pod,
            echoes: &echoes,
        };
        let heard = caller.ask().await?;
        let servers = echoes.servers.iter();
        Ok(Facts {
            pods: servers
                .map(|server| (server.pod.clone(), server.node.clone()))
                .collect(),
            unserved: echoes.unserved.clone(),
            without: pods::without(&spread.wanted, &spread.pods),
            service,
            pod,
            heard,
        })
    }

    fn judge(facts: &Facts, expect: &Expect<'_>) -> Judged {
        let mut findings = facts.found(&expect.host()?.name);
        let unserved = facts.unserved.iter();
        findings.extend(unserved.map(|(node, reason)| Finding::error(reason.clone()).of(node)));
        if findings.is_empty() && !facts.without.is_empty() {
            return Err(pods::needs(&facts.without));
        }
        if findings.is_empty() && facts.others().next().is_none() {
            // What a pod gets of itself is the hairpin's, which another check is for.
            return Err(Unjudged::skip(cause::OneNode));
        }
        Ok(findings)
    }

    fn evidence(facts: &Facts, _: &Expect<'_>) -> Vec<Evidence> {
        let url = format!("udp://{}", facts.address());
        let title = phrase::AnswersTo {
            method: &"UDP",
            url: &url,
        };
        Evidence::lines(title, facts.heard.lines(&facts.pod))
            .into_iter()
            .collect()
    }
}

/// Who sends datagrams to the Service.
struct Caller<'a> {
    ctx: &'a Ctx,
    host: &'a str,
    to: SocketAddr,
    sandbox: String,
    pod: &'a str,
    echoes: &'a Echoes,
}

impl Caller<'_> {
    /// Asks until every other pod has answered, or it is clear that one does not.
    async fn ask(&self) -> Result<Heard, Unjudged> {
        let mut heard = Heard::default();
        let since = Instant::now();
        // kube-proxy may not serve the new Service yet.
        self.round(&mut heard, 2).await?;
        let pods = self.echoes.servers.len();
        let size = (4 * pods + 8).min(usize::from(EchoSurvey::MOST));
        // It may have been led back to the pod that asks each time.
        while heard.answered.is_empty() && since.elapsed() < FIRST {
            tokio::time::sleep(POLL).await;
            self.round(&mut heard, size).await?;
        }
        let mut shaky = 0;
        while !heard.answered.is_empty() {
            self.round(&mut heard, size).await?;
            let is_steady = heard.is_steady(self.pod, pods);
            shaky += usize::from(!is_steady);
            let servers = self.echoes.servers.iter();
            let mut others = servers.filter(|server| server.pod != self.pod);
            let all = others.all(|server| heard.answered.contains_key(&server.pod));
            if (all && is_steady) || shaky >= SHAKY || heard.asked > MOST.max(20 * pods) {
                break;
            }
            tokio::time::sleep(POLL).await;
        }
        Ok(heard)
    }

    async fn round(&self, heard: &mut Heard, datagrams: usize) -> Result<(), Unjudged> {
        let ask = EchoSurvey {
            to: self.to,
            from: Place::Sandbox(self.sandbox.clone()),
            token: self.echoes.token,
            datagrams: u16::try_from(datagrams).unwrap_or(EchoSurvey::MOST),
            timeout_millis: u64::try_from(ANSWER.as_millis()).unwrap_or(u64::MAX),
        };
        let reply = self.ctx.ask_within(self.host, ask, ANSWER + MARGIN).await?;
        heard.take(reply, datagrams, self.echoes);
        Ok(())
    }
}

impl Heard {
    fn take(&mut self, reply: EchoSurveyReply, datagrams: usize, echoes: &Echoes) {
        self.asked += datagrams;
        self.last_asked = datagrams;
        self.last_lost = usize::try_from(reply.lost).unwrap_or(usize::MAX);
        self.error = reply.error.or_else(|| self.error.take());
        for (mark, count) in reply.answered {
            // A mark of nobody is an answer of somebody else's.
            if let Some(server) = echoes.servers.iter().find(|server| server.mark == mark) {
                let answers = self.answered.entry(server.pod.clone()).or_default();
                *answers += usize::try_from(count).unwrap_or_default();
            }
        }
    }

    /// Returns whether no more was lost in the last round than what a Service leads back to a pod that is deaf to itself.
    fn is_steady(&self, pod: &str, pods: usize) -> bool {
        let share = 3 * self.last_asked / pods.max(1) + 3;
        let deaf = !self.answered.contains_key(pod);
        self.last_lost == 0 || (deaf && self.last_lost <= share)
    }

    fn lines(&self, from: &str) -> Vec<Line> {
        let attempts = phrase::Attempts {
            from: &from,
            right: &self.answered.values().sum::<usize>(),
            asked: &self.asked,
        };
        let pods: Vec<&str> = self.answered.keys().map(String::as_str).collect();
        let by = phrase::AnsweredBy {
            from: &from,
            pods: &pods.join(", "),
        };
        let by = (!pods.is_empty()).then(|| Line::said(by));
        let error = self.error.as_deref().map(Line::from);
        [Some(Line::said(attempts)), by, error]
            .into_iter()
            .flatten()
            .collect()
    }
}

impl Facts {
    fn address(&self) -> SocketAddr {
        let port = self.service.udp_port.unwrap_or_default();
        SocketAddr::new(self.service.cluster_ip, port)
    }

    /// Returns the pods that must be heard of: all but the one that asks.
    fn others(&self) -> impl Iterator<Item = (&String, &String)> {
        self.pods.iter().filter(|(pod, _)| **pod != self.pod)
    }

    #[rustfmt::skip]
    fn found(&self, host: &str) -> Vec<Finding> {
        let (heard, service, address) = (&self.heard, &self.service.full_name(), &self.address());
        let (asked, host) = (&heard.asked, &host);
        let heard_of: BTreeSet<&String> = heard.answered.keys().collect();
        if heard_of.is_empty() && self.others().next().is_some() {
            let cause: Cause = match &heard.error {
                Some(reason) => cause::ServiceUdpRefused { service, address, host, reason }.into(),
                None => cause::ServiceUdpSilent { service, address, host, asked }.into(),
            };
            return vec![Finding::fail(cause)];
        }
        let never = self.others().filter(|(pod, _)| !heard_of.contains(pod));
        let mut findings: Vec<Finding> = never
            .map(|(pod, node)| Finding::fail(cause::PodUdpNever { pod, node, service, address, host, asked }).of(pod))
            .collect();
        // Where a pod has no server its share is lost, and so it is where one is never heard of.
        let is_whole = findings.is_empty() && self.unserved.is_empty();
        if is_whole && !heard.is_steady(&self.pod, self.pods.len()) {
            let (asked, lost) = (&heard.last_asked, &heard.last_lost);
            findings.push(Finding::fail(cause::ServiceUdpUnsteady { service, address, host, lost, asked }));
        }
        findings
    }
}

impl Trace for ServiceUdp {
    type Depth = Depth;

    async fn trace(ctx: &Ctx, member: &Member, facts: &Facts, found: &[Finding]) -> Depth {
        deeper::look(ctx, member, &facts.service, found).await
    }

    fn explain(findings: Vec<Finding>, facts: &Facts, depth: &Depth, expect: &Expect<'_>) -> Vec<Finding> {
        let why = depth
            .as_ref()
            .and_then(|trace| trace.cause(&facts.service, Entry::UdpFromPod, expect));
        deeper::explained(findings, why)
    }

    fn deeper(depth: &Depth, expect: &Expect<'_>) -> Vec<Evidence> {
        deeper::evidence(depth, expect)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::testing::{expect, judged, service, site};
    use crate::findings::{CauseId, Outcome};

    /// Returns facts of the pod b, which got answers of these.
    fn facts(pods: &[&str], answered: &[(&str, usize)], lost: usize) -> Facts {
        let right: usize = answered.iter().map(|(_, count)| count).sum();
        Facts {
            service: service(),
            pod: "b".to_owned(),
            pods: pods
                .iter()
                .map(|pod| ((*pod).to_owned(), format!("node-of-{pod}")))
                .collect(),
            unserved: Vec::new(),
            without: Vec::new(),
            heard: Heard {
                asked: right + lost,
                answered: answered
                    .iter()
                    .map(|(pod, count)| ((*pod).to_owned(), *count))
                    .collect(),
                last_asked: right + lost,
                last_lost: lost,
                error: None,
            },
        }
    }

    fn judge(facts: &Facts) -> (Outcome, Option<CauseId>) {
        judged::<ServiceUdp>(facts, &expect(&site(), "node-1"))
    }

    const PASS: (Outcome, Option<CauseId>) = (Outcome::Pass, None);

    #[test]
    fn all_that_answer_pass_and_a_pod_need_not_hear_of_itself() {
        assert_eq!(judge(&facts(&["a", "b"], &[("a", 9), ("b", 9)], 0)), PASS);
        assert_eq!(judge(&facts(&["a", "b"], &[("a", 9)], 9)), PASS);
        assert_eq!(
            judge(&facts(&["b"], &[], 9)),
            (Outcome::Skip, Some(CauseId::OneNode))
        );
    }

    #[test]
    fn what_is_silent_refused_or_never_heard_of_fails() {
        let silent = facts(&["a", "b"], &[], 20);
        assert_eq!(judge(&silent), (Outcome::Fail, Some(CauseId::ServiceUdpSilent)));
        let mut refused = silent;
        refused.heard.error = Some("connection refused".to_owned());
        assert_eq!(judge(&refused), (Outcome::Fail, Some(CauseId::ServiceUdpRefused)));
        let never = facts(&["a", "b", "c"], &[("a", 9), ("b", 9)], 9);
        assert_eq!(judge(&never), (Outcome::Fail, Some(CauseId::PodUdpNever)));
        let shaky = facts(&["a", "b"], &[("a", 9), ("b", 9)], 9);
        assert_eq!(judge(&shaky), (Outcome::Fail, Some(CauseId::ServiceUdpUnsteady)));
        // More than its own share was lost.
        let pods = ["a", "b", "c", "d", "e", "f", "g", "h"];
        let heard = ["a", "c", "d", "e", "f", "g", "h"].map(|pod| (pod, 2));
        assert_eq!(
            judge(&facts(&pods, &heard, 26)),
            (Outcome::Fail, Some(CauseId::ServiceUdpUnsteady))
        );
    }

    #[test]
    fn what_was_not_looked_at_is_no_pass() {
        let mut partly = facts(&["a", "b"], &[("a", 9), ("b", 9)], 9);
        let why: Cause = cause::HostNotConnected { host: &"node-2" }.into();
        partly.unserved = vec![("node-2".to_owned(), why)];
        assert_eq!(judge(&partly), (Outcome::Error, Some(CauseId::HostNotConnected)));
        let mut without = facts(&["a", "b"], &[("a", 9), ("b", 9)], 0);
        without.without = vec!["node-2".to_owned()];
        assert_eq!(judge(&without), (Outcome::Skip, Some(CauseId::Needs)));
    }
}
