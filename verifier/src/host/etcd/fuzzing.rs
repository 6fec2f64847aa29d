//! The doors of `fuzz/` into what etcd says.

use super::metrics;

/// The metrics of a member.
pub(crate) fn etcd_metrics(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let told = metrics::read(&text);
    assert!(told.is_none() || text.contains("_count "), "figures from nowhere");
}
