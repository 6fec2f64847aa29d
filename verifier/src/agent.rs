//! The host's end of the connection: `verifier agent`, and the protocol that it speaks.

pub mod protocol;
