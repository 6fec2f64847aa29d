//! Checks a bundle, loads its images and proves that a cluster works, without internet.
//!
//! The rooms, from the program's edge to the ground; an arrow means "imports", and none looks back (`cargo xtask arrows`,
//! with the table in docs/architecture.md):
//!
//! ```text
//! cmd ──▶ run ──▶ load ─────────┐
//!  │       │                    ▼
//!  │       └────▶ report ─┐  carrier ──▶ host ──┐
//!  │                      ▼     ▲               ▼
//!  └──────────▶ checks ─▶ suite ┼──▶ cluster ─▶ http ─▶ protocol
//!                          │    │
//!                          └────┴──▶ findings ─▶ distribution, site
//! ```
//!
//! - [`protocol`]: what is asked of a host and what it answers, as values.
//! - [`host`]: what runs on a host: the agent, its facts, its container runtime.
//! - [`carrier`]: what reaches a host: this process, or SSH.
//! - [`cluster`]: the Kubernetes API.
//! - [`findings`]: causes, findings, verdicts, and their words.
//! - [`gathered`]: what was asked and answered, kept in a file.
//! - `stored`: what etcd stores, read from bytes alone.
//! - [`certs`]: what certificates say, who signed whom, who uses them.
//! - [`images`]: images as lists have them, and what they take on a disk.
//! - [`distribution`]: how distributions lay a host out.
//! - [`suite`]: what a check is and how checks are run; [`checks`]: the checks.
//! - [`run`]: connect, load, check, remove, report; [`report`]: who draws and keeps it.

pub mod carrier;
pub mod certs;
pub mod checks;
pub mod cluster;
pub mod cmd;
pub mod distribution;
pub mod findings;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;
pub mod gathered;
pub mod host;
mod http;
pub mod images;
pub mod load;
pub mod protocol;
pub mod report;
pub mod run;
pub mod site;
mod stored;
pub mod suite;
