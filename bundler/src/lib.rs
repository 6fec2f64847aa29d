//! Packs images, configuration, manifests and the verifier into one checksummed archive.
//!
//! The way of the data: [`Spec`] -> [`Lock`] -> plan -> place -> finish. No step looks back.

pub mod cmd;

mod archive_input;
mod bills;
mod build;
mod cache;
mod cache_error;
mod canvas;
mod elf;
mod error;
mod estimate;
mod finish;
mod follow;
mod front;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;
mod glob;
mod image;
mod inputs;
mod journal;
mod json;
mod lock;
mod manifests;
mod order;
mod outputs;
mod packing;
mod place;
mod plan;
mod prove;
mod reference;
mod registry;
mod render;
mod resolve;
mod resolved;
mod room;
mod sink;
mod source;
mod spec;
mod timings;
mod unpacked;
mod workshop;
mod writeback;

pub use build::build;
pub use error::BuildError;
pub use lock::{Lock, LockedImage, Update};
pub use order::{Build, Built, Caching, Outcome, Planned, PlannedMember};
pub use reference::{Reference, ReferenceError};
pub use spec::Spec;
pub use timings::Seconds;
