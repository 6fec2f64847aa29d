//! How much of the kernel's limits is in use, counted as the kernel counts it: inotify by user, open files by process.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use procfs::process::{LimitValue, Process};

use super::{FactError, netstat, persistence, processes};
use crate::host::kubelet::kubelet;
use crate::protocol::{InotifyUse, Left, OpenFiles, SwapRule, UsageReply};

/// Programs that take a cluster along when they run out of files.
const SERVERS: [&str; 9] = [
    "containerd",
    "crio",
    "dockerd",
    "etcd",
    "kubelet",
    "kube-apiserver",
    "k3s-server",
    "k3s-agent",
    "kubelite",
];
/// No more open files than these are looked at on a host: a lower count is told than there is.
const MOST: u64 = 1_000_000;

/// Returns what is in use.
pub(crate) fn usage() -> Result<UsageReply, FactError> {
    let mut reply = UsageReply {
        swaps: persistence::swaps(Path::new("/")),
        swap_rule: kubelet().map(|kubelet| SwapRule {
            refused: kubelet.fail_swap_on,
            unread: kubelet.unread.map(|file| file.display().to_string()),
        }),
        tasks: tasks()?,
        reverse_path_drops: netstat::reverse_path_drops(),
        ..UsageReply::default()
    };
    let mut inotify: BTreeMap<u32, (u64, u64)> = BTreeMap::new();
    let mut looked = 0;
    let all = procfs::process::all_processes().map_err(FactError::Processes)?;
    for process in all.filter_map(Result::ok) {
        let Some(files) = files_of(&process, &mut looked) else {
            // One that has ended has no files to be seen.
            reply.unseen += u64::from(process.is_alive());
            continue;
        };
        reply.seen += 1;
        if files.instances > 0
            && let Ok(metadata) = fs::metadata(format!("/proc/{}", process.pid))
        {
            let of_user = inotify.entry(metadata.uid()).or_default();
            of_user.0 += files.instances;
            of_user.1 += files.watches;
        }
        reply.files.extend(server(&process, files.open));
    }
    let counted = inotify.into_iter().map(|(uid, (instances, watches))| InotifyUse {
        uid,
        instances,
        watches,
    });
    reply.inotify = counted.collect();
    Ok(reply)
}

/// Returns how many process ids are in use, with the lowest of the kernel's limits.
fn tasks() -> Result<Left, FactError> {
    let ids = processes::process_ids()?;
    let threads = procfs::sys::kernel::threads_max().map_err(FactError::Processes)?;
    let used = ids.capacity.saturating_sub(ids.available);
    let capacity = ids.capacity.min(u64::from(threads));
    Ok(Left {
        available: capacity.saturating_sub(used),
        capacity,
    })
}

/// The open files of a process.
struct Files {
    open: u64,
    instances: u64,
    watches: u64,
}

/// Counts the open files of a process; nothing where they may not be seen.
fn files_of(process: &Process, looked: &mut u64) -> Option<Files> {
    let directory = format!("/proc/{}/fd", process.pid);
    let mut files = Files {
        open: 0,
        instances: 0,
        watches: 0,
    };
    for entry in fs::read_dir(&directory).ok()?.flatten() {
        files.open += 1;
        *looked += 1;
        let is_inotify =
            || fs::read_link(entry.path()).is_ok_and(|target| target.as_os_str() == "anon_inode:inotify");
        if *looked <= MOST && is_inotify() {
            files.instances += 1;
            let info = Path::new("/proc")
                .join(process.pid.to_string())
                .join("fdinfo")
                .join(entry.file_name());
            let text = fs::read_to_string(info).unwrap_or_default();
            files.watches += text.lines().filter(|line| line.starts_with("inotify ")).count() as u64;
        }
    }
    Some(files)
}

/// Returns the open files of a process that serves a cluster, with its limit.
fn server(process: &Process, open: u64) -> Option<OpenFiles> {
    let name = process.stat().ok()?.comm;
    if !SERVERS.contains(&name.as_str()) {
        return None;
    }
    match process.limits().ok()?.max_open_files.soft_limit {
        LimitValue::Value(limit) => Some(OpenFiles {
            pid: process.pid,
            name,
            open,
            limit,
        }),
        LimitValue::Unlimited => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_this_process_watches_is_counted_for_its_user() {
        let watch = rustix::fs::inotify::init(rustix::fs::inotify::CreateFlags::CLOEXEC).unwrap();
        rustix::fs::inotify::add_watch(&watch, "/", rustix::fs::inotify::WatchFlags::CREATE).unwrap();
        let reply = usage().unwrap();
        let uid = rustix::process::geteuid().as_raw();
        let own = reply.inotify.iter().find(|user| user.uid == uid).unwrap();
        assert!(own.instances >= 1 && own.watches >= 1, "{own:?}");
        assert!(reply.tasks.available > 0 && reply.tasks.available < reply.tasks.capacity);
    }

    #[test]
    fn a_process_that_serves_no_cluster_is_left_out_of_the_open_files() {
        let own = Process::myself().unwrap();
        assert!(server(&own, 1).is_none());
        let mut looked = 0;
        assert!(files_of(&own, &mut looked).unwrap().open >= 3);
        assert!(looked >= 3);
    }
}
