//! A connection that is logged in, with everything that it stands on.

use std::sync::Arc;

use russh::client::Handle;
use tokio::process::Child;

use super::host_keys::HostKeys;

/// A logged-in connection with everything that it stands on.
pub(super) struct Session {
    pub(super) handle: Handle<HostKeys>,
    _below: Below,
}

impl Session {
    /// Takes a connection that is logged in.
    pub(super) fn new(handle: Handle<HostKeys>, below: Below) -> Self {
        Self {
            handle,
            _below: below,
        }
    }
}

/// What carries the connection and must live as long.
pub(super) enum Below {
    Nothing,
    Bastion(#[expect(dead_code, reason = "held, not used")] Arc<Session>),
    Command(Child),
}
