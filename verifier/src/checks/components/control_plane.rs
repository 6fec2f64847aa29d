//! `components.control-plane`: the components of a control-plane host run and answer, and somebody leads.

mod controllers;
mod leader;
mod server;

use serde::{Deserialize, Serialize};

use super::component::known::{API_SERVER, CONTROLLER_MANAGER, SCHEDULER};
use super::component::{self, Component, ComponentState};
use crate::cluster::Permission;
use crate::distribution::CONTROL_PLANE_INSIDE;
use crate::findings::{Evidence, Finding, Judged, Unjudged, cause, phrase};
use crate::protocol::{Process, Processes};
use crate::site::Role;
use crate::suite::{Check, Ctx, Expect, Member, Probe, Scope, Trace};
use leader::{Election, Leaders};
use server::Server;

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
    /// What the API server says to the kubeconfig's credentials.
    server: Server,
    leaders: Leaders,
    /// Whether each of [`COMPONENTS`] elects a leader; asked where its Lease is not there.
    #[serde(default)]
    elections: [Election; 3],
}

impl Probe for ControlPlane {
    type Facts = Facts;

    async fn gather(ctx: &Ctx, member: &Member) -> Result<Facts, Unjudged> {
        let host = ctx.host(member)?;
        let is_etcd = host.roles.contains(&Role::Etcd);
        let (etcd, (api, server), controllers, scheduler, leaders) = futures::join!(
            etcd(ctx, &host.name, is_etcd),
            server::look(ctx, host),
            component::look(ctx, &host.name, &CONTROLLER_MANAGER),
            component::look(ctx, &host.name, &SCHEDULER),
            leader::look(ctx)
        );
        let (controlled, scheduled) = futures::join!(
            leaders.election(ctx, &host.name, &CONTROLLER_MANAGER, &controllers),
            leaders.election(ctx, &host.name, &SCHEDULER, &scheduler)
        );
        Ok(Facts {
            etcd,
            components: [api, controllers, scheduler],
            server,
            leaders,
            elections: [Election::default(), controlled, scheduled],
        })
    }

    fn judge(facts: &Facts, expect: &Expect<'_>) -> Judged {
        let host = &expect.host()?.name;
        let mut findings: Vec<Finding> = facts.etcd(host).into_iter().collect();
        findings.extend(facts.pairs().filter_map(|(component, state)| {
            let finding = facts.of(component, state, host)?;
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
                findings.extend(led.filter_map(|(component, election)| {
                    let finding = leader::finding(leaders, component.name, election)?;
                    Some(finding.of(component.name))
                }));
            }
        }
        let [_, manager, _] = &facts.components;
        let running = manager.processes.as_deref().unwrap_or_default();
        let off = controllers::finding(running, host);
        findings.extend(off.map(|finding| finding.of(CONTROLLER_MANAGER.name).sure()));
        Ok(findings)
    }

    fn evidence(facts: &Facts, _: &Expect<'_>) -> Vec<Evidence> {
        let seen = facts.pairs().map(|(component, state)| state.evidence(component));
        let etcd = facts.etcd.as_deref().and_then(|processes| {
            let title = phrase::Component { component: &ETCD };
            Evidence::lines(title, component::described(Some(processes)))
        });
        let leaders = facts.leaders.evidence();
        let said = facts.server.evidence().into_iter().chain(leaders);
        seen.chain(etcd).chain(said).collect()
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

    /// Returns what is wrong with a component.
    fn of(&self, component: &Component, state: &ComponentState, host: &str) -> Option<Finding> {
        if component.name == API_SERVER.name {
            self.server.finding(state, host)
        } else {
            state.finding(component, host)
        }
    }

    /// Returns the components whose Leases tell something: those that are well here and elect a leader. Of one that is
    /// down here its Lease says nothing new.
    fn led(&self, host: &str) -> impl Iterator<Item = (&'static Component, Election)> {
        let all = self.pairs().zip(self.elections);
        let led = all.filter(|((component, _), _)| component.name != API_SERVER.name);
        let well = led.filter(move |((component, state), _)| {
            state.finding(component, host).is_none() && !state.is_alone()
        });
        well.map(|((component, _), election)| (component, election))
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
    use crate::cluster::ReadyFacts;
    use crate::findings::{Cause, CauseId, Outcome};
    use crate::suite::Seen;

    fn healthy() -> Facts {
        Facts {
            etcd: Some(vec![process("etcd", 'S')]),
            components: COMPONENTS.map(|component| well(component.name)),
            server: Server::Answered(ready(200, "readyz check passed")),
            leaders: leaders(),
            elections: [Election::Held; 3],
        }
    }

    fn judge(change: impl FnOnce(&mut Facts)) -> (Outcome, Option<CauseId>) {
        let mut facts = healthy();
        change(&mut facts);
        judged::<ControlPlane>(&facts, &expect(&site(), "server"))
    }

    fn ready(status: u16, body: &str) -> ReadyFacts {
        ReadyFacts {
            server: "https://192.168.10.100:6443".to_owned(),
            verified: true,
            status,
            body: body.to_owned(),
            version: Some("v1.37.2".to_owned()),
            date: None,
        }
    }

    #[test]
    fn a_server_that_tells_strangers_nothing_is_judged_by_what_it_tells_the_kubeconfigs_user() {
        let closed = |server: Server| {
            judge(move |facts| {
                facts.components[0].health = Some(answer(401, "Unauthorized"));
                facts.server = server;
            })
        };
        let sick = ready(
            500,
            "[+]ping ok\n[-]kms-provider-0 failed: reason withheld\nreadyz check failed",
        );
        assert_eq!(
            closed(Server::Answered(sick)),
            (FAIL, Some(CauseId::ServerNotReady))
        );
        let html = ready(200, "<html>");
        assert_eq!(
            closed(Server::Answered(html)),
            (FAIL, Some(CauseId::ServerNotReady))
        );
        let stranger = ready(401, "Unauthorized");
        assert_eq!(
            closed(Server::Answered(stranger)),
            (FAIL, Some(CauseId::ServerCredentials))
        );
        let forbidden = ready(403, "forbidden");
        let unseen = (Outcome::Error, Some(CauseId::ComponentClosed));
        assert_eq!(closed(Server::Answered(forbidden)), unseen);
        assert_eq!(
            closed(Server::Unasked(internal())),
            (Outcome::Error, Some(CauseId::Internal))
        );
        assert_eq!(
            closed(Server::Failed(internal())),
            (FAIL, Some(CauseId::Internal))
        );
    }

    #[test]
    fn who_cannot_ask_as_the_kubeconfigs_user_believes_the_servers_own_word_to_strangers() {
        let open = |server: Server| judge(move |facts| facts.server = server);
        assert_eq!(open(Server::Unasked(internal())), (Outcome::Pass, None));
        assert_eq!(open(Server::Answered(ready(403, ""))), (Outcome::Pass, None));
        assert_eq!(open(Server::Failed(internal())), (FAIL, Some(CauseId::Internal)));
    }

    #[test]
    fn an_agent_that_may_not_see_who_listens_knows_nothing() {
        let hidden = |facts: &mut Facts| {
            for state in &mut facts.components {
                state.own = None;
            }
            facts.server = Server::Unasked(internal());
        };
        assert_eq!(judge(hidden), (Outcome::Error, Some(CauseId::ComponentUnseen)));
    }

    #[test]
    fn a_program_that_embeds_the_control_plane_need_elect_nobody() {
        let k3s = |facts: &mut Facts| {
            for state in &mut facts.components {
                state.processes = Some(vec![process("k3s-server", 'S')]);
            }
            facts.leaders = leader::tests::nobody();
            facts.elections = [Election::Untold; 3];
        };
        assert_eq!(judge(k3s), (Outcome::Pass, None));
        let never = |facts: &mut Facts| facts.leaders = leader::tests::nobody();
        assert_eq!(judge(never), (FAIL, Some(CauseId::LeaderNever)));
    }

    #[test]
    fn what_a_balancer_answers_on_the_servers_port_is_not_the_servers() {
        let balanced = |processes: &[&str]| {
            let processes = processes.iter().map(|name| process(name, 'S')).collect();
            judge(move |facts| {
                facts.components[0].processes = Some(processes);
                facts.components[0].own = Some(false);
                facts.server = Server::Stopped;
            })
        };
        assert_eq!(balanced(&[]), (FAIL, Some(CauseId::ApiserverStopped)));
        assert_eq!(
            balanced(&["kube-apiserver"]),
            (FAIL, Some(CauseId::ComponentOther))
        );
    }

    fn internal() -> Cause {
        cause::Internal { message: &"x" }.into()
    }

    const FAIL: Outcome = Outcome::Fail;

    #[test]
    fn a_host_whose_components_answer_passes_leader_or_not() {
        assert_eq!(judge(|_| ()), (Outcome::Pass, None));
        // A control plane without etcd of its own, and one that tells strangers nothing and the kubeconfig's user all.
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
