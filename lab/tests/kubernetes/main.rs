//! Kubernetes on the lab, its faults and its registries, for real. Needs root.

#![expect(
    clippy::unwrap_used,
    reason = "clippy knows tests from their helpers only inside a crate"
)]

mod cluster;
mod faults;
mod registry;
mod support;
