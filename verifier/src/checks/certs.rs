//! The audit of certificates: what lies on the hosts, what is served, what the API holds.

mod files;
mod view;

use crate::suite::Check;

pub(super) const CHECKS: &[Check] = &[files::CHECK];
