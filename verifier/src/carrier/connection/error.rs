//! Why a connection did not come about, and why a request has no reply.

use std::io;
use std::time::Duration;

use cli::Shown;

use crate::protocol::Refusal;

/// Why a connection did not come about over a carrier that works.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// No greeting came before the deadline.
    #[error("the agent did not answer within {seconds} s")]
    Late {
        /// The deadline in seconds.
        seconds: u64,
    },
    /// The stream ended, or something else talked.
    #[error("no agent answered{}", said(.noise))]
    Silent {
        /// The end of what came instead.
        noise: String,
    },
    /// The agent is of another version.
    #[error("the agent is {theirs}, this is {ours}")]
    Version {
        /// The agent's version.
        theirs: String,
        /// Our version.
        ours: String,
    },
    /// The stream broke.
    #[error("the connection to the agent broke")]
    Broken(#[source] io::Error),
    /// The first request failed.
    #[error("the agent did not say who it is")]
    Hello(#[source] AskError),
}

/// Why a request has no reply.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// The agent could not do it.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// No answer in time.
    #[error("no answer within {} s", .0.as_secs_f32())]
    Deadline(Duration),
    /// The connection ended.
    #[error("the connection to the agent is gone")]
    Gone,
    /// The connection broke in the middle, or the answer makes no sense.
    #[error("the connection to the agent broke")]
    Broken(#[source] io::Error),
    /// The answer is longer than such an answer may be. Nothing of it was read.
    #[error("the answer to {ask} has {length} bytes, more than {limit}")]
    TooLong {
        /// The request.
        ask: &'static str,
        /// The length that it announces.
        length: u32,
        /// The length that is taken.
        limit: u32,
    },
    /// The host has answered so much in this run that nothing more is taken from it.
    #[error("the host has sent more than {limit} bytes of answers, the last to {ask}")]
    Spent {
        /// The request.
        ask: &'static str,
        /// What is taken from a host in a run.
        limit: u64,
    },
    /// What was to be sent could not be read.
    #[error("what was to be sent could not be read")]
    Source(#[source] io::Error),
    /// What was gathered has no answer to it.
    #[error("nobody asked {ask} when the facts were gathered")]
    Unkept {
        /// The request.
        ask: &'static str,
    },
    /// The answer was lost when the facts were gathered.
    #[error("{0}")]
    Lost(Shown),
}

fn said(noise: &str) -> String {
    if noise.is_empty() {
        String::new()
    } else {
        format!(", but: {noise}")
    }
}
