//! How near a host is to the kernel's limits, and whether its kubelet lives with its swap. Pure.

use std::collections::BTreeMap;
use std::fmt::Display;

use crate::findings::{Finding, cause};
use crate::protocol::{InotifyUse, OpenFiles, UsageReply};

/// What is in use and how much may be.
const CONNTRACK: [&str; 2] = [
    "net.netfilter.nf_conntrack_count",
    "net.netfilter.nf_conntrack_max",
];
const INSTANCES: &str = "fs.inotify.max_user_instances";
const WATCHES: &str = "fs.inotify.max_user_watches";
/// The first and the last port that a connection may start from, and how few of them are too few: the default has 28,232.
const PORTS: &str = "net.ipv4.ip_local_port_range";
const FEW_PORTS: u64 = 1000;
/// The settings that are needed.
pub(super) const KEYS: [&str; 5] = [CONNTRACK[0], CONNTRACK[1], INSTANCES, WATCHES, PORTS];

/// Returns what is nearly used up, and swap that the kubelet does not take.
pub(super) fn findings(
    usage: &UsageReply,
    values: &BTreeMap<String, Option<String>>,
    host: &str,
) -> Vec<Finding> {
    let value = |key: &str| -> Option<u64> { values.get(key)?.as_deref()?.parse().ok() };
    let mut findings = swap(usage, host);
    if let (Some(used), Some(limit)) = (value(CONNTRACK[0]), value(CONNTRACK[1]))
        && is_near(used, limit)
    {
        let (host, used, limit): (&dyn Display, _, _) = (&host, &used, &limit);
        findings.push(Finding::warn(cause::ConntrackNear { host, used, limit }));
    }
    findings.extend(ports(values.get(PORTS), host));
    let tasks = usage.tasks;
    let used = tasks.capacity.saturating_sub(tasks.available);
    if is_near(used, tasks.capacity) {
        let (host, used, limit): (&dyn Display, _, _) = (&host, &used, &tasks.capacity);
        findings.push(Finding::warn(cause::TasksNear { host, used, limit }));
    }
    for user in &usage.inotify {
        findings.extend(inotify(user, value(INSTANCES), value(WATCHES), host));
    }
    findings.extend(usage.files.iter().filter_map(|process| files(process, host)));
    // Some processes keep to themselves under SELinux; where most do, the agent has too few rights.
    if usage.unseen > usage.seen {
        let unseen = cause::UsageUnseen {
            host: &host,
            unseen: &usage.unseen,
            seen: &usage.seen,
        };
        findings.push(Finding::error(unseen));
    }
    findings
}

/// Returns that there are hardly any ports to start connections from: each other end takes so many at once, and no more.
fn ports(range: Option<&Option<String>>, host: &str) -> Option<Finding> {
    let range = range?.as_deref()?;
    let mut ends = range.split_whitespace().map(str::parse::<u64>);
    let (first, last) = (ends.next()?.ok()?, ends.next()?.ok()?);
    let ports = (last + 1).saturating_sub(first);
    let cause = cause::PortsFew {
        host: &host,
        ports: &ports,
        range: &format!("{first}-{last}"),
    };
    (ports < FEW_PORTS).then(|| Finding::warn(cause).of(PORTS))
}

/// Returns whether nine tenths are used. Where there is no limit nothing is near it.
const fn is_near(used: u64, limit: u64) -> bool {
    limit > 0 && used >= limit - limit / 10
}

fn swap(usage: &UsageReply, host: &str) -> Vec<Finding> {
    let Some(rule) = usage.swap_rule.as_ref().filter(|_| !usage.swaps.is_empty()) else {
        return Vec::new();
    };
    let (host, devices): (&dyn Display, _) = (&host, &usage.swaps.join(", "));
    if let Some(file) = &rule.unread {
        return vec![Finding::error(cause::SwapUnjudged { devices, file, host })];
    }
    let refused = || Finding::fail(cause::SwapRefused { devices, host });
    rule.refused.then(refused).into_iter().collect()
}

fn inotify(user: &InotifyUse, instances: Option<u64>, watches: Option<u64>, host: &str) -> Vec<Finding> {
    let near = |key: &str, used: u64, limit: Option<u64>| {
        let limit = limit.filter(|limit| is_near(used, *limit))?;
        let cause = cause::InotifyNear {
            key: &key,
            user: &user.uid,
            host: &host,
            used: &used,
            limit: &limit,
            advised: &limit.saturating_mul(2),
        };
        Some(Finding::warn(cause).of(key))
    };
    let found = [
        near(INSTANCES, user.instances, instances),
        near(WATCHES, user.watches, watches),
    ];
    found.into_iter().flatten().collect()
}

fn files(process: &OpenFiles, host: &str) -> Option<Finding> {
    let near = is_near(process.open, process.limit);
    near.then(|| {
        let cause = cause::FilesNear {
            process: &process.name,
            host: &host,
            pid: &process.pid,
            used: &process.open,
            limit: &process.limit,
        };
        Finding::warn(cause).of(&process.name)
    })
}

/// Returns what is in use, for a person.
pub(super) fn lines(usage: &UsageReply) -> Vec<String> {
    let tasks = usage.tasks;
    let used = tasks.capacity.saturating_sub(tasks.available);
    let mut lines = vec![format!("tasks: {used} / {}", tasks.capacity)];
    lines.extend(usage.inotify.iter().map(|user| {
        let InotifyUse {
            uid,
            instances,
            watches,
        } = user;
        format!("inotify, uid {uid}: instances {instances}, watches {watches}")
    }));
    lines.extend(usage.files.iter().map(|process| {
        let OpenFiles {
            pid,
            name,
            open,
            limit,
        } = process;
        format!("files, {name} ({pid}): {open} / {limit}")
    }));
    lines.extend(usage.swaps.iter().map(|device| format!("swap: {device}")));
    lines
}
