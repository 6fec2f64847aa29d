//! The way of packets: interfaces, routes, bridges, pods.

mod bridge;
pub(super) mod cni_bridge;
mod dns;
pub(super) mod echo;
mod interfaces;
mod mtu;
pub(super) mod next_hop;
pub(super) mod packet_filter;
pub(super) mod path_trace;
pub(super) mod pod_reachable;
mod pod_to_pod;
pub(super) mod pods;
mod policy;
mod routes;
mod udp;
mod veth;

use crate::suite::Check;

/// The checks of this group, in the order in which a person would make them.
pub(super) const CHECKS: &[Check] = &[
    bridge::CHECK,
    veth::CHECK,
    interfaces::CHECK,
    routes::CHECK,
    pod_reachable::CHECK,
    pod_to_pod::CHECK,
    udp::CHECK,
    mtu::CHECK,
    dns::CHECK,
    policy::CHECK,
];
