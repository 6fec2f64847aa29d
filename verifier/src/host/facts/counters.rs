//! What the kernel counted since the host was started that means that something went wrong.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use super::FactError;
use super::netstat::counter;
use crate::protocol::{ErrorCountersReply, InterfaceErrors};

/// How many interfaces are told. A node has one for each of its pods.
const INTERFACES: usize = 256;

/// Returns the counters. A file that is not there counts nothing.
#[expect(
    clippy::unnecessary_wraps,
    reason = "as all facts that are read beside the others"
)]
pub(crate) fn counters() -> Result<ErrorCountersReply, FactError> {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let (snmp, netstat) = (read("/proc/net/snmp"), read("/proc/net/netstat"));
    let of = |text: &str, group: &str, name: &str| counter(text, group, name).unwrap_or_default();
    Ok(ErrorCountersReply {
        interfaces: interfaces(),
        tcp_sent: of(&snmp, "Tcp:", "OutSegs"),
        tcp_again: of(&snmp, "Tcp:", "RetransSegs"),
        checksums: of(&snmp, "Tcp:", "InCsumErrors") + of(&snmp, "Udp:", "InCsumErrors"),
        refused: of(&netstat, "TcpExt:", "ListenOverflows"),
        untracked: untracked(&read("/proc/net/stat/nf_conntrack")),
        out_of_memory: ended(&read("/proc/vmstat")),
        file_systems: file_systems(),
    })
}

fn interfaces() -> BTreeMap<String, InterfaceErrors> {
    let errors = |name: &str| {
        let of = |counter: &str| {
            number(
                &Path::new("/sys/class/net")
                    .join(name)
                    .join("statistics")
                    .join(counter),
            )
        };
        InterfaceErrors {
            received: of("rx_errors"),
            sent: of("tx_errors"),
        }
    };
    let names = fs::read_dir("/sys/class/net").into_iter().flatten().flatten();
    let names = names.filter_map(|entry| entry.file_name().into_string().ok());
    let told = names.filter(|name| name != "lo").take(INTERFACES);
    told.map(|name| (name.clone(), errors(&name))).collect()
}

/// Sums `drop` and `early_drop` over the processors: a line each, hexadecimal, below the names.
fn untracked(text: &str) -> u64 {
    let mut lines = text.lines();
    let names: Vec<&str> = lines.next().unwrap_or_default().split_whitespace().collect();
    let columns = ["drop", "early_drop"].map(|name| names.iter().position(|one| *one == name));
    let values = lines.flat_map(|line| {
        let values: Vec<&str> = line.split_whitespace().collect();
        columns.map(|column| {
            values
                .get(column?)
                .and_then(|value| u64::from_str_radix(value, 16).ok())
        })
    });
    values.flatten().sum()
}

fn ended(vmstat: &str) -> u64 {
    let line = vmstat.lines().find_map(|line| line.strip_prefix("oom_kill "));
    line.and_then(|value| value.trim().parse().ok())
        .unwrap_or_default()
}

fn file_systems() -> u64 {
    let all = fs::read_dir("/sys/fs/ext4").into_iter().flatten().flatten();
    all.map(|entry| number(&entry.path().join("errors_count"))).sum()
}

fn number(path: &Path) -> u64 {
    let text = fs::read_to_string(path).ok();
    text.and_then(|text| text.trim().parse().ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_of_connections_counts_by_processor_in_hexadecimal() {
        let text = "entries  clashres found new invalid ignore delete chainlength insert insert_failed drop early_drop icmp_error\n\
                    00000002  0 0 0 0 0 0 0 0 00000007 0000000a 00000001 0\n00000002  0 0 0 0 0 0 0 0 0 00000010 0 0\n";
        assert_eq!(untracked(text), 27);
        assert_eq!(untracked(""), 0);
        // A kernel that knows one of them only.
        assert_eq!(untracked("entries drop\n1 3\n"), 3);
    }

    #[test]
    fn this_kernel_counts() {
        assert!(counters().unwrap().tcp_sent > 0);
        assert_eq!(ended("oom_kill_disable 1\noom_kill 4\n"), 4);
    }
}
