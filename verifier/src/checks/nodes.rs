//! The Nodes as the API has them.

pub(super) mod ready;
mod reported;

use crate::suite::Check;

/// The checks of this group, in the order in which a person would make them.
pub(super) const CHECKS: &[Check] = &[ready::CHECK];
