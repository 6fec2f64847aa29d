//! `service.nodeport`: this node's port of the Service answers from every place of `nodePortFrom`, and every ready pod
//! answers through it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use secrets::Masked;
use serde::{Deserialize, Serialize};

use super::service_trace::{self, Attempts, Entry, POLL, Question, ServiceTrace};
use crate::checks::network::packet_filter;
use crate::cluster::{PodFacts, RunNamespace, ServiceFacts};
use crate::findings::{Cause, Evidence, Finding, Judged, Line, Severity, Unjudged, cause, phrase};
use crate::protocol::{ChainsReply, ContainerLog, HttpReply};
use crate::site::Host;
use crate::suite::fixtures::Fixture;
use crate::suite::{Check, Ctx, Expect, Member, Probe, Scope, Trace};

/// How long it may take until every pod has answered, from the first answer on.
const ALL: Duration = Duration::from_secs(10);
/// How many requests a place makes at most.
const MOST: usize = 600;
/// What has answered must still answer after this.
const LATER: Duration = Duration::from_millis(250);
/// How many rounds may have failures.
const FAILING: usize = 2;
/// How long a line may take from a container to its log.
const WRITTEN: Duration = Duration::from_secs(3);
/// How long an agent may take to read a log.
const READ: Duration = Duration::from_secs(5);
/// How many lines of a log are read through the API where no agent can.
const LINES: u32 = 2000;

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
    places: Vec<Place>,
    /// Places that could not be asked from, and why.
    unasked: BTreeMap<String, Cause>,
    /// Read where there is no pod that could answer; absent where nobody could list them.
    rules: Option<ChainsReply>,
}

/// What a place got.
#[derive(Default, Serialize, Deserialize)]
struct Place {
    heard: Attempts,
    /// The pods that answered.
    answered: BTreeSet<String>,
    /// Pods whose log nobody could read.
    unread: BTreeSet<String>,
    /// How many answered requests stand in no log.
    unlogged: usize,
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
        };
        let places = ctx.site.node_port_places();
        let asked = futures::future::join_all(places.iter().map(|place| caller.ask(place))).await;
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
        let wrong = facts.places.iter().flat_map(|place| facts.wrong(place, host));
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
            Evidence::lines(title, facts.places.iter().flat_map(Place::lines)),
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
    type Depth = Option<ServiceTrace>;

    async fn trace(ctx: &Ctx, member: &Member, facts: &Facts, found: &[Finding]) -> Option<ServiceTrace> {
        // What could not be told or asked lies elsewhere.
        if !found.iter().any(is_failure) {
            return None;
        }
        service_trace::look(ctx, member, &facts.service).await
    }

    fn explain(
        findings: Vec<Finding>,
        facts: &Facts,
        depth: &Option<ServiceTrace>,
        expect: &Expect<'_>,
    ) -> Vec<Finding> {
        let why = depth.as_ref().and_then(|trace| {
            if facts.pods.is_empty() {
                trace.proxy_dead(&expect.host?.name)
            } else {
                trace.cause(&facts.service, Entry::NodePort(facts.to), expect)
            }
        });
        why.map(Finding::fail).into_iter().chain(findings).collect()
    }

    fn deeper(depth: &Option<ServiceTrace>, expect: &Expect<'_>) -> Vec<Evidence> {
        depth.iter().flat_map(|trace| trace.evidence(expect)).collect()
    }
}

fn is_failure(finding: &Finding) -> bool {
    finding.severity == Severity::Fail
}

fn named(pod: &PodFacts) -> (String, String) {
    (pod.name.clone(), pod.node.clone().unwrap_or_default())
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

/// Who asks one node from several places.
struct Caller<'a> {
    ctx: &'a Ctx,
    namespace: RunNamespace,
    pods: Vec<&'a PodFacts>,
    to: SocketAddr,
}

/// Which requests stand in the logs, by pod.
struct Attribution {
    by: BTreeMap<String, BTreeSet<usize>>,
    unread: BTreeSet<String>,
}

impl Caller<'_> {
    /// Asks from one place until every pod has answered, or it is clear that one does not.
    async fn ask(&self, from: &str) -> Result<Place, Unjudged> {
        let tag = format!("verifier-{}-{:016x}", self.ctx.run, crate::suite::random());
        let question = Question {
            from,
            to: self.to,
            method: "HEAD",
            is_right: |reply| matches!(reply, HttpReply::Answer { status: 200, .. }),
        };
        let mut place = Place {
            heard: question.first(self.ctx, "/").await?,
            ..Place::default()
        };
        let size = (2 * self.pods.len() + 6).min(64);
        let (since, mut next, mut failing) = (Instant::now(), 0, 0);
        let mut answered = BTreeSet::new();
        while place.heard.right > 0 {
            let names: Vec<usize> = (next..next + size).collect();
            next += size;
            let paths: Vec<String> = names.iter().map(|name| format!("/?{tag}.{name}.")).collect();
            let right = question.many(self.ctx, &mut place.heard, &paths).await?;
            answered.extend(
                names
                    .iter()
                    .zip(right)
                    .filter(|(_, right)| *right)
                    .map(|(name, _)| *name),
            );
            self.tell(&tag, &answered, &mut place).await;
            failing += usize::from(!place.heard.is_steady());
            let pods = self.pods.iter().map(|pod| named(pod)).collect();
            let blind = !place.unread.is_empty() || place.unlogged > 0;
            let over = since.elapsed() > ALL || place.heard.asked > MOST || failing >= FAILING;
            if place.is_right(&pods) {
                // What kube-proxy wrote another program may flush at once.
                tokio::time::sleep(LATER).await;
                question.many(self.ctx, &mut place.heard, &paths[..1]).await?;
            }
            if place.is_right(&pods) || over || blind {
                break;
            }
            // kube-proxy may not know all of the pods yet.
            tokio::time::sleep(POLL).await;
        }
        Ok(place)
    }

    /// Reads the logs until all requests that were answered stand in one, or every pod has answered.
    async fn tell(&self, tag: &str, answered: &BTreeSet<usize>, place: &mut Place) {
        if let [only] = self.pods.as_slice() {
            // Nobody else can have answered.
            place.answered.insert(only.name.clone());
            return;
        }
        let since = Instant::now();
        loop {
            let told = self.told(tag).await;
            let known: BTreeSet<usize> = told.by.values().flatten().copied().collect();
            place.unlogged = answered.difference(&known).count();
            place.unread = told.unread;
            let by = told.by.into_iter().filter(|(_, names)| !names.is_empty());
            place.answered.extend(by.map(|(pod, _)| pod));
            let all = self.pods.iter().all(|pod| place.answered.contains(&pod.name));
            if all || place.unlogged == 0 || since.elapsed() > WRITTEN {
                if all {
                    place.unlogged = 0;
                }
                return;
            }
            tokio::time::sleep(POLL / 2).await;
        }
    }

    async fn told(&self, tag: &str) -> Attribution {
        let logs = self
            .pods
            .iter()
            .map(|pod| async move { (pod.name.clone(), self.log(pod, tag).await) });
        let mut told = Attribution {
            by: BTreeMap::new(),
            unread: BTreeSet::new(),
        };
        for (pod, log) in futures::future::join_all(logs).await {
            match log {
                Some(lines) => {
                    told.by.insert(pod, names(&lines, tag));
                }
                None => {
                    told.unread.insert(pod);
                }
            }
        }
        told
    }

    /// Returns the lines of a pod's log that hold the tag: from its node's agent, else through the API.
    async fn log(&self, pod: &PodFacts, tag: &str) -> Option<Vec<String>> {
        let container = pod.containers.first()?;
        let ask = ContainerLog {
            namespace: self.namespace.name.clone(),
            pod: pod.name.clone(),
            uid: pod.uid.clone(),
            container: container.name.clone(),
            containing: tag.to_owned(),
        };
        let host = self.ctx.site.host_of_node(pod.node.as_deref()?);
        if let Some(host) = host
            && let Ok(lines) = self.ctx.ask_within(&host.name, ask, READ).await
        {
            return Some(lines.into_iter().map(Masked::into_string).collect());
        }
        let api = self.ctx.api().ok()?;
        let log = api
            .log(&self.namespace, &pod.name, &container.name, LINES)
            .await
            .ok()?;
        Some(
            log.lines()
                .filter(|line| line.contains(tag))
                .map(str::to_owned)
                .collect(),
        )
    }
}

/// Returns the numbers of the requests in lines of a log: `TAG.NUMBER.`
fn names(lines: &[String], tag: &str) -> BTreeSet<usize> {
    let number = |line: &String| {
        let (_, rest) = line.split_once(tag)?;
        rest.strip_prefix('.')?.split('.').next()?.parse().ok()
    };
    lines.iter().filter_map(number).collect()
}

impl Place {
    fn is_right(&self, pods: &BTreeMap<String, String>) -> bool {
        self.heard.is_steady() && pods.keys().all(|pod| self.answered.contains(pod))
    }

    fn lines(&self) -> Vec<Line> {
        let pods: Vec<&str> = self.answered.iter().map(String::as_str).collect();
        let by = phrase::AnsweredBy {
            from: &self.heard.from,
            pods: &pods.join(", "),
        };
        let by = (!pods.is_empty()).then(|| Line::said(by));
        std::iter::once(self.heard.line()).chain(by).collect()
    }
}

impl Facts {
    fn url(&self) -> String {
        format!("http://{}/", self.to)
    }

    /// Returns what is wrong with what a place got: pods that never answered, then the answers themselves.
    #[rustfmt::skip]
    fn wrong(&self, place: &Place, host: &str) -> Vec<Finding> {
        let (url, from, name) = (&self.url(), &place.heard.from, &self.service.full_name());
        let of_pod = |(pod, node): (&String, &String)| {
            let (host, asked, unlogged) = (&host, &place.heard.asked, &place.unlogged);
            let finding = if place.unread.contains(pod) {
                Finding::error(cause::ServiceLogUnreadable { url, from, pod, node, host })
            } else if place.unlogged > 0 {
                Finding::error(cause::ServiceBackendsUnknown { url, from, pod, node, host, unlogged })
            } else {
                Finding::fail(cause::PodNeverAnswered { pod, node, url, from, host, service: name, asked })
            };
            finding.of(pod)
        };
        let silent = self.pods.iter().filter(|(pod, _)| !place.answered.contains(*pod));
        let silent = silent.filter(|_| place.heard.right > 0).map(of_pod);
        let answers = place.heard.cause(url, host, &self.service);
        silent.chain(answers.map(|cause| Finding::fail(cause).of(from))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::network::pods::tests::asked;
    use crate::checks::service::service_trace::tests::{good, service};
    use crate::checks::testing::{expect, judged, site};
    use crate::findings::{CauseId, Outcome, Verdict};
    use crate::suite::Seen;

    fn place(right: usize, failed: usize, answered: &[&str]) -> Place {
        Place {
            heard: Attempts {
                from: "local".to_owned(),
                asked: 11,
                right,
                last_asked: 10,
                last_failed: failed,
                wrong: (failed > 0).then_some(HttpReply::Silent { connected: false }),
            },
            answered: answered.iter().map(|pod| (*pod).to_owned()).collect(),
            ..Place::default()
        }
    }

    fn facts(places: Vec<Place>) -> Facts {
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

    #[test]
    fn requests_are_found_in_lines_of_a_log() {
        let lines = [
            "2026-11-23T22:00:00Z stdout F 192.168.10.1 \"HEAD /?verifier-x-1.12. HTTP/1.1\" 200 0"
                .to_owned(),
            "HEAD /?verifier-x-2.13. HTTP/1.1".to_owned(),
            "HEAD /?verifier-x-1.7. HTTP/1.1".to_owned(),
        ];
        assert_eq!(names(&lines, "verifier-x-1"), [7, 12].into());
    }
}
