//! The API server and the rights of the kubeconfig.

mod extensions;
mod from_pods;
mod permissions;
pub(super) mod ready;
mod webhooks;

use crate::suite::Check;

/// The checks of this group, in the order in which a person would make them.
pub(super) const CHECKS: &[Check] = &[
    ready::CHECK,
    permissions::CHECK,
    extensions::CHECK,
    webhooks::CHECK,
    from_pods::CHECK,
];
