//! The hosts themselves: login, agent, clock and what keeps it, names, settings of the kernel, disks, what they are after their next start.

mod clock;
mod disk;
mod login;
mod names;
mod reach;
mod reboot;
mod restarts;
mod settings;
mod time;
mod versions;

use crate::suite::Check;

/// The checks of this group, in the order in which a person would make them.
pub(super) const CHECKS: &[Check] = &[
    reach::CHECK,
    clock::CHECK,
    time::CHECK,
    names::CHECK,
    settings::CHECK,
    disk::CHECK,
    restarts::CHECK,
    reboot::CHECK,
    versions::CHECK,
];
