//! `components.control-plane`: the components of a control-plane host run and answer, and somebody leads.

mod leader;

use serde::{Deserialize, Serialize};

use super::component::known::{API_SERVER, CONTROLLER_MANAGER, SCHEDULER};
use super::component::{self, Component, ComponentState};
use crate::cluster::Permission;
use crate::findings::{Cause, CauseId, Evidence, Finding, Outcome, Trouble, Verdict};
use crate::protocol::{Process, Processes};
use crate::site::Role;
use crate::suite::{About, Check, Ctx, Expect, Member, Probe, Scope};
use leader::Leaders;

pub(super) const CHECK: Check = Check::of::<ControlPlane>(About {
    id: "components.control-plane",
    scope: Scope::ControlPlane,
    needs: &[],
    permissions: &[Permission::across("list", "coordination.k8s.io", "leases")],
    summary: "kube-apiserver, kube-scheduler and kube-controller-manager run and answer, and one of each leads",
    explain: "Proves on the control-plane host itself that kube-apiserver, kube-scheduler and kube-controller-manager \
(and etcd, where the host has that role) run and answer on their health ports (6443, 10259, 10257), and that the Lease \
of the scheduler and of the controller manager in kube-system has a holder who renews it in time by the API server's \
clock. A standby that is well passes. Static pods and programs that embed them (k3s, microk8s) pass all the same; a \
port that was moved is found by what the process listens on.\n\nUsual causes of failure, in order: etcd is down, and \
then the others soon end too; the unit was stopped or failed; the process hangs; a certificate or kubeconfig has \
expired; a flag is wrong after a change.\n\nWhere to look: `systemctl status` and `journalctl -u` of the unit named; \
for static pods `crictl ps -a` and the kubelet's journal. Without the scheduler new pods stay Pending without any \
event; without the controller manager Deployments get no pods.",
    by_hand: "ssh {host} systemctl status kube-apiserver kube-scheduler kube-controller-manager; \
ssh {host} curl -sk https://127.0.0.1:10259/healthz; ssh {host} curl -sk https://127.0.0.1:10257/healthz; \
kubectl -n kube-system get lease",
});

/// What a control-plane host runs. When the first is down the others soon are.
const COMPONENTS: [&Component; 3] = [&API_SERVER, &CONTROLLER_MANAGER, &SCHEDULER];

struct ControlPlane;

#[derive(Clone, Serialize, Deserialize)]
struct Facts {
    host: String,
    /// Processes of etcd, where the host has that role; absent: it has not, or nobody could look.
    etcd: Option<Vec<Process>>,
    /// As [`COMPONENTS`].
    lives: [ComponentState; 3],
    leaders: Leaders,
    /// The ends of journals, where something is wrong.
    journals: Vec<Evidence>,
}

impl Probe for ControlPlane {
    type Facts = Facts;

    async fn gather(ctx: &Ctx, member: &Member) -> Result<Facts, Trouble> {
        let host = ctx.host(member)?;
        let is_etcd = host.roles.contains(&Role::Etcd);
        let looks = COMPONENTS.map(|component| component::look(ctx, &host.name, component));
        let [api, controllers, scheduler] = looks;
        let (etcd, api, controllers, scheduler, leaders) = futures::join!(
            etcd(ctx, &host.name, is_etcd),
            api,
            controllers,
            scheduler,
            leader::look(ctx)
        );
        let mut facts = Facts {
            host: host.name.clone(),
            etcd,
            lives: [api, controllers, scheduler],
            leaders,
            journals: Vec::new(),
        };
        for unit in facts.guilty() {
            facts.journals.extend(ctx.journal(&host.name, &unit).await);
        }
        Ok(facts)
    }

    fn judge(facts: &Facts, _: &Expect<'_>) -> Verdict {
        let seen = facts
            .pairs()
            .map(|(component, life)| life.evidence(component))
            .chain(
                facts
                    .etcd
                    .as_deref()
                    .map(|etcd| Evidence::new("etcd", component::described(etcd))),
            )
            .chain(facts.leaders.evidence());
        Verdict::of(facts.findings())
            .with(seen)
            .with(facts.journals.clone())
    }
}

async fn etcd(ctx: &Ctx, host: &str, is_etcd: bool) -> Option<Vec<Process>> {
    if !is_etcd {
        return None;
    }
    let names = ["etcd", "k3s", "k3s-server"].map(str::to_owned).to_vec();
    ctx.ask(host, Processes { names }).await.ok()
}

impl Facts {
    fn pairs(&self) -> impl Iterator<Item = (&'static Component, &ComponentState)> {
        COMPONENTS.into_iter().zip(&self.lives)
    }

    fn findings(&self) -> Vec<Finding> {
        let mut findings: Vec<Finding> = self.etcd().into_iter().collect();
        findings.extend(
            self.pairs()
                .filter_map(|(component, life)| life.finding(component, &self.host)),
        );
        // Where they themselves are down here, their Leases say nothing new; where the API server is, nothing at all.
        let well = |component: &Component| {
            self.pairs().any(|(other, life)| {
                other.name == component.name && life.finding(other, &self.host).is_none() && !life.is_alone()
            })
        };
        match &self.leaders {
            Leaders::Unread(cause) if findings.is_empty() => findings.push(Finding {
                outcome: Outcome::Error,
                cause: cause.clone(),
            }),
            Leaders::Unread(_) => {}
            Leaders::Read(leaders) => {
                let led = [&CONTROLLER_MANAGER, &SCHEDULER]
                    .into_iter()
                    .filter(|component| well(component));
                findings.extend(led.filter_map(|component| leader::finding(leaders, component.name)));
            }
        }
        findings
    }

    /// Returns what its processes say of etcd; how it answers is etcd.health's.
    fn etcd(&self) -> Option<Finding> {
        let processes = self.etcd.as_deref()?;
        if let Some(process) = component::halted(processes) {
            let cause = Cause::new(CauseId::EtcdHung).with("host", &self.host);
            let cause = cause.with("endpoint", "its port").with("state", process.state);
            return Some(Finding::fail(cause));
        }
        (!component::alive(processes)).then(|| {
            let cause = Cause::new(CauseId::EtcdUnreachable).with("host", &self.host);
            Finding::fail(cause.with("message", "no etcd runs there"))
        })
    }

    /// Returns the units of what is not well.
    fn guilty(&self) -> Vec<String> {
        let etcd = self.etcd().map(|_| {
            let running = self.etcd.iter().flatten().find_map(component::unit);
            running.unwrap_or_else(|| "etcd.service".to_owned())
        });
        let leaderless = |component: &Component| match &self.leaders {
            Leaders::Read(leaders) => leader::finding(leaders, component.name).is_some(),
            Leaders::Unread(_) => false,
        };
        let others = self.pairs().filter(|(component, life)| {
            life.finding(component, &self.host).is_some() || leaderless(component)
        });
        etcd.into_iter()
            .chain(others.map(|(component, life)| life.unit(component)))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::leader::tests::{leaders, stale};
    use super::*;
    use crate::checks::components::component::tests::{answer, hung, process, stopped, well};
    use crate::checks::testing::{expect, seen, site};

    fn healthy() -> Facts {
        Facts {
            host: "server".to_owned(),
            etcd: Some(vec![process("etcd", 'S')]),
            lives: COMPONENTS.map(|component| well(component.name)),
            leaders: leaders(),
            journals: Vec::new(),
        }
    }

    fn judged(change: impl FnOnce(&mut Facts)) -> (Outcome, Option<CauseId>) {
        let mut facts = healthy();
        change(&mut facts);
        let site = site();
        let kept = serde_json::to_value(&facts).unwrap();
        seen(&CHECK.judge(&kept, &expect(&site, "server")))
    }

    const FAIL: Outcome = Outcome::Fail;

    #[test]
    fn a_host_whose_components_answer_passes_leader_or_not() {
        assert_eq!(judged(|_| ()), (Outcome::Pass, None));
        // A control plane without etcd of its own, and one that tells strangers nothing.
        assert_eq!(judged(|facts| facts.etcd = None), (Outcome::Pass, None));
        let closed = |facts: &mut Facts| facts.lives[0].health = Some(answer(401, "Unauthorized"));
        assert_eq!(judged(closed), (Outcome::Pass, None));
        let embedded = |facts: &mut Facts| {
            for life in &mut facts.lives {
                life.processes = Some(vec![process("k3s-server", 'S')]);
            }
            facts.etcd = Some(vec![process("k3s-server", 'S')]);
        };
        assert_eq!(judged(embedded), (Outcome::Pass, None));
    }

    #[test]
    fn each_component_that_is_stopped_or_hangs_is_named() {
        for (at, dead, stuck) in [
            (0, CauseId::ApiserverStopped, CauseId::ApiserverHung),
            (
                1,
                CauseId::ControllerManagerStopped,
                CauseId::ControllerManagerHung,
            ),
            (2, CauseId::SchedulerStopped, CauseId::SchedulerHung),
        ] {
            assert_eq!(judged(|facts| facts.lives[at] = stopped()), (FAIL, Some(dead)));
            let name = COMPONENTS[at].name;
            assert_eq!(judged(|facts| facts.lives[at] = hung(name)), (FAIL, Some(stuck)));
        }
    }

    #[test]
    fn a_single_instance_that_elects_nobody_may_leave_an_old_lease_behind() {
        let alone = |facts: &mut Facts| {
            facts.leaders = stale("kube-scheduler");
            let processes = facts.lives[2].processes.as_mut().unwrap();
            processes[0].arguments.push("--leader-elect=false".to_owned());
        };
        assert_eq!(judged(alone), (Outcome::Pass, None));
    }

    #[test]
    fn etcd_comes_first_because_the_others_need_it() {
        let dead = |facts: &mut Facts| {
            facts.etcd = Some(Vec::new());
            facts.lives[0].health = Some(answer(500, "[-]etcd failed: reason withheld"));
            facts.lives[2] = stopped();
            facts.leaders = Leaders::Unread(Cause::new(CauseId::Internal).with("message", "x"));
        };
        assert_eq!(judged(dead), (FAIL, Some(CauseId::EtcdUnreachable)));
        assert_eq!(
            judged(|facts| facts.etcd = Some(vec![process("etcd", 'T')])),
            (FAIL, Some(CauseId::EtcdHung))
        );
    }

    #[test]
    fn a_lease_that_nobody_renews_fails_and_one_that_nobody_could_read_is_an_error() {
        assert_eq!(
            judged(|facts| facts.leaders = stale("kube-scheduler")),
            (FAIL, Some(CauseId::LeaderLost))
        );
        // It is stopped here, and then its Lease only says the same again.
        let both = |facts: &mut Facts| {
            facts.leaders = stale("kube-scheduler");
            facts.lives[2] = stopped();
        };
        assert_eq!(judged(both), (FAIL, Some(CauseId::SchedulerStopped)));
        let unread = Leaders::Unread(Cause::new(CauseId::Internal).with("message", "x"));
        assert_eq!(
            judged(|facts| facts.leaders = unread),
            (Outcome::Error, Some(CauseId::Internal))
        );
    }
}
