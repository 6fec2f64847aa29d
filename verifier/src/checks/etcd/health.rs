//! `etcd.health`: every member answers, follows the one leader, and has room. Facts come from the hosts' agents alone:
//! where etcd is down, so is the API.

mod judge;
mod members;

use std::collections::BTreeSet;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::checks::components::component;
use crate::distribution::CONTROL_PLANE_INSIDE;
use crate::findings::{Cause, Evidence, Finding, Judged, Unjudged, cause, phrase};
use crate::protocol::{
    EtcdAnswer, EtcdEndpoint, EtcdMember, EtcdPeer, Process, Processes, Setting, SettingReply, Settled,
};
use crate::site::{Host, Role};
use crate::suite::{
    AskFailure, Check, Ctx, Expect, Member, Probe, Scope, Trace, endpoints, etcd_status, is_loopback,
};

/// How long a member may take.
const ANSWER: Duration = Duration::from_secs(4);

pub(super) const CHECK: Check = Check::of::<EtcdHealth>("etcd.health", Scope::Cluster)
    .confirmed()
    .traced::<EtcdHealth>();

struct EtcdHealth;

#[derive(Clone, Serialize, Deserialize)]
struct Facts {
    hosts: Vec<HostFacts>,
    /// Members that the cluster knows and no host of the site is, as one of the hosts reaches them.
    others: Vec<Other>,
}

#[derive(Clone, Serialize, Deserialize)]
struct HostFacts {
    host: String,
    /// Whether the endpoints are the host's own; else they are all of the site's.
    own: bool,
    endpoints: Vec<EtcdEndpoint>,
    /// Why nothing could be asked there.
    unasked: Option<Cause>,
    processes: Option<Vec<Process>>,
    /// The quota that its process was given; absent where nobody could look.
    #[serde(default)]
    quota: Option<SettingReply>,
}

#[derive(Clone, Serialize, Deserialize)]
struct Other {
    /// The host that asked.
    from: String,
    peer: EtcdPeer,
    endpoints: Vec<EtcdEndpoint>,
}

impl Probe for EtcdHealth {
    type Facts = Facts;

    async fn gather(ctx: &Ctx, _: &Member) -> Result<Facts, Unjudged> {
        let hosts: Vec<&Host> = ctx.site.with_role(Role::Etcd).collect();
        if hosts.is_empty() {
            return Err(Unjudged::skip(cause::NoEtcdHost));
        }
        let asked = hosts.iter().map(|host| host_facts(ctx, host));
        let mut facts = Facts {
            hosts: futures::future::join_all(asked).await,
            others: Vec::new(),
        };
        facts.others = others(ctx, &facts).await;
        Ok(facts)
    }

    fn judge(facts: &Facts, _: &Expect<'_>) -> Judged {
        Ok(facts.findings())
    }

    fn evidence(facts: &Facts, _: &Expect<'_>) -> Vec<Evidence> {
        Evidence::lines(phrase::EtcdMembers, facts.lines())
            .into_iter()
            .collect()
    }
}

impl Trace for EtcdHealth {
    /// The ends of the journals of etcd.
    type Depth = Vec<Evidence>;

    async fn trace(ctx: &Ctx, _: &Member, facts: &Facts, _: &[Finding]) -> Vec<Evidence> {
        let journal = |host: &HostFacts| {
            let unit = host.processes.iter().flatten().find_map(component::unit);
            let unit = unit.unwrap_or_else(|| "etcd.service".to_owned());
            let host = host.host.clone();
            async move { ctx.journal(&host, &unit).await }
        };
        let journals = futures::future::join_all(facts.hosts.iter().map(journal)).await;
        journals.into_iter().flatten().collect()
    }

    fn explain(findings: Vec<Finding>, _: &Facts, _: &Vec<Evidence>, _: &Expect<'_>) -> Vec<Finding> {
        findings
    }

    fn deeper(journals: &Vec<Evidence>, _: &Expect<'_>) -> Vec<Evidence> {
        journals.clone()
    }
}

async fn host_facts(ctx: &Ctx, host: &Host) -> HostFacts {
    let (own, endpoints) = endpoints(&ctx.site.etcd, host);
    let names = ["etcd"].iter().chain(CONTROL_PLANE_INSIDE);
    let names = Processes {
        names: names.map(|name| (*name).to_owned()).collect(),
    };
    let (answers, processes) = futures::join!(
        ask(ctx, &host.name, endpoints),
        ctx.ask_within(&host.name, names, ANSWER)
    );
    let (endpoints, unasked) = match answers {
        Ok(endpoints) => (endpoints, None),
        Err(failure) => (Vec::new(), Some(Unjudged::from(failure).into_cause())),
    };
    let processes = processes.ok();
    HostFacts {
        host: host.name.clone(),
        own,
        endpoints,
        unasked,
        quota: quota(ctx, &host.name, processes.as_deref()).await,
        processes,
    }
}

/// Returns the quota that etcd was given on a host.
async fn quota(ctx: &Ctx, host: &str, processes: Option<&[Process]>) -> Option<SettingReply> {
    let alive = |process: &&Process| process.state != 'Z';
    let pid = processes?.iter().find(alive)?.pid;
    let of = Settled::EtcdQuota;
    ctx.ask_within(host, Setting { pid, of }, ANSWER).await.ok()
}

async fn ask(ctx: &Ctx, host: &str, endpoints: Vec<String>) -> Result<Vec<EtcdEndpoint>, AskFailure> {
    let ask = etcd_status(&ctx.site.etcd, endpoints, ANSWER);
    ctx.ask_within(host, ask, ANSWER + Duration::from_secs(2)).await
}

/// Asks the members that are no host of the site, from the first host that knows of them. Only where every host
/// answered: else the missing one is explained already.
async fn others(ctx: &Ctx, facts: &Facts) -> Vec<Other> {
    if facts.hosts.iter().any(|host| host.members().next().is_none()) {
        return Vec::new();
    }
    let Some(first) = facts.hosts.first() else {
        return Vec::new();
    };
    let answered: BTreeSet<&str> = facts.members().map(|(_, member)| member.id.as_str()).collect();
    let known = first.members().find_map(|(_, member)| member.members.as_ref());
    let missing = known
        .into_iter()
        .flatten()
        .filter(|peer| !answered.contains(peer.id.as_str()));
    let mut others = Vec::new();
    for peer in missing {
        // An address of loopback means another member when it is asked from here.
        let urls = peer
            .urls
            .iter()
            .filter(|url| !is_loopback(url))
            .cloned()
            .collect();
        others.push(Other {
            from: first.host.clone(),
            peer: peer.clone(),
            endpoints: ask(ctx, &first.host, urls).await.unwrap_or_default(),
        });
    }
    others
}

impl HostFacts {
    /// Returns the members that answered here, each with its endpoint.
    fn members(&self) -> impl Iterator<Item = (&str, &EtcdMember)> {
        self.endpoints.iter().filter_map(|one| match &one.answer {
            EtcdAnswer::Member(member) => Some((one.endpoint.as_str(), &**member)),
            _ => None,
        })
    }

    /// Returns a process that a signal has stopped.
    fn halted(&self) -> Option<&Process> {
        component::halted(self.processes.as_deref()?)
    }

    /// Returns whether a process is there that is etcd or may run it; nothing where nobody could look.
    fn runs(&self) -> Option<bool> {
        self.processes.as_deref().map(component::alive)
    }

    /// Returns the state of a process that is there, that of a stopped one before any other.
    fn state(&self) -> Option<char> {
        let alive = || {
            self.processes
                .iter()
                .flatten()
                .find(|process| process.state != 'Z')
        };
        let process = self.halted().or_else(alive)?;
        Some(process.state)
    }

    /// Returns whether it is down and does not come back by itself.
    fn is_settled(&self) -> bool {
        let dead = self.members().next().is_none();
        dead && (self.halted().is_some() || self.runs() == Some(false))
    }
}

impl Facts {
    /// Returns the members that answered, each once, with the host that they answered on.
    fn members(&self) -> impl Iterator<Item = (&str, &EtcdMember)> {
        let mut seen = BTreeSet::new();
        let hosts = self
            .hosts
            .iter()
            .flat_map(|host| host.members().map(|(_, member)| (host.host.as_str(), member)));
        let others = self.others.iter().flat_map(|other| {
            let answers = other.endpoints.iter().filter_map(|one| match &one.answer {
                EtcdAnswer::Member(member) => Some(&**member),
                _ => None,
            });
            answers.map(|member| (other.peer.name.as_str(), member))
        });
        hosts
            .chain(others)
            .filter(move |(_, member)| seen.insert(member.id.as_str()))
    }
}
