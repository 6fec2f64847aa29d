//! What pods keep: volumes.

mod volume;

use crate::suite::Check;

/// The checks of this group, in the order in which a person would make them.
pub(super) const CHECKS: &[Check] = &[volume::CHECK];
