//! `hosts.reboot`: what works on this host now works after it was started again, as far as its files tell.

mod machine;
mod start;

use std::collections::BTreeMap;
use std::fmt::Display;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use crate::checks::components::component;
use crate::distribution::{CONTROL_PLANE_INSIDE, Distribution, KUBELET_INSIDE, ROUTERS, RUNTIMES};
use crate::findings::{Cause, Evidence, Finding, Judged, Unjudged, cause, phrase};
use crate::protocol::{
    Persistence, PersistenceReply, Process, Processes, Route, Routes, SysctlFacts, UnitFacts,
};
use crate::site::{Host, Role, Site};
use crate::suite::{Check, Ctx, Expect, Member, Probe, Scope};

pub(super) const CHECK: Check = Check::of::<HostsReboot>("hosts.reboot", Scope::Host);

/// The switch without which a worker passes nothing on to its pods. The CNI's bridge plugin turns it on too.
const FORWARD: &str = "net.ipv4.ip_forward";
/// Without these, packets on a bridge pass by kube-proxy's rules. The kernel's own default is 1.
const BRIDGE: [&str; 2] = [
    "net.bridge.bridge-nf-call-iptables",
    "net.bridge.bridge-nf-call-ip6tables",
];
/// The module that those belong to. The kernel loads overlay by itself when something is mounted with it.
const MODULE: &str = "br_netfilter";
/// The one that a runtime's snapshots are mounted with.
const OVERLAY: &str = "overlay";
/// Programs of the control plane.
const CONTROL_PLANE: [&str; 3] = ["kube-apiserver", "kube-scheduler", "kube-controller-manager"];

struct HostsReboot;

#[derive(Serialize, Deserialize)]
struct Facts {
    distribution: Distribution,
    /// The programs of Kubernetes that run on the host.
    processes: Vec<Process>,
    /// The routes to other workers' pods that are set on the host: network, next hop, node.
    routes: Vec<(IpNet, String, String)>,
    kept: PersistenceReply,
}

impl Probe for HostsReboot {
    type Facts = Facts;

    async fn gather(ctx: &Ctx, member: &Member) -> Result<Facts, Unjudged> {
        let host = ctx.host(member)?;
        let names = programs(host).chain(ROUTERS.iter().copied());
        let names = Processes {
            names: names.map(str::to_owned).collect(),
        };
        let (distribution, processes, routes) = futures::join!(
            ctx.distribution(&host.name),
            ctx.ask(&host.name, names),
            ctx.ask(&host.name, Routes {})
        );
        let processes = processes?;
        let routes = to_pods(&routes?, host, &ctx.site);
        let mut units: Vec<String> = processes.iter().filter_map(component::unit).collect();
        units.extend(components(host).filter_map(|component| distribution.unit(component)));
        units.sort();
        units.dedup();
        let ask = Persistence {
            units,
            keys: BRIDGE
                .iter()
                .chain([&FORWARD])
                .map(|key| (*key).to_owned())
                .collect(),
            modules: vec![MODULE.to_owned(), OVERLAY.to_owned()],
            networks: routes
                .iter()
                .map(|(network, ..)| *network)
                .take(Persistence::MOST)
                .collect(),
            inputs: start::read(&processes),
            directories: machine::directories(host, &processes),
        };
        let kept = ctx.ask(&host.name, ask).await?;
        Ok(Facts {
            distribution,
            processes,
            routes,
            kept,
        })
    }

    fn judge(facts: &Facts, expect: &Expect<'_>) -> Judged {
        let host = expect.host()?;
        let mut findings = facts.swap(host);
        if facts.kept.systemd {
            findings.extend(facts.units(host));
            findings.extend(start::obstacles(&facts.kept.units, &host.name));
        }
        findings.extend(facts.machine(host));
        if !facts.distribution.sets_up_hosts() {
            if host.roles.contains(&Role::Worker) {
                findings.extend(facts.kernel(host));
            }
            findings.extend(facts.routes(host));
        }
        // What starts the programs of such a host, nobody here can say.
        if findings.is_empty() && !facts.kept.systemd {
            return Err(Unjudged::skip(cause::NoSystemd { host: &host.name }));
        }
        Ok(findings)
    }

    fn evidence(facts: &Facts, _: &Expect<'_>) -> Vec<Evidence> {
        let kept = &facts.kept;
        let or = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
        let units = kept
            .units
            .iter()
            .filter(|(_, unit)| unit.file.is_some() || unit.masked);
        let units = units.map(|(name, unit)| {
            let masked = if unit.masked { " masked" } else { "" };
            format!("{name}{masked}: {} <- {}", or(&unit.file), or(&unit.started_by))
        });
        let settings = kept.sysctls.iter().filter(|(_, setting)| setting.now.is_some());
        let settings = settings.map(|(key, setting)| {
            let file = or(&setting.file);
            format!("{key} = {}; {} <- {file}", or(&setting.now), or(&setting.at_boot))
        });
        let modules = kept.modules.iter().filter(|(_, module)| module.loaded);
        let modules = modules.map(|(name, module)| format!("{name} <- {}", or(&module.loaded_by)));
        let routes = facts.routes.iter().map(|(network, via, _)| {
            let by = kept.routes.get(network).cloned().flatten();
            format!("{network} via {via} <- {}", or(&by))
        });
        let swaps = kept
            .swaps_at_boot
            .iter()
            .map(|device| format!("{device} <- /etc/fstab"));
        let lines = units.chain(settings).chain(modules).chain(routes).chain(swaps);
        Evidence::lines(phrase::AtBoot, lines).into_iter().collect()
    }
}

/// Returns the components that a host is to run by its roles.
fn components(host: &Host) -> impl Iterator<Item = &'static str> {
    let of = |role: Role, names: &'static [&'static str]| host.roles.contains(&role).then_some(names);
    let all = [
        of(Role::Worker, &["kubelet", "containerd", "kube-proxy"]),
        of(Role::ControlPlane, &CONTROL_PLANE),
        of(Role::Etcd, &["etcd"]),
    ];
    all.into_iter().flatten().flatten().copied()
}

/// Returns the programs that run those, alone or inside themselves. Others that are on the host are not the site's.
pub(super) fn programs(host: &Host) -> impl Iterator<Item = &'static str> {
    let worker = host.roles.contains(&Role::Worker);
    let node: &[&str] = if worker { RUNTIMES } else { &[] };
    let inside: &[&str] = if worker {
        KUBELET_INSIDE
    } else {
        CONTROL_PLANE_INSIDE
    };
    // A kubelet runs on a control-plane host too where that has one.
    components(host)
        .chain(["kubelet"])
        .chain(node.iter().copied())
        .chain(inside.iter().copied())
}

/// Returns the routes of a host that lead to other workers' pods by way of these.
fn to_pods(routes: &[Route], host: &Host, site: &Site) -> Vec<(IpNet, String, String)> {
    let others = site
        .with_role(Role::Worker)
        .filter(|other| other.name != host.name);
    let networks: Vec<(&Host, IpNet)> = others
        .flat_map(|other| other.pod_cidrs.iter().map(move |network| (other, *network)))
        .collect();
    let leads = |route: &Route| {
        let via = route.via?;
        let to = |(other, network): &&(&Host, IpNet)| {
            other.ips().contains(&via)
                && (network.contains(&route.destination) || route.destination.contains(network))
        };
        let (other, _) = networks.iter().find(to)?;
        // A default route is there for more than pods.
        let is_default = route.destination.prefix_len() == 0;
        (!is_default).then(|| (route.destination, via.to_string(), other.name.clone()))
    };
    routes.iter().filter_map(leads).collect()
}

impl Facts {
    /// Returns what starts none of the programs that run now, or that are to run.
    fn units(&self, host: &Host) -> Vec<Finding> {
        let name = &host.name;
        let units: Vec<(&Process, Option<String>)> = self
            .processes
            .iter()
            .filter(|process| !is_container(&process.cgroup) && !ROUTERS.contains(&process.name.as_str()))
            .map(|process| (process, component::unit(process)))
            .collect();
        let mut runs: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for (process, unit) in &units {
            if let Some(unit) = unit {
                runs.entry(unit).or_default().push(&process.name);
            }
        }
        let mut findings: Vec<Finding> = self
            .kept
            .units
            .iter()
            .filter_map(|(unit, facts)| {
                let mut programs = runs.get(unit.as_str()).cloned().unwrap_or_default();
                programs.sort_unstable();
                programs.dedup();
                of_unit(unit, facts, &programs, name)
            })
            .collect();
        for (process, unit) in &units {
            if unit.is_none() {
                let outside = cause::ProcessOutsideUnit {
                    process: &process.name,
                    host: name,
                    pid: &process.pid,
                    cgroup: &process.cgroup,
                };
                findings.push(Finding::fail(outside).of(&process.name));
            }
        }
        findings
    }

    /// Returns what of the kernel's settings and modules is lost.
    fn kernel(&self, host: &Host) -> Vec<Finding> {
        let host = &host.name;
        let mut findings = Vec::new();
        let setting = |key: &str| {
            self.kept
                .sysctls
                .get(key)
                .filter(|setting| setting.now.as_deref() == Some("1"))
        };
        if let Some(forward) = setting(FORWARD) {
            match otherwise(FORWARD, forward, host) {
                // The CNI may turn it on again.
                Some(cause) => findings.push(Finding::warn(cause).of(FORWARD)),
                None if forward.file.is_none() => {
                    let lost = cause::SysctlNotPersistent { key: &FORWARD, host };
                    findings.push(Finding::warn(lost).of(FORWARD));
                }
                None => {}
            }
        }
        for key in BRIDGE {
            let cause = setting(key).and_then(|setting| otherwise(key, setting, host));
            findings.extend(cause.map(|cause| Finding::fail(cause).of(key)));
        }
        for module in [MODULE, OVERLAY] {
            let facts = self.kept.modules.get(module).filter(|facts| facts.loaded);
            if let Some(file) = facts.and_then(|facts| facts.barred_by.as_ref()) {
                let module: &dyn Display = &module;
                findings.push(Finding::fail(cause::ModuleBarred { module, host, file }).of(module));
            }
        }
        if self
            .kept
            .modules
            .get(MODULE)
            .is_some_and(|module| module.loaded && module.loaded_by.is_none())
        {
            let lost = cause::ModuleNotPersistent {
                module: &MODULE,
                host,
            };
            findings.push(Finding::warn(lost).of(MODULE));
        }
        findings
    }

    /// Returns what the programs and the machine itself come back as.
    fn machine(&self, host: &Host) -> Vec<Finding> {
        let (kept, name) = (&self.kept, &host.name);
        let mut findings = start::changed(&kept.inputs, &self.processes, &kept.units, name);
        findings.extend(machine::hostname(kept, &self.processes, host));
        findings.extend(machine::mounts(&kept.mounts, name));
        findings.extend(machine::firewalls(&kept.firewalls, name));
        findings
    }

    /// Returns swap that is off now, and on after the next start. Where it is on now, the kubelet lives with it.
    fn swap(&self, host: &Host) -> Vec<Finding> {
        if !self.kept.swaps.is_empty() || !host.roles.contains(&Role::Worker) {
            return Vec::new();
        }
        let host = &host.name;
        let returns = |device: &String| Finding::fail(cause::SwapReturns { device, host }).of(device);
        self.kept.swaps_at_boot.iter().map(returns).collect()
    }

    /// Returns routes that nothing sets again.
    fn routes(&self, host: &Host) -> Vec<Finding> {
        let host = &host.name;
        if self
            .processes
            .iter()
            .any(|process| ROUTERS.contains(&process.name.as_str()))
        {
            return Vec::new();
        }
        let lost = |network: &IpNet| self.kept.routes.get(network).is_some_and(Option::is_none);
        let lost = self.routes.iter().filter(|(network, ..)| lost(network));
        lost.map(|(network, via, node)| {
            let cause = cause::RouteNotPersistent {
                network,
                via,
                node,
                host,
            };
            Finding::warn(cause).of(network)
        })
        .collect()
    }
}

/// Returns whether a process is in a container: that starts with its runtime.
fn is_container(cgroup: &str) -> bool {
    [
        "kubepods",
        "libpod",
        "docker/",
        "docker-",
        "cri-containerd",
        "crio-",
    ]
    .iter()
    .any(|mark| cgroup.contains(mark))
}

/// Returns what is wrong with a unit. One that has no file and runs nothing is no unit of this host.
fn of_unit(unit: &str, facts: &UnitFacts, programs: &[&str], host: &dyn Display) -> Option<Finding> {
    let (unit, programs) = (&unit, &programs.join(", "));
    let runs: &dyn Display = if programs.is_empty() { &"-" } else { programs };
    let finding = if facts.masked {
        Finding::fail(cause::UnitMasked { unit, host, runs })
    } else if facts.volatile {
        Finding::fail(cause::UnitVolatile {
            unit,
            host,
            runs,
            file: &facts.file.as_deref().unwrap_or_default(),
        })
    } else if facts.file.is_some() && facts.started_by.is_none() {
        Finding::fail(cause::UnitDisabled { unit, host, runs })
    } else {
        return None;
    };
    Some(finding.of(unit))
}

/// Returns that a file sets another value than the kernel has now.
fn otherwise(key: &str, setting: &SysctlFacts, host: &dyn Display) -> Option<Cause> {
    let (now, at_boot) = (setting.now.as_ref()?, setting.at_boot.as_ref()?);
    let file = setting.file.as_ref()?;
    (now != at_boot).then(|| {
        cause::SysctlOtherwise {
            key: &key,
            now,
            at_boot,
            file,
            host,
        }
        .into()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::testing::{expect, judged, site};
    use crate::findings::{CauseId, Outcome};
    use crate::protocol::{InputFacts, ModuleFacts, MountDiffers, MountFacts, Obstacle};

    fn process(name: &str, cgroup: &str) -> Process {
        Process {
            pid: 7,
            parent: 1,
            name: name.to_owned(),
            arguments: secrets::MaskedArguments::new(&[] as &[&str]),
            state: 'S',
            age_seconds: 100,
            cgroup: cgroup.to_owned(),
        }
    }

    fn enabled(file: &str) -> UnitFacts {
        UnitFacts {
            file: Some(file.to_owned()),
            started_by: Some("multi-user.target".to_owned()),
            ..UnitFacts::default()
        }
    }

    fn network() -> IpNet {
        "10.200.0.0/24".parse().unwrap()
    }

    fn healthy() -> Facts {
        let set = SysctlFacts {
            now: Some("1".to_owned()),
            at_boot: Some("1".to_owned()),
            file: Some("/etc/sysctl.d/k.conf".to_owned()),
        };
        let module = ModuleFacts {
            loaded: true,
            loaded_by: Some("/etc/modules-load.d/k.conf".to_owned()),
            barred_by: None,
        };
        let kubelet = "kubelet.service".to_owned();
        Facts {
            distribution: Distribution::HardWay,
            processes: vec![process("kubelet", "/system.slice/kubelet.service")],
            routes: vec![(network(), "192.168.10.101".to_owned(), "node-0".to_owned())],
            kept: PersistenceReply {
                systemd: true,
                units: BTreeMap::from([(kubelet, enabled("/etc/systemd/system/kubelet.service"))]),
                sysctls: BTreeMap::from([(FORWARD.to_owned(), set.clone()), (BRIDGE[0].to_owned(), set)]),
                modules: BTreeMap::from([(MODULE.to_owned(), module)]),
                routes: BTreeMap::from([(network(), Some("/etc/netplan/01.yaml".to_owned()))]),
                ..PersistenceReply::default()
            },
        }
    }

    fn judge(change: impl FnOnce(&mut Facts)) -> (Outcome, Option<CauseId>) {
        let mut facts = healthy();
        change(&mut facts);
        judged::<HostsReboot>(&facts, &expect(&site(), "node-1"))
    }

    fn unit(facts: &mut Facts) -> &mut UnitFacts {
        facts.kept.units.get_mut("kubelet.service").unwrap()
    }

    #[test]
    fn a_host_whose_files_set_all_of_it_passes() {
        assert_eq!(judge(|_| {}), (Outcome::Pass, None));
    }

    #[test]
    fn a_unit_that_nothing_starts_fails_and_so_does_one_that_is_masked_or_lies_in_run() {
        assert_eq!(
            judge(|facts| unit(facts).started_by = None),
            (Outcome::Fail, Some(CauseId::UnitDisabled))
        );
        let masked = |facts: &mut Facts| {
            *unit(facts) = UnitFacts {
                masked: true,
                ..UnitFacts::default()
            };
        };
        assert_eq!(judge(masked), (Outcome::Fail, Some(CauseId::UnitMasked)));
        let volatile = |facts: &mut Facts| {
            *unit(facts) = UnitFacts {
                file: Some("/run/systemd/transient/kubelet.service".to_owned()),
                volatile: true,
                ..UnitFacts::default()
            };
        };
        assert_eq!(judge(volatile), (Outcome::Fail, Some(CauseId::UnitVolatile)));
    }

    #[test]
    fn a_unit_that_the_table_names_and_the_host_does_not_have_is_no_finding() {
        let absent = |facts: &mut Facts| {
            facts
                .kept
                .units
                .insert("kube-proxy.service".to_owned(), UnitFacts::default());
        };
        assert_eq!(judge(absent), (Outcome::Pass, None));
    }

    #[test]
    fn a_program_that_somebody_started_by_hand_fails_and_one_in_a_pod_does_not() {
        let by_hand = |facts: &mut Facts| {
            facts.processes[0].cgroup = "/user.slice/user-0.slice/session-3.scope".to_owned();
        };
        assert_eq!(judge(by_hand), (Outcome::Fail, Some(CauseId::ProcessOutsideUnit)));
        let pod = |facts: &mut Facts| {
            let cgroup = "/kubepods.slice/kubepods-burstable.slice/cri-containerd-0a.scope";
            facts.processes.push(process("kube-apiserver", cgroup));
        };
        assert_eq!(judge(pod), (Outcome::Pass, None));
    }

    #[test]
    fn settings_that_no_file_sets_warn_and_a_bridge_that_a_file_switches_off_fails() {
        let lost = |facts: &mut Facts| {
            let forward = facts.kept.sysctls.get_mut(FORWARD).unwrap();
            (forward.at_boot, forward.file) = (None, None);
        };
        assert_eq!(judge(lost), (Outcome::Warn, Some(CauseId::SysctlNotPersistent)));
        let off = |key: &'static str| {
            move |facts: &mut Facts| facts.kept.sysctls.get_mut(key).unwrap().at_boot = Some("0".to_owned())
        };
        assert_eq!(
            judge(off(BRIDGE[0])),
            (Outcome::Fail, Some(CauseId::SysctlOtherwise))
        );
        assert_eq!(
            judge(off(FORWARD)),
            (Outcome::Warn, Some(CauseId::SysctlOtherwise))
        );
        let by_default = |facts: &mut Facts| {
            let bridge = facts.kept.sysctls.get_mut(BRIDGE[0]).unwrap();
            (bridge.at_boot, bridge.file) = (None, None);
        };
        assert_eq!(judge(by_default), (Outcome::Pass, None));
    }

    #[test]
    fn a_module_and_a_route_that_nothing_brings_back_warn_and_swap_that_comes_back_fails() {
        let module = |facts: &mut Facts| facts.kept.modules.get_mut(MODULE).unwrap().loaded_by = None;
        assert_eq!(judge(module), (Outcome::Warn, Some(CauseId::ModuleNotPersistent)));
        let barred = |facts: &mut Facts| {
            facts.kept.modules.get_mut(MODULE).unwrap().barred_by =
                Some("/etc/modprobe.d/cis.conf".to_owned());
        };
        assert_eq!(judge(barred), (Outcome::Fail, Some(CauseId::ModuleBarred)));
        let route = |facts: &mut Facts| *facts.kept.routes.get_mut(&network()).unwrap() = None;
        assert_eq!(judge(route), (Outcome::Warn, Some(CauseId::RouteNotPersistent)));
        let router = |facts: &mut Facts| {
            route(facts);
            facts.processes.push(process("flanneld", "/kubepods/pod1/x"));
        };
        assert_eq!(judge(router), (Outcome::Pass, None));
        let swap = |facts: &mut Facts| facts.kept.swaps_at_boot = vec!["/swap.img".to_owned()];
        assert_eq!(judge(swap), (Outcome::Fail, Some(CauseId::SwapReturns)));
        let on = |facts: &mut Facts| {
            swap(facts);
            facts.kept.swaps = vec!["/swap.img".to_owned()];
        };
        assert_eq!(judge(on), (Outcome::Pass, None));
    }

    #[test]
    fn distributions_that_set_their_hosts_up_are_judged_by_their_units_alone() {
        let k3s = |facts: &mut Facts| {
            facts.distribution = Distribution::K3sAgent;
            facts.kept.modules.get_mut(MODULE).unwrap().loaded_by = None;
        };
        assert_eq!(judge(k3s), (Outcome::Pass, None));
    }

    #[test]
    fn without_systemd_nobody_can_say_what_starts() {
        assert_eq!(
            judge(|facts| facts.kept.systemd = false),
            (Outcome::Skip, Some(CauseId::NoSystemd))
        );
    }

    #[test]
    fn a_unit_that_cannot_start_fails_and_one_that_is_not_started_is_told_by_that_alone() {
        let obstacle = |obstacle: Obstacle| move |facts: &mut Facts| unit(facts).obstacles = vec![obstacle];
        let path = || "/usr/local/bin/kubelet".to_owned();
        let fails = |cause: CauseId| (Outcome::Fail, Some(cause));
        assert_eq!(
            judge(obstacle(Obstacle::Program(path()))),
            fails(CauseId::UnitProgramMissing)
        );
        assert_eq!(
            judge(obstacle(Obstacle::Input(path()))),
            fails(CauseId::UnitInputMissing)
        );
        let condition = Obstacle::Condition("ConditionPathExists=/x".to_owned());
        assert_eq!(judge(obstacle(condition)), fails(CauseId::UnitConditionUnmet));
        let disabled = |facts: &mut Facts| {
            obstacle(Obstacle::Program(path()))(facts);
            unit(facts).started_by = None;
        };
        assert_eq!(judge(disabled), fails(CauseId::UnitDisabled));
    }

    #[test]
    fn a_file_that_is_gone_fails_and_one_that_was_written_since_warns() {
        let input = |missing: bool| {
            move |facts: &mut Facts| {
                let path = "/var/lib/kubelet/config.yaml".to_owned();
                facts.kept.inputs = vec![InputFacts {
                    pid: 7,
                    path,
                    missing,
                }];
            }
        };
        assert_eq!(judge(input(true)), (Outcome::Fail, Some(CauseId::InputMissing)));
        assert_eq!(judge(input(false)), (Outcome::Warn, Some(CauseId::InputNewer)));
        let of_the_unit = |facts: &mut Facts| {
            input(true)(facts);
            let path = facts.kept.inputs[0].path.clone();
            unit(facts).obstacles = vec![Obstacle::Input(path)];
        };
        assert_eq!(
            judge(of_the_unit),
            (Outcome::Fail, Some(CauseId::UnitInputMissing))
        );
    }

    #[test]
    fn a_machine_that_comes_back_otherwise_is_told() {
        let renamed = |facts: &mut Facts| {
            facts.kept.hostname.now = "node-1".to_owned();
            facts.kept.hostname.at_boot = Some("worker-7".to_owned());
        };
        assert_eq!(judge(renamed), (Outcome::Fail, Some(CauseId::HostnameOtherwise)));
        let told = |facts: &mut Facts| {
            renamed(facts);
            facts.processes[0].arguments =
                secrets::MaskedArguments::new(&["kubelet", "--hostname-override=node-1"]);
        };
        assert_eq!(judge(told), (Outcome::Pass, None));
        let mount = |differs: MountDiffers| {
            move |facts: &mut Facts| {
                facts.kept.mounts = vec![MountFacts {
                    source: "/dev/sdb1".to_owned(),
                    path: "/var/lib".to_owned(),
                    differs,
                }];
            }
        };
        let of = |differs: MountDiffers| judge(mount(differs));
        assert_eq!(
            of(MountDiffers::NoDevice),
            (Outcome::Fail, Some(CauseId::MountWithoutDevice))
        );
        assert_eq!(
            of(MountDiffers::Unmounted),
            (Outcome::Warn, Some(CauseId::MountReturns))
        );
        assert_eq!(
            of(MountDiffers::InMemory),
            (Outcome::Fail, Some(CauseId::DataInMemory))
        );
        let filter = |facts: &mut Facts| facts.kept.firewalls = vec!["nftables.service".to_owned()];
        assert_eq!(judge(filter), (Outcome::Warn, Some(CauseId::FirewallReturns)));
    }

    #[test]
    fn only_routes_by_way_of_the_node_count() {
        let site = site();
        let route = |destination: &str, via: &str| Route {
            destination: destination.parse().unwrap(),
            via: via.parse().ok(),
            device: None,
        };
        let routes = [
            route("0.0.0.0/0", "192.168.10.101"),
            route("10.200.0.0/24", "192.168.10.101"),
            route("10.200.1.0/24", "192.168.10.101"),
            route("10.32.0.0/24", ""),
        ];
        let found = to_pods(&routes, site.host("node-1").unwrap(), &site);
        assert_eq!(
            found,
            [(network(), "192.168.10.101".to_owned(), "node-0".to_owned())]
        );
    }
}
