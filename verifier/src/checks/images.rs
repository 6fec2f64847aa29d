//! The images of the bundle on every worker, and the audit of what the nodes hold.

mod complete;
mod held;
mod inventory;
pub(super) mod present;
#[cfg(test)]
mod testing;
mod workloads;

use crate::suite::Check;

/// The checks of this group, in the order in which a person would make them.
pub(super) const CHECKS: &[Check] = &[
    present::CHECK,
    inventory::CHECK,
    complete::CHECK,
    workloads::CHECK,
];
