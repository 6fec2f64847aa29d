//! What must not be shown. Pure: no file, no network, no clock.
//!
//! [`mask`] takes what looks like a secret out of texts that come from outside, by the names that stand before values and
//! by the shapes of the values. [`Masked`] is a text that went through it: what keeps evidence takes nothing else.
//! [`Secret`] is a secret of ours: wiped when it goes, and shown by nothing.

pub mod mask;
mod masked;
mod secret;

pub use masked::{Masked, MaskedArguments, MaskedLines};
pub use secret::{Secret, Wiped};
