//! Reaching the hosts: login, agent, clock.

mod clock;
mod login;
mod reach;

use crate::suite::Check;

/// The checks of this group, in the order in which a person would make them.
pub(super) const CHECKS: &[Check] = &[reach::CHECK, clock::CHECK];
