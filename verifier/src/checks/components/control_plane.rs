//! `components.control-plane`: the components of a control-plane host run and answer, and somebody leads.

mod leader;

use serde::{Deserialize, Serialize};

use super::component::known::{API_SERVER, CONTROLLER_MANAGER, SCHEDULER};
use super::component::{self, Component, ComponentState};
use crate::cluster::Permission;
use crate::distribution::CONTROL_PLANE_INSIDE;
use crate::findings::{Evidence, Finding, Judged, Unjudged, cause, phrase};
use crate::protocol::{Process, Processes};
use crate::site::Role;
use crate::suite::{Check, Ctx, Expect, Member, Probe, Scope, Trace};
use leader::Leaders;

pub(super) const CHECK: Check = Check::of::<ControlPlane>("components.control-plane", Scope::ControlPlane)
    .permissions(&[Permission::across("list", "coordination.k8s.io", "leases")])
    .confirmed()
    .traced::<ControlPlane>();

/// What a control-plane host runs. When the first is down the others soon are.
const COMPONENTS: [&Component; 3] = [&API_SERVER, &CONTROLLER_MANAGER, &SCHEDULER];
/// What findings about etcd are about; those about the others bear the component's name.
const ETCD: &str = "etcd";

struct ControlPlane;

#[derive(Clone, Serialize, Deserialize)]
struct Facts {
    /// Processes of etcd, where the host has that role; absent: it has not, or nobody could look.
    etcd: Option<Vec<Process>>,
    /// As [`COMPONENTS`].
    components: [ComponentState; 3],
    leaders: Leaders,
}

impl Probe for ControlPlane {
    type Facts = Facts;

    async fn gather(ctx: &Ctx, member: &Member) -> Result<Facts, Unjudged> {
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
        Ok(Facts {
            etcd,
            components: [api, controllers, scheduler],
            leaders,
        })
    }

    fn judge(facts: &Facts, expect: &Expect<'_>) -> Judged {
        let host = &expect.host()?.name;
        let mut findings: Vec<Finding> = facts.etcd(host).into_iter().collect();
        findings.extend(facts.pairs().filter_map(|(component, state)| {
            let finding = state.finding(component, host)?;
            Some(finding.of(component.name))
        }));
        match &facts.leaders {
            // Where the API server is down here, its silence says nothing new.
            Leaders::Unread(cause) if findings.is_empty() => {
                findings.push(Finding::error(cause.clone()).sure());
            }
            Leaders::Unread(_) => {}
            Leaders::Read(leaders) => {
                let led = facts.led(host);
                findings.extend(led.filter_map(|component| {
                    let finding = leader::finding(leaders, component.name)?;
                    Some(finding.of(component.name))
                }));
            }
        }
        Ok(findings)
    }

    fn evidence(facts: &Facts, _: &Expect<'_>) -> Vec<Evidence> {
        let seen = facts.pairs().map(|(component, state)| state.evidence(component));
        let etcd = facts.etcd.as_deref().and_then(|processes| {
            let title = phrase::Component { component: &ETCD };
            Evidence::lines(title, component::described(Some(processes)))
        });
        seen.chain(etcd).chain(facts.leaders.evidence()).collect()
    }
}

impl Trace for ControlPlane {
    /// The ends of the journals of what is not well.
    type Depth = Vec<Evidence>;

    async fn trace(ctx: &Ctx, member: &Member, facts: &Facts, findings: &[Finding]) -> Vec<Evidence> {
        let host = member.host.as_deref().unwrap_or_default();
        let running = facts.etcd.iter().flatten().find_map(component::unit);
        let etcd = running.unwrap_or_else(|| "etcd.service".to_owned());
        let others = facts
            .pairs()
            .map(|(component, state)| (component.name, state.unit(component)));
        let units: Vec<(&str, String)> = [(ETCD, etcd)].into_iter().chain(others).collect();
        component::journals(ctx, host, &units, findings).await
    }

    fn explain(findings: Vec<Finding>, _: &Facts, _: &Vec<Evidence>, _: &Expect<'_>) -> Vec<Finding> {
        findings
    }

    fn deeper(journals: &Vec<Evidence>, _: &Expect<'_>) -> Vec<Evidence> {
        journals.clone()
    }
}

async fn etcd(ctx: &Ctx, host: &str, is_etcd: bool) -> Option<Vec<Process>> {
    if !is_etcd {
        return None;
    }
    let names = [&ETCD].into_iter().chain(CONTROL_PLANE_INSIDE);
    let names = names.map(|name| (*name).to_owned()).collect();
    ctx.ask(host, Processes { names }).await.ok()
}

impl Facts {
    fn pairs(&self) -> impl Iterator<Item = (&'static Component, &ComponentState)> {
        COMPONENTS.into_iter().zip(&self.components)
    }

    /// Returns the components whose Leases tell something: those that are well here and elect a leader. Of one that is
    /// down here its Lease says nothing new.
    fn led(&self, host: &str) -> impl Iterator<Item = &'static Component> {
        let pairs = self
            .pairs()
            .filter(|(component, _)| component.name != API_SERVER.name);
        let well = pairs
            .filter(move |(component, state)| state.finding(component, host).is_none() && !state.is_alone());
        well.map(|(component, _)| component)
    }

    /// Returns what its processes say of etcd; how it answers is etcd.health's.
    fn etcd(&self, host: &str) -> Option<Finding> {
        let processes = self.etcd.as_deref()?;
        let finding = if let Some(process) = component::halted(processes) {
            Finding::fail(cause::EtcdHalted {
                host: &host,
                state: &process.state,
            })
        } else if component::alive(processes) {
            return None;
        } else {
            Finding::fail(cause::EtcdStopped { host: &host })
        };
        Some(finding.of(ETCD).sure())
    }
}

#[cfg(test)]
mod tests {
    use secrets::MaskedArguments;

    use super::leader::tests::{leaders, stale};
    use super::*;
    use crate::checks::components::component::tests::{answer, hung, process, stopped, well};
    use crate::checks::testing::{expect, judged, site};
    use crate::findings::{Cause, CauseId, Outcome};
    use crate::suite::Seen;

    fn healthy() -> Facts {
        Facts {
            etcd: Some(vec![process("etcd", 'S')]),
            components: COMPONENTS.map(|component| well(component.name)),
            leaders: leaders(),
        }
    }

    fn judge(change: impl FnOnce(&mut Facts)) -> (Outcome, Option<CauseId>) {
        let mut facts = healthy();
        change(&mut facts);
        judged::<ControlPlane>(&facts, &expect(&site(), "server"))
    }

    fn internal() -> Cause {
        cause::Internal { message: &"x" }.into()
    }

    const FAIL: Outcome = Outcome::Fail;

    #[test]
    fn a_host_whose_components_answer_passes_leader_or_not() {
        assert_eq!(judge(|_| ()), (Outcome::Pass, None));
        // A control plane without etcd of its own, and one that tells strangers nothing.
        assert_eq!(judge(|facts| facts.etcd = None), (Outcome::Pass, None));
        let closed = |facts: &mut Facts| facts.components[0].health = Some(answer(401, "Unauthorized"));
        assert_eq!(judge(closed), (Outcome::Pass, None));
        let embedded = |facts: &mut Facts| {
            for state in &mut facts.components {
                state.processes = Some(vec![process("k3s-server", 'S')]);
            }
            facts.etcd = Some(vec![process("k3s-server", 'S')]);
        };
        assert_eq!(judge(embedded), (Outcome::Pass, None));
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
            assert_eq!(
                judge(|facts| facts.components[at] = stopped()),
                (FAIL, Some(dead))
            );
            let name = COMPONENTS[at].name;
            assert_eq!(
                judge(|facts| facts.components[at] = hung(name)),
                (FAIL, Some(stuck))
            );
        }
    }

    #[test]
    fn a_single_instance_that_elects_nobody_may_leave_an_old_lease_behind() {
        let alone = |facts: &mut Facts| {
            facts.leaders = stale("kube-scheduler");
            let processes = facts.components[2].processes.as_mut().unwrap();
            processes[0].arguments = MaskedArguments::new(&["kube-scheduler", "--leader-elect=false"]);
        };
        assert_eq!(judge(alone), (Outcome::Pass, None));
    }

    #[test]
    fn etcd_comes_first_because_the_others_need_it() {
        let dead = |facts: &mut Facts| {
            facts.etcd = Some(Vec::new());
            facts.components[0].health = Some(answer(500, "[-]etcd failed: reason withheld"));
            facts.components[2] = stopped();
            facts.leaders = Leaders::Unread(internal());
        };
        assert_eq!(judge(dead), (FAIL, Some(CauseId::EtcdStopped)));
        assert_eq!(
            judge(|facts| facts.etcd = Some(vec![process("etcd", 'T')])),
            (FAIL, Some(CauseId::EtcdHalted))
        );
    }

    #[test]
    fn a_lease_that_nobody_renews_fails_and_one_that_nobody_could_read_is_an_error() {
        assert_eq!(
            judge(|facts| facts.leaders = stale("kube-scheduler")),
            (FAIL, Some(CauseId::LeaderLost))
        );
        // It is stopped here, and then its Lease only says the same again.
        let both = |facts: &mut Facts| {
            facts.leaders = stale("kube-scheduler");
            facts.components[2] = stopped();
        };
        assert_eq!(judge(both), (FAIL, Some(CauseId::SchedulerStopped)));
        let unread = Leaders::Unread(internal());
        assert_eq!(
            judge(|facts| facts.leaders = unread),
            (Outcome::Error, Some(CauseId::Internal))
        );
    }

    #[test]
    fn a_lease_that_was_renewed_between_two_readings_is_held() {
        let mut first = healthy();
        first.leaders = stale("kube-scheduler");
        let outcome = |second: &Facts| {
            let seen = Seen {
                facts: serde_json::to_value(&first).unwrap().into(),
                again: Some(serde_json::to_value(second).unwrap().into()),
                depth: None,
            };
            CHECK.judge(&seen, &expect(&site(), "server")).outcome()
        };
        assert_eq!(outcome(&first), FAIL);
        assert_eq!(outcome(&healthy()), Outcome::Pass);
    }
}
