//! Checks a bundle, loads its images and proves that a cluster works, without internet.
//!
//! The rooms, from the program's edge to the ground; an arrow means "imports", and none looks back (`cargo xtask arrows`,
//! with the table in docs/architecture.md):
//!
//! ```text
//! cmd ──▶ load ──────────────┐
//!  │                         ▼
//!  ├────▶ report ─┐       carrier ──▶ host ──┐
//!  │              ▼          ▲               ▼
//!  └────▶ checks ─▶ suite ───┼──▶ cluster ─▶ http ─▶ protocol
//!                    │       │
//!                    └───────┴──▶ findings, site
//! ```
//!
//! - [`protocol`]: what is asked of a host and what it answers, as values.
//! - [`host`]: what runs on a host: the agent, its facts, its container runtime.
//! - [`carrier`]: what reaches a host: this process, or SSH.
//! - [`cluster`]: the Kubernetes API.
//! - [`findings`]: causes, findings, verdicts, and their words.
//! - [`suite`]: what a check is and how checks are run; [`checks`]: the checks.

pub mod carrier;
pub mod checks;
pub mod cluster;
pub mod cmd;
pub mod findings;
pub mod host;
mod http;
pub mod load;
pub mod protocol;
pub mod report;
pub mod site;
pub mod suite;
