//! The machinery of the lab, on real namespaces. Needs root. Hosts are bare (no Kubernetes) but where it says so.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "clippy knows tests from their helpers only inside a crate"
)]

mod closed;
mod commands;
mod hardened;
mod life;
mod support;
