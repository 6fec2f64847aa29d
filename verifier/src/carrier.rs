//! What reaches a host: the verifier's end of a connection to an agent, and the carriers of its bytes. Any carrier of a
//! byte stream will do: [`local`] runs the agent in this process, [`ssh`] brings the program to the host.

mod budget;
mod connection;
mod hosts;
pub mod local;
mod reach;
mod record;
pub mod ssh;

pub use connection::{Agent, AskError, ByteStream, OpenError};
pub use hosts::{Hosts, Pace};
pub use reach::{ReachError, ReachKind};
pub use record::{Placed, Record};
