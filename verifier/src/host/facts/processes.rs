//! The processes of the host.

use std::collections::{BTreeMap, BTreeSet};

use procfs::Current as _;
use procfs::process::Process as Proc;

use secrets::MaskedArguments;

use super::FactError;
use crate::protocol::{Left, Process};

/// Returns the processes whose name or program file is one of `names`, by id; all of them, without their
/// arguments, when `names` is empty. One that ends meanwhile is left out.
pub(crate) fn processes(names: &[String]) -> Result<Vec<Process>, FactError> {
    let seconds_up = procfs::Uptime::current().map_or(0.0, |uptime| uptime.uptime);
    let mut found: Vec<Process> = procfs::process::all_processes()
        .map_err(FactError::Processes)?
        .filter_map(Result::ok)
        .filter_map(|process| describe(&process, names, seconds_up))
        .collect();
    found.sort_by_key(|process| process.pid);
    Ok(found)
}

fn describe(process: &Proc, names: &[String], seconds_up: f64) -> Option<Process> {
    let stat = process.stat().ok()?;
    if !names.is_empty() && !names.contains(&stat.comm) {
        let program = process.exe().ok()?;
        let name = program.file_name()?.to_str()?.trim_end_matches(" (deleted)");
        names.iter().find(|wanted| *wanted == name)?;
    }
    let arguments = if names.is_empty() {
        Vec::new()
    } else {
        process.cmdline().unwrap_or_default()
    };
    Some(Process {
        pid: stat.pid,
        parent: stat.ppid,
        arguments: MaskedArguments::new(&arguments),
        state: stat.state,
        age_seconds: age(stat.starttime, seconds_up),
        cgroup: cgroup(process).unwrap_or_default(),
        name: stat.comm,
    })
}

#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "whole seconds of a difference that is not negative"
)]
fn age(start_ticks: u64, seconds_up: f64) -> u64 {
    let started = start_ticks as f64 / procfs::ticks_per_second() as f64;
    (seconds_up - started).max(0.0) as u64
}

/// The path in the unified hierarchy, or in systemd's where there is none.
fn cgroup(process: &Proc) -> Option<String> {
    let groups = process.cgroups().ok()?.0;
    let unified = groups
        .iter()
        .find(|group| group.hierarchy == 0 && group.pathname != "/");
    let systemd = || {
        groups
            .iter()
            .find(|group| group.controllers.iter().any(|name| name == "name=systemd"))
    };
    unified.or_else(systemd).map(|group| group.pathname.clone())
}

/// Returns the lowest process id of each container, by the container's id: of a sandbox, that is its pause process.
pub(crate) fn of_containers() -> Result<BTreeMap<String, i32>, FactError> {
    let mut lowest: BTreeMap<String, i32> = BTreeMap::new();
    let processes = procfs::process::all_processes().map_err(FactError::Processes)?;
    for process in processes.filter_map(Result::ok) {
        for id in containers_of(&process) {
            let pid = lowest.entry(id).or_insert(process.pid());
            *pid = process.pid().min(*pid);
        }
    }
    Ok(lowest)
}

/// Returns whether a process is one of the container `id`.
pub(crate) fn is_of_container(pid: i32, id: &str) -> bool {
    Proc::new(pid).is_ok_and(|process| containers_of(&process).contains(id))
}

/// Returns the containers into whose cgroups a process was put: one, or none, unless hierarchies differ.
fn containers_of(process: &Proc) -> BTreeSet<String> {
    let groups = process.cgroups().map(|groups| groups.0).unwrap_or_default();
    let ids = groups.iter().filter_map(|group| container_in(&group.pathname));
    ids.map(str::to_owned).collect()
}

/// Returns the container whose cgroup a path leads into. Below that the container may have made cgroups of its own and
/// called them after others: so the one next to the pod's counts, and where no pod is named the first.
fn container_in(path: &str) -> Option<&str> {
    let parts = || path.split('/');
    let is_pod = |part: &str| {
        let name = part.rsplit_once("-pod").map_or(part, |(_, uid)| uid);
        name.len() < part.len() || part.strip_prefix("pod").is_some_and(|uid| uid.len() >= 32)
    };
    match parts().position(is_pod) {
        Some(pod) => parts().nth(pod + 1).and_then(id_in),
        None => parts().find_map(id_in),
    }
}

/// Returns the container's id in a part of a path: `ID`, `cri-containerd-ID.scope`, `crio-ID.scope`.
fn id_in(part: &str) -> Option<&str> {
    let name = part.strip_suffix(".scope").unwrap_or(part);
    let id = name.rsplit_once(['-', ':']).map_or(name, |(_, id)| id);
    (id.len() == 64 && id.bytes().all(|byte| byte.is_ascii_hexdigit())).then_some(id)
}

/// Returns how much memory is left, with its figures.
pub(crate) fn memory() -> Result<Left, FactError> {
    let memory = procfs::Meminfo::current().map_err(FactError::Processes)?;
    Ok(Left {
        available: memory.mem_available.unwrap_or(memory.mem_free),
        capacity: memory.mem_total,
    })
}

/// Returns how many process ids are in use, with their limit.
pub(crate) fn process_ids() -> Result<Left, FactError> {
    let load = procfs::LoadAverage::current().map_err(FactError::Processes)?;
    let limit = procfs::sys::kernel::pid_max().map_err(FactError::Processes)?;
    let capacity = u64::try_from(limit).unwrap_or_default();
    Ok(Left {
        available: capacity.saturating_sub(u64::from(load.max)),
        capacity,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_is_found_by_its_program_with_masked_arguments_and_a_plausible_age() {
        let program = std::env::current_exe().unwrap();
        let name = program.file_name().unwrap().to_str().unwrap().to_owned();
        let found = processes(&[name]).unwrap();
        let own = found
            .iter()
            .find(|process| process.pid == std::process::id().cast_signed())
            .unwrap();
        assert!(!own.arguments.is_empty());
        assert!(own.age_seconds < 3600);
    }

    #[test]
    fn all_processes_come_without_arguments() {
        let all = processes(&[]).unwrap();
        assert!(all.iter().any(|process| process.pid == 1));
        assert!(all.iter().all(|process| process.arguments.is_empty()));
    }

    #[test]
    fn a_container_that_calls_its_own_cgroups_after_another_is_not_taken_for_it() {
        let (own, other) = ("a".repeat(64), "b".repeat(64));
        let pod = "pod6f9619ff-8b86-d011-b42d-00c04fc964ff";
        for path in [
            format!("/kubepods/burstable/{pod}/{own}"),
            format!("/kubepods/besteffort/{pod}/{own}/{other}"),
            format!("/kubepods/{pod}/{own}/{pod}/{other}"),
            format!(
                "/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-{}.slice/cri-containerd-{own}.scope/{other}",
                pod.replace('-', "_")
            ),
            format!(
                "/kubepods.slice/kubepods-{}.slice/crio-{own}.scope",
                pod.replace('-', "_")
            ),
            format!("/docker/{other}/kubelet/kubepods/burstable/{pod}/{own}/x"),
            format!(
                "/system.slice/containerd.service/kubepods-burstable-{}.slice:cri-containerd:{own}",
                pod.replace('-', "_")
            )
            .replace(".slice:", ".slice/"),
            format!("/k8s.io/{own}/{other}"),
        ] {
            assert_eq!(container_in(&path), Some(own.as_str()), "{path}");
        }
        assert_eq!(container_in(&format!("/kubepods/{pod}/crio-conmon/{own}")), None);
        assert_eq!(container_in("/system.slice/ssh.service"), None);
    }
}
