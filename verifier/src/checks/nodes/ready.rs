//! `nodes.ready`: Ready, alive by its Lease, under no pressure, open for pods, of a supported version.

use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::checks::api::ready::minor;
use crate::checks::components::component::known::KUBELET;
use crate::checks::components::component::{self, ComponentState, State};
use crate::cluster::{LeaseFacts, NodeFacts, Permission};
use crate::findings::{Cause, CauseId, Evidence, Finding, Trouble, Verdict};
use crate::protocol::{Headroom, HeadroomReply};
use crate::site::Host;
use crate::suite::{About, Check, Ctx, Expect, Member, Probe, Scope};

/// A Lease must have been renewed within this; the kubelet renews every 10 s.
const LIMIT: Duration = Duration::from_secs(20);
/// How often the Lease is read where only time can tell.
const POLL: Duration = Duration::from_millis(500);

pub(super) const CHECK: Check = Check::of::<NodesReady>(About {
    id: "nodes.ready",
    scope: Scope::Worker,
    needs: &[],
    permissions: &[
        Permission::across("list", "", "nodes"),
        Permission::across("list", "coordination.k8s.io", "leases"),
    ],
    summary: "the Node is Ready, its kubelet gives signs of life, it takes pods",
    explain: "Proves that the Node is Ready, that its kubelet runs and has renewed its Lease in kube-node-lease within \
20 s (the Ready condition stays true for most of a minute after a kubelet dies), that it reports no pressure of disk, \
memory or PIDs, is neither cordoned nor tainted so that the suite's pods stay away (schedulable: false in the site \
file allows it), and that its version is one that the API server supports. A Node that the site file does not know is \
a warning under its own name.\n\nUsual causes of failure, in order: the kubelet is stopped or hangs; its client \
certificate has expired; it does not reach the API server; the container runtime or the CNI is not there; the disk is \
full.\n\nWhere to look: `journalctl -u kubelet` on the node.",
    by_hand: "kubectl get nodes; kubectl -n kube-node-lease get lease; ssh {host} systemctl status kubelet",
})
.with_strangers();

struct NodesReady;

#[derive(Clone, Serialize, Deserialize)]
struct Facts {
    /// Its name in the API.
    name: String,
    node: Option<NodeFacts>,
    lease: Option<LeaseFacts>,
    /// The time by the API server's clock, when the Lease was read.
    now: Timestamp,
    /// Whether the Lease was seen to be renewed while we looked.
    renewed: bool,
    /// The version of the API server.
    server: Option<String>,
    /// The kubelet as its host sees it.
    kubelet: ComponentState,
    /// The end of the kubelet's journal, where something is wrong.
    journal: Option<Evidence>,
    /// How much is left of what the kubelet watches, where it reports pressure.
    left: Option<HeadroomReply>,
}

impl Probe for NodesReady {
    type Facts = Facts;

    async fn gather(ctx: &Ctx, member: &Member) -> Result<Facts, Trouble> {
        let host = member.host.as_deref().and_then(|name| ctx.site.host(name));
        let name = host.map_or_else(
            || member.host.clone().unwrap_or_default(),
            |host| host.node().to_owned(),
        );
        let api = ctx.api()?;
        let (nodes, ready, live) = futures::join!(api.nodes(), api.ready(), live(ctx, host));
        let node = nodes?.into_iter().find(|node| node.name == name);
        let mut leases = api.node_leases().await?;
        let mut facts = Facts {
            lease: leases.remove(&name),
            now: api.now().await?,
            node,
            name,
            renewed: false,
            server: ready?.version,
            kubelet: live,
            journal: None,
            left: None,
        };
        if host.is_some() && facts.node.is_some() && facts.only_time_can_tell() {
            watch(ctx, &mut facts).await?;
        }
        if let Some(host) = host
            && !facts.findings(Some(host)).is_empty()
        {
            facts.journal = ctx.journal(&host.name, "kubelet.service").await;
            let ask = Headroom {
                socket: host.runtime.clone(),
            };
            facts.left = ctx.ask_runtime(&host.name, ask).await.ok();
        }
        Ok(facts)
    }

    fn judge(facts: &Facts, expect: &Expect<'_>) -> Verdict {
        let mut evidence = Vec::new();
        if let Some(node) = &facts.node {
            let lines: Vec<String> = node
                .conditions
                .iter()
                .map(|c| format!("{} {} {}: {}", c.r#type, c.status, c.reason, c.message))
                .collect();
            evidence.extend(Evidence::lines(format!("conditions of {}", facts.name), &lines));
        }
        let renewed = facts.lease.as_ref().and_then(|lease| lease.renewed);
        if let Some(renewed) = renewed {
            let text = format!(
                "renewed {renewed}, looked at {} by the API server's clock",
                facts.now
            );
            evidence.push(Evidence::new("Lease in kube-node-lease", text));
        }
        evidence.extend(facts.journal.clone());
        Verdict::of(facts.findings(expect.host)).with(evidence)
    }
}

/// What the host itself says of its kubelet; nothing where it cannot be asked.
async fn live(ctx: &Ctx, host: Option<&Host>) -> ComponentState {
    match host {
        Some(host) => component::look(ctx, &host.name, &KUBELET).await,
        None => ComponentState::default(),
    }
}

/// Watches the Lease until it is renewed or too old.
async fn watch(ctx: &Ctx, facts: &mut Facts) -> Result<(), Trouble> {
    let api = ctx.api()?;
    let first = facts.lease.as_ref().and_then(|lease| lease.renewed);
    let since = Instant::now();
    while since.elapsed() < LIMIT + Duration::from_secs(1) {
        tokio::time::sleep(POLL).await;
        facts.lease = api.node_leases().await?.remove(&facts.name);
        facts.now = api.now().await?;
        facts.renewed = facts.lease.as_ref().and_then(|lease| lease.renewed) != first;
        if facts.renewed || facts.age().is_some_and(|age| age > LIMIT) {
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

    fn findings(&self, host: Option<&Host>) -> Vec<Finding> {
        let of = |id| Cause::new(id).with("node", &self.name);
        let Some(host) = host else {
            return vec![Finding::warn(of(CauseId::NodeUnknown))];
        };
        let Some(node) = &self.node else {
            let mut findings = vec![Finding::fail(of(CauseId::NodeMissing))];
            findings.extend(self.life());
            return findings;
        };
        let mut findings: Vec<Finding> = self.life().into_iter().collect();
        findings.extend(state(node, self.left.as_ref()));
        if host.schedulable {
            findings.extend(closed(node));
        }
        findings.extend(self.skew(node));
        findings
    }

    /// Returns what is wrong with the kubelet's life.
    fn life(&self) -> Option<Finding> {
        let of = |id| Cause::new(id).with("node", &self.name);
        if let Some(process) = self.kubelet.stopped().filter(|_| !self.answers()) {
            return Some(Finding::fail(
                of(CauseId::KubeletHung).with("state", process.state),
            ));
        }
        if self.kubelet.runs() == Some(false) && !self.answers() {
            return Some(Finding::fail(of(CauseId::KubeletStopped)));
        }
        self.node.as_ref()?;
        let Some(age) = self.age() else {
            return Some(Finding::fail(of(CauseId::LeaseMissing)));
        };
        (age > LIMIT).then(|| {
            let cause = of(CauseId::LeaseStale)
                .with("age", age.as_secs())
                .with("limit", LIMIT.as_secs());
            Finding::fail(cause)
        })
    }

    fn skew(&self, node: &NodeFacts) -> Option<Finding> {
        let server = self.server.as_deref()?;
        let (ours, theirs) = (minor(&node.kubelet)?, minor(server)?);
        let supported = ours <= theirs && theirs - ours <= 3;
        (!supported).then(|| {
            let cause = Cause::new(CauseId::VersionSkew).with("node", &self.name);
            Finding::fail(cause.with("kubelet", &node.kubelet).with("server", server))
        })
    }
}

/// Returns what the Node's conditions say.
fn state(node: &NodeFacts, left: Option<&HeadroomReply>) -> Vec<Finding> {
    let mut findings = Vec::new();
    let ready = node.condition("Ready");
    if ready.is_none_or(|ready| ready.status != "True") {
        let (reason, message) = ready.map_or(("no condition", "the kubelet has never reported"), |ready| {
            (ready.reason.as_str(), ready.message.as_str())
        });
        let cause = Cause::new(CauseId::NodeNotReady).with("node", &node.name);
        findings.push(Finding::fail(
            cause.with("reason", reason).with("message", message),
        ));
    }
    let figures = |name| {
        left.map(|left| match name {
            "DiskPressure" => &left.disk,
            "MemoryPressure" => &left.memory,
            _ => &left.processes,
        })
    };
    for name in ["DiskPressure", "MemoryPressure", "PIDPressure"] {
        if let Some(condition) = node
            .condition(name)
            .filter(|condition| condition.status == "True")
        {
            let cause = Cause::new(CauseId::NodePressure)
                .with("node", &node.name)
                .with("condition", name)
                .with("message", &condition.message);
            let unknown = "nobody could look how much is left";
            let figures = figures(name).map_or(unknown, String::as_str);
            findings.push(Finding::fail(cause.with("figures", figures)));
        }
    }
    findings
}

/// Returns what keeps the suite's pods away, but for what a finding about its state explains already.
fn closed(node: &NodeFacts) -> Vec<Finding> {
    let mut findings = Vec::new();
    if node.unschedulable {
        findings.push(Finding::fail(
            Cause::new(CauseId::NodeCordoned).with("node", &node.name),
        ));
    }
    let ours = |key: &str| key.starts_with("node.kubernetes.io/");
    for taint in &node.taints {
        if (taint.effect == "NoSchedule" || taint.effect == "NoExecute") && !ours(&taint.key) {
            let text = if taint.value.is_empty() {
                format!("{}:{}", taint.key, taint.effect)
            } else {
                format!("{}={}:{}", taint.key, taint.value, taint.effect)
            };
            findings.push(Finding::fail(
                Cause::new(CauseId::NodeTainted)
                    .with("node", &node.name)
                    .with("taint", text),
            ));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::components::component::tests::{hung, refused, stopped, well};
    use crate::checks::testing::{expect, seen, site};
    use crate::cluster::{ConditionFacts, TaintFacts};
    use crate::findings::Outcome;
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
            renewed: false,
            server: Some("v1.37.2".to_owned()),
            kubelet: well("kubelet"),
            journal: None,
            left: None,
        }
    }

    fn judge(facts: &Facts) -> (Outcome, Option<CauseId>) {
        let site = site();
        seen(&NodesReady::judge(facts, &expect(&site, &facts.name)))
    }

    fn fails(change: impl FnOnce(&mut Facts)) -> CauseId {
        let mut facts = healthy();
        change(&mut facts);
        let (outcome, cause) = judge(&facts);
        assert_eq!(outcome, Outcome::Fail);
        cause.unwrap()
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
        let pressure = |facts: &mut Facts| {
            facts.node.as_mut().unwrap().conditions.push(ConditionFacts {
                r#type: "DiskPressure".to_owned(),
                status: "True".to_owned(),
                reason: "KubeletHasDiskPressure".to_owned(),
                message: "kubelet has disk pressure".to_owned(),
            });
        };
        assert_eq!(fails(pressure), CauseId::NodePressure);
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
    fn an_unknown_node_warns_and_a_node_that_may_be_closed_passes() {
        let mut facts = healthy();
        facts.name = "node-9".to_owned();
        assert_eq!(judge(&facts), (Outcome::Warn, Some(CauseId::NodeUnknown)));
        let mut site = site();
        site.hosts[2].schedulable = false;
        let mut facts = healthy();
        facts.node.as_mut().unwrap().unschedulable = true;
        let verdict = NodesReady::judge(&facts, &expect(&site, "node-1"));
        assert_eq!(seen(&verdict), (Outcome::Pass, None));
    }
}
