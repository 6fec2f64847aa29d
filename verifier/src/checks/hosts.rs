//! The hosts themselves: login, agent, clock, what they are after their next start.

mod clock;
mod login;
mod reach;
mod reboot;

use crate::suite::Check;

/// The checks of this group, in the order in which a person would make them.
pub(super) const CHECKS: &[Check] = &[reach::CHECK, clock::CHECK, reboot::CHECK];
