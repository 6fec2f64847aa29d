//! Tests on the lab: the whole way, planted faults, hostile archives; and the benchmarks.
//!
//! It drives the two programs from outside, as a user does, and reads only what they promise: exit codes, JSON, files.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "tests and benchmarks report here"
)]

pub mod bench;
mod closed;
mod consoles;
pub mod faults;
mod left;
mod programs;
pub mod record;
mod report;
pub mod soak;

pub use closed::{Closed, Finished, MEDIA, REPORT};
pub use left::{assert_lookalikes_stay, left, make_lookalikes};
pub use programs::{Programs, programs};
pub use report::Report;
