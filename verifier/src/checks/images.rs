//! The images of the bundle on every worker.

pub(super) mod present;

use crate::suite::Check;

/// The checks of this group, in the order in which a person would make them.
pub(super) const CHECKS: &[Check] = &[present::CHECK];
