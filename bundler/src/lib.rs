//! Packs images, configuration, manifests and the verifier into one checksummed archive.
//!
//! The way of the data: [`Spec`] -> [`Lock`] -> plan -> pull -> seal. No step looks back.

pub mod cmd;

mod archive_input;
mod bills;
mod build;
mod cache;
mod elf;
mod error;
mod estimate;
mod follow;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;
mod glob;
mod image;
mod inputs;
mod json;
mod lock;
mod manifests;
mod order;
mod packing;
mod plan;
mod prove;
mod pull;
mod reference;
mod registry;
mod render;
mod resolve;
mod resolved;
mod seal;
mod sink;
mod spec;
mod writeback;

pub use build::build;
pub use error::BuildError;
pub use lock::{Lock, LockedImage, Update};
pub use order::{Build, Built, Outcome, Planned, PlannedMember};
pub use reference::{Reference, ReferenceError};
pub use spec::Spec;
