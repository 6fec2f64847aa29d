//! The host's end of the connection (`verifier agent`), the protocol that it speaks, and the verifier's end.
//!
//! Any carrier of a byte stream will do: [`Agent::local`] runs the same code in this process, `ssh` brings the
//! program to a host. The agent reads its host and writes nothing but through containerd's API.

mod answer;
mod client;
pub mod protocol;
mod serve;
mod stdio;
mod wire;

pub use client::{Agent, AskError, ByteStream, OpenError};
pub use serve::serve;
pub use stdio::serve_stdio;
pub(crate) use stdio::{DIRECTORY, PROGRAM};
