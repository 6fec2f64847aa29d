//! The suite's Deployment and its pods.

mod crash;
pub(super) mod deployment;
mod pod_cidr;
mod restart;
mod scale;

use crate::suite::Check;

/// The checks of this group, in the order in which a person would make them.
pub(super) const CHECKS: &[Check] = &[deployment::CHECK, scale::CHECK, pod_cidr::CHECK, restart::CHECK];
