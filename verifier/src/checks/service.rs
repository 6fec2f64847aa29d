//! The suite's Service: endpoints, cluster IP, node ports.

mod attempts;
mod backends;
mod clusterip;
mod deeper;
mod endpoints;
mod from_pod;
mod nodeport;
pub(super) mod service_trace;
mod udp;

use crate::suite::Check;

/// The checks of this group, in the order in which a person would make them.
pub(super) const CHECKS: &[Check] = &[
    endpoints::CHECK,
    clusterip::CHECK,
    from_pod::CHECK,
    udp::CHECK,
    nodeport::CHECK,
];
