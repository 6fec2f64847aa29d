//! Finds and ends processes by the network namespace they are in. Nothing is ended by name.
//!
//! A host's processes all live in its network namespace (or in a pod's, whose process namespace ends with the
//! host's), so what is found is complete without any book-keeping, also after a killed `up`.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use rustix::process::{Pid, Signal, kill_process};

/// Returns the identity of a network namespace's handle, if there is one.
pub(crate) fn namespace(handle: &Path) -> Option<u64> {
    // A handle whose namespace was never mounted is a plain file of another file system.
    let metadata = fs::metadata(handle).ok()?;
    let own = fs::metadata("/proc/self/ns/net").ok()?;
    (metadata.dev() == own.dev()).then(|| metadata.ino())
}

/// Returns the processes in one of the namespaces, without the calling one.
pub(crate) fn inside(namespaces: &BTreeSet<u64>) -> BTreeSet<i32> {
    all()
        .filter(|pid| of(*pid).is_some_and(|namespace| namespaces.contains(&namespace)))
        .collect()
}

/// Returns the first process of the host whose network namespace this is: its PID 1.
pub(crate) fn init(namespace: u64) -> Option<i32> {
    all().find(|pid| is_init(*pid, namespace))
}

/// Returns whether the process is PID 1 of a process namespace right below ours, in this network namespace.
pub(crate) fn is_init(pid: i32, namespace: u64) -> bool {
    of(pid) == Some(namespace)
        && fs::read_to_string(format!("/proc/{pid}/status")).is_ok_and(|status| {
            let ids = status.lines().find_map(|line| line.strip_prefix("NSpid:"));
            let ids: Vec<&str> = ids.unwrap_or_default().split_whitespace().collect();
            ids.len() == 2 && ids.get(1) == Some(&"1")
        })
}

/// Returns whether something listens on a TCP port in a process's network namespace (see proc_net(5)).
pub(crate) fn listens(pid: i32, port: u16) -> bool {
    let local = format!(":{port:04X} ");
    ["tcp", "tcp6"].iter().any(|table| {
        let text = fs::read_to_string(format!("/proc/{pid}/net/{table}")).unwrap_or_default();
        // Local address, remote address, and the state LISTEN.
        text.lines()
            .any(|line| line.contains(&local) && line.contains(":0000 0A "))
    })
}

/// Ends processes at once. One that is gone already is no error.
pub(crate) fn kill(pids: &BTreeSet<i32>) {
    let own = i32::try_from(std::process::id()).ok();
    for pid in pids.iter().filter(|pid| Some(**pid) != own) {
        if let Some(pid) = Pid::from_raw(*pid) {
            let _ = kill_process(pid, Signal::KILL);
        }
    }
}

fn all() -> impl Iterator<Item = i32> {
    let own = i32::try_from(std::process::id()).ok();
    fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter(move |pid| Some(*pid) != own)
}

/// Returns the network namespace of a process; none for one that is ending.
fn of(pid: i32) -> Option<u64> {
    fs::metadata(format!("/proc/{pid}/ns/net"))
        .ok()
        .map(|metadata| metadata.ino())
}
