//! What the network stack counted since the host was started.

/// Returns how many packets came in by an interface that does not lead back to where they came from, and were dropped for it
/// (`rp_filter`); none where the kernel does not count them.
pub(super) fn reverse_path_drops() -> u64 {
    let text = std::fs::read_to_string("/proc/net/netstat").unwrap_or_default();
    counter(&text, "TcpExt:", "IPReversePathFilter").unwrap_or_default()
}

/// Each group has a line of names and, below it, one of values.
pub(super) fn counter(text: &str, group: &str, name: &str) -> Option<u64> {
    let mut lines = text.lines().filter(|line| line.starts_with(group));
    let (names, values) = (lines.next()?, lines.next()?);
    let at = names.split(' ').position(|one| one == name)?;
    values.split(' ').nth(at)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_counter_stands_below_its_name() {
        let text =
            "TcpExt: SyncookiesSent IPReversePathFilter TW\nTcpExt: 0 42 7\nIpExt: InNoRoutes\nIpExt: 1\n";
        assert_eq!(counter(text, "TcpExt:", "IPReversePathFilter"), Some(42));
        assert_eq!(counter(text, "IpExt:", "InNoRoutes"), Some(1));
        assert_eq!(counter(text, "TcpExt:", "Other"), None);
        assert_eq!(counter("", "TcpExt:", "TW"), None);
    }
}
