//! What runs beside the suite: the cluster's own add-ons, and whatever else was deployed.

mod ready;

use crate::suite::Check;

/// The checks of this group, in the order in which a person would make them.
pub(super) const CHECKS: &[Check] = &[ready::CHECK];
