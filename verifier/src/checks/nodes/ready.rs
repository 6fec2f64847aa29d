//! `nodes.ready`: Ready, alive by its Lease, under no pressure, open for pods, of a supported version.

use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::reported;
use crate::checks::api::ready::minor;
use crate::checks::components::component::known::KUBELET;
use crate::checks::components::component::{self, ComponentState, State};
use crate::cluster::{ConditionFacts, LeaseFacts, NodeFacts, Permission};
use crate::findings::{Evidence, Finding, Judged, Line, Unjudged, cause, phrase};
use crate::protocol::{Headroom, HeadroomReply};
use crate::site::{Host, Role};
use crate::suite::{Check, Ctx, Expect, Member, Probe, Scope, Trace, other_strangers};

/// A Lease must have been renewed within this; the kubelet renews every 10 s.
const LIMIT: Duration = Duration::from_secs(20);
/// How many of the Nodes without a result of their own are named.
const EXAMPLES: usize = 10;
/// How often the Lease is read where only time can tell.
const POLL: Duration = Duration::from_millis(500);

pub(super) const CHECK: Check = Check::of::<NodesReady>("nodes.ready", Scope::Node)
    .permissions(&[
        Permission::across("list", "", "nodes"),
        Permission::across("list", "coordination.k8s.io", "leases"),
    ])
    .traced::<NodesReady>();

struct NodesReady;

#[derive(Clone, Serialize, Deserialize)]
struct Facts {
    /// Its name in the API.
    name: String,
    node: Option<NodeFacts>,
    lease: Option<LeaseFacts>,
    /// The time by the API server's clock, when the Lease was read.
    now: Timestamp,
    /// The version of the API server.
    server: Option<String>,
    /// The versions of the API servers that could be asked each at its own address: while they are renewed they differ.
    #[serde(default)]
    servers: Vec<String>,
    /// The kubelet as its host sees it.
    kubelet: ComponentState,
    /// All the other Nodes that the site file does not know; then nothing else is here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    others: Option<Others>,
}

/// Nodes that the site file does not know.
#[derive(Clone, Serialize, Deserialize)]
struct Others {
    count: usize,
    /// The first of them.
    names: Vec<String>,
}

/// What may explain what is wrong with a Node.
#[derive(Default, Serialize, Deserialize)]
struct Depth {
    /// The end of the kubelet's journal.
    journal: Option<Evidence>,
    /// How much is left of what the kubelet watches; absent where nobody could look.
    left: Option<HeadroomReply>,
}

impl Probe for NodesReady {
    type Facts = Facts;

    async fn gather(ctx: &Ctx, member: &Member) -> Result<Facts, Unjudged> {
        if member.host.is_none() {
            return others(ctx).await;
        }
        let host = member.host.as_deref().and_then(|name| ctx.site.host(name));
        let name = host.map_or_else(
            || member.host.clone().unwrap_or_default(),
            |host| host.node().to_owned(),
        );
        let api = ctx.api()?;
        let (nodes, ready, kubelet, servers) =
            futures::join!(api.nodes(), api.ready(), kubelet(ctx, host), servers(ctx));
        let node = nodes?.iter().find(|node| node.name == name).cloned();
        let leases = api.node_leases().await?;
        let mut facts = Facts {
            lease: leases.get(&name).cloned(),
            now: api.now().await?,
            node,
            name,
            server: ready?.version,
            servers,
            kubelet,
            others: None,
        };
        if host.is_some() && facts.node.is_some() && facts.only_time_can_tell() {
            watch(ctx, &mut facts).await?;
        }
        Ok(facts)
    }

    fn judge(facts: &Facts, expect: &Expect<'_>) -> Judged {
        Ok(facts.findings(expect, None))
    }

    fn evidence(facts: &Facts, _: &Expect<'_>) -> Vec<Evidence> {
        let mut evidence = Vec::new();
        if let Some(node) = &facts.node {
            let line = |c: &ConditionFacts| format!("{} {} {}: {}", c.r#type, c.status, c.reason, c.message);
            let title = phrase::NodeConditions { node: &facts.name };
            evidence.extend(Evidence::lines(title, node.conditions.iter().map(line)));
        }
        if let Some(renewed) = facts.lease.as_ref().and_then(|lease| lease.renewed) {
            let line = phrase::LeaseRenewed {
                renewed: &renewed,
                now: &facts.now,
            };
            evidence.extend(Evidence::lines(phrase::NodeLease, [Line::said(line)]));
        }
        evidence
    }
}

impl Trace for NodesReady {
    type Depth = Depth;

    async fn trace(ctx: &Ctx, member: &Member, facts: &Facts, _: &[Finding]) -> Depth {
        let Ok(host) = ctx.host(member) else {
            return Depth::default();
        };
        let socket = host.runtime.clone();
        let unit = facts.kubelet.unit(&KUBELET);
        let (journal, left) = futures::join!(
            ctx.journal(&host.name, &unit),
            ctx.ask_runtime(&host.name, Headroom { socket })
        );
        Depth {
            journal,
            left: left.ok(),
        }
    }

    fn explain(_: Vec<Finding>, facts: &Facts, depth: &Depth, expect: &Expect<'_>) -> Vec<Finding> {
        facts.findings(expect, depth.left.as_ref())
    }

    fn deeper(depth: &Depth, _: &Expect<'_>) -> Vec<Evidence> {
        depth.journal.iter().cloned().collect()
    }
}

/// Counts the Nodes that have no result of their own.
async fn others(ctx: &Ctx) -> Result<Facts, Unjudged> {
    let api = ctx.api()?;
    let nodes = api.nodes().await?;
    let names: Vec<&str> = other_strangers(&ctx.site, &nodes).collect();
    Ok(Facts {
        name: String::new(),
        node: None,
        lease: None,
        now: api.now().await?,
        server: None,
        servers: Vec::new(),
        kubelet: ComponentState::default(),
        others: Some(Others {
            count: names.len(),
            names: names
                .iter()
                .take(EXAMPLES)
                .map(|name| (*name).to_owned())
                .collect(),
        }),
    })
}

/// What the host itself says of its kubelet; nothing where it cannot be asked.
async fn kubelet(ctx: &Ctx, host: Option<&Host>) -> ComponentState {
    match host {
        Some(host) => component::look(ctx, &host.name, &KUBELET).await,
        None => ComponentState::default(),
    }
}

/// Returns the versions of the API servers that could be asked each at its own address.
async fn servers(ctx: &Ctx) -> Vec<String> {
    let servers = ctx.fixtures().servers(ctx).await;
    let versions = servers
        .values()
        .flatten()
        .filter_map(|server| server.ready.version.clone());
    versions.collect()
}

/// Watches the Lease until it is renewed or too old.
async fn watch(ctx: &Ctx, facts: &mut Facts) -> Result<(), Unjudged> {
    let api = ctx.api()?;
    let first = facts.lease.as_ref().and_then(|lease| lease.renewed);
    let since = Instant::now();
    while since.elapsed() < LIMIT + Duration::from_secs(1) {
        tokio::time::sleep(POLL).await;
        facts.lease = api.node_leases().await?.get(&facts.name).cloned();
        facts.now = api.now().await?;
        let renewed = facts.lease.as_ref().and_then(|lease| lease.renewed) != first;
        if renewed || facts.age().is_some_and(|age| age > LIMIT) {
            break;
        }
    }
    Ok(())
}

impl Facts {
    /// Returns how old the Lease is.
    fn age(&self) -> Option<Duration> {
        let renewed = self.lease.as_ref()?.renewed?;
        Some(Duration::try_from(self.now.duration_since(renewed)).unwrap_or_default())
    }

    fn answers(&self) -> bool {
        self.kubelet.state(&KUBELET) == State::Answers
    }

    /// Returns whether the host's own word is not enough, so that the Lease must show whether the kubelet lives.
    fn only_time_can_tell(&self) -> bool {
        if self.kubelet.runs() == Some(false) || self.kubelet.stopped().is_some() {
            return false;
        }
        match self.age() {
            // A Node that has just joined gets its Lease within seconds.
            None => true,
            Some(age) => age <= LIMIT && !self.answers(),
        }
    }

    /// Returns what is wrong with the Node, with the figures of what is left on its host where they are known.
    fn findings(&self, expect: &Expect<'_>, left: Option<&HeadroomReply>) -> Vec<Finding> {
        let node = &self.name;
        if let Some(Others { count, names }) = &self.others {
            let names = &names.join(", ");
            return vec![Finding::warn(cause::NodesUnknown { names, count })];
        }
        let Some(host) = expect.host else {
            return vec![Finding::warn(cause::NodeUnknown { node })];
        };
        let Some(found) = &self.node else {
            let mut findings = vec![Finding::fail(cause::NodeMissing { node })];
            findings.extend(self.life());
            return findings;
        };
        let mut findings: Vec<Finding> = self.life().into_iter().collect();
        findings.extend(reported::readiness(found));
        findings.extend(reported::pressures(found, left));
        findings.extend(reported::conditions(found));
        if !host.roles.contains(&Role::Worker) {
            findings.push(Finding::warn(cause::NodeWithoutRole {
                node,
                host: &host.name,
            }));
        } else if host.schedulable {
            findings.extend(reported::closed(found, host));
        }
        findings.extend(self.skew(found));
        findings
    }

    /// Returns what is wrong with the kubelet's life.
    fn life(&self) -> Option<Finding> {
        let node = &self.name;
        if let Some(process) = self.kubelet.stopped().filter(|_| !self.answers()) {
            let state = &process.state;
            return Some(Finding::fail(cause::KubeletHung { node, state }));
        }
        if self.kubelet.runs() == Some(false) && !self.answers() {
            return Some(Finding::fail(cause::KubeletStopped { node }));
        }
        self.node.as_ref()?;
        let Some(age) = self.age() else {
            return Some(Finding::fail(cause::LeaseMissing { node }));
        };
        (age > LIMIT).then(|| {
            Finding::fail(cause::LeaseStale {
                node,
                limit: &LIMIT.as_secs(),
                age: &age.as_secs(),
            })
        })
    }

    fn skew(&self, node: &NodeFacts) -> Option<Finding> {
        let ours = minor(&node.kubelet)?;
        let servers = self.servers.iter().chain(&self.server);
        let wrong = |server: &&String| minor(server).is_some_and(|theirs| !is_supported(ours, theirs));
        let server = servers.into_iter().find(wrong)?;
        Some(Finding::fail(cause::VersionSkew {
            node: &self.name,
            kubelet: &node.kubelet,
            server,
        }))
    }
}

/// Returns whether a kubelet of a minor version may stand under an API server of another: none that is newer, and none that
/// is older by more than three, by more than two before 1.28 (kubernetes.io/releases/version-skew-policy).
const fn is_supported(kubelet: u32, server: u32) -> bool {
    let most = if server < 28 { 2 } else { 3 };
    kubelet <= server && server - kubelet <= most
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::components::component::tests::{hung, refused, stopped, well};
    use crate::checks::testing::{expect, judged, site};
    use crate::cluster::TaintFacts;
    use crate::findings::{CauseId, Outcome};
    use crate::protocol::Left;
    use crate::suite::fixtures::why::tests::node;

    fn healthy() -> Facts {
        let now: Timestamp = "2026-11-23T09:00:10Z".parse().unwrap();
        Facts {
            name: "node-1".to_owned(),
            node: Some(node("node-1")),
            lease: Some(LeaseFacts {
                holder: "node-1".to_owned(),
                renewed: "2026-11-23T09:00:05Z".parse().ok(),
            }),
            now,
            server: Some("v1.37.2".to_owned()),
            servers: Vec::new(),
            kubelet: well("kubelet"),
            others: None,
        }
    }

    fn judge(facts: &Facts) -> (Outcome, Option<CauseId>) {
        let site = site();
        judged::<NodesReady>(facts, &expect(&site, &facts.name))
    }

    fn fails(change: impl FnOnce(&mut Facts)) -> CauseId {
        let mut facts = healthy();
        change(&mut facts);
        let (outcome, cause) = judge(&facts);
        assert_eq!(outcome, Outcome::Fail);
        cause.unwrap()
    }

    #[test]
    fn nodes_that_share_a_result_are_counted_and_some_are_named() {
        let mut facts = healthy();
        facts.others = Some(Others {
            count: 4980,
            names: vec!["a".to_owned(), "b".to_owned()],
        });
        let site = site();
        let expect = Expect {
            host: None,
            ..expect(&site, "node-0")
        };
        let found = NodesReady::judge(&facts, &expect).unwrap();
        let args = found[0].cause.args();
        assert_eq!((args["count"].as_str(), args["names"].as_str()), ("4980", "a, b"));
        assert_eq!(found[0].severity.outcome(), Outcome::Warn);
    }

    #[test]
    fn a_healthy_node_passes() {
        assert_eq!(judge(&healthy()), (Outcome::Pass, None));
    }

    #[test]
    fn a_stopped_kubelet_fails_though_the_node_is_still_ready_and_its_lease_young() {
        assert_eq!(fails(|facts| facts.kubelet = stopped()), CauseId::KubeletStopped);
        assert_eq!(
            fails(|facts| facts.kubelet = hung("kubelet")),
            CauseId::KubeletHung
        );
    }

    #[test]
    fn a_lease_that_is_old_or_absent_fails_though_the_node_is_still_ready() {
        let old = |facts: &mut Facts| facts.now = "2026-11-23T09:00:26Z".parse().unwrap();
        assert_eq!(fails(old), CauseId::LeaseStale);
        assert_eq!(fails(|facts| facts.lease = None), CauseId::LeaseMissing);
    }

    #[test]
    fn only_a_silent_kubelet_makes_us_watch_the_lease() {
        let mut facts = healthy();
        assert!(!facts.only_time_can_tell());
        facts.kubelet.health = Some(refused());
        assert!(facts.only_time_can_tell());
        facts.kubelet.processes = Some(Vec::new());
        assert!(!facts.only_time_can_tell());
        // k3s runs the kubelet inside its own process and may serve no healthz.
        facts.kubelet.processes = None;
        assert!(facts.only_time_can_tell());
    }

    #[test]
    fn states_of_the_node_fail_with_their_cause() {
        assert_eq!(fails(|facts| facts.node = None), CauseId::NodeMissing);
        let not_ready =
            |facts: &mut Facts| facts.node.as_mut().unwrap().conditions[0].status = "Unknown".to_owned();
        assert_eq!(fails(not_ready), CauseId::NodeNotReady);
        assert_eq!(
            fails(|facts| facts.node.as_mut().unwrap().conditions.clear()),
            CauseId::NodeUnreported
        );
        assert_eq!(
            fails(|facts| facts.node.as_mut().unwrap().unschedulable = true),
            CauseId::NodeCordoned
        );
        let taint = |facts: &mut Facts| {
            facts.node.as_mut().unwrap().taints.push(TaintFacts {
                key: "gpu".to_owned(),
                value: "yes".to_owned(),
                effect: "NoSchedule".to_owned(),
            });
        };
        assert_eq!(fails(taint), CauseId::NodeTainted);
    }

    #[test]
    fn a_pressure_has_the_figures_of_its_host_where_they_are_known() {
        let site = site();
        let expect = expect(&site, "node-1");
        let mut facts = healthy();
        facts.node.as_mut().unwrap().conditions.push(ConditionFacts {
            r#type: "DiskPressure".to_owned(),
            status: "True".to_owned(),
            reason: "KubeletHasDiskPressure".to_owned(),
            message: "kubelet has disk pressure".to_owned(),
        });
        let findings = NodesReady::judge(&facts, &expect).unwrap();
        assert_eq!(findings[0].cause.id(), CauseId::NodePressureUnmeasured);
        let none = Left {
            available: 0,
            capacity: 0,
        };
        let left = HeadroomReply {
            disk: Left {
                available: 1 << 30,
                capacity: 20 << 30,
            },
            memory: none,
            processes: none,
        };
        let depth = Depth {
            journal: None,
            left: Some(left),
        };
        let findings = NodesReady::explain(findings, &facts, &depth, &expect);
        assert_eq!(findings[0].cause.id(), CauseId::NodePressure);
        assert_eq!(findings[0].cause.args()["available"], "1.0 GiB");
        assert_eq!(findings[0].cause.args()["capacity"], "20.0 GiB");
    }

    #[test]
    fn versions_too_far_apart_fail() {
        assert_eq!(
            fails(|facts| facts.server = Some("v1.36.0".to_owned())),
            CauseId::VersionSkew
        );
        assert_eq!(
            fails(|facts| facts.server = Some("v1.41.0".to_owned())),
            CauseId::VersionSkew
        );
        let mut facts = healthy();
        facts.server = Some("v1.40.0".to_owned());
        assert_eq!(judge(&facts), (Outcome::Pass, None));
    }

    #[test]
    fn a_kubelet_is_measured_against_the_oldest_and_the_newest_api_server() {
        let with = |servers: &[&str]| {
            fails(|facts| facts.servers = servers.iter().map(|one| (*one).to_owned()).collect())
        };
        // Half of a renewal: one server is still of the version before the kubelet's.
        assert_eq!(with(&["v1.37.2", "v1.36.9"]), CauseId::VersionSkew);
        assert_eq!(with(&["v1.37.2", "v1.41.0"]), CauseId::VersionSkew);
        assert!(is_supported(25, 28) && !is_supported(24, 27) && is_supported(25, 27));
    }

    #[test]
    fn an_unknown_node_warns_and_a_node_that_may_be_closed_passes() {
        let mut facts = healthy();
        facts.name = "node-9".to_owned();
        assert_eq!(judge(&facts), (Outcome::Warn, Some(CauseId::NodeUnknown)));
        let mut site = site();
        site.hosts[2].schedulable = false;
        let mut facts = healthy();
        facts.node.as_mut().unwrap().unschedulable = true;
        assert_eq!(
            judged::<NodesReady>(&facts, &expect(&site, "node-1")),
            (Outcome::Pass, None)
        );
    }
}
