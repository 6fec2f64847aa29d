//! The archive format that `bundler` writes and `verifier` reads.
//!
//! Synchronous. It reads and writes what it is given, and touches no network, clock, environment or stdout.

mod atomic;
mod audit;
mod background;
mod check;
mod checksum;
mod created;
mod digest;
mod documents;
mod error;
mod estimate;
mod file;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;
mod header;
mod index;
mod input;
mod kind;
mod layer;
pub mod layout;
pub mod nodes;
mod order;
mod output;
mod path;
mod places;
mod platform;
mod prologue;
mod reader;
mod source;
mod staging;
mod tape;
pub mod tar_block;
mod trust;
mod twin;
mod unpack;
mod unseen;
mod user_file;
mod validate;
mod walk;
mod writer;
mod writing;

pub use atomic::{AtomicError, AtomicFile, may_replace, publish};
pub use audit::Depth;
pub use check::{Checked, Event, check};
pub use checksum::{checksum_file, checksum_line};
pub use created::{Created, CreatedError};
pub use digest::{Digest, DigestError, Hasher};
pub use error::ReadError;
pub use estimate::Estimator;
pub use file::BundleFile;
pub use index::{
    DOCUMENT_LIMIT, FORMAT, INDEX_LIMIT, Image, Index, Layer, MEMBER_LIMIT, Member, PlatformImage,
    Requirement, SERIAL_LIMIT, Smoke,
};
pub use kind::Kind;
pub use layer::{LayerError, LayerProof, Unpacking};
pub use output::{Compression, Output};
pub use path::{MemberPath, PathError};
pub use places::Places;
pub use platform::{Platform, PlatformError};
pub use reader::{Entry, MemberReader, Reader};
pub use source::{Source, signature_file};
pub use staging::{AtomicDirectory, Unnamed};
pub use trust::{NAMESPACE, Origin, Signed, Trust};
pub use twin::Twin;
pub use unpack::{Unpacked, unpack};
pub use unseen::is_unseen;
pub use user_file::{UserFile, mode_for_others, open_regular};
pub use validate::IndexError;
pub use writer::{Sealed, Writer};
pub use writing::{WriteError, WriteOptions};
