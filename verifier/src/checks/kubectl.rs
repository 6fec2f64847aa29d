//! What kubectl does through the API server and the kubelet.

mod exec;
mod logs;
mod port_forward;
pub(super) mod through_kubelet;

use crate::suite::Check;

/// The checks of this group, in the order in which a person would make them.
pub(super) const CHECKS: &[Check] = &[port_forward::CHECK, logs::CHECK, exec::CHECK];
