//! Signatures over files, as `ssh-keygen -Y sign` and `minisign -S` make them: made here, and verified.
//!
//! Values in, values out: it opens no file, reads no clock and no environment. An SSH agent is reached over the socket that
//! it is told.

mod agent;
mod allowed;
mod error;
mod file_key;
mod form;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;
mod keys;
mod minisign;
mod minisign_secret;
mod short_key;
mod signing;
mod ssh;

pub use agent::AgentError;
pub use error::{KeysError, SignatureError, SigningError};
pub use file_key::{FileKey, SignError};
pub use form::SignatureForm;
pub use keys::{Keys, Signer};
pub use short_key::short_key;
pub use signing::SigningKey;

/// The longest file of a signature that is looked at, in bytes.
pub const SIGNATURE_LIMIT: u64 = 64 << 10;
