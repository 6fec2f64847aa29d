//! The processes of the host.

use procfs::Current as _;
use procfs::process::Process as Proc;

use super::{FactError, mask};
use crate::protocol::Process;

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
        arguments: mask::arguments(arguments),
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

/// Returns the lowest process id whose cgroup path names `id`: of a sandbox, that is its pause process.
pub(crate) fn in_cgroup(id: &str) -> Result<Option<i32>, FactError> {
    let pids = procfs::process::all_processes()
        .map_err(FactError::Processes)?
        .filter_map(Result::ok)
        .filter(|process| {
            process
                .cgroups()
                .is_ok_and(|groups| groups.0.iter().any(|group| group.pathname.contains(id)))
        })
        .map(|process| process.pid());
    Ok(pids.min())
}

/// Returns how much memory is left, with its figures.
pub(crate) fn memory() -> Result<String, FactError> {
    let memory = procfs::Meminfo::current().map_err(FactError::Processes)?;
    let bytes = |count: u64| bytesize::ByteSize::b(count).display().iec().to_string();
    let available = memory.mem_available.unwrap_or(memory.mem_free);
    Ok(format!(
        "{} of memory available of {}",
        bytes(available),
        bytes(memory.mem_total)
    ))
}

/// Returns how many process ids are in use, with their limit.
pub(crate) fn process_ids() -> Result<String, FactError> {
    let load = procfs::LoadAverage::current().map_err(FactError::Processes)?;
    let limit = procfs::sys::kernel::pid_max().map_err(FactError::Processes)?;
    Ok(format!("{} processes and threads of at most {limit}", load.max))
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
}
