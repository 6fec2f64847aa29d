//! The archive format that `bundler` writes and `verifier` reads.
//!
//! Synchronous. It reads and writes what it is given, and touches no network, clock, environment or stdout.

mod digest;
mod index;
mod path;
mod platform;

pub use digest::{Digest, DigestError};
pub use index::{FORMAT, INDEX_LIMIT, Image, Index, Kind, Layer, Member, PlatformImage, Requirement, Smoke};
pub use path::{MemberPath, PathError};
pub use platform::{Platform, PlatformError};
