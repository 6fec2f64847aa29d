//! `components.workers`: the container runtime, the kubelet and kube-proxy of a worker run and answer.

mod runtime;
pub(in crate::checks) mod service_proxy;

use serde::{Deserialize, Serialize};

use super::component::known::{KUBE_PROXY, KUBELET};
use super::component::{self, ComponentState};
use crate::cluster::Permission;
use crate::findings::{Evidence, Finding, Trouble, Verdict};
use crate::suite::{About, Check, Ctx, Expect, Member, Probe, Scope};
use runtime::Runtime;
use service_proxy::ServiceProxy;

pub(super) const CHECK: Check = Check::of::<Workers>(About {
    id: "components.workers",
    scope: Scope::Worker,
    needs: &[],
    permissions: &[Permission::across("list", "", "nodes")],
    summary: "the container runtime, the kubelet and kube-proxy run and answer",
    explain: "Proves on the worker itself that the container runtime answers over the CRI, that a kubelet runs and \
answers on its health port (10248), and that kube-proxy does (10256; it answers 503 when its rules are stale). Each \
must answer: a process alone may hang. A port that was moved is found by what the process listens on. Programs that \
embed these (k3s, microk8s) and other runtimes (CRI-O) pass all the same. Where kube-proxy is replaced the program that \
replaces it is named; where nothing at all is seen to serve Services it warns.\n\nUsual causes of failure, in order: \
the unit was stopped or failed; the process hangs (state T after a SIGSTOP, state D on a dead disk); a wrong flag or \
file keeps it from starting; its certificate or kubeconfig is not accepted.\n\nWhere to look: `systemctl status \
containerd kubelet kube-proxy` and `journalctl -u` of the unit named, on the node.",
    by_hand: "ssh {host} systemctl status containerd kubelet kube-proxy; ssh {host} curl -s http://127.0.0.1:10248/healthz; \
ssh {host} curl -s http://127.0.0.1:10256/healthz; ssh {host} crictl version",
});

struct Workers;

#[derive(Clone, Serialize, Deserialize)]
struct Facts {
    host: String,
    /// Its name in the API.
    node: String,
    runtime: Runtime,
    kubelet: ComponentState,
    proxy: ServiceProxy,
    /// The kubelet's version, as its Node says it; absent where the API could not tell.
    kubelet_version: Option<String>,
    /// The ends of journals, where something is wrong.
    journals: Vec<Evidence>,
}

impl Probe for Workers {
    type Facts = Facts;

    async fn gather(ctx: &Ctx, member: &Member) -> Result<Facts, Trouble> {
        let host = ctx.host(member)?;
        let (runtime, kubelet, proxy, kubelet_version) = futures::join!(
            runtime::look(ctx, host),
            component::look(ctx, &host.name, &KUBELET),
            service_proxy::look(ctx, host),
            kubelet_version(ctx, host.node())
        );
        let mut facts = Facts {
            host: host.name.clone(),
            node: host.node().to_owned(),
            runtime,
            kubelet,
            proxy,
            kubelet_version,
            journals: Vec::new(),
        };
        for unit in facts.guilty() {
            facts.journals.extend(ctx.journal(&host.name, &unit).await);
        }
        Ok(facts)
    }

    fn judge(facts: &Facts, _: &Expect<'_>) -> Verdict {
        let seen = [
            facts.runtime.evidence(),
            facts.kubelet.evidence(&KUBELET),
            facts.proxy.evidence(),
        ];
        Verdict::of(facts.findings())
            .with([facts.versions()])
            .with(seen)
            .with(facts.journals.clone())
    }
}

/// Returns the version of a Node's kubelet. An API server that does not answer is no business of this check.
async fn kubelet_version(ctx: &Ctx, node: &str) -> Option<String> {
    let nodes = tokio::time::timeout(std::time::Duration::from_secs(4), ctx.api().ok()?.nodes()).await;
    let found = nodes.ok()?.ok()?.into_iter().find(|found| found.name == node);
    found.map(|node| node.kubelet)
}

impl Facts {
    fn findings(&self) -> Vec<Finding> {
        // The kubelet may be down because the runtime is, so that comes first.
        let runtime = self.runtime.finding(&self.host);
        let kubelet = self.kubelet.finding(&KUBELET, &self.host).map(|mut finding| {
            finding.cause = finding.cause.with("node", &self.node);
            finding
        });
        let proxy = self.proxy.finding(&self.host);
        [runtime, kubelet, proxy].into_iter().flatten().collect()
    }

    /// Returns the units of what is not well.
    fn guilty(&self) -> Vec<String> {
        let mut units = Vec::new();
        if self.runtime.finding(&self.host).is_some() {
            units.push(self.runtime.unit());
        }
        if self.kubelet.finding(&KUBELET, &self.host).is_some() {
            units.push(self.kubelet.unit(&KUBELET));
        }
        if self.proxy.finding(&self.host).is_some() {
            units.push(self.proxy.life.unit(&KUBE_PROXY));
        }
        units
    }

    fn versions(&self) -> Evidence {
        let line = |name: &str, version: Option<&str>| format!("{name} {}", version.unwrap_or("not told"));
        let lines = [
            self.runtime.version(),
            line("kubelet", self.kubelet_version.as_deref()),
            line("kube-proxy", self.proxy.version.as_deref()),
        ];
        Evidence::new(format!("versions on {}", self.host), lines.join("\n"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::components::component::tests::{answer, hung, process, refused, stopped, well};
    use crate::checks::testing::{expect, seen, site};
    use crate::findings::{CauseId, Outcome};
    use crate::protocol::{CriStatusReply, HttpReply};

    fn healthy() -> Facts {
        Facts {
            host: "node-1".to_owned(),
            node: "node-1".to_owned(),
            runtime: Runtime {
                status: Some(CriStatusReply {
                    socket: "/run/containerd/containerd.sock".to_owned(),
                    runtime: "containerd".to_owned(),
                    version: "v2.4.2".to_owned(),
                    sandbox_image: None,
                    snapshotter: None,
                }),
                error: None,
                late: false,
                processes: Some(vec![process("containerd", 'S')]),
            },
            kubelet: well("kubelet"),
            proxy: ServiceProxy {
                life: well("kube-proxy"),
                version: Some("v1.37.2".to_owned()),
                installed: Vec::new(),
                instead: Vec::new(),
                elsewhere: Vec::new(),
            },
            kubelet_version: Some("v1.37.2".to_owned()),
            journals: Vec::new(),
        }
    }

    fn judged(change: impl FnOnce(&mut Facts)) -> (Outcome, Option<CauseId>) {
        let mut facts = healthy();
        change(&mut facts);
        let site = site();
        let kept = serde_json::to_value(&facts).unwrap();
        seen(&CHECK.judge(&kept, &expect(&site, "node-1")))
    }

    fn silent(facts: &mut Facts, error: &str, processes: &[(&str, char)]) {
        facts.runtime.status = None;
        facts.runtime.error = Some(error.to_owned());
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
        let late = |facts: &mut Facts| {
            silent(facts, "no answer within 5 s", &[("containerd", 'D')]);
            facts.runtime.late = true;
        };
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
        assert_eq!(judged(unseen), (Outcome::Pass, None));
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
        assert_eq!(judged(replaced), (Outcome::Pass, None));
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
            (Outcome::Warn, Some(CauseId::ServiceProxyUnknown))
        );
        let nothing = |facts: &mut Facts| facts.proxy.life = stopped();
        assert_eq!(
            judged(nothing),
            (Outcome::Warn, Some(CauseId::ServiceProxyUnknown))
        );
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
