//! `components.workers`: the container runtime, the kubelet and kube-proxy of a worker run and answer.

mod runtime;
pub(in crate::checks) mod service_proxy;

use serde::{Deserialize, Serialize};

use super::component::known::{KUBE_PROXY, KUBELET};
use super::component::{self, ComponentState, State};
use crate::cluster::Permission;
use crate::findings::{Evidence, Finding, Judged, Line, Unjudged, phrase};
use crate::site::Host;
use crate::suite::{Check, Ctx, Expect, Member, Probe, Scope, Trace};
use runtime::Runtime;
use service_proxy::ServiceProxy;

pub(super) const CHECK: Check = Check::of::<Workers>("components.workers", Scope::Worker)
    .permissions(&[Permission::across("list", "", "nodes")])
    .confirmed()
    .traced::<Workers>();

/// What findings about the container runtime are about; those about the others bear the component's name.
const RUNTIME: &str = "containerd";

struct Workers;

#[derive(Clone, Serialize, Deserialize)]
struct Facts {
    runtime: Runtime,
    kubelet: ComponentState,
    proxy: ServiceProxy,
    /// The kubelet's version, as its Node says it; absent where the API could not tell.
    kubelet_version: Option<String>,
}

impl Probe for Workers {
    type Facts = Facts;

    async fn gather(ctx: &Ctx, member: &Member) -> Result<Facts, Unjudged> {
        let host = ctx.host(member)?;
        let (runtime, kubelet, proxy, kubelet_version) = futures::join!(
            runtime::look(ctx, host),
            component::look(ctx, &host.name, &KUBELET),
            service_proxy::look(ctx, host),
            kubelet_version(ctx, host.node())
        );
        Ok(Facts {
            runtime: runtime?,
            kubelet,
            proxy,
            kubelet_version,
        })
    }

    fn judge(facts: &Facts, expect: &Expect<'_>) -> Judged {
        let host = expect.host()?;
        // The kubelet may be down because the runtime is, so that comes first.
        let runtime = facts.runtime.findings(&host.name);
        let kubelet = facts.kubelet(host);
        let proxy = facts.proxy.finding(&host.name);
        let others = [
            kubelet.map(|finding| finding.of(KUBELET.name)),
            proxy.map(|finding| finding.of(KUBE_PROXY.name)),
        ];
        let runtime = runtime.into_iter().map(|finding| finding.of(RUNTIME));
        Ok(runtime.chain(others.into_iter().flatten()).collect())
    }

    fn evidence(facts: &Facts, expect: &Expect<'_>) -> Vec<Evidence> {
        let seen = [
            facts.runtime.evidence(),
            facts.kubelet.evidence(&KUBELET),
            facts.proxy.evidence(),
        ];
        facts.versions(expect).into_iter().chain(seen).collect()
    }
}

impl Trace for Workers {
    /// The ends of the journals of what is not well.
    type Depth = Vec<Evidence>;

    async fn trace(ctx: &Ctx, member: &Member, facts: &Facts, findings: &[Finding]) -> Vec<Evidence> {
        let host = member.host.as_deref().unwrap_or_default();
        let units = [
            (RUNTIME, facts.runtime.unit()),
            (KUBELET.name, facts.kubelet.unit(&KUBELET)),
            (KUBE_PROXY.name, facts.proxy.life.unit(&KUBE_PROXY)),
        ];
        component::journals(ctx, host, &units, findings).await
    }

    fn explain(findings: Vec<Finding>, _: &Facts, _: &Vec<Evidence>, _: &Expect<'_>) -> Vec<Finding> {
        findings
    }

    fn deeper(journals: &Vec<Evidence>, _: &Expect<'_>) -> Vec<Evidence> {
        journals.clone()
    }
}

/// Returns the version of a Node's kubelet. An API server that does not answer is no business of this check.
async fn kubelet_version(ctx: &Ctx, node: &str) -> Option<String> {
    let nodes = tokio::time::timeout(std::time::Duration::from_secs(4), ctx.api().ok()?.nodes()).await;
    let nodes = nodes.ok()?.ok()?;
    let found = nodes.iter().find(|found| found.name == node);
    found.map(|node| node.kubelet.clone())
}

impl Facts {
    /// Returns what is wrong with the kubelet. Whether it lives is said of the Node, as nodes.ready says it.
    fn kubelet(&self, host: &Host) -> Option<Finding> {
        let name = match self.kubelet.state(&KUBELET) {
            State::Stopped | State::Hung(_) => host.node(),
            _ => &host.name,
        };
        self.kubelet.finding(&KUBELET, name)
    }

    fn versions(&self, expect: &Expect<'_>) -> Option<Evidence> {
        let line = |program: &str, version: Option<&String>| match version {
            Some(version) => Line::from(format!("{program} {version}")),
            None => Line::said(phrase::VersionUnknown { program: &program }),
        };
        let lines = [
            self.runtime.version(),
            line(KUBELET.name, self.kubelet_version.as_ref()),
            line(KUBE_PROXY.name, self.proxy.version.as_ref()),
        ];
        let host = &expect.host?.name;
        Evidence::lines(phrase::Versions { host }, lines)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::checks::components::component::tests::{answer, hung, process, refused, stopped, well};
    use crate::checks::testing::{expect, site};
    use crate::findings::{Cause, CauseId, Outcome, Verdict};
    use crate::protocol::{CriCondition, CriStatusReply, HttpReply};
    use crate::suite::Seen;
    use runtime::NoAnswer;

    fn healthy() -> Facts {
        Facts {
            runtime: Runtime {
                answer: Ok(CriStatusReply {
                    socket: "/run/containerd/containerd.sock".to_owned(),
                    runtime: "containerd".to_owned(),
                    version: "v2.4.2".to_owned(),
                    sandbox_image: None,
                    snapshotter: None,
                    conditions: ["RuntimeReady", "NetworkReady"].map(holds).to_vec(),
                }),
                processes: Some(vec![process("containerd", 'S')]),
            },
            kubelet: well("kubelet"),
            proxy: ServiceProxy {
                life: well("kube-proxy"),
                version: Some("v1.37.2".to_owned()),
                installed: Vec::new(),
                instead: Vec::new(),
                serving: BTreeMap::new(),
                elsewhere: Vec::new(),
            },
            kubelet_version: Some("v1.37.2".to_owned()),
        }
    }

    fn holds(name: &str) -> CriCondition {
        CriCondition {
            name: name.to_owned(),
            holds: true,
            reason: String::new(),
            message: "".into(),
        }
    }

    #[test]
    fn a_runtime_that_says_that_it_is_not_ready_fails() {
        let network = |facts: &mut Facts| {
            let Ok(status) = &mut facts.runtime.answer else {
                return;
            };
            status.conditions[1] = CriCondition {
                holds: false,
                reason: "NetworkPluginNotReady".to_owned(),
                message: "cni plugin not initialized".into(),
                ..holds("NetworkReady")
            };
            // What it says besides is no part of the CRI's promise.
            status.conditions.push(CriCondition {
                holds: false,
                ..holds("ContainerdHasNoDeprecationWarnings")
            });
        };
        assert_eq!(judged(network), (FAIL, Some(CauseId::RuntimeNotReady)));
    }

    fn changed(change: impl FnOnce(&mut Facts)) -> Facts {
        let mut facts = healthy();
        change(&mut facts);
        facts
    }

    /// Returns what the check makes of two readings, the second where the first asks for one.
    fn verdict(first: &Facts, second: &Facts) -> Verdict {
        let site = site();
        let seen = Seen {
            facts: serde_json::to_value(first).unwrap().into(),
            again: Some(serde_json::to_value(second).unwrap().into()),
            depth: None,
        };
        CHECK.judge(&seen, &expect(&site, "node-1"))
    }

    fn judged(change: impl FnOnce(&mut Facts)) -> (Outcome, Option<CauseId>) {
        let facts = changed(change);
        let verdict = verdict(&facts, &facts);
        (verdict.outcome(), verdict.cause().map(Cause::id))
    }

    fn silent(facts: &mut Facts, message: &str, processes: &[(&str, char)]) {
        facts.runtime.answer = Err(NoAnswer {
            message: message.to_owned(),
            late: message.starts_with("no answer"),
            denied: message == "permission denied",
        });
        let processes = processes.iter().map(|(name, state)| process(name, *state));
        facts.runtime.processes = Some(processes.collect());
    }

    const FAIL: Outcome = Outcome::Fail;

    #[test]
    fn a_worker_that_answers_passes() {
        assert_eq!(judged(|_| ()), (Outcome::Pass, None));
        // The API is no part of it.
        assert_eq!(
            judged(|facts| facts.kubelet_version = None),
            (Outcome::Pass, None)
        );
    }

    #[test]
    fn a_runtime_that_is_stopped_or_hangs_comes_before_the_kubelet_that_needs_it() {
        let dead = |facts: &mut Facts| {
            silent(facts, "connection refused", &[]);
            facts.kubelet = stopped();
        };
        assert_eq!(judged(dead), (FAIL, Some(CauseId::ContainerdStopped)));
        let stuck = |facts: &mut Facts| silent(facts, "no answer within 5 s", &[("containerd", 'T')]);
        assert_eq!(judged(stuck), (FAIL, Some(CauseId::ContainerdHung)));
        let late = |facts: &mut Facts| silent(facts, "no answer within 5 s", &[("containerd", 'D')]);
        assert_eq!(judged(late), (FAIL, Some(CauseId::ContainerdHung)));
        let refuses = |facts: &mut Facts| silent(facts, "connection refused", &[("containerd", 'S')]);
        assert_eq!(judged(refuses), (FAIL, Some(CauseId::RuntimeSilent)));
        let forbidden = |facts: &mut Facts| silent(facts, "permission denied", &[("containerd", 'S')]);
        assert_eq!(judged(forbidden), (Outcome::Error, Some(CauseId::RuntimeSilent)));
    }

    #[test]
    fn a_kubelet_that_is_stopped_hangs_or_is_not_well_fails() {
        assert_eq!(
            judged(|facts| facts.kubelet = stopped()),
            (FAIL, Some(CauseId::KubeletStopped))
        );
        assert_eq!(
            judged(|facts| facts.kubelet = hung("kubelet")),
            (FAIL, Some(CauseId::KubeletHung))
        );
        let sick = |facts: &mut Facts| facts.kubelet.health = Some(answer(500, "syncloop"));
        assert_eq!(judged(sick), (FAIL, Some(CauseId::ComponentUnhealthy)));
        let late = |facts: &mut Facts| facts.kubelet.health = Some(HttpReply::Silent { connected: true });
        assert_eq!(judged(late), (FAIL, Some(CauseId::KubeletHung)));
        let deaf = |facts: &mut Facts| facts.kubelet.health = Some(refused());
        assert_eq!(judged(deaf), (FAIL, Some(CauseId::ComponentRefuses)));
        let unseen = |facts: &mut Facts| facts.kubelet.processes = None;
        assert_eq!(judged(unseen), (Outcome::Error, Some(CauseId::ComponentUnseen)));
        let unseen = |facts: &mut Facts| facts.kubelet = ComponentState::default();
        assert_eq!(judged(unseen), (Outcome::Error, Some(CauseId::ComponentUnseen)));
    }

    #[test]
    fn a_kube_proxy_that_is_stopped_hangs_or_is_stale_fails() {
        let dead = |facts: &mut Facts| {
            facts.proxy.life = stopped();
            facts.proxy.installed = vec!["/etc/systemd/system/kube-proxy.service".to_owned()];
        };
        assert_eq!(judged(dead), (FAIL, Some(CauseId::KubeProxyStopped)));
        let here = |facts: &mut Facts| {
            facts.proxy.life = stopped();
            facts.proxy.elsewhere = vec!["node-0".to_owned()];
        };
        assert_eq!(judged(here), (FAIL, Some(CauseId::KubeProxyStopped)));
        assert_eq!(
            judged(|facts| facts.proxy.life = hung("kube-proxy")),
            (FAIL, Some(CauseId::KubeProxyHung))
        );
        let stale = |facts: &mut Facts| facts.proxy.life.health = Some(answer(503, r#"{"lastUpdated":"x"}"#));
        assert_eq!(judged(stale), (FAIL, Some(CauseId::ComponentUnhealthy)));
    }

    #[test]
    fn another_program_in_kube_proxys_place_passes_and_none_at_all_warns() {
        let replaced = |facts: &mut Facts| {
            facts.proxy.life = stopped();
            facts.proxy.instead = vec!["cilium-agent".to_owned()];
        };
        let set = |serves: bool| {
            move |facts: &mut Facts| {
                replaced(facts);
                facts.proxy.serving = BTreeMap::from([("cilium-agent".to_owned(), serves)]);
            }
        };
        assert_eq!(judged(set(true)), (Outcome::Pass, None));
        // Its DaemonSet was removed, and Cilium is not set to replace it.
        assert_eq!(judged(set(false)), (FAIL, Some(CauseId::ServiceProxyNone)));
        assert_eq!(
            judged(replaced),
            (Outcome::Warn, Some(CauseId::ServiceProxyUntold))
        );
        let left_over = |facts: &mut Facts| {
            set(true)(facts);
            facts.proxy.installed = vec!["/usr/local/bin/kube-proxy".to_owned()];
        };
        assert_eq!(judged(left_over), (Outcome::Pass, None));
        // cilium-agent beside kube-proxy, which runs on another worker and not here.
        let beside = |facts: &mut Facts| {
            replaced(facts);
            facts.proxy.elsewhere = vec!["node-0".to_owned()];
        };
        assert_eq!(judged(beside), (FAIL, Some(CauseId::KubeProxyStopped)));
        // Stopped everywhere, or left over: only its files are there.
        let unclear = |facts: &mut Facts| {
            replaced(facts);
            facts.proxy.installed = vec!["/usr/local/bin/kube-proxy".to_owned()];
        };
        assert_eq!(
            judged(unclear),
            (Outcome::Warn, Some(CauseId::ServiceProxyUnclear))
        );
        let nothing = |facts: &mut Facts| facts.proxy.life = stopped();
        assert_eq!(
            judged(nothing),
            (Outcome::Warn, Some(CauseId::ServiceProxyUnknown))
        );
    }

    #[test]
    fn what_only_one_reading_shows_does_not_count() {
        let deaf = changed(|facts| facts.kubelet.health = Some(refused()));
        let refusing = changed(|facts| silent(facts, "connection refused", &[("containerd", 'S')]));
        for first in [deaf, refusing] {
            assert_eq!(verdict(&first, &healthy()).outcome(), Outcome::Pass);
        }
        let gone = changed(|facts| facts.kubelet = stopped());
        assert_eq!(verdict(&gone, &healthy()).outcome(), Outcome::Fail);
    }

    #[test]
    fn k3s_and_cri_o_pass() {
        let k3s = |facts: &mut Facts| {
            for life in [&mut facts.kubelet, &mut facts.proxy.life] {
                life.processes = Some(vec![process("k3s-agent", 'S')]);
            }
        };
        assert_eq!(judged(k3s), (Outcome::Pass, None));
        let crio = |facts: &mut Facts| facts.runtime.processes = Some(vec![process("crio", 'S')]);
        assert_eq!(judged(crio), (Outcome::Pass, None));
    }
}
