//! `network.dns`: the cluster's DNS answers the pods of every worker, over UDP and TCP: each of its pods on its own, its
//! Service, and the server that the kubelet tells pods of.

mod judge;
mod questions;
mod silence;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use self::questions::Plan;
use super::packet_filter::Packet;
use super::path_trace::{Origin, PathTrace, Way};
use super::pods::{self, Lost};
use crate::cluster::{DnsEndpoint, DnsServiceFacts, Permission, PodFacts, ServiceFacts};
use crate::findings::{Cause, Evidence, Finding, Judged, Line, Unjudged, phrase};
use crate::protocol::{Dns, DnsBy, DnsQuestion, DnsReply, Resolver, ResolverReply};
use crate::site::Host;
use crate::suite::fixtures::Fixture;
use crate::suite::{Check, Ctx, Expect, Member, Probe, Scope, Trace};

pub(super) const CHECK: Check = Check::of::<ClusterDns>("network.dns", Scope::Cluster)
    .needs(&[Fixture::Service, Fixture::Pods])
    .permissions(&[
        Permission::across("list", "", "services"),
        Permission::across("list", "discovery.k8s.io", "endpointslices"),
    ])
    .confirmed()
    .traced::<ClusterDns>();

/// How long a server may take. Resolvers wait 5 s before they ask again: each such wait is one that users see.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long is waited for somebody whom nothing but the kubelets' word makes a DNS server.
const SHORT: Duration = Duration::from_secs(1);
/// How long a file of a pod may take to read.
const READ: Duration = Duration::from_secs(5);
/// How long the DNS may take to know a new Service. It may keep for 5 s that a name means nothing.
const NEW: Duration = Duration::from_secs(6);
const POLL: Duration = Duration::from_secs(1);
/// The ways of so many hosts are looked at.
const TRACED: usize = 2;

struct ClusterDns;

/// What the pods of the run saw of DNS.
#[derive(Debug, Serialize, Deserialize)]
struct Facts {
    /// The Service of the cluster's DNS; absent: there is none.
    dns: Option<DnsServiceFacts>,
    /// The ready pods behind it.
    servers: Vec<DnsEndpoint>,
    /// What the name `kubernetes` must mean.
    kubernetes: Vec<IpAddr>,
    /// The run's own Service, which no cache knows yet.
    service: ServiceFacts,
    /// The pods that asked.
    askers: Vec<Asker>,
    /// Nodes whose pod could not ask, each with the reason.
    unasked: Vec<(String, Cause)>,
    /// Nodes that should have a pod and have none that runs.
    without: Vec<String>,
}

/// A pod of the run.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Asker {
    host: String,
    node: String,
    pod: String,
    address: IpAddr,
    container: String,
    told: ResolverReply,
    heard: Vec<Heard>,
}

/// A question, and how it ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Heard {
    question: DnsQuestion,
    reply: DnsReply,
}

impl Probe for ClusterDns {
    type Facts = Facts;

    async fn gather(ctx: &Ctx, _: &Member) -> Result<Facts, Unjudged> {
        let api = ctx.api()?;
        let spread = ctx.fixtures().spread(ctx).await?;
        let service = ctx.fixtures().service(ctx).await?;
        let up = pods::up(&spread.pods);
        let askers = futures::future::join_all(up.filter_map(|(pod, address)| {
            let host = ctx.site.host_of_node(pod.node.as_deref()?)?;
            Some(async move { (host, asker(ctx, host, pod, address).await) })
        }));
        let (found, askers) = futures::join!(api.dns(), askers);
        let found = found?;
        let mut facts = Facts {
            dns: None,
            servers: Vec::new(),
            kubernetes: found.kubernetes,
            service,
            askers: Vec::new(),
            unasked: Vec::new(),
            without: pods::without(&spread.wanted, &spread.pods),
        };
        for (host, asker) in askers {
            match asker {
                Ok(asker) => facts.askers.push(asker),
                Err(why) => facts.unasked.push((host.node().to_owned(), why.into_cause())),
            }
        }
        facts.dns = questions::choose(&found.services, &facts.askers).cloned();
        if let Some(dns) = &facts.dns {
            facts.servers = api.dns_endpoints(dns).await?;
        }
        facts.ask(ctx).await;
        Ok(facts)
    }

    fn judge(facts: &Facts, _: &Expect<'_>) -> Judged {
        facts.judged()
    }

    fn evidence(facts: &Facts, _: &Expect<'_>) -> Vec<Evidence> {
        let told = facts.askers.iter().map(Asker::told_line);
        let service = facts
            .dns
            .as_ref()
            .map(DnsServiceFacts::full_name)
            .unwrap_or_default();
        let servers = facts.servers.iter().map(|server| {
            let node = server.node.as_deref().unwrap_or("-");
            format!("{node} {} {}", server.pod, server.address)
        });
        let heard = facts.askers.iter().flat_map(|asker| {
            let line = |heard: &Heard| heard.line(&asker.node);
            asker.heard.iter().map(line).collect::<Vec<_>>()
        });
        let evidence = [
            Evidence::lines(phrase::Resolvers, told),
            Evidence::lines(phrase::EndpointsOf { service: &service }, servers),
            Evidence::lines(phrase::Answers, heard),
        ];
        evidence.into_iter().flatten().collect()
    }
}

/// Reads what a pod is told of DNS.
async fn asker(ctx: &Ctx, host: &Host, pod: &PodFacts, address: IpAddr) -> Result<Asker, Unjudged> {
    let id = pod.containers.first().map(|container| container.id.as_str());
    let (_, id) = id.unwrap_or_default().split_once("://").unwrap_or_default();
    let container = id.to_owned();
    let ask = Resolver {
        container: container.clone(),
    };
    Ok(Asker {
        host: host.name.clone(),
        node: host.node().to_owned(),
        pod: pod.name.clone(),
        address,
        told: ctx.ask_within(&host.name, ask, READ).await?,
        container,
        heard: Vec::new(),
    })
}

impl Facts {
    /// Asks all that is to be asked, from each pod at once.
    async fn ask(&mut self, ctx: &Ctx) {
        let plan = Plan::of(self);
        let patience = if self.dns.is_some() { PATIENCE } else { SHORT };
        let questions: Vec<Vec<DnsQuestion>> = (0..self.askers.len())
            .map(|at| plan.questions(self, at))
            .collect();
        let asked = self.askers.iter().zip(questions);
        let asked = asked.map(|(asker, questions)| hear(ctx, asker, questions, patience));
        let heard = futures::future::join_all(asked).await;
        for (asker, heard) in std::mem::take(&mut self.askers).into_iter().zip(heard) {
            match heard {
                Ok(heard) => self.askers.push(Asker { heard, ..asker }),
                Err(why) => self.unasked.push((asker.node, why.into_cause())),
            }
        }
        self.wait_for_service(ctx).await;
    }

    /// Asks again for the run's own Service where it is not known yet: its news may be on their way.
    async fn wait_for_service(&mut self, ctx: &Ctx) {
        let since = Instant::now();
        let name = |asker: &Asker| questions::own_name(&self.service, &self.domain_of(asker));
        let names: Vec<String> = self.askers.iter().map(name).collect();
        loop {
            let unknown = |asker: &Asker, name: &str| -> Vec<DnsQuestion> {
                let missing = asker
                    .heard
                    .iter()
                    .filter(|heard| heard.question.name == name && heard.is_unknown());
                missing.map(|heard| heard.question.clone()).collect()
            };
            let again = self.askers.iter().zip(&names);
            let again: Vec<_> = again.map(|(asker, name)| unknown(asker, name)).collect();
            if again.iter().all(Vec::is_empty) || since.elapsed() > NEW {
                return;
            }
            tokio::time::sleep(POLL).await;
            let asked = self.askers.iter().zip(again);
            let asked = asked.map(|(asker, questions)| hear(ctx, asker, questions, PATIENCE));
            let heard = futures::future::join_all(asked).await;
            for (asker, heard) in self.askers.iter_mut().zip(heard) {
                for new in heard.into_iter().flatten() {
                    let old = asker.heard.iter_mut().find(|old| old.question == new.question);
                    if let Some(old) = old {
                        *old = new;
                    }
                }
            }
        }
    }
}

async fn hear(
    ctx: &Ctx,
    asker: &Asker,
    questions: Vec<DnsQuestion>,
    patience: Duration,
) -> Result<Vec<Heard>, Unjudged> {
    if questions.is_empty() {
        return Ok(Vec::new());
    }
    let ask = Dns {
        container: asker.container.clone(),
        questions: questions.clone(),
        timeout_millis: u64::try_from(patience.as_millis()).unwrap_or(u64::MAX),
    };
    let replies = ctx.ask_within(&asker.host, ask, patience + READ).await?;
    let heard = questions.into_iter().zip(replies);
    Ok(heard.map(|(question, reply)| Heard { question, reply }).collect())
}

impl Asker {
    fn told_line(&self) -> String {
        let servers: Vec<String> = self.told.servers.iter().map(ToString::to_string).collect();
        format!(
            "{} {}: nameserver {}; search {}",
            self.node,
            self.pod,
            servers.join(" "),
            self.told.search.join(" ")
        )
    }
}

impl Heard {
    /// Returns whether the name was said to mean nothing.
    const fn is_unknown(&self) -> bool {
        matches!(self.reply, DnsReply::Answer { code: 3, .. })
    }

    fn line(&self, node: &str) -> Line {
        let by = match self.question.by {
            DnsBy::Udp => "udp",
            DnsBy::Tcp => "tcp",
        };
        let request = format!("{node} {} {by} {}", self.question.server, self.question.name);
        match &self.reply {
            DnsReply::Answer { millis, .. } => {
                format!("{request}: {} {millis} ms", judge::said(&self.reply)).into()
            }
            DnsReply::Broken { error } => format!("{request}: {error}").into(),
            DnsReply::Silent { connected: true } => Line::said(phrase::ReplySilent { request: &request }),
            DnsReply::Silent { connected: false } => Line::said(phrase::ReplyNone { request: &request }),
        }
    }
}

impl Trace for ClusterDns {
    /// By the host of the pod that asked.
    type Depth = BTreeMap<String, PathTrace>;

    async fn trace(ctx: &Ctx, _: &Member, facts: &Facts, _: &[Finding]) -> Self::Depth {
        let silences = facts.silences();
        let hosts: BTreeSet<&str> = silences.iter().map(|silence| silence.host).collect();
        let looks = hosts.into_iter().take(TRACED).filter_map(|name| {
            let host = ctx.site.host(name)?;
            let lost = silences.iter().filter(move |silence| silence.host == name);
            let lost: Vec<(String, IpAddr)> = lost
                .filter_map(|silence| Some((silence.node?.to_owned(), silence.to.ip())))
                .collect();
            Some(async move {
                let lost = lost.iter().map(|(node, address)| Lost {
                    node,
                    address: *address,
                });
                (name.to_owned(), PathTrace::of(ctx, host, Origin::Pod, lost).await)
            })
        });
        futures::future::join_all(looks).await.into_iter().collect()
    }

    fn explain(
        findings: Vec<Finding>,
        facts: &Facts,
        depth: &Self::Depth,
        expect: &Expect<'_>,
    ) -> Vec<Finding> {
        let mut causes: Vec<Cause> = Vec::new();
        for silence in facts.silences() {
            let way = depth.get(silence.host).zip(expect.site.host(silence.host));
            let cause = way.and_then(|(way, host)| {
                let expect = Expect {
                    host: Some(host),
                    ..*expect
                };
                silence.cause(way, host, &expect)
            });
            causes.extend(cause.filter(|cause| !causes.contains(cause)));
        }
        causes.into_iter().map(Finding::fail).chain(findings).collect()
    }

    fn deeper(depth: &Self::Depth, _: &Expect<'_>) -> Vec<Evidence> {
        depth.values().flat_map(PathTrace::evidence).collect()
    }
}

impl silence::Silence<'_> {
    /// Returns what on the way keeps the question, or its answer.
    fn cause(&self, way: &PathTrace, host: &Host, expect: &Expect<'_>) -> Option<Cause> {
        let mut packets = self.lost.iter().map(|by| match by {
            DnsBy::Udp => Packet::udp(self.to, questions::BYTES),
            DnsBy::Tcp => Packet::tcp(self.to),
        });
        match self.node {
            Some(node) => packets.find_map(|packet| way.cause(Way { node, packet }, Origin::Pod, expect)),
            None if self.is_pod => None,
            // A Service's address is another's by the time a packet is forwarded.
            None => packets.find_map(|packet| way.drops_before(host, packet)),
        }
    }
}

#[cfg(test)]
mod tests;
