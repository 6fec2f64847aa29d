//! What the programs are made of besides our own code: which crates and libraries are linked, under which licences,
//! and whether they may be.

pub(crate) mod deny;
mod linked;
pub(crate) mod notices;
pub(crate) mod sbom;

pub(crate) use linked::output;

/// The programs, by the names of their crates.
pub(crate) const PROGRAMS: [&str; 2] = ["bundler", "verifier"];
/// What they are built for.
pub(crate) const TARGET: &str = "x86_64-unknown-linux-gnu";
