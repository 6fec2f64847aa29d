//! The audit of certificates: what lies on the hosts, what is served, what the API holds.

mod called;
mod files;
mod kubeconfig;
mod secrets;
mod served;
mod view;

pub use files::named;

use crate::suite::Check;

pub(super) const CHECKS: &[Check] = &[
    files::CHECK,
    served::CHECK,
    kubeconfig::CHECK,
    called::CHECK,
    secrets::CHECK,
];
