//! What was asked of a host and of an API server and what they answered, kept in a file so that it can be judged elsewhere.
//! Values, and bytes that are given; no clock, no network, no verdict.

mod composed;
mod error;
mod file;
mod reading;

pub use composed::answer;
pub use error::GatheredError;
pub use file::{Gathered, Header, written};
pub use reading::{Answer, Reading};
