//! The container runtime of every worker.

mod containers;
mod crictl_config;
mod process_tree;
mod sandbox_image;

use crate::suite::Check;

/// The checks of this group, in the order in which a person would make them.
pub(super) const CHECKS: &[Check] = &[
    sandbox_image::CHECK,
    containers::CHECK,
    crictl_config::CHECK,
    process_tree::CHECK,
];
