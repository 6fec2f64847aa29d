//! The components of Kubernetes, each on its own host.

pub(super) mod component;
pub(super) mod control_plane;
pub(super) mod workers;

use crate::suite::Check;

/// The checks of this group, in the order in which a person would make them.
pub(super) const CHECKS: &[Check] = &[control_plane::CHECK, workers::CHECK];
