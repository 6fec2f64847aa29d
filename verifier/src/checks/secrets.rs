//! Secrets: through the API, and as they lie in etcd.

mod all_encrypted;
mod encrypted_at_rest;
mod roundtrip;

use crate::suite::Check;

/// The checks of this group, in the order in which a person would make them.
pub(super) const CHECKS: &[Check] = &[roundtrip::CHECK, encrypted_at_rest::CHECK, all_encrypted::CHECK];
