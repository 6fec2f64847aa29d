//! `etcd.health`: every member answers, follows the one leader, and has room. Facts come from the hosts' agents alone:
//! where etcd is down, so is the API.

mod judge;

use std::collections::BTreeSet;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::checks::components::component;
use crate::findings::{Cause, CauseId, Evidence, Trouble, Verdict};
use crate::protocol::{
    EtcdAnswer, EtcdEndpoint, EtcdMember, EtcdPeer, EtcdStatus, EtcdTls, Process, Processes,
};
use crate::site::{Etcd, Host, Role};
use crate::suite::{About, Check, Ctx, Expect, Member, Probe, Scope};

/// How long a member may take.
const ANSWER: Duration = Duration::from_secs(4);
/// What may pass by itself (an election, a restart) counts only if it is still so after this.
const AGAIN: Duration = Duration::from_secs(3);

pub(super) const CHECK: Check = Check::of::<EtcdHealth>(About {
    id: "etcd.health",
    scope: Scope::Cluster,
    needs: &[],
    permissions: &[],
    summary: "every member of etcd answers and follows the one leader, no alarm stands, there is room",
    explain: "Proves that on every host with the role etcd a member answers, that all belong to one cluster and follow \
one leader, that a read which needs a majority is answered, that no alarm stands (NOSPACE, CORRUPT) and that the \
database is below 80 % of its quota, where the member tells it (3.6 and newer). It asks from the hosts themselves and \
never the API server, which is down when etcd is.\n\nUsual causes of failure, in order: etcd is stopped or hangs; its \
disk is full or slow; its certificates have expired; the quota is used up, and then every write is refused until it is \
compacted, defragmented and the alarm is disarmed; a majority of members is lost.\n\nWhere to look: `journalctl -u \
etcd` on the host named; the endpoints are those of etcd in the site file.",
    by_hand: "ssh HOST etcdctl endpoint status --cluster -w table; ssh HOST etcdctl endpoint health --cluster; ssh HOST etcdctl alarm list",
});

struct EtcdHealth;

#[derive(Clone, Serialize, Deserialize)]
struct Facts {
    hosts: Vec<HostFacts>,
    /// Members that the cluster knows and no host of the site is, as one of the hosts reaches them.
    others: Vec<Other>,
    /// The ends of journals, where something is wrong.
    journals: Vec<Evidence>,
}

#[derive(Clone, Serialize, Deserialize)]
struct HostFacts {
    host: String,
    /// Whether the endpoints are the host's own; else they are all of the site's.
    own: bool,
    endpoints: Vec<EtcdEndpoint>,
    /// Why nothing could be asked there.
    trouble: Option<Cause>,
    processes: Option<Vec<Process>>,
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

    async fn gather(ctx: &Ctx, _: &Member) -> Result<Facts, Trouble> {
        let hosts: Vec<&Host> = ctx.site.with_role(Role::Etcd).collect();
        if hosts.is_empty() {
            return Err(Trouble::skip(Cause::new(CauseId::NoEtcdHost)));
        }
        let mut facts = look(ctx, &hosts).await;
        if facts.may_pass() {
            tokio::time::sleep(AGAIN).await;
            facts = look(ctx, &hosts).await;
        }
        if !facts.findings().is_empty() {
            for host in &facts.hosts {
                let unit = host.processes.iter().flatten().find_map(component::unit);
                let unit = unit.as_deref().unwrap_or("etcd.service");
                facts.journals.extend(ctx.journal(&host.host, unit).await);
            }
        }
        Ok(facts)
    }

    fn judge(facts: &Facts, _: &Expect<'_>) -> Verdict {
        let evidence = Evidence::lines("members of etcd", &facts.lines());
        let evidence = evidence.into_iter().chain(facts.journals.clone());
        Verdict::of(facts.findings()).with(evidence)
    }
}

async fn look(ctx: &Ctx, hosts: &[&Host]) -> Facts {
    let hosts = futures::future::join_all(hosts.iter().map(|host| host_facts(ctx, host))).await;
    let mut facts = Facts {
        hosts,
        others: Vec::new(),
        journals: Vec::new(),
    };
    facts.others = others(ctx, &facts).await;
    facts
}

async fn host_facts(ctx: &Ctx, host: &Host) -> HostFacts {
    let (own, endpoints) = endpoints(&ctx.site.etcd, host);
    let names = Processes {
        names: ["etcd", "k3s", "k3s-server"].map(str::to_owned).to_vec(),
    };
    let (answers, processes) = futures::join!(
        ask(ctx, &host.name, endpoints),
        ctx.ask_within(&host.name, names, ANSWER)
    );
    let (endpoints, trouble) = match answers {
        Ok(endpoints) => (endpoints, None),
        Err(trouble) => (Vec::new(), Some(trouble.cause)),
    };
    HostFacts {
        host: host.name.clone(),
        own,
        endpoints,
        trouble,
        processes: processes.ok(),
    }
}

async fn ask(ctx: &Ctx, host: &str, endpoints: Vec<String>) -> Result<Vec<EtcdEndpoint>, Trouble> {
    let etcd = &ctx.site.etcd;
    let ask = EtcdStatus {
        endpoints,
        tls: etcd.ca.as_ref().map(|ca| EtcdTls {
            ca: ca.clone(),
            cert: etcd.cert.clone(),
            key: etcd.key.clone(),
        }),
        timeout_millis: u64::try_from(ANSWER.as_millis()).unwrap_or(u64::MAX),
    };
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

/// Returns the endpoints to ask on a host: its own where the site file names such, else all.
fn endpoints(etcd: &Etcd, host: &Host) -> (bool, Vec<String>) {
    let ips: Vec<String> = host.ips().iter().map(ToString::to_string).collect();
    let is_own = |url: &&String| {
        let name = name_of(url);
        is_loopback(url) || name == host.name || name == host.address || ips.iter().any(|ip| ip == name)
    };
    let own: Vec<String> = etcd.endpoints.iter().filter(is_own).cloned().collect();
    if own.is_empty() {
        (false, etcd.endpoints.clone())
    } else {
        (true, own)
    }
}

/// Returns the host in a URL: what stands between the scheme and the port.
fn name_of(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = rest.split('/').next().unwrap_or_default();
    match authority.strip_prefix('[') {
        Some(v6) => v6.split(']').next().unwrap_or_default(),
        None => authority.split(':').next().unwrap_or_default(),
    }
}

fn is_loopback(url: &str) -> bool {
    let name = name_of(url);
    let ip = name.parse::<std::net::IpAddr>();
    name == "localhost" || ip.is_ok_and(|ip| ip.is_loopback())
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

    fn runs(&self) -> Option<bool> {
        self.processes.as_deref().map(component::alive)
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

    /// Returns whether a second look may see it otherwise.
    fn may_pass(&self) -> bool {
        let settled = |host: &HostFacts| {
            let dead = host.members().next().is_none();
            dead && (host.halted().is_some() || host.runs() == Some(false))
        };
        let alarmed = |member: &EtcdMember| member.alarms.as_ref().is_some_and(|alarms| !alarms.is_empty());
        !self.findings().is_empty()
            && !self.hosts.iter().any(settled)
            && !self.members().any(|(_, member)| alarmed(member))
    }
}
