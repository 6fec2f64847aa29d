//! Why an agent gave no reply, and what that makes of a check.

use cli::chain;

use crate::carrier::{AskError, ReachError};
use crate::findings::{Unjudged, cause};
use crate::protocol::{Refusal, RefusalKind};

/// Why an agent gave no reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AskFailure {
    host: String,
    why: Why,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Why {
    /// There is no agent on the host; absent: no connection was tried.
    Unreached(Option<String>),
    /// The agent could not do it.
    Refused(Refusal),
    /// It answers more than is taken from anybody.
    TooMuch(String),
    /// The answer did not come.
    Lost(String),
    /// Nobody asked it when the facts were gathered.
    Unkept(&'static str),
}

impl AskFailure {
    /// Returns what there is to say where a host has no agent; absent: no connection was tried.
    pub(super) fn unreached(host: &str, error: Option<&ReachError>) -> Self {
        Self {
            host: host.to_owned(),
            why: Why::Unreached(error.map(|error| chain(error))),
        }
    }

    /// Returns what there is to say where an agent gave no reply.
    pub(super) fn of(host: &str, error: AskError) -> Self {
        Self {
            host: host.to_owned(),
            why: match error {
                AskError::Refused(refusal) => Why::Refused(refusal),
                error @ (AskError::TooLong { .. } | AskError::Spent { .. }) => Why::TooMuch(chain(&error)),
                AskError::Unkept { ask } => Why::Unkept(ask),
                other => Why::Lost(chain(&other)),
            },
        }
    }

    /// Returns what there is to say where an answer ended early.
    pub(super) fn lost(host: &str, reason: String) -> Self {
        Self {
            host: host.to_owned(),
            why: Why::Lost(reason),
        }
    }

    /// Returns of what kind the agent's refusal is; none where it did not come to one.
    pub const fn kind(&self) -> Option<RefusalKind> {
        match &self.why {
            Why::Refused(refusal) => Some(refusal.kind),
            Why::Unreached(_) | Why::TooMuch(_) | Why::Lost(_) | Why::Unkept(_) => None,
        }
    }

    /// Returns what the agent said, or how its answer was lost; none where there is no agent, or none to be believed.
    pub fn message(&self) -> Option<&str> {
        match &self.why {
            Why::Refused(refusal) => Some(&refusal.text),
            Why::Lost(message) => Some(message),
            Why::Unreached(_) | Why::TooMuch(_) | Why::Unkept(_) => None,
        }
    }
}

impl From<AskFailure> for Unjudged {
    fn from(failure: AskFailure) -> Self {
        let host = &failure.host;
        match &failure.why {
            Why::Unreached(Some(reason)) => Self::error(cause::HostUnreachable { host, reason }),
            Why::TooMuch(message) => Self::error(cause::AgentTooMuch { host, message }),
            Why::Unreached(None) => Self::error(cause::HostNotConnected { host }),
            Why::Unkept(ask) => Self::error(cause::NotGathered { host, ask }),
            Why::Refused(Refusal { text: message, .. }) => Self::error(cause::AgentRefused { host, message }),
            Why::Lost(message) => Self::error(cause::AgentRefused { host, message }),
        }
    }
}
