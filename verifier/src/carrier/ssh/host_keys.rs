//! The client's side of the handshake: the host key is judged before anything else is said.

use std::sync::{Arc, OnceLock};

use russh::client;
use russh::keys::{PublicKey, PublicKeyOrCertificate};

use super::known_hosts::{KnownHosts, Names, Verdict};

/// Judges the host key; the handshake fails when it may not be trusted.
pub(super) struct HostKeys {
    pub(super) known: KnownHosts,
    pub(super) names: Names,
    /// What the host showed.
    pub(super) shown: Arc<OnceLock<PublicKey>>,
    /// Whether the key is only looked at: then the connection ends with it.
    pub(super) only_look: bool,
}

/// Why a handshake failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum HandshakeError {
    #[error(transparent)]
    Ssh(#[from] russh::Error),
    #[error("the host key is not trusted")]
    Key(Verdict),
}

impl client::Handler for HostKeys {
    type Error = HandshakeError;

    async fn check_server_key(&mut self, shown: &PublicKeyOrCertificate) -> Result<bool, HandshakeError> {
        // Certificates are never asked for, so none is trusted.
        let PublicKeyOrCertificate::PublicKey { key, .. } = shown else {
            return Ok(false);
        };
        let _ = self.shown.set(key.clone());
        match self.known.judge(&self.names, key) {
            Verdict::Known if !self.only_look => Ok(true),
            verdict => Err(HandshakeError::Key(verdict)),
        }
    }
}
