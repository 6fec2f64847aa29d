//! The members of etcd, and snapshots of what they hold.

mod backup_age;
mod health;
mod snapshot;

use crate::suite::Check;

/// The checks of this group, in the order in which a person would make them.
pub(super) const CHECKS: &[Check] = &[health::CHECK, snapshot::CHECK, backup_age::CHECK];
